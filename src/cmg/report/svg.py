"""Inline SVG: colors of text and lines come from style.css, so that charts follow the theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]


def svg(width: float, height: float, body: str, label: str, kind: str = "chart") -> str:
    """An image that scales with its container and says what it shows.

    Args:
        width: Of the drawing, in its own units.
        height: Likewise.
        body: Elements.
        label: What a screen reader says.
        kind: CSS class.
    """
    return (
        f'<svg class="{kind}" viewBox="0 0 {_n(width)} {_n(height)}" role="img" '
        f'aria-label="{escape(label)}" width="{_n(width)}" height="{_n(height)}">{body}</svg>'
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    cls = f' class="{kind}"' if kind else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{cls}{where}>{escape(content)}</text>'


def rule(a: Point, b: Point, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{_n(a[0])}" y1="{_n(a[1])}" x2="{_n(b[0])}" y2="{_n(b[1])}" class="{kind}"/>'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# ---- line charts -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        points: (x, y), at least one; all y positive on a logarithmic axis.
        color: CSS color.
    """

    points: Sequence[Point]
    color: str


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that cover low..high, about `about` steps apart.

    Args:
        low: Smallest value.
        high: Largest value.
        about: Wanted number of intervals.
    """
    if not high > low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten that cover low..high."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    stride = max(1, math.ceil((last - first) / 5))
    last += (first - last) % stride
    return [10.0**i for i in range(first, last + 1, stride)]


def tick_text(value: float) -> str:
    """A short number: 0.25, 40, 12k, 1e-05."""
    if abs(value) >= 10000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def line_chart(
    title: str, lines: Sequence[Line], log: bool = False, width: float = 330, height: float = 200
) -> str:
    """Curves over training steps, with ticks on both axes.

    Args:
        title: Above the plot.
        lines: At least one.
        log: Whether the y axis is logarithmic.
        width: Of the drawing.
        height: Of the drawing.
    """
    left, right, top, bottom = 46.0, width - 12, 30.0, height - 34
    ys = [y for line in lines for _, y in line.points]
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(ys), max(ys)
    if not log and 0 <= low < high / 2:
        low = 0.0
    y_ticks = log_ticks(low, high) if log else nice_ticks(low, high)
    x_ticks = nice_ticks(0, max(xs))
    x_ticks = [t for t in x_ticks if t <= max(xs) * 1.0001] or x_ticks
    x_end = max(max(xs), x_ticks[-1])

    def place(x: float, y: float) -> Point:
        scale = math.log10 if log else float
        share = (scale(y) - scale(y_ticks[0])) / (scale(y_ticks[-1]) - scale(y_ticks[0]))
        return left + (right - left) * x / x_end, bottom - (bottom - top) * share

    parts = [text(left, 16, title + (" (log scale)" if log else ""), "title")]
    for tick in y_ticks:
        y = place(0, tick)[1]
        parts += [rule((left, y), (right, y), "grid")]
        parts += [text(left - 6, y + 4, tick_text(tick), "tick", "end")]
    for tick in x_ticks:
        x = place(tick, y_ticks[0])[0]
        parts += [rule((x, bottom), (x, bottom + 4), "axis")]
        parts += [text(x, bottom + 16, tick_text(tick), "tick", "middle")]
    parts += [rule((left, bottom), (right, bottom), "axis")]
    parts += [text(right, height - 4, "step", "tick", "end")]
    many = ' class="many"' if len(lines) > len({line.color for line in lines}) else ""
    drawn = [_polyline([place(*p) for p in line.points], line.color) for line in lines]
    label = f"{title}: from {ys[0]:.4g} to {lines[0].points[-1][1]:.4g}"
    return svg(width, height, "".join(parts) + f"<g{many}>{''.join(drawn)}</g>", label)


def _polyline(points: Sequence[Point], color: str) -> str:
    if len(points) == 1:
        (x, y) = points[0]
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="2.5" style="fill:{color}"/>'
    joined = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    return f'<polyline points="{joined}" style="stroke:{color}"/>'


# ---- bars, dots and pies ---------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """One stacked bar.

    Attributes:
        name: Below the bar and in its tooltip.
        parts: Heights from the bottom up, one per color.
    """

    name: str
    parts: Sequence[float]


def bar_chart(
    bars: Sequence[Bar],
    colors: Sequence[str],
    threshold: tuple[float, str] | None = None,
    width: float = 1060,
    height: float = 250,
) -> str:
    """Stacked bars in percent; names below them where they fit.

    Args:
        bars: At least one; heights in percent.
        colors: One per part.
        threshold: Height and caption of a dashed line.
        width: Of the drawing.
        height: Of the drawing.
    """
    left, top, bottom = 44.0, 12.0, height - 34
    pitch = (width - left - 8) / len(bars)
    ticks = nice_ticks(0, max(max(sum(bar.parts) for bar in bars), 1e-9))
    unit = (bottom - top) / ticks[-1]
    parts = []
    for tick in ticks:
        y = bottom - tick * unit
        parts += [rule((left, y), (width - 8, y), "grid")]
        parts += [text(left - 6, y + 4, f"{tick_text(tick)} %", "tick", "end")]
    for i, bar in enumerate(bars):
        x, y, rects = left + i * pitch, bottom, ""
        for size, color in zip(bar.parts, colors, strict=True):
            if size > 0:
                y -= size * unit
                rects += (
                    f'<rect x="{x + pitch * 0.08:.2f}" y="{y:.2f}" width="{pitch * 0.84:.2f}" '
                    f'height="{size * unit:.2f}" fill="{color}"/>'
                )
        title = escape(f"code {bar.name}: {sum(bar.parts):.2f} %")
        parts.append(f'<g data-bar="{escape(bar.name)}"><title>{title}</title>{rects}</g>')
        if pitch >= 13:
            parts.append(text(x + pitch / 2, bottom + 13, bar.name, "small", "middle"))
    if threshold is not None:
        y = bottom - threshold[0] * unit
        parts += [rule((left, y), (width - 8, y), "threshold")]
        parts += [text(width - 8, y - 5, threshold[1], "tick", "end")]
    parts += [rule((left, bottom), (width - 8, bottom), "axis")]
    parts += [text(width - 8, height - 4, "codes, the most frequent first", "tick", "end")]
    return svg(width, height, "".join(parts), "Code frequencies, the most frequent first", "wide")


def pie(center: Point, radius: float, shares: Sequence[float], colors: Sequence[str]) -> str:
    """A disk cut by shares that sum to 1, from the top clockwise; a ring where all are 0."""
    x, y = center
    if sum(shares) < 1e-9:
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="ring"/>'
    out, turn = [], 0.0
    for share, color in zip(shares, colors, strict=True):
        if share > 0.9995:
            out.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{radius:.2f}" fill="{color}"/>')
        elif share > 0.0005:
            (ax, ay), (bx, by) = (_on(center, radius, t) for t in (turn, turn + share))
            out.append(
                f'<path d="M{_n(x)} {_n(y)}L{ax:.2f} {ay:.2f}A{radius:.2f} {radius:.2f} 0 '
                f'{int(share > 0.5)} 1 {bx:.2f} {by:.2f}Z" fill="{color}"/>'
            )
        turn += share
    return "".join(out)


def _on(center: Point, radius: float, turn: float) -> Point:
    angle = 2 * math.pi * turn
    return center[0] + radius * math.sin(angle), center[1] - radius * math.cos(angle)


def share_bar(shares: Sequence[float], colors: Sequence[str], label: str) -> str:
    """A thin bar cut by shares 0..1."""
    x, parts = 0.0, ""
    for share, color in zip(shares, colors, strict=True):
        parts += f'<rect x="{x:.1f}" y="0" width="{100 * share:.1f}" height="8" fill="{color}"/>'
        x += 100 * share
    return svg(100, 8, parts, label, "sharebar")


def dot_strip(across: Sequence[float], within: Sequence[float], label: str) -> str:
    """Percentages on a scale 0..100: filled dots across modalities, rings within one.

    Args:
        across: A dot each, and a bar at their mean.
        within: A ring each.
        label: What a screen reader says.
    """
    width, y, left, scale = 244.0, 10.0, 12.0, 2.2
    parts = [rule((left, y), (left + 100 * scale, y), "grid")]
    for tick in (0, 25, 50, 75, 100):
        parts.append(rule((left + tick * scale, y - 4), (left + tick * scale, y + 4), "grid"))
    for kind, values in (("within", within), ("across", across)):
        for value in values:
            x = _n(left + value * scale)
            parts.append(f'<circle cx="{x}" cy="{_n(y)}" r="4" class="{kind}"/>')
    if across:
        x = left + scale * sum(across) / len(across)
        parts.append(rule((x, y - 9), (x, y + 9), "mean"))
    return svg(width, 20, "".join(parts), label, "strip-chart")


def waveform(wave: NDArray[np.float32], bins: int = 28) -> str:
    """The envelope of a sound as a small picture."""
    parts = np.array_split(np.abs(wave), min(bins, max(len(wave), 1)))
    peaks = np.array([part.max(initial=0) for part in parts])
    peaks = peaks / max(float(peaks.max(initial=0)), 1e-6)
    strokes = "".join(
        f"M{1 + 1.6 * i:.1f} {10 - 9 * p:.1f}V{10 + 9 * p:.1f}" for i, p in enumerate(peaks)
    )
    return svg(46, 20, f'<path d="{strokes}"/>', "waveform of an utterance", "wave")
