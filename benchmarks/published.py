"""The published step (80 clips of 10 steps, paper widths) against the plain looped form.

`python -m benchmarks --only published`

The looped form (:mod:`benchmarks.looped`) is timed in float64 and float32 on two small batches; a
line through them gives its time on 80 clips, so that what does not grow with the batch (Adam,
codes) is not multiplied. What grows with its square (pairs of clips) is told too short by that, so
ratios are rather too low. Ours are timed on the whole batch, in a process of their own, which keeps
freed memory as training does (:mod:`cmg.allocation`). All take turns.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from benchmarks.cases import Case, Sizes, case_of, lean, narrowed
from benchmarks.figures import Figure, Section, markdown
from benchmarks.flops import nominal_flops
from benchmarks.looped import LoopedTraining
from benchmarks.step import looped_on, our_step
from benchmarks.timing import side_by_side
from cmg.allocation import kept_memory
from cmg.training.options import Precision

SIZE = "audio-video-text"
FLOAT32, BF16, LEAN32, LEAN = "float32", "bf16", "lean float32", "lean bf16"
OURS: dict[str, Precision] = {FLOAT32: "float32", BF16: "bf16", LEAN32: "float32", LEAN: "bf16"}
"""Our steps with their precision; the lean ones have the lean private path of maps."""

LOOPED64, LOOPED32 = "looped float64", "looped float32"
LOOPED: dict[str, Precision] = {LOOPED64: "float64", LOOPED32: "float32"}

PARTS = (
    ("the dtype", LOOPED64, LOOPED32),
    ("the form, float32", LOOPED32, FLOAT32),
    ("the form, bf16 instead of float32", FLOAT32, BF16),
    ("fewer operations, in bf16", BF16, LEAN),
)
"""The way from the plain form to the lean bf16 step, a thing at a time."""


@dataclass(frozen=True)
class Extent:
    """How large everything is.

    Attributes:
        batch: Clips of a step.
        few: Clips of the two small batches of the looped form.
        divisor: Of the detail widths; 1 is published.
    """

    batch: int = 80
    few: tuple[int, int] = (4, 12)
    divisor: int = 1

    def case(self, batch: int | None = None) -> Case:
        """The published case."""
        return narrowed(case_of(SIZE, Sizes(batch=batch or self.batch)), self.divisor)

    def settings(self) -> dict[str, object]:
        """For a section."""
        few = list(self.few)
        return {"size": SIZE, "batch": self.batch, "few": few, "divisor": self.divisor}


QUICK = Extent(batch=8, few=(2, 4), divisor=16)


def on_a_line(few: tuple[int, float], more: tuple[int, float], clips: int) -> float:
    """Seconds for `clips`, from two (clips, seconds)."""
    slope = (more[1] - few[1]) / (more[0] - few[0])
    return few[1] + slope * (clips - few[0])


def our_case(extent: Extent, name: str) -> Case:
    """The case of one of :data:`OURS`."""
    case = extent.case()
    return lean(case) if name.startswith("lean") else case


def looped_forms(extent: Extent) -> dict[str, Callable[[int], object]]:
    """A function of the turn per looped form and small batch."""
    found: dict[str, Callable[[int], object]] = {}
    for name, precision in LOOPED.items():
        looped = LoopedTraining(extent.case().state(precision))
        for clips in extent.few:
            found[f"{name}, {clips} clips"] = looped_on(looped, extent.case(clips))
    return found


def serve(extent: Extent, threads: int, asked: Connection) -> None:
    """Run the steps that are asked for, by form and turn, until None comes."""
    torch.set_num_threads(threads)
    with kept_memory():
        runs = {name: our_step(our_case(extent, name), OURS[name]) for name in OURS}
        asked.send(None)
        while (wanted := asked.recv()) is not None:
            name, turn = wanted
            runs[name](turn)
            asked.send(None)


@contextmanager
def our_forms(extent: Extent) -> Iterator[dict[str, Callable[[int], object]]]:
    """A function of the turn per form of ours, which runs in another process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (extent, torch.get_num_threads(), there)
    process = context.Process(target=serve, args=arguments, daemon=True)
    process.start()
    there.close()  # so that a process that dies is an EOFError here, not silence
    here.recv()

    def run(name: str, turn: int) -> None:
        here.send((name, turn))
        here.recv()

    try:
        yield {name: lambda turn, name=name: run(name, turn) for name in OURS}  # type: ignore[misc]
        here.send(None)
        process.join()
    finally:
        process.terminate()


