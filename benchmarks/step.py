"""The pre-training step of any size against the looped forms, side by side.

`OMP_NUM_THREADS=1 python -m benchmarks.step [--sizes demo audio-text] [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import DEMO, SIZES, Case, Sizes, case_of, machine, machine_line
from benchmarks.looped import LoopedTraining
from benchmarks.timing import CLOCKS, Timing, side_by_side, table
from cmg.training.options import Precision
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step

FLOAT32, FLOAT64 = "float32", "float64"
LOOPED, LOOPED32 = "looped float64", "looped float32"


def time_step(case: Case, turns: int, clock: str) -> Timing:
    """Our step in float32 and float64, and the looped ones, from the same weights."""
    return side_by_side(
        {
            FLOAT32: our_step(case, "float32"),
            FLOAT64: our_step(case, "float64"),
            LOOPED: looped_step(case, "float64"),
            LOOPED32: looped_step(case, "float32"),
        },
        turns,
        clock,
    )


def our_step(
    case: Case, precision: Precision, state: TrainingState | None = None
) -> Callable[[int], object]:
    """A function that runs our step number `turn`, of a fresh state unless one is given."""
    state = state or case.state(precision)
    batch = case.features(state)
    return lambda turn: pretraining_step(state, batch, case.draws(batch, turn))


def looped_step(case: Case, precision: Precision) -> Callable[[int], object]:
    """A function that runs the looped step number `turn`."""
    return looped_on(LoopedTraining(case.state(precision)), case)


def looped_on(looped: LoopedTraining, case: Case) -> Callable[[int], object]:
    """The same with the weights of `looped`, which several batch sizes may share."""
    batch = case.features(looped.state)
    return lambda turn: looped.step(batch, case.draws(batch, turn))


def as_json(timings: Mapping[str, Timing]) -> dict[str, Any]:
    """Of every row, its variants."""
    return {name: timing.as_dict() for name, timing in timings.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["audio-text", DEMO])
    parser.add_argument("--batch", type=int, default=80, help="clips; T is 10")
    parser.add_argument("--repeats", type=int, default=7, help="turns; a table gives their median")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of the process")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    facts = machine()
    steps = {
        name: time_step(case_of(name, Sizes(batch=given.batch)), given.repeats, given.clock)
        for name in given.sizes
    }
    facts["load_after"] = machine()["load"]
    print(machine_line(facts))
    print("\n" + table(f"step, {given.batch} clips", steps))
    if given.json is not None:
        result = {"machine": facts, "clock": given.clock, "batch": given.batch}
        result |= {"step": as_json(steps)}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
