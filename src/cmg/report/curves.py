"""Training curves: which panels the metrics of some runs make, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import fmean

from cmg.objectives import objectives
from cmg.report.charts import Line, line_chart
from cmg.report.document import Figure
from cmg.report.gather import RunLog
from cmg.report.svg import Point
from cmg.report.tables import Table, plain

POINTS, IN_NUMBERS = 130, "The curves in numbers"
FIRST, SECOND = "var(--ink-1)", "var(--ink-2)"
Drawn = tuple[str, str, Sequence[str]]
"""Label and color of a series, and the measures that it is the mean of."""
Wanted = tuple[str, Sequence[Drawn], float]
"""Title of a panel, its series, and what their values are multiplied by."""


@dataclass(frozen=True)
class Panel:
    """One small chart.

    Attributes:
        title: With the unit.
        lines: A curve per series and run, labeled where there are several series.
        log: Whether the values span so much that a linear axis would hide most of them.
    """

    title: str
    lines: list[Line]
    log: bool


def panels(runs: Sequence[RunLog], colors: Mapping[str, str]) -> list[Panel]:
    """The panels that the metrics of some runs make, in reading order.

    Args:
        runs: Of one configuration, several seeds.
        colors: Of the modalities.
    """
    keys = list(dict.fromkeys(key for run in runs for line in run.metrics for key in line))
    wanted = [*_losses(keys, colors), *_codes(colors), *_steps(keys, colors)]
    found = [_panel(runs, *one) for one in wanted]
    return [panel for panel in found if panel.lines]


def _losses(keys: Sequence[str], colors: Mapping[str, str]) -> Iterator[Wanted]:
    yield "total loss", [_one("loss/total")], 1
    for term in dict.fromkeys(k.split("/")[1] for k in keys if k.startswith("loss/")):
        if term != "total":
            key = f"loss/{term}"
            yield f"{term_name(term)} loss", [_one(key)] if key in keys else _each(key, colors), 1


def _codes(colors: Mapping[str, str]) -> Iterator[Wanted]:
    yield "codes used in a batch, %", [_one("code_usage")], 100
    clips = ("clips (their commonest code)", SECOND, ["clip_agreement"])
    yield "same code across modalities, %", [("steps", FIRST, ["agreement"]), clips], 100
    yield "perplexity in a batch", _each("perplexity", colors), 1
    same = [f"cpc_accuracy/{a}_from_{a}" for a in colors]
    other = [f"cpc_accuracy/{a}_from_{b}" for a in colors for b in colors if a != b]
    named = [("from the same modality", SECOND, same), ("from another", FIRST, other)]
    yield "Cross-CPC picks the right clip, %", named, 100


def _steps(keys: Sequence[str], colors: Mapping[str, str]) -> Iterator[Wanted]:
    norms = [k for k in keys if k.startswith("gradient_norm/")]
    inks = cycle((FIRST, SECOND, *colors.values()))
    named = [(k.partition("/")[2], ink, [k]) for k, ink in zip(norms, inks, strict=False)]
    yield "gradient norm", named if len(norms) > 1 else [_one(key) for key in norms], 1
    yield "learning rate", [_one("learning_rate")], 1


def _one(key: str) -> Drawn:
    return "", FIRST, [key]


def _each(key: str, colors: Mapping[str, str]) -> list[Drawn]:
    return [(m, color, [f"{key}/{m}"]) for m, color in colors.items()]


def _panel(runs: Sequence[RunLog], title: str, drawn: Sequence[Drawn], factor: float) -> Panel:
    lines = [
        Line(curve, color, label)
        for label, color, keys in drawn
        for run in runs
        if (curve := _curve(run, keys, factor))
    ]
    ys = [y for line in lines for _, y in line.points]
    wide = title.endswith(("loss", "norm")) and min(ys, default=0) > 0
    return Panel(title, lines, wide and max(ys) / min(ys) > 50)


def _curve(run: RunLog, keys: Sequence[str], factor: float) -> list[Point]:
    """At most `POINTS` points, each the mean of the steps it stands for; only finite values."""
    found = [(line["step"], [line[k] for k in keys if k in line]) for line in run.metrics]
    points = [(step, factor * sum(values) / len(values)) for step, values in found if values]
    points = [p for p in points if math.isfinite(p[1])]
    size = math.ceil(len(points) / POINTS)
    bins = [points[i : i + size] for i in range(0, len(points), size or 1)]
    return [(sum(x for x, _ in b) / len(b), sum(y for _, y in b) / len(b)) for b in bins]


def chart(panel: Panel) -> Figure:
    """The panel drawn."""
    return Figure(panel.title, line_chart(panel.title, panel.lines, panel.log))


def curves_table(found: Sequence[Panel]) -> Table:
    """Where each curve starts and ends, mean over the runs."""
    rows = []
    for panel in found:
        for label in dict.fromkeys(line.label for line in panel.lines):
            curves = [line.points for line in panel.lines if line.label == label]
            means = [fmean(curve[place][1] for curve in curves) for place in (0, -1)]
            title = f"{panel.title}: {label}" if label else panel.title
            rows.append((title, *(f"{mean:.4g}" for mean in means)))
    return plain(IN_NUMBERS, ("measure", "first point", "last point"), rows)


def term_name(key: str) -> str:
    """How a term of the objective is called; it says so itself."""
    entry = objectives.entries.get(key)
    return (entry.part.title if entry else "") or key.replace("_", " ")


def term_meaning(key: str) -> str:
    """What a term of the objective asks for."""
    entry = objectives.entries.get(key)
    return entry.part.about if entry else ""


def compared_curves(
    rows: Mapping[str, Sequence[RunLog]], colors: Mapping[str, str], modalities: Sequence[str]
) -> list[Panel]:
    """Panels with a color per row of runs rather than per series, in reading order.

    Measures of each modality are averaged, and other series have a panel each.

    Args:
        rows: Runs that differ in their seed alone, by name.
        colors: Of the rows.
        modalities: Of any of the runs.
    """
    keys = list(
        dict.fromkeys(k for runs in rows.values() for r in runs for x in r.metrics for k in x)
    )
    by_modality = dict.fromkeys(modalities, "")
    found = []
    for title, drawn, factor in (
        *_losses(keys, by_modality),
        *_codes(by_modality),
        *_steps(keys, {}),
    ):
        several = {label: measures for label, _, measures in drawn if label not in by_modality}
        each = [key for label, _, measures in drawn if label in by_modality for key in measures]
        for label, measures in (several | ({"": each} if each else {})).items():
            lines = [
                Line(curve, colors[name], name)
                for name, runs in rows.items()
                for run in runs
                if (curve := _curve(run, measures, factor))
            ]
            ys = [y for line in lines for _, y in line.points]
            wide = title.endswith(("loss", "norm")) and min(ys, default=0) > 0
            told = f"{title}: {label.partition(' (')[0]}" if label else title
            if lines:
                found.append(Panel(told, lines, wide and max(ys) / min(ys) > 50))
    return found
