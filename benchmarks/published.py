"""The published step (80 clips of 10 steps, paper widths): float32 and bf16 against looped float64.

`python -m benchmarks.published [--size audio-video-text] [--json FILE]`

The looped float64 form (:mod:`benchmarks.looped`) is timed on two small batches; a line through
them gives its time on 80 clips, so that what does not grow with the batch (Adam, codes) is not
multiplied.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import Sizes, case_of, machine, machine_line
from benchmarks.looped import LoopedTraining
from benchmarks.step import our_step
from benchmarks.timing import side_by_side
from cmg.models.published import BUILDERS

FLOAT32, BF16 = "float32", "bf16"


def on_a_line(few: tuple[int, float], more: tuple[int, float], clips: int) -> float:
    """Seconds for `clips`, from two (clips, seconds)."""
    slope = (more[1] - few[1]) / (more[0] - few[0])
    return few[1] + slope * (clips - few[0])


def measure(size: str, batch: int, few: tuple[int, int], turns: int) -> dict[str, Any]:
    """Seconds and ratios of a step, all forms in turns."""
    whole = case_of(size, Sizes(batch=batch))
    looped = LoopedTraining(whole.state("float64"))
    small = [case_of(size, Sizes(batch=b)) for b in few]
    batches = [case.features(looped.state) for case in small]
    variants = {
        f"looped {case.batch}": lambda turn, case=case, clips=clips: looped.step(
            clips, case.draws(clips, turn)
        )
        for case, clips in zip(small, batches, strict=True)
    }
    ours = {name: our_step(whole, name) for name in (FLOAT32, BF16)}
    seconds = side_by_side(variants | ours, turns, "wall").seconds
    first, second = (seconds[name] for name in variants)
    base = [on_a_line((few[0], a), (few[1], b), batch) for a, b in zip(first, second, strict=True)]
    found: dict[str, Any] = {
        "size": size,
        "batch": batch,
        "turns": turns,
        "looped_float64": {
            "timed": {
                str(few[0]): statistics.median(first),
                str(few[1]): statistics.median(second),
            },
            "scaled_seconds": statistics.median(base),
        },
    }
    for name in ours:
        ratios = [b / s for b, s in zip(base, seconds[name], strict=True)]
        found[name] = {
            "seconds": statistics.median(seconds[name]),
            "faster": statistics.median(ratios),
            "faster_min": min(ratios),
            "faster_max": max(ratios),
        }
    return found


def table(found: dict[str, Any]) -> str:
    """A Markdown table."""
    base = found["looped_float64"]
    timed = ", ".join(f"{n} clips {s:.2f} s" for n, s in base["timed"].items())
    lines = [
        f"| {found['size']}, {found['batch']} clips | s | against looped float64 (range) |",
        "|---|---|---|",
        f"| looped float64, from {timed} | {base['scaled_seconds']:.1f} | 1 |",
    ]
    for name in (FLOAT32, BF16):
        row = found[name]
        spread = f"{row['faster_min']:.3g}–{row['faster_max']:.3g}"
        lines.append(f"| {name} | {row['seconds']:.2f} | {row['faster']:.3g} ({spread}) |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published")
    parser.add_argument("--size", choices=list(BUILDERS), default="audio-video-text")
    parser.add_argument("--batch", type=int, default=80, help="clips; T is 10")
    parser.add_argument(
        "--few", type=int, nargs=2, default=(4, 12), help="clips of the looped form"
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns; a table gives their median")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    facts = machine()
    found = measure(given.size, given.batch, tuple(given.few), given.repeats)
    print(machine_line(facts) + "\n\n" + table(found))
    if given.json is not None:
        text = json.dumps({"machine": facts, **found}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
