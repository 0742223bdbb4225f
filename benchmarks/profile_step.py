"""Where a pre-training step spends its time, and how often it makes the host wait.

OMP_NUM_THREADS=1 python -m benchmarks.profile_step [--sizes audio-text] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.cases import SIZES, Case, Sizes, case_of, machine, machine_line
from benchmarks.groups import DROPOUT, GROUPS, REST, group_times, scope_around
from cmg.training.step import pretraining_step

SYNC = "aten::_local_scalar_dense"
"""The call by which the host reads one number from a tensor, and so waits for it."""

EXTENTS = (
    Sizes(batch=80, length=10, codes=400),
    Sizes(batch=80, length=10, codes=64),
    Sizes(batch=80, length=10, codes=1600),
    Sizes(batch=20, length=10, codes=400),
    Sizes(batch=160, length=10, codes=400),
    Sizes(batch=80, length=5, codes=400),
    Sizes(batch=80, length=20, codes=400),
)
"""Codes, clips and steps for which host synchronizations are counted."""


@dataclass(frozen=True)
class Shares:
    """How a step's self CPU time divides; medians over the profiled steps.

    Attributes:
        groups: Share per group, in percent.
        rest: The largest operations of the rest, in percent of the step.
        milliseconds: Self CPU time of a profiled step.
        spread: Smallest and largest share of the rest, in percent.
    """

    groups: dict[str, float]
    rest: dict[str, float]
    milliseconds: float
    spread: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "share_percent": {k: round(v, 2) for k, v in self.groups.items()},
            "rest_percent": {k: round(v, 2) for k, v in self.rest.items()},
            "rest_spread_percent": [round(x, 2) for x in self.spread],
            "self_cpu_ms": round(self.milliseconds, 2),
        }


def steps_of(case: Case) -> Callable[[int], dict[str, float]]:
    """A function that runs step number `seed` of a fresh float32 training of `case`."""
    state = case.state()
    batch = case.features(state)

    def step(seed: int) -> dict[str, float]:
        return pretraining_step(state, batch, case.draws(batch, seed))

    return step


def profiled(step: Callable[[int], object], seed: int) -> list[Any]:
    """The profiled operations of one step."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        step(seed)
    return list(found.events() or [])


def measure_shares(case: Case, steps: int, warmup: int = 3) -> Shares:
    """Profile `steps` steps one by one, after `warmup` that are not counted."""
    step = steps_of(case)
    for seed in range(warmup):
        step(seed)
    groups, rests, totals = [], [], []
    for seed in range(warmup, warmup + steps):
        times, rest = group_times(profiled(step, seed))
        total = sum(times.values())
        groups.append({g: 100.0 * times[g] / total for g in GROUPS})
        rests.append(Counter({k: 100.0 * v / total for k, v in rest.items()}))
        totals.append(total / 1e3)
    largest = {k: statistics.median(r[k] for r in rests) for k in set().union(*rests)}
    order = sorted(largest, key=lambda k: -largest[k])[:12]
    own = [g[REST] for g in groups]
    return Shares(
        {g: statistics.median(s[g] for s in groups) for g in GROUPS},
        {k: largest[k] for k in order},
        statistics.median(totals),
        (min(own), max(own)),
    )


def count_synchronizations(name: str, extents: Sequence[Sizes]) -> list[dict[str, int]]:
    """Host synchronizations of the second step of a training, for several extents."""
    rows = []
    for extent in extents:
        step = steps_of(case_of(name, extent))
        step(0)
        found = [scope_around(event) for event in profiled(step, 1) if event.name == SYNC]
        row = {"codes": extent.codes or 0, "clips": extent.batch, "steps": extent.length}
        row["synchronizations"] = len(found)
        rows.append(row | {"in_optimizer": found.count("optimizer")})
    return rows


def print_shares(name: str, shares: Shares) -> None:
    """The share table of a size."""
    print(f"\n{name}: {shares.milliseconds:.1f} ms self CPU time per profiled step")
    for group, share in shares.groups.items():
        note = ""
        if group == DROPOUT:
            note = "counted apart"
        elif group == REST:
            note = f"{shares.spread[0]:.1f} to {shares.spread[1]:.1f} over the steps"
        print(f"  {group:<18}{share:>6.1f} %  {note}".rstrip())
    print("  largest of the rest: " + ", ".join(f"{k} {v:.1f}" for k, v in shares.rest.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile the named sizes, count synchronizations, print both and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_step")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["audio-text", "demo"])
    parser.add_argument("--batch", type=int, default=80, help="clips")
    parser.add_argument("--steps", type=int, default=10, help="profiled steps")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    result: dict[str, Any] = {"machine": machine(), "batch": given.batch, "sizes": {}}
    print(machine_line(result["machine"]))
    for name in given.sizes:
        shares = measure_shares(case_of(name, Sizes(batch=given.batch)), given.steps)
        print_shares(name, shares)
        result["sizes"][name] = shares.as_dict()
    first = given.sizes[0]
    rows = count_synchronizations(first, EXTENTS)
    result["synchronizations"] = {"size": first, "per_step": rows}
    print(f"\n{first}: host synchronizations per step ({SYNC})")
    for row in rows:
        print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
