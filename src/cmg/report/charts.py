"""Line charts and bar charts as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cmg.report.svg import Point, n, rule, svg, text


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
    axes = Axes(lines, log, 46, width - 12, 30, height - 34)
    bottom = axes.bottom
    parts = [text(axes.left, 16, title + (" (log scale)" if log else ""), "title")]
    for tick in axes.y_ticks:
        y = axes.place(0, tick)[1]
        parts += [rule((axes.left, y), (axes.right, y), "grid")]
        parts += [text(axes.left - 6, y + 4, tick_text(tick), "tick", "end")]
    for tick in axes.x_ticks:
        x = axes.place(tick, axes.y_ticks[0])[0]
        parts += [rule((x, bottom), (x, bottom + 4), "axis")]
        parts += [text(x, bottom + 16, tick_text(tick), "tick", "middle")]
    parts += [rule((axes.left, bottom), (axes.right, bottom), "axis")]
    parts += [text(axes.right, height - 4, "step", "tick", "end")]
    many = ' class="many"' if len(lines) > len({line.color for line in lines}) else ""
    drawn = [_polyline([axes.place(*p) for p in line.points], line.color) for line in lines]
    first, last = lines[0].points[0][1], lines[0].points[-1][1]
    label = f"{title}: from {first:.4g} to {last:.4g}"
    return svg(width, height, "".join(parts) + f"<g{many}>{''.join(drawn)}</g>", label)


class Axes:
    """Where data go on the drawing.

    Args:
        lines: At least one.
        log: Whether the y axis is logarithmic.
        left: Edge of the plot, as are the next three.
        right: Edge.
        top: Edge.
        bottom: Edge.
    """

    def __init__(
        self, lines: Sequence[Line], log: bool, left: float, right: float, top: float, bottom: float
    ) -> None:
        self.left, self.right, self.top, self.bottom = left, right, top, bottom
        ys = [y for line in lines for _, y in line.points]
        end = max(x for line in lines for x, _ in line.points)
        low, high = min(ys), max(ys)
        if not log and 0 <= low < high / 2:
            low = 0.0
        self.y_ticks = log_ticks(low, high) if log else nice_ticks(low, high)
        ticks = nice_ticks(0, end)
        self.x_ticks = [t for t in ticks if t <= end * 1.0001] or ticks
        self.x_end = max(end, self.x_ticks[-1])
        self._scale = math.log10 if log else float

    def place(self, x: float, y: float) -> Point:
        """The point of the drawing that stands for (x, y)."""
        low, high = self._scale(self.y_ticks[0]), self._scale(self.y_ticks[-1])
        share = (self._scale(y) - low) / (high - low)
        across = self.left + (self.right - self.left) * x / self.x_end
        return across, self.bottom - (self.bottom - self.top) * share


def _polyline(points: Sequence[Point], color: str) -> str:
    if len(points) == 1:
        (x, y) = points[0]
        return f'<circle cx="{n(x)}" cy="{n(y)}" r="2.5" style="fill:{color}"/>'
    joined = " ".join(f"{n(x)},{n(y)}" for x, y in points)
    return f'<polyline points="{joined}" style="stroke:{color}"/>'


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
    left, right, top, bottom = 44.0, width - 8, 12.0, height - 34
    pitch = (right - left) / len(bars)
    ticks = nice_ticks(0, max(1e-9, *(sum(bar.parts) for bar in bars)))
    unit = (bottom - top) / ticks[-1]
    parts = []
    for tick in ticks:
        y = bottom - tick * unit
        parts += [rule((left, y), (right, y), "grid")]
        parts += [text(left - 6, y + 4, f"{tick_text(tick)} %", "tick", "end")]
    for i, bar in enumerate(bars):
        x = left + i * pitch
        parts.append(_stack(bar, colors, x + 0.08 * pitch, 0.84 * pitch, bottom, unit))
        if pitch >= 13:
            parts.append(text(x + pitch / 2, bottom + 13, bar.name, "small", "middle"))
    if threshold is not None:
        y = bottom - threshold[0] * unit
        parts += [rule((left, y), (right, y), "threshold")]
        parts += [text(right, y - 8, threshold[1], "tick", "end")]
    parts += [rule((left, bottom), (right, bottom), "axis")]
    parts += [text(right, height - 4, "codes, the most frequent first", "tick", "end")]
    return svg(width, height, "".join(parts), "Code frequencies, the most frequent first", "wide")


def _stack(
    bar: Bar, colors: Sequence[str], x: float, width: float, bottom: float, unit: float
) -> str:
    rects, y = "", bottom
    for size, color in zip(bar.parts, colors, strict=True):
        if size > 0:
            y -= size * unit
            rects += (
                f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" '
                f'height="{size * unit:.2f}" style="fill:{color}"/>'
            )
    title = escape(f"code {bar.name}: {sum(bar.parts):.2f} %")
    return f'<g data-bar="{escape(bar.name)}"><title>{title}</title>{rects}</g>'