def measure(extent: Extent, turns: int) -> dict[str, list[float]]:
    """Seconds per turn of every form; of the looped ones also on the whole batch, scaled."""
    with our_forms(extent) as ours:
        runs = looped_forms(extent) | ours
        for name, run in runs.items():
            if f", {extent.few[1]} clips" not in name:  # the smaller batch has warmed it up
                run(0)
        seconds = side_by_side(runs, turns, "wall", warmup=0).seconds
    for name in LOOPED:
        few, more = (seconds[f"{name}, {clips} clips"] for clips in extent.few)
        seconds[name] = [
            on_a_line((extent.few[0], a), (extent.few[1], b), extent.batch)
            for a, b in zip(few, more, strict=True)
        ]
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], slow: str, fast: str) -> Figure:
    """How many times faster `fast` is, turn by turn."""
    return Figure.of([a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)], "times")


def figures(seconds: Mapping[str, list[float]], extent: Extent) -> dict[str, Figure]:
    """Seconds, ratios and nominal operations."""
    found = {}
    for name, own in seconds.items():
        scaled = f", {extent.batch} clips (scaled)" if name in LOOPED else ""
        found[name + scaled] = Figure.of(own, "s")
    for name in (LOOPED32, *OURS):
        found[f"faster: {name}"] = ratio(seconds, LOOPED64, name)
    for part, slow, fast in PARTS:
        found[f"part: {part}"] = ratio(seconds, slow, fast)
    for name in (FLOAT32, LEAN32):
        total = sum(nominal_flops(our_case(extent, name)).values())
        told = "lean" if name == LEAN32 else "published"
        found[f"nominal operations, {told}"] = Figure.count(1e-12 * total, "TFLOP")
    return found


def table(found: Mapping[str, Figure], extent: Extent) -> str:
    """Markdown."""
    batch = extent.batch
    rows = []
    for name in (*LOOPED, *OURS):
        scaled = f"{name}, {batch} clips (scaled)"
        how = ", ".join(
            f"{n} clips {found[f'{name}, {n} clips'].told()} s"
            for n in extent.few
            if scaled in found
        )
        own = found[scaled if scaled in found else name].told()
        faster = "1" if name == LOOPED64 else f"**{found[f'faster: {name}'].told()}**"
        rows.append([name, own, how or "timed whole", faster])
    head = (f"{SIZE}, {batch} clips", "s (range)", "timed", f"times faster than {LOOPED64} (range)")
    parts = [
        [part, f"{slow} → {fast}", found[f"part: {part}"].told()] for part, slow, fast in PARTS
    ]
    whole, few = (found[f"nominal operations, {k}"].value for k in ("published", "lean"))
    both = markdown(("what gives it", "from → to", "times faster (range)"), parts)
    return (
        f"{markdown(head, rows)}\n\n{both}\n\nNominal operations of a step: published {whole:.3g} "
        f"TFLOP, lean {few:.3g} TFLOP ({whole / few:.3g} times fewer)."
    )


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """The published step in all forms.

    Args:
        quick: Narrow and on few clips.
        repeats: Turns.
    """
    extent = QUICK if quick else Extent()
    found = figures(measure(extent, repeats or 2), extent)
    return Section(found, table(found, extent), extent.settings())
