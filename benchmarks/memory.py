"""Peak anonymous memory of a published step: the looped float64 form, and ours in several settings.

`python -m benchmarks --only memory`

Every form runs in a process of its own: a first step on two clips, after which Adam's moments are
there, then the step that is watched. Anonymous memory is what no file backs: weights, gradients,
moments, activations, and the interpreter itself. The looped form is watched on the whole batch too,
which takes minutes: a peak is the largest of several phases, so small batches say little of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.anonymous import peak_of
from benchmarks.cases import Case, lean
from benchmarks.figures import Figure, Section, markdown
from benchmarks.looped import LoopedTraining
from benchmarks.published import QUICK, SIZE, Extent
from benchmarks.running import ROOT
from benchmarks.step import looped_on
from cmg.allocation import kept_memory
from cmg.training.options import Precision
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.training.together import Divided

LOOPED = "looped float64"
MIB = 2.0**20


@dataclass(frozen=True)
class Setting:
    """How a step of ours is run.

    Attributes:
        precision: Of the step.
        lean: Whether the private path of maps is the lean one.
        recompute: ``training.recompute_maps``.
        micro: Whether ``training.micro_batch`` is a quarter of the batch.
        keep: ``training.keep_memory``.
    """

    precision: Precision
    lean: bool = False
    recompute: bool = False
    micro: bool = False
    keep: bool = True


OURS = {
    "float32": Setting("float32"),
    "float32, recomputed maps": Setting("float32", recompute=True),
    "float32, micro-batches": Setting("float32", micro=True),
    "bf16": Setting("bf16"),
    "bf16, recomputed maps, micro-batches": Setting("bf16", recompute=True, micro=True),
    "float32, memory given back": Setting("float32", keep=False),
    "bf16, memory given back": Setting("bf16", keep=False),
    "lean float32": Setting("float32", lean=True),
    "lean bf16": Setting("bf16", lean=True),
}


def our_step(case: Case, setting: Setting) -> Callable[[Case], object]:
    """A function that runs a step on the batch of a case."""
    case = lean(case) if setting.lean else case
    config = case.config
    state = TrainingState(
        case.modalities,
        config.model,
        config.objectives,
        config.optimizer,
        setting.precision,
        recompute_maps=setting.recompute,
    )
    state.model.train()

    def run(of: Case) -> None:
        batch = of.features(state)
        draws = of.draws(batch, 0)
        if not setting.micro:
            pretraining_step(state, batch, draws)
            return
        divided = Divided(batch.steps, 0, micro_batch=max(1, of.batch // 4))
        pretraining_step(state, batch, draws, divided)

    return run


def looped_step(case: Case) -> Callable[[Case], object]:
    """The same of the looped float64 form."""
    looped = LoopedTraining(case.state("float64"))
    return lambda of: looped_on(looped, of)(0)


def peak_here(name: str, extent: Extent, clips: int) -> int:
    """Peak of one step in this process, in bytes."""
    case = extent.case()
    run = looped_step(case) if name == LOOPED else our_step(case, OURS[name])
    with kept_memory(name != LOOPED and OURS[name].keep):
        run(extent.case(2))
        return peak_of(lambda: run(extent.case(clips)))


def peak_apart(name: str, extent: Extent, clips: int) -> float:
    """The same in a fresh process, in MiB."""
    command = [sys.executable, "-m", "benchmarks.memory", "--form", name, "--clips", str(clips)]
    command += ["--batch", str(extent.batch), "--divisor", str(extent.divisor)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["bytes"]) / MIB


def measure(extent: Extent, forms: Iterable[str] = tuple(OURS)) -> dict[str, Figure]:
    """Peaks, and what share of the looped form's they are."""
    base = peak_apart(LOOPED, extent, extent.batch)
    found = {LOOPED: Figure.of([base], "MiB")}
    for name in forms:
        peak = peak_apart(name, extent, extent.batch)
        found[name] = Figure.of([peak], "MiB")
        found[f"{name} / {LOOPED}"] = Figure.of([100 * peak / base], "%")
    return found


def table(found: Mapping[str, Figure], extent: Extent) -> str:
    """Markdown."""
    rows = []
    for name, figure in found.items():
        if figure.unit == "MiB":
            share = found.get(f"{name} / {LOOPED}")
            rows.append([name, f"{figure.value:.0f}"])
            rows[-1].append("–" if share is None else f"{share.value:.0f} %")
    head = (f"step, {SIZE}, {extent.batch} clips", "peak, MiB", f"of {LOOPED}'s")
    return markdown(head, rows)


def section(quick: bool = False) -> Section:
    """Peaks of all forms.

    Args:
        quick: Narrow and on few clips.
    """
    extent = QUICK if quick else Extent()
    found = measure(extent, ("bf16", "lean bf16") if quick else OURS)
    return Section(found, table(found, extent), extent.settings())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the peak of one form, measured in this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--form", choices=[LOOPED, *OURS], required=True)
    parser.add_argument("--clips", type=int, default=80, help="T is 10")
    parser.add_argument("--batch", type=int, default=80, help="of the whole step")
    parser.add_argument("--divisor", type=int, default=1, help="of the detail widths")
    given = parser.parse_args(arguments)
    extent = Extent(batch=given.batch, divisor=given.divisor)
    told: dict[str, Any] = {"form": given.form, "clips": given.clips}
    print(json.dumps(told | {"bytes": peak_here(given.form, extent, given.clips)}))


if __name__ == "__main__":
    main()
