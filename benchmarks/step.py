"""The pre-training step of any size against the looped forms, side by side.

`OMP_NUM_THREADS=1 python -m benchmarks.step [--sizes demo audio-text] [--json FILE]`. With
`--private-steps 2` it is the lean step with a full tail, with a narrow one, and that on 2 steps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.cases import (
    DEMO,
    SIZES,
    Case,
    Sizes,
    case_of,
    lean,
    machine,
    machine_line,
    with_maps,
)
from benchmarks.looped import LoopedTraining
from benchmarks.timing import CLOCKS, Timing, side_by_side, table
from cmg.allocation import kept_memory
from cmg.training.options import Precision
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step

FLOAT32: Final = "float32"
FLOAT64: Final = "float64"
BF16: Final = "bf16"
FULL, NARROW = "full tail", "narrow tail"
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


def time_private_steps(case: Case, count: int, turns: int, clock: str) -> dict[str, Timing]:
    """The lean step with a full tail, a narrow one, and that on `count` steps, in both dtypes."""
    full, case, timings = lean(case, "full"), lean(case), {}
    for precision in (FLOAT32, BF16):
        forms = {FULL: our_step(full, precision), NARROW: our_step(case, precision)}
        some = our_step(case, precision, private_steps=count)
        forms[f"narrow tail, {count} of {case.length} steps"] = some
        with kept_memory():  # as training does
            timings[f"{case.name}, lean {precision}"] = side_by_side(forms, turns, clock)
    return timings


def our_step(
    case: Case,
    precision: Precision,
    state: TrainingState | None = None,
    private_steps: int | None = None,
) -> Callable[[int], object]:
    """A function that runs our step number `turn`, of a fresh state unless one is given."""
    state = state or case.state(precision)
    batch = case.features(state)
    return lambda turn: pretraining_step(state, batch, case.draws(batch, turn, private_steps))


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
    parser.add_argument("--private-steps", type=int, help="of the lean step, beside all")
    parser.add_argument("--channels", type=int, help="maps of so many, with 256 of detail")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    facts = machine()
    steps: dict[str, Timing] = {}
    for name in given.sizes:
        case = case_of(name, Sizes(batch=given.batch))
        case = case if given.channels is None else with_maps(case, given.channels)
        if given.private_steps is None:
            steps[name] = time_step(case, given.repeats, given.clock)
        else:
            steps |= time_private_steps(case, given.private_steps, given.repeats, given.clock)
    facts["load_after"] = machine()["load"]
    print(machine_line(facts))
    print("\n" + table(f"step, {given.batch} clips", steps))
    if given.json is not None:
        result = {"machine": facts, "clock": given.clock, "batch": given.batch}
        result |= {"step": as_json(steps)}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
