"""Which parts of the method earn their place on the embedded set: one change at a time.

    python -m benchmarks.ablation --seeds 3 --json benchmarks/results/ablation.json

Every row is the named run `digits` with one change, trained and evaluated like the demo.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from cmg.config.load import load_config
from cmg.evaluation.results import CodebookStats
from cmg.evaluation.transfer import Score, Table, merge
from cmg.recipes.evaluate import Tables
from cmg.recipes.jobs import Job, run_jobs
from cmg.training.run_folder import versions

VARIANTS: dict[str, list[str]] = {
    "default": [],
    "with reconstruction": ["objectives.reconstruction={weight: 1}"],
    "with reconstruction and CLUB": [
        "objectives.reconstruction={weight: 1}",
        "objectives.club={weight: 1}",
    ],
    "with reconstruction and CLUB at 0.1": [
        "objectives.reconstruction={weight: 1}",
        "objectives.club={weight: 0.1}",
    ],
    "without CMCM": ["objectives.cmcm=null"],
    "without Cross-CPC": ["objectives.cross_cpc=null"],
    "without commitment": ["objectives.commitment=null"],
    "spatial attention": ["model.spatial_pool=attention"],
    "Transformer": ["model.temporal={kind: transformer, heads: 4, hidden: 128}"],
    "max-pooled head (published)": ["probe.pooling=max"],
    "no reset": ["model.codebook.reset.enabled=false"],
    "reset as coded": [
        "model.codebook.reset={patience: 20, active: 10, source: codes, reseed_stats: false}"
    ],
    "sequential EMA, smoothing, N = 0": [
        "model.codebook.ema={decay: 0.95, update: sequential, smoothing: true, initial_count: 0}"
    ],
    "cross-attention partner": ["model.codebook.ema={decay: 0.95, partner: cross_attention}"],
    "uniform start": ["model.codebook.start=uniform"],
    "k-means start": ["model.codebook.start=kmeans"],
    "16 codes": ["model.codebook.size=16"],
    "400 codes": ["model.codebook.size=400"],
    "bf16": ["training.precision=bf16"],
}


def summary(tables: list[Tables], seconds: float) -> dict[str, object]:
    """One row: means over directions and seeds, spread over seeds."""
    transfer = merge([t.transfer for t in tables])
    local = merge([t.localization for t in tables])
    return {
        "audio<->video": asdict(mean_of(transfer, ["audio->video", "video->audio"])),
        "with text": asdict(
            mean_of(transfer, ["audio->text", "text->audio", "video->text", "text->video"])
        ),
        "localization": asdict(mean_of(local, ["audio->video", "video->audio"])),
        "codebook": asdict(CodebookStats.mean([t.codebook for t in tables])),
        "seconds_per_run": seconds,
    }


def mean_of(table: Table, directions: list[str]) -> Score:
    """Mean over directions first, then mean and spread over seeds."""
    rows = [table[d] for d in directions]
    return Score.of([sum(values) / len(values) for values in zip(*rows, strict=True)])


def line(name: str, row: dict[str, object]) -> str:
    """A row of the Markdown table."""
    cells = []
    for key in ("audio<->video", "with text", "localization"):
        score = row[key]
        assert isinstance(score, dict)
        cells.append(f"{score['mean']:.1f} ± {score['std']:.1f}")
    used = row["codebook"]
    assert isinstance(used, dict)
    cells += [f"{used['used']:.0f}", f"{used['perplexity']:.0f}", f"{used['shared_share']:.2f}"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of variants; default: all")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: dict[str, dict[str, object]] = {}
    print("| variant | audio<->video | with text | localization | used | perplexity | shared |")
    print("|---|---|---|---|---|---|---|")
    for name, overrides in VARIANTS.items():
        if given.only and name not in given.only:
            continue
        jobs = [
            Job(name, load_config("digits", [*overrides, f"training.seed={seed}"]))
            for seed in range(given.seeds)
        ]
        start = time.perf_counter()
        tables = run_jobs(jobs, lambda *_: None)
        rows[name] = summary(tables, (time.perf_counter() - start) / given.seeds)
        print(line(name, rows[name]), flush=True)
    if given.json is not None:
        told = {"machine": versions(), "seeds": given.seeds, "rows": rows}
        given.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
