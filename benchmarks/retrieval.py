"""Search in a gallery of 100,000 clips, beside sorting everything and beside FAISS.

    python -m benchmarks.retrieval --json benchmarks/results/retrieval.json

Mean code vectors of random code sequences (400 codes, 256 wide, 10 steps); batches of 64 queries,
the 10 best clips. Variants take turns; FAISS takes part where it is installed.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import side_by_side, table
from cmg.errors import ConfigError
from cmg.retrieval.index import ExactIndex, FaissIndex
from cmg.retrieval.representation import Represented, unit
from cmg.runs.folder import versions

CODES, WIDTH, STEPS, TOP = 400, 256, 10, 10


def clips(count: int, seed: int) -> Represented:
    """Random clips by mean code vector; neighboring codes go together, as they do in data."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(CODES, WIDTH, generator=torch.Generator().manual_seed(0))
    first = torch.randint(CODES, (count, 1), generator=generator)
    others = torch.randint(CODES, (count, STEPS), generator=generator)
    same = torch.rand(count, STEPS, generator=generator) < 0.7
    chosen = torch.where(same, first, others)
    vectors = torch.cat([codes[part].mean(1) for part in chosen.split(4096)])
    ids = [str(i) for i in range(count)]
    return unit(vectors, "mean", torch.full((count,), STEPS), ids)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    gallery = clips(args.clips, 1)
    batches = [clips(args.batch, 10 + i) for i in range(4)]
    start = time.perf_counter()
    exact = ExactIndex(gallery)
    built = {"exact": time.perf_counter() - start}
    transposed = gallery.vectors.float().T  # the search is in float32, so are its rivals
    asked = [batch.vectors.float() for batch in batches]

    def sort_all(turn: int) -> Tensor:
        scores = asked[turn % 4] @ transposed
        return scores.sort(1, descending=True).indices[:, :TOP]

    variants = {
        "exact": lambda turn: exact.search(batches[turn % 4], TOP),
        "topk of all": lambda turn: (asked[turn % 4] @ transposed).topk(TOP),
        "sort all": sort_all,
    }
    agree = {}
    try:
        for kind in ("flat", "hnsw"):
            start = time.perf_counter()
            index = FaissIndex(gallery, kind)
            built[f"faiss {kind}"] = time.perf_counter() - start
            variants[f"faiss {kind}"] = lambda turn, index=index: index.search(
                batches[turn % 4], TOP
            )
            ours, theirs = (i.search(batches[0], TOP).scores for i in (exact, index))
            agree[f"faiss {kind}"] = float((theirs >= ours - 1e-5).float().mean())
    except ConfigError as error:
        print(error)
    timing = side_by_side(variants, args.turns, "wall")
    print(table(f"{args.batch} queries, {args.clips:,} clips", {"search": timing}))
    for name, seconds in built.items():
        found = f", finds {100 * agree[name]:.1f} % as near as exact" if name in agree else ""
        print(f"{name}: built in {seconds:.2f} s{found}")
    if args.json:
        told = {
            "machine": versions(),
            "clips": args.clips,
            "batch": args.batch,
            "search": timing.as_dict(),
            "build_seconds": {n: round(s, 3) for n, s in built.items()},
            "as_near_as_exact": agree,
        }
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
