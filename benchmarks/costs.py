"""How time and memory of a step grow with B, T, M, K, D and ranks: curves, exponents, coefficients.

`python -m benchmarks --only costs`

One size is varied at a time around a step that is small on purpose: with published widths the
convolutions hide every other term. Each point is measured in a fresh process with one thread:
seconds are CPU seconds of a step (median), memory is the peak of anonymous memory beyond what the
process had before its model. With two ranks both are those of the busier rank. The exponent is the
slope of the last two points in log-log; the model a + b x (+ c x^2) is fitted by least squares of
relative errors, and told as shares of its value at the last point. docs/cost-model.md derives
which terms have which power.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from queue import Empty
from typing import Any

import numpy as np
import torch

from benchmarks.anonymous import anonymous_bytes, peak_of
from benchmarks.cases import Case
from benchmarks.figures import Figure, Section, markdown
from benchmarks.ranks import divided_step, free_port
from cmg.config.schema import RunConfig
from cmg.training.ranks import Ranks
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.types import Kind, Modality

MIB = 2.0**20
PATIENCE = 600.0
"""Seconds that a point may take."""


@dataclass(frozen=True)
class Point:
    """Sizes of a step.

    Attributes:
        batch: B.
        length: T.
        modalities: M: maps, and vectors besides.
        codes: K.
        width: D.
        ranks: Processes that share the batch.
    """

    batch: int = 40
    length: int = 10
    modalities: int = 3
    codes: int = 400
    width: int = 128
    ranks: int = 1

    def case(self) -> Case:
        """Every term of the method, on modalities that cost little."""
        model = {
            "width": self.width,
            "temporal": {"heads": 4, "hidden": 256},
            "codebook": {"size": self.codes, "start": "uniform"},
        }
        config = RunConfig.model_validate({"model": model})
        maps = Modality(name="maps", kind=Kind.MAPS, shape=(4, 4, 32), detail_width=128)
        vectors = [
            Modality(name=f"vectors{i}", kind=Kind.VECTORS, shape=(64,), detail_width=64)
            for i in range(1, self.modalities)
        ]
        return Case("costs", [maps, *vectors], config, self.batch, self.length)


@dataclass(frozen=True)
class Variable:
    """What is varied.

    Attributes:
        field: Of :class:`Point`.
        values: From low to high.
        power: Highest power of it in a step's time; 0 fits no model.
    """

    field: str
    values: tuple[int, ...]
    power: int


VARIABLES = {
    "B": Variable("batch", (20, 40, 80, 160, 320), 2),
    "T": Variable("length", (5, 10, 20, 40), 2),
    "M": Variable("modalities", (2, 3, 4, 5, 6), 2),
    "K": Variable("codes", (64, 400, 4096, 16384, 65536), 1),
    "D": Variable("width", (64, 128, 256, 512), 2),
    "ranks": Variable("ranks", (1, 2), 0),
}
QUICK = {
    "B": Variable("batch", (4, 8, 16), 2),
    "K": Variable("codes", (64, 1024, 4096), 1),
    "ranks": Variable("ranks", (1, 2), 0),
}


@dataclass(frozen=True)
class Cost:
    """What a point costs.

    Attributes:
        seconds: CPU seconds of every timed step, of the busier rank.
        peak: Bytes, of the larger rank.
    """

    seconds: list[float]
    peak: int


def whole_step(case: Case, state: TrainingState) -> Callable[[int], dict[str, float]]:
    """A function that trains step number `turn` on the whole batch."""
    batch = case.features(state)
    return lambda turn: pretraining_step(state, batch, case.draws(batch, turn))


def measure_here(
    rank: int, port: int, point: Point, steps: int, found: multiprocessing.Queue[Any]
) -> None:
    """Measure one rank of a point in this process and put it into `found`."""
    torch.set_num_threads(1)
    case, before = point.case(), anonymous_bytes()
    state = case.state("float32")
    if point.ranks == 1:
        step = whole_step(case, state)
    else:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks = Ranks(rank, point.ranks, rank)
        ranks.join(torch.device("cpu"))
        step = divided_step(case, state, ranks)
    step(0)
    seconds = []
    for turn in range(1, steps + 1):
        start = time.process_time()
        step(turn)
        seconds.append(time.process_time() - start)
    # The watcher looks every 10 ms, so short steps are watched more often; as often on all ranks.
    peak = peak_of(lambda: [step(turn) for turn in range(steps + 1, 2 * steps + 5)])
    found.put((rank, seconds, peak - before))
    if point.ranks > 1:
        ranks.barrier()
        ranks.leave()


def measure(point: Point, steps: int) -> Cost:
    """Measure a point in processes of its own."""
    context = multiprocessing.get_context("forkserver")  # a fork of a process that computed nothing
    context.set_forkserver_preload(["benchmarks.ranks"])
    found = context.Queue()
    port = free_port()
    ranks = [
        context.Process(target=measure_here, args=(rank, port, point, steps, found))
        for rank in range(point.ranks)
    ]
    for process in ranks:
        process.start()
    try:
        told = [found.get(timeout=PATIENCE) for _ in ranks]
    except Empty as error:
        raise RuntimeError(f"{point} left no result") from error
    finally:
        for process in ranks:
            process.join(10)
            process.kill()
    busiest = max((seconds for _, seconds, _ in told), key=statistics.median)
    return Cost(busiest, max(peak for *_, peak in told))


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the last two points in log-log."""
    return math.log(y[-1] / y[-2]) / math.log(x[-1] / x[-2])


