"""Training curves: which panels the metrics of some runs make, and the same as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmg.report.charts import Line, line_chart
from cmg.report.gather import RunLog
from cmg.report.prose import term_name
from cmg.report.svg import Point
from cmg.report.tables import Table, plain

POINTS = 130
FIRST, SECOND = "var(--ink-1)", "var(--ink-2)"


@dataclass(frozen=True)
class Series:
    """One measure of every run.

    Attributes:
        label: In the legend; empty where the panel has a single series.
        color: CSS color.
        runs: A curve per run.
    """

    label: str
    color: str
    runs: list[list[Point]]


@dataclass(frozen=True)
class Panel:
    """One small chart.

    Attributes:
        title: With the unit.
        series: At least one.
        wide: Whether it may span orders of magnitude.
    """

    title: str
    series: list[Series]
    wide: bool = False

    @property
    def log(self) -> bool:
        """Whether the values span so much that a linear axis would hide most of them."""
        if not self.wide:
            return False
        ys = [y for series in self.series for run in series.runs for _, y in run]
        return min(ys) > 0 and max(ys) / min(ys) > 50


def panels(runs: Sequence[RunLog], colors: Mapping[str, str]) -> list[Panel]:
    """The panels that the metrics of some runs make, in reading order.

    Args:
        runs: Of one configuration, several seeds.
        colors: Of the modalities.
    """
    keys = list(dict.fromkeys(key for run in runs for line in run.metrics for key in line))
    terms = dict.fromkeys(k.split("/")[1] for k in keys if k.startswith("loss/"))
    out = [_panel(runs, "total loss", {"loss/total": ("", FIRST)})]
    for term in (t for t in terms if t != "total"):
        out.append(_term(runs, term, keys, colors))
    out.append(_panel(runs, "codes used in a batch, %", {"code_usage": ("", FIRST)}, 100))
    out.append(
        _panel(
            runs,
            "same code across modalities, %",
            {
                "agreement": ("steps", FIRST),
                "clip_agreement": ("clips (their commonest code)", SECOND),
            },
            100,
        )
    )
    out.append(
        _panel(
            runs, "perplexity in a batch", {f"perplexity/{m}": (m, c) for m, c in colors.items()}
        )
    )
    out.append(_predictions(runs, colors))
    norms = [k for k in keys if k.startswith("gradient_norm/")]
    single = len(norms) == 1
    inks = (FIRST, SECOND, *colors.values())
    named = {
        k: ("" if single else k.partition("/")[2], inks[i % len(inks)]) for i, k in enumerate(norms)
    }
    out.append(_panel(runs, "gradient norm", named))
    out.append(_panel(runs, "learning rate", {"learning_rate": ("", FIRST)}))
    return [panel for panel in out if panel.series]


def _term(runs: Sequence[RunLog], term: str, keys: list[str], colors: Mapping[str, str]) -> Panel:
    title = f"{term_name(term)} loss"
    if f"loss/{term}" in keys:
        return _panel(runs, title, {f"loss/{term}": ("", FIRST)})
    return _panel(runs, title, {f"loss/{term}/{m}": (m, c) for m, c in colors.items()})


def _panel(
    runs: Sequence[RunLog], title: str, named: Mapping[str, tuple[str, str]], factor: float = 1
) -> Panel:
    series = []
    for key, (label, color) in named.items():
        curves = [
            _curve([(x["step"], factor * x[key]) for x in r.metrics if key in x]) for r in runs
        ]
        if any(curves):
            series.append(Series(label, color, [curve for curve in curves if curve]))
    return Panel(title, series, wide=title.endswith(("loss", "norm")))


def _predictions(runs: Sequence[RunLog], colors: Mapping[str, str]) -> Panel:
    """Accuracy of Cross-CPC, averaged over the pairs of modalities."""
    pairs = [(a, b) for a in colors for b in colors]
    groups = [
        ("from the same modality", SECOND, [f"cpc_accuracy/{a}_from_{a}" for a in colors]),
        ("from another", FIRST, [f"cpc_accuracy/{a}_from_{b}" for a, b in pairs if a != b]),
    ]
    series = []
    for label, color, keys in groups:
        curves = []
        for run in runs:
            found = [(x["step"], [x[k] for k in keys if k in x]) for x in run.metrics]
            points = [(step, 100 * sum(vs) / len(vs)) for step, vs in found if vs]
            if points:
                curves.append(_curve(points))
        if curves:
            series.append(Series(label, color, curves))
    return Panel("Cross-CPC picks the right clip, %", series)


def _curve(points: list[Point]) -> list[Point]:
    """At most `POINTS` points, each the mean of the steps it stands for; only finite values."""
    points = [p for p in points if math.isfinite(p[1])]
    size = math.ceil(len(points) / POINTS)
    bins = [points[i : i + size] for i in range(0, len(points), size or 1)]
    return [(sum(x for x, _ in b) / len(b), sum(y for _, y in b) / len(b)) for b in bins]


def chart(panel: Panel) -> str:
    """The panel as SVG."""
    lines = [Line(run, series.color) for series in panel.series for run in series.runs]
    return line_chart(panel.title, lines, panel.log)


def curves_table(found: Sequence[Panel]) -> Table:
    """Where each curve starts and ends, mean over the runs."""

    def mean(series: Series, place: int) -> str:
        return f"{sum(run[place][1] for run in series.runs) / len(series.runs):.4g}"

    rows = [
        (f"{p.title}: {s.label}" if s.label else p.title, mean(s, 0), mean(s, -1))
        for p in found
        for s in p.series
    ]
    return plain("Training", ("measure", "first point", "last point"), rows)
