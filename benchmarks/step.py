"""The pre-training step and the codebook against a looped float64 form, side by side.

`OMP_NUM_THREADS=1 python -m benchmarks.step [--sizes demo audio-text] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import DEMO, SIZES, Case, Sizes, case_of, machine, machine_line
from benchmarks.looped import LoopedTraining
from benchmarks.looped_codebook import LoopedCodebook
from benchmarks.timing import CLOCKS, Timing, side_by_side, table
from cmg.codebook import SharedCodebook, random_reset
from cmg.training.state import Precision
from cmg.training.step import pretraining_step
from cmg.types import Steps

FLOAT32, FLOAT64, LOOPED = "float32", "float64", "looped float64"
CODES = (64, 400, 4096)
"""Codebook sizes K for which lookup and update are measured alone."""


def time_step(case: Case, turns: int, clock: str) -> Timing:
    """Our step in float32 and float64, and the looped one, from the same weights."""
    looped = LoopedTraining(case.state("float64"))
    batch = case.features(looped.state)
    return side_by_side(
        {
            FLOAT32: our_step(case, "float32"),
            FLOAT64: our_step(case, "float64"),
            LOOPED: lambda turn: looped.step(batch, case.draws(batch, turn)),
        },
        turns,
        clock,
    )


def our_step(case: Case, precision: Precision) -> Callable[[int], object]:
    """A function that runs our step number `turn`."""
    state = case.state(precision)
    batch = case.features(state)
    return lambda turn: pretraining_step(state, batch, case.draws(batch, turn))


def time_codebook(case: Case, turns: int, clock: str) -> dict[str, Timing]:
    """Lookup and update alone, on a batch of features around the codes.

    The features stay the same over the few turns, so no code becomes idle for long enough to be
    reset: what is timed is lookup, MM-EMA and the idle counters.
    """
    books = {FLOAT32: codebook_of(case, "float32"), FLOAT64: codebook_of(case, "float64")}
    looped = LoopedCodebook(codebook_of(case, "float64"))
    single, double = content(case, torch.float32), content(case, torch.float64)
    steps = Steps(case.batch, case.length)
    picked = looped.lookup(double)
    draw = random_reset(torch.Generator().manual_seed(0), case.config.model.codebook.reset.noise)
    found = {
        FLOAT32: books[FLOAT32].lookup(single, steps),
        FLOAT64: books[FLOAT64].lookup(double, steps),
    }
    lookup = side_by_side(
        {
            FLOAT32: lambda _: books[FLOAT32].lookup(single, steps),
            FLOAT64: lambda _: books[FLOAT64].lookup(double, steps),
            LOOPED: lambda _: looped.lookup(double),
        },
        turns,
        clock,
    )
    update = side_by_side(
        {
            FLOAT32: lambda _: books[FLOAT32].update(found[FLOAT32], draw),
            FLOAT64: lambda _: books[FLOAT64].update(found[FLOAT64], draw),
            LOOPED: lambda _: looped.update(double, picked, draw),
        },
        turns,
        clock,
    )
    return {"lookup": lookup, "update": update}


def codebook_of(case: Case, precision: Precision) -> SharedCodebook:
    """A codebook of the case's options, its codes spread like the features."""
    book = case.state(precision).model.codebook
    book.codes.copy_(torch.randn(book.codes.shape, generator=torch.Generator().manual_seed(1)))
    book.counts.fill_(1.0)
    book.sums.copy_(book.codes)
    return book


def content(case: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    """Features z of a batch: standard normal, [B, T, D] per modality."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.batch, case.length, case.config.model.width)
    return {m.name: torch.randn(shape, generator=generator).to(dtype) for m in case.modalities}


def measure(
    names: Sequence[str], codes: Sequence[int], batch: int, turns: int, clock: str
) -> tuple[dict[str, Timing], dict[str, dict[str, Timing]]]:
    """Steps of the named sizes, and the codebook of the first of them at every K of `codes`."""
    steps = {name: time_step(case_of(name, Sizes(batch=batch)), turns, clock) for name in names}
    parts: dict[str, dict[str, Timing]] = {"lookup": {}, "update": {}}
    for k in codes:
        case = case_of(names[0], Sizes(batch=batch, codes=k))
        for part, timing in time_codebook(case, turns, clock).items():
            parts[part][f"K = {k}"] = timing
    return steps, parts


def as_json(timings: Mapping[str, Timing]) -> dict[str, Any]:
    """Of every row, its variants."""
    return {name: timing.as_dict() for name, timing in timings.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["audio-text", DEMO])
    parser.add_argument("--batch", type=int, default=80, help="clips; T is 10")
    parser.add_argument("--codes", nargs="*", type=int, default=CODES, help="K of the codebook")
    parser.add_argument("--repeats", type=int, default=7, help="turns; a table gives their median")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of the process")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    facts = machine()
    steps, parts = measure(given.sizes, given.codes, given.batch, given.repeats, given.clock)
    facts["load_after"] = machine()["load"]
    print(machine_line(facts))
    print("\n" + table(f"step, {given.batch} clips", steps))
    for part, timings in parts.items():
        if timings:
            print("\n" + table(f"codebook {part}, {given.sizes[0]}", timings))
    if given.json is not None:
        codebook = {part: as_json(timings) for part, timings in parts.items()}
        result = {"machine": facts, "clock": given.clock, "batch": given.batch}
        result["codebook_of"] = given.sizes[0]
        result |= {"step": as_json(steps), "codebook": codebook}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
