"""A study's plot: dots with whiskers per variant, or lines with whiskers along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from cmg.evaluation.scores import Score
from cmg.report.charts import AxisScale, frame, nice_ticks, polyline, tick_text
from cmg.report.colors import modality_colors
from cmg.report.svg import Point, legend, n, rule, svg, text
from cmg.report.tables import arrow
from cmg.studies.definition import StudyAxis
from cmg.studies.scorers import CODEBOOK
from cmg.studies.summary import MEAN, StudySummary, SummaryRow
from cmg.studies.tables import is_headline, is_within, metric_title

LABELS, AXIS, PANEL, GAP, LINE, TOP = 230.0, 44.0, 330.0, 34.0, 30.0, 64.0
"""Widths of the labels, of an axis, of a panel and between panels; heights of a row and above."""
SWEEP = 280.0
"""Height of the axis of a sweep."""


def study_plot(summary: StudySummary) -> str:
    """The plot as inline SVG, two metrics side by side; colors are those of the report's pages.

    Args:
        summary: With at least one metric in :func:`panels`.
    """
    metrics, axis = panels(summary), summary.study.axis
    colors = modality_colors(list(dict.fromkeys(d for m in metrics for d in crossing(summary, m))))
    left, apart, height = LABELS, PANEL + GAP, TOP + LINE * len(summary.rows) + 28
    if axis is not None:
        left, apart, height = AXIS, PANEL + GAP + AXIS, SWEEP + 50
    body = ""
    for i, metric in enumerate(metrics):
        drawn, edge = [], left + i % 2 * apart
        if i % 2 == 0:
            drawn += legend({arrow(d): color for d, color in colors.items()}, left, 0)
        if axis is not None:
            drawn += sweep_panel(summary, axis, metric, colors, edge)
        else:
            drawn += names(summary) if i % 2 == 0 else []
            drawn += dot_panel(summary, metric, colors, edge)
        body += f'<g transform="translate(0 {n(i // 2 * height)})">{"".join(drawn)}</g>'
    width, rows = left + min(2, len(metrics)) * apart, (len(metrics) + 1) // 2
    return svg(width, height * rows, body, said(summary, metrics))


def panels(summary: StudySummary) -> list[str]:
    """The metrics that are drawn: those with directions, without further splits and controls."""
    return [
        m for m in summary.metrics() if m != CODEBOOK and is_headline(m) and crossing(summary, m)
    ]


def crossing(summary: StudySummary, metric: str) -> list[str]:
    """Directions between modalities."""
    return [c for c in summary.columns(metric) if c != MEAN and not is_within(c)]


def names(summary: StudySummary) -> list[str]:
    """The titles of the rows, left of the panels."""
    return [
        text(
            LABELS - 14,
            TOP + LINE * (i + 0.5) + 4,
            row.variant.title,
            "tick" if row.variant.control else "",
            "end",
        )
        for i, row in enumerate(summary.rows)
    ]


def dot_panel(
    summary: StudySummary, metric: str, colors: Mapping[str, str], left: float
) -> list[str]:
    """A row per variant, a dot per direction, a bar at the mean of the directions."""
    bottom, scale = (
        TOP + LINE * len(summary.rows),
        values_scale(summary, metric, left, left + PANEL),
    )
    parts = [text(left, TOP - 16, f"{metric_title(metric)}, %", "title")]
    for tick in nice_ticks(scale.low, scale.high):
        x = scale.at(tick)
        parts.append(rule((x, TOP - 6), (x, bottom), "grid"))
        parts.append(text(x, bottom + 16, tick_text(tick), "tick", "middle"))
    found = crossing(summary, metric)
    for i, row in enumerate(summary.rows):
        top = TOP + LINE * i
        for k, direction in enumerate(found):
            y = top + LINE * (k + 1) / (len(found) + 1)
            key = f"{metric}/{direction}"
            if key in row.scores:
                places = [(scale.at(value), y) for value in spread(row.scores[key])]
                parts.append(marked(row, key, colors[direction], places))
        if f"{metric}/{MEAN}" in row.scores:
            x = scale.at(row.scores[f"{metric}/{MEAN}"].mean)
            parts.append(rule((x, top + 3), (x, top + LINE - 3), "mean"))
    return parts


def sweep_panel(
    summary: StudySummary, axis: StudyAxis, metric: str, colors: Mapping[str, str], left: float
) -> list[str]:
    """A line per direction along the axis; controls as dashed lines at their mean."""
    swept = sorted(
        ((x, row) for row in summary.rows if (x := row.variant.x) is not None),
        key=lambda pair: pair[0],
    )
    xs = [x for x, _ in swept]
    across = AxisScale(xs[0], xs[-1], left, left + PANEL, axis.log)
    up = values_scale(summary, metric, SWEEP, TOP)
    title = axis.title + (" (log scale)" if axis.log else "")
    ticks = (xs, nice_ticks(up.low, up.high))
    parts = frame(f"{metric_title(metric)}, %", across, up, ticks, title)
    for direction in crossing(summary, metric):
        key, color = f"{metric}/{direction}", colors[direction]
        there = [(x, row) for x, row in swept if key in row.scores]
        points = [(across.at(x), up.at(row.scores[key].mean)) for x, row in there]
        parts += [polyline(points, color)] if points else []
        for x, row in there:
            places = [(across.at(x), up.at(value)) for value in spread(row.scores[key])]
            parts.append(marked(row, key, color, places))
    for row in summary.rows:
        mean = row.scores.get(f"{metric}/{MEAN}")
        if row.variant.x is None and mean is not None:
            y = up.at(mean.mean)
            parts.append(rule((left, y), (left + PANEL, y), "threshold"))
            parts.append(text(left + PANEL, y - 5, row.variant.title, "small", "end"))
    return parts


def spread(score: Score) -> list[float]:
    """The mean between what lies a deviation below and above it."""
    return [score.mean + k * score.std for k in (-1, 0, 1)]


def marked(row: SummaryRow, key: str, color: str, places: Sequence[Point]) -> str:
    """A dot with its whisker and a tooltip.

    Args:
        row: Whose.
        key: Metric and direction.
        color: Of both.
        places: Of the three values of :func:`spread`.
    """
    (ax, ay), (x, y), (bx, by) = places
    score, direction = row.scores[key], arrow(key.rpartition("/")[2])
    told = f"{row.variant.title}, {direction}: {score.mean:.1f} ± {score.std:.1f}"
    return (
        f'<g data-row="{escape(row.variant.name)}"><title>{escape(told)}</title>'
        f'<line x1="{n(ax)}" y1="{n(ay)}" x2="{n(bx)}" y2="{n(by)}" '
        f'style="stroke:{color};stroke-width:1.6"/>'
        f'<circle cx="{n(x)}" cy="{n(y)}" r="3.4" style="fill:{color}"/></g>'
    )


def values_scale(summary: StudySummary, metric: str, start: float, end: float) -> AxisScale:
    """The range of all scores of a metric with their deviations, within 0..100."""
    keys = [f"{metric}/{direction}" for direction in crossing(summary, metric)]
    found = [row.scores[key] for row in summary.rows for key in keys if key in row.scores]
    low = max(0.0, min(s.mean - s.std for s in found))
    high = min(100.0, max(s.mean + s.std for s in found))
    ticks = nice_ticks(low, high)
    return AxisScale(ticks[0], ticks[-1], start, end)


def said(summary: StudySummary, metrics: list[str]) -> str:
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
