"""The demo's step against the looped forms, whole and by component."""

from __future__ import annotations

from benchmarks.cases import DEMO, Sizes, case_of
from benchmarks.components import shares_of, short_table
from benchmarks.figures import Figure, Section, timing_figures
from benchmarks.step import FLOAT32, LOOPED, LOOPED32, time_step
from benchmarks.timing import table


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """The step of the demo, whole and by component.

    Args:
        quick: Few clips.
        repeats: Turns.
    """
    case = case_of(DEMO, Sizes(batch=8 if quick else 80))
    timing = time_step(case, repeats or (2 if quick else 7), "wall")
    found = timing_figures("step", timing)
    parts = {
        FLOAT32: shares_of(case, "float32"),
        LOOPED: shares_of(case, "float64", looped=True),
        LOOPED32: shares_of(case, "float32", looped=True),
    }
    for name, own in parts.items():
        for component, seconds in own.items():
            found[f"{component}: {name}"] = Figure.of([1e3 * seconds], "ms")
    text = table(f"step, {case.batch} clips", {DEMO: timing}) + "\n\n" + short_table(parts)
    return Section(found, text, {"size": DEMO, "batch": case.batch})
