"""How long a published step waits for its batch: read ahead by a thread, or when it is asked for.

`python -m benchmarks --only waiting`

Trains on a store of the published shapes on local disk (generated, compact, about 70 % zeros in
maps and audio, in the page cache after it was written), batch by batch as the training loop does:
through :func:`cmg.data.prefetch.prefetch`, whose thread works while the step computes, on the same
cores. Waiting is the time that the training thread spends between two steps until its next batch
is there. The first batch, for which every training waits, is told apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cases import Case
from benchmarks.figures import Figure, Section, markdown
from benchmarks.published import BF16, LEAN, OURS, SIZE, Extent, our_case
from cmg.data.batches import Batches
from cmg.data.manifest import FeatureSpec
from cmg.data.prefetch import prefetch
from cmg.data.store import open_store
from cmg.data.writer import Clip, StoreWriter
from cmg.training.step import pretraining_step
from cmg.types import Kind

AHEAD, ASKED = "read ahead", "read when asked"
WORKERS = {AHEAD: 1, ASKED: 0}
SHOWN = (BF16, LEAN)
TILE = 64
"""Different clips; they repeat."""


@dataclass(frozen=True)
class Amount:
    """How much is read.

    Attributes:
        clips: Of the store.
        steps: Of every form, after a first that is not counted.
    """

    clips: int
    steps: Mapping[str, int]


FULL = Amount(400, {BF16: 3, LEAN: 10})
QUICK = Amount(24, {BF16: 2, LEAN: 2})


def write_store(case: Case, path: Path, clips: int) -> None:
    """A store of the case's modalities; token vectors have no zeros."""
    specs = {
        m.name: FeatureSpec(
            kind=m.kind,
            shape=m.shape,
            step_seconds=None if m.kind is Kind.TOKENS else 1.0,
            encoding="dense" if m.kind is Kind.TOKENS else "compact",
        )
        for m in case.modalities
    }
    rng = np.random.default_rng(0)
    tiles = []
    for _ in range(min(TILE, clips)):
        drawn = {
            m.name: rng.standard_normal((case.length, *m.shape), np.float32)
            for m in case.modalities
        }
        tiles.append(
            {
                m.name: drawn[m.name]
                if m.kind is Kind.TOKENS
                else np.maximum(drawn[m.name] - np.float32(0.5), 0)
                for m in case.modalities
            }
        )
    with StoreWriter(path, specs) as writer:
        for i in range(clips):
            writer.add(Clip(f"clip{i:05d}", "train", tiles[i % len(tiles)]))


def train(case: Case, name: str, batches: Batches, workers: int, steps: int) -> list[list[float]]:
    """Seconds of waiting and of the step, per step, from the first on."""
    state = case.state(OURS[name])
    addresses = (divmod(step, len(batches)) for step in range(steps + 1))
    waits, works = [], []
    with closing(prefetch(batches, addresses, workers=workers)) as reading:
        start = time.perf_counter()
        for number, batch in enumerate(reading):
            ready = time.perf_counter()
            moved = batch.to(state.device, state.model.dtype)
            pretraining_step(state, moved, case.draws(moved, number))
            waits.append(ready - start)
            start = time.perf_counter()
            works.append(start - ready)
    return [waits, works]


def measure(extent: Extent, amount: Amount, folder: Path) -> dict[str, Figure]:
    """Waiting and working of every form, read ahead and when asked."""
    case = extent.case()
    write_store(case, folder / "store", amount.clips)
    split = open_store(folder / "store").split("train")
    found = {}
    for name in SHOWN:
        for how, workers in WORKERS.items():
            batches = Batches(split, extent.batch, [m.name for m in case.modalities])
            steps = amount.steps[name]
            waits, works = train(our_case(extent, name), name, batches, workers, steps)
            told = f"{name}, {how}"
            found[f"{told}: first batch"] = Figure.of([1e3 * waits[0]], "ms")
            # The second step still finds what was read beside the first, uncounted one.
            found[f"{told}: wait"] = Figure.of([1e3 * s for s in waits[1:]], "ms")
            found[f"{told}: step"] = Figure.of([1e3 * s for s in works[1:]], "ms")
            shares = [100 * a / (a + b) for a, b in zip(waits[1:], works[1:], strict=True)]
            found[f"{told}: waiting"] = Figure.of(shares, "%")
    return found


def table(found: Mapping[str, Figure], extent: Extent) -> str:
    """Markdown."""
    rows = []
    for name in SHOWN:
        for how in WORKERS:
            keys = ("step", "wait", "waiting", "first batch")
            cells = [found[f"{name}, {how}: {key}"].told() for key in keys]
            rows.append([f"{name}, {how}", *cells])
    head = (f"step, {SIZE}, {extent.batch} clips", "step, ms", "wait, ms", "waiting, %")
    return markdown((*head, "first batch, ms"), rows)


def section(quick: bool = False) -> Section:
    """Waiting of the published step.

    Args:
        quick: Narrow and on few clips.
    """
    extent = Extent(batch=8, divisor=16) if quick else Extent()
    amount = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="cmg-waiting-") as folder:
        found = measure(extent, amount, Path(folder))
    settings = {"size": SIZE, "batch": extent.batch, "divisor": extent.divisor}
    return Section(found, table(found, extent), settings | {"clips": amount.clips})
