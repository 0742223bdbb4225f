"""A study's plot: dots with whiskers per variant, or lines with whiskers along an axis."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cmg.evaluation.scores import Score
from cmg.report.charts import nice_ticks, tick_text
from cmg.report.colors import modality_colors
from cmg.report.html import stylesheet
from cmg.report.svg import Point, n, rule, svg, text
from cmg.report.tables import arrow
from cmg.studies.definition import StudyAxis
from cmg.studies.scorers import CODEBOOK
from cmg.studies.summary import MEAN, StudySummary, SummaryRow
from cmg.studies.tables import is_headline, is_within, metric_title

LABELS, PANEL, GAP, LINE, TOP = 230.0, 330.0, 34.0, 30.0, 64.0
"""Widths of the labels, of a panel and between panels; heights of a row and above the first."""


@dataclass(frozen=True)
class AxisScale:
    """Where values lie on the drawing.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Coordinate.
        end: Coordinate.
        log: Whether values are placed by their logarithm.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The coordinate of a value; values beyond the ends are drawn at the ends."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, here = math.log(low), math.log(high), math.log(here)
        share = 0.5 if high == low else (here - low) / (high - low)
        return self.start + (self.end - self.start) * share


def study_plot(summary: StudySummary) -> str:
    """The plot as inline SVG, two metrics side by side; colors are those of the report's pages.

    Args:
        summary: With at least one metric in :func:`panels`.
    """
    metrics = panels(summary)
    colors = modality_colors(list(dict.fromkeys(d for m in metrics for d in crossing(summary, m))))
    axis = summary.study.axis
    body, width, height = "", 0.0, 0.0
    for pair in (metrics[i : i + 2] for i in range(0, len(metrics), 2)):
        if axis is None:
            drawn, size = dot_plot(summary, pair, colors)
        else:
            drawn, size = sweep_plot(summary, axis, pair, colors)
        body += f'<g transform="translate(0 {n(height)})">{drawn}</g>'
        width, height = max(width, size[0]), height + size[1]
    return svg(width, height, body, said(summary, metrics))


def panels(summary: StudySummary) -> list[str]:
    """The metrics that are drawn: those with directions, without further splits and controls."""
    return [
        m for m in summary.metrics() if m != CODEBOOK and is_headline(m) and crossing(summary, m)
    ]


def crossing(summary: StudySummary, metric: str) -> list[str]:
    """Directions between modalities."""
    return [c for c in summary.columns(metric) if c != MEAN and not is_within(c)]


def dot_plot(
    summary: StudySummary, metrics: Sequence[str], colors: dict[str, str]
) -> tuple[str, Point]:
    """A row per variant, a dot per direction, a bar at the mean of the directions.

    Returns:
        Elements, and their width and height.
    """
    rows = summary.rows
    bottom = TOP + LINE * len(rows)
    width = LABELS + len(metrics) * (PANEL + GAP)
    parts = legend(colors, LABELS)
    for i, row in enumerate(rows):
        y = TOP + LINE * (i + 0.5)
        kind = "tick" if row.variant.control else ""
        parts.append(text(LABELS - 14, y + 4, row.variant.title, kind, "end"))
    for p, metric in enumerate(metrics):
        left = LABELS + p * (PANEL + GAP)
        scale = values_scale(summary, metric, left, left + PANEL)
        parts.append(text(left, TOP - 16, f"{metric_title(metric)}, %", "title"))
        for tick in nice_ticks(scale.low, scale.high):
            x = scale.at(tick)
            parts.append(rule((x, TOP - 6), (x, bottom), "grid"))
            parts.append(text(x, bottom + 16, tick_text(tick), "tick", "middle"))
        for i, row in enumerate(rows):
            parts += dots(row, metric, crossing(summary, metric), colors, scale, TOP + LINE * i)
    return "".join(parts), (width, bottom + 28)


def dots(
    row: SummaryRow,
    metric: str,
    found: Sequence[str],
    colors: dict[str, str],
    scale: AxisScale,
    top: float,
) -> list[str]:
    """One variant in one panel."""
    parts = []
    for k, direction in enumerate(found):
        y = top + LINE * (k + 1) / (len(found) + 1)
        score = row.scores.get(f"{metric}/{direction}")
        if score is not None:
            places = [(scale.at(value), y) for value in spread(score)]
            parts.append(marked(row, direction, score, places, colors))
    mean = row.scores.get(f"{metric}/{MEAN}")
    if mean is not None:
        x = scale.at(mean.mean)
        parts.append(rule((x, top + 3), (x, top + LINE - 3), "mean"))
    return parts


def spread(score: Score) -> tuple[float, float, float]:
    """The mean between what lies a deviation below and above it."""
    return score.mean - score.std, score.mean, score.mean + score.std


def marked(
    row: SummaryRow,
    direction: str,
    score: Score,
    places: Sequence[Point],
    colors: dict[str, str],
) -> str:
    """A dot with its whisker and a tooltip, at the places of :func:`spread`."""
    (ax, ay), at, (bx, by) = places
    color = colors[direction]
    said = f"{row.variant.title}, {arrow(direction)}: {score.mean:.1f} ± {score.std:.1f}"
    return (
        f'<g data-row="{escape(row.variant.name)}"><title>{escape(said)}</title>'
        f'<line x1="{n(ax)}" y1="{n(ay)}" x2="{n(bx)}" y2="{n(by)}" '
        f'style="stroke:{color};stroke-width:1.6"/>'
        f'<circle cx="{n(at[0])}" cy="{n(at[1])}" r="3.4" style="fill:{color}"/></g>'
    )