def fitted(x: Sequence[float], y: Sequence[float], power: int) -> list[float]:
    """Coefficients of 1, x, ... x^power that make relative errors small; none is negative.

    Of all subsets of the terms, the one with the smallest error among those whose coefficients are
    all positive: costs add up.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    powers = list(range(power + 1))
    best, least = np.zeros(power + 1), math.inf
    for chosen in range(1, 2 ** len(powers)):
        kept = [p for p in powers if chosen >> p & 1]
        if len(kept) > len(xs):
            continue
        table = np.stack([xs**p / ys for p in kept], 1)
        found, *_ = np.linalg.lstsq(table, np.ones_like(ys), rcond=None)
        error = float(((table @ found - 1) ** 2).sum())
        if (found >= 0).all() and error < least - 1e-12:
            best, least = np.zeros(power + 1), error
            best[kept] = found
    return [float(c) for c in best]


def shares(coefficients: Sequence[float], x: float) -> str:
    """What each term has of the model's value at `x`, in percent."""
    parts = [c * x**p for p, c in enumerate(coefficients)]
    names = ("fixed", "linear", "quadratic")
    return ", ".join(
        f"{name} {100 * part / sum(parts):.0f}" for name, part in zip(names, parts, strict=False)
    )


def curve(
    name: str, variable: Variable, base: Point, cost: Callable[[Point], Cost]
) -> tuple[dict[str, Figure], list[str], list[list[str]]]:
    """A variable's figures, its row of the models, and its rows of points."""
    figures: dict[str, Figure] = {}
    x = [float(v) for v in variable.values]
    costs = [cost(replace(base, **{variable.field: v})) for v in variable.values]
    rows = []
    for value, one in zip(variable.values, costs, strict=True):
        key = f"{name} = {value}"
        figures[f"{key}: step"] = Figure.of([1e3 * s for s in one.seconds], "ms")
        figures[f"{key}: peak"] = Figure.of([one.peak / MIB], "MiB")
        rows.append([key, figures[f"{key}: step"].told(), f"{one.peak / MIB:.0f}"])
    seconds = [statistics.median(one.seconds) for one in costs]
    peaks = [float(one.peak) for one in costs]
    row = [name, f"{variable.values[0]} to {variable.values[-1]}"]
    for what, y in (("time", seconds), ("memory", peaks)):
        slope = exponent(x, y)
        figures[f"{name}: exponent of {what}"] = Figure.of([slope], "")
        row += [f"{slope:.2f}", "–"]
        if variable.power:
            model = fitted(x, y, variable.power)
            for power, coefficient in enumerate(model):
                figures[f"{name}: {what}, x^{power}"] = Figure.of([coefficient], "")
            row[-1] = shares(model, x[-1])
    return figures, row, rows


def section(quick: bool = False, repeats: int = 5, base: Point | None = None) -> Section:
    """Curves of all variables.

    Args:
        quick: Fewer of them, short ones.
        repeats: Timed steps per point.
        base: What is varied around.
    """
    base = base or (Point(batch=8, codes=64, width=32) if quick else Point())
    known: dict[Point, Cost] = {}

    def cost(point: Point) -> Cost:
        if point not in known:  # the base is on every curve
            known[point] = measure(point, repeats)
        return known[point]

    figures: dict[str, Figure] = {}
    models, points = [], []
    for name, variable in (QUICK if quick else VARIABLES).items():
        own, model, rows = curve(name, variable, base, cost)
        figures |= own
        models.append(model)
        points += rows
    head = ["", "from", "time: exponent", "at the end, %", "memory: exponent", "at the end, %"]
    text = markdown(head, models) + "\n\n" + markdown(["", "step, CPU ms", "peak, MiB"], points)
    return Section(figures, text, {"base": asdict(base), "repeats": repeats})
