"""A step on a GPU against the CPU: how far apart they end, how often the host waits, how long.

`sh benchmarks/gpu.sh [FILE]` on a machine with a GPU, or `python -m benchmarks.gpu --device cpu` to
see that the script works. Both devices train from the same weights on the same batches, draws and
codes, without dropout (a GPU draws other masks), and compare every weight, code and moment.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import Case, Sizes, case_of, machine
from cmg.runs.checkpoint import training_tensors
from cmg.saved import flat
from cmg.training.options import Precision
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step

SIZE = "audio-video-text"
TOLERANCES: dict[Precision, float] = {"float64": 1e-9, "float32": 1e-3, "bf16": 5e-2}
"""Largest difference in units of a tensor's own norm after the steps; of rounding, not of bits."""

WAITS = 2
"""Host synchronizations that a step needs: reading its log, and asking for idle codes."""


def small_case(batch: int, length: int) -> Case:
    """Every term at the published widths on few clips, without dropout."""
    overrides = {"model.temporal.dropout": 0.0, "model.codebook.start": "uniform"}
    return case_of(SIZE, Sizes(batch=batch, length=length, overrides=overrides))


def moved(state: TrainingState, device: torch.device) -> TrainingState:
    """A copy on another device, before its first step."""
    there = copy.deepcopy(state)
    there.device = device
    there.model.to(device)
    there.objectives.to(device)
    return there


def after_steps(
    case: Case, state: TrainingState, steps: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Weights, codes and moments after some steps, and the last log."""
    log: dict[str, float] = {}
    for turn in range(steps):
        batch = case.features(state).to(state.device, state.model.dtype)
        log = pretraining_step(state, batch, case.draws(batch, turn))
    return flat(state.model) | training_tensors(state), log


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, str]:
    """The largest difference in units of a tensor's norm, and whose it is."""
    found = {}
    for name, x in one.items():
        if x.is_floating_point() and not (".predictors." in name and name.endswith("bias")):
            norm = float(x.double().norm().clamp_min(1e-12))
            found[name] = float((x.double() - other[name].double()).norm()) / norm
    worst = max(found, key=lambda name: found[name])
    return found[worst], worst


def exactness(precision: Precision, device: torch.device, case: Case, steps: int) -> dict[str, Any]:
    """One precision on both devices."""
    here = case.state(precision)
    there = moved(here, device)
    one, _ = after_steps(case, here, steps)
    other, _ = after_steps(case, there, steps)
    difference, name = furthest(one, other)
    indices = [k for k in one if k.endswith("codebook.idle")]
    agree = [float((one[k] == other[k]).double().mean()) for k in indices]
    return {
        "steps": steps,
        "furthest": difference,
        "tensor": name,
        "tolerance": TOLERANCES[precision],
        "exact": difference <= TOLERANCES[precision],
        "idle counters equal": min(agree, default=1.0),
    }


def host_waits(run: Callable[[], object], device: torch.device) -> int | None:
    """How often a call makes the host wait for the device; None where there is none."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in said)


def speed(precision: Precision, device: torch.device, case: Case, turns: int) -> dict[str, Any]:
    """Milliseconds and host waits of a step after the first two."""
    state = moved(case.state(precision), device)
    batch = case.features(state).to(device, state.model.dtype)

    def step(turn: int) -> None:
        pretraining_step(state, batch, case.draws(batch, turn))

    for turn in range(2):
        step(turn)
    waits = host_waits(lambda: step(2), device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    for turn in range(3, 3 + turns):
        step(turn)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    found: dict[str, Any] = {"ms": 1e3 * (time.perf_counter() - start) / turns, "waits": waits}
    if waits is not None:
        found["few waits"] = waits <= WAITS
        found["peak MiB"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found


def measure(device: torch.device, quick: bool) -> dict[str, Any]:
    """Everything, by precision."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    small, whole = (2, 4) if quick else (8, 10), (2, 4) if quick else (80, 10)
    precisions: list[Precision] = ["float64", "float32", "bf16"]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "machine": machine(),
        "device": name,
        "exactness": {p: exactness(p, device, small_case(*small), 2) for p in precisions},
        "speed": {p: speed(p, device, small_case(*whole), 2 if quick else 10) for p in precisions},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; 1 where a step is not exact, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="few clips, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result is written")
    given = parser.parse_args(arguments)
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        print("python -m benchmarks.gpu: torch sees no GPU here", file=sys.stderr)
        return 2
    found = measure(torch.device(given.device), given.quick)
    text = json.dumps(found, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n", encoding="utf-8")
    return 0 if all(one["exact"] for one in found["exactness"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