def sweep_plot(
    summary: StudySummary, axis: StudyAxis, metrics: Sequence[str], colors: dict[str, str]
) -> tuple[str, Point]:
    """A line per direction along the axis; controls as dashed lines at their mean.

    Returns:
        Elements, and their width and height.
    """
    height, bottom = 330.0, 280.0
    swept = [(row, x) for row in summary.rows if (x := row.variant.x) is not None]
    xs = [x for _, x in swept]
    left_edge = 44.0
    parts = legend(colors, left_edge)
    for p, metric in enumerate(metrics):
        left = left_edge + p * (PANEL + GAP + left_edge)
        across = AxisScale(min(xs), max(xs), left + 12, left + PANEL - 12, axis.log)
        up = values_scale(summary, metric, bottom, TOP)
        parts.append(text(left, TOP - 16, f"{metric_title(metric)}, %", "title"))
        for tick in nice_ticks(up.low, up.high):
            y = up.at(tick)
            parts.append(rule((left, y), (left + PANEL, y), "grid"))
            parts.append(text(left - 6, y + 4, tick_text(tick), "tick", "end"))
        for x in xs:
            parts.append(rule((across.at(x), bottom), (across.at(x), bottom + 4), "axis"))
            parts.append(text(across.at(x), bottom + 16, tick_text(x), "tick", "middle"))
        parts.append(rule((left, bottom), (left + PANEL, bottom), "axis"))
        title = axis.title + (" (log scale)" if axis.log else "")
        parts.append(text(left + PANEL, bottom + 32, title, "tick", "end"))
        for direction in crossing(summary, metric):
            parts += line(swept, metric, direction, colors, across, up)
        parts += control_lines(summary, metric, up, left)
    width = left_edge + len(metrics) * (PANEL + GAP + left_edge) - GAP
    return "".join(parts), (width, height)


def line(
    swept: Sequence[tuple[SummaryRow, float]],
    metric: str,
    direction: str,
    colors: dict[str, str],
    across: AxisScale,
    up: AxisScale,
) -> list[str]:
    """One direction along the axis."""
    points, marks = [], []
    for row, x in sorted(swept, key=lambda pair: pair[1]):
        score = row.scores.get(f"{metric}/{direction}")
        if score is not None:
            places = [(across.at(x), up.at(value)) for value in spread(score)]
            points.append(f"{n(places[1][0])},{n(places[1][1])}")
            marks.append(marked(row, direction, score, places, colors))
    drawn = f'<polyline points="{" ".join(points)}" style="stroke:{colors[direction]}"/>'
    return [drawn, *marks] if len(points) > 1 else marks


def control_lines(summary: StudySummary, metric: str, up: AxisScale, left: float) -> list[str]:
    """A dashed line per control at its mean over the directions."""
    parts = []
    for row in summary.rows:
        mean = row.scores.get(f"{metric}/{MEAN}")
        if row.variant.x is None and mean is not None:
            y = up.at(mean.mean)
            parts.append(rule((left, y), (left + PANEL, y), "threshold"))
            parts.append(text(left + PANEL, y - 5, row.variant.title, "small", "end"))
    return parts


def values_scale(summary: StudySummary, metric: str, start: float, end: float) -> AxisScale:
    """The range of all scores of a metric with their deviations, within 0..100."""
    found = [
        score
        for row in summary.rows
        for direction in crossing(summary, metric)
        if (score := row.scores.get(f"{metric}/{direction}")) is not None
    ]
    low = max(0.0, min(s.mean - s.std for s in found))
    high = min(100.0, max(s.mean + s.std for s in found))
    ticks = nice_ticks(low, high)
    return AxisScale(ticks[0], ticks[-1], start, end)


def legend(colors: dict[str, str], left: float) -> list[str]:
    """A dot and a name per direction, in one line."""
    parts, x = [], left
    for direction, color in colors.items():
        parts.append(f'<circle cx="{n(x + 4)}" cy="14" r="4" style="fill:{color}"/>')
        parts.append(text(x + 13, 18, arrow(direction), "tick"))
        x += 27 + 6.2 * len(arrow(direction))
    return parts


def said(summary: StudySummary, metrics: Sequence[str]) -> str:
    """What a screen reader says."""
    parts = []
    for metric in metrics:
        means = [
            f"{row.variant.title} {row.scores[f'{metric}/{MEAN}'].mean:.1f}"
            for row in summary.rows
            if f"{metric}/{MEAN}" in row.scores
        ]
        parts.append(f"{metric}: {', '.join(means)}")
    return f"{summary.study.title}. Mean across modalities; " + "; ".join(parts)


def standalone(drawing: str) -> str:
    """A plot as a file of its own, in the light colors."""
    rules = re.findall(r"^(?::root|svg)[^{]*\{[^}]*\}", stylesheet(), re.MULTILINE)
    style = "\n".join([*rules, "svg { background: #ffffff; }"])
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    body = drawing.replace("<svg ", head, 1)
    where = body.index(">") + 1
    return f"{body[:where]}<style>{escape(style, quote=False)}</style>{body[where:]}\n"
