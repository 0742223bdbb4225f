"""Line charts and bar charts as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from cmg.report.svg import Point, legend, n, rule, svg, text


@dataclass(frozen=True)
class AxisScale:
    """Where values lie on a drawing.

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


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        points: (x, y), at least one; all y positive on a logarithmic axis.
        color: CSS color.
        label: In the legend, where there is any.
    """

    points: Sequence[Point]
    color: str
    label: str = ""


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


def frame(
    title: str,
    across: AxisScale,
    up: AxisScale,
    ticks: tuple[Sequence[float], Sequence[float]],
    name: str,
    unit: str = "",
) -> list[str]:
    """What is around curves: title, ticks on both axes, and the name of the lower one.

    Args:
        title: Above the plot.
        across: From the left edge of the plot to the right.
        up: From its lower edge to the upper one.
        ticks: On the lower axis, and on the left.
        name: Of the lower axis.
        unit: After the numbers of the left axis.
    """
    left, right, bottom = across.start, across.end, up.start
    parts = [text(left, up.end - 14, title, "title")] if title else []
    for tick in ticks[1]:
        y = up.at(tick)
        parts.append(rule((left, y), (right, y), "grid"))
        parts.append(text(left - 6, y + 4, tick_text(tick) + unit, "tick", "end"))
    for tick in ticks[0]:
        x = across.at(tick)
        parts.append(rule((x, bottom), (x, bottom + 4), "axis"))
        parts.append(text(x, bottom + 16, tick_text(tick), "tick", "middle"))
    parts.append(rule((left, bottom), (right, bottom), "axis"))
    parts.append(text(right, bottom + 30, name, "tick", "end"))
    return parts


def line_chart(
    title: str, lines: Sequence[Line], log: bool = False, width: float = 330, height: float = 200
) -> str:
    """Curves over training steps, with ticks on both axes.

    Args:
        title: Above the plot.
        lines: At least one.
        log: Whether the y axis is logarithmic.
        width: Of the drawing.
        height: Of the drawing, without the legend.
    """
    across, up, ticks = scales(lines, log, (54, width - 12), (height - 34, 30))
    parts = frame(title + (" (log scale)" if log else ""), across, up, ticks, "step")
    colors = {line.label: line.color for line in lines if line.label}
    lined = in_lines(colors, width - across.start)
    for i, names in enumerate(lined):
        parts += legend(names, across.start, height + 2 + 18 * i)
    many = ' class="many"' if len(lines) > len({line.color for line in lines}) else ""
    drawn = [
        polyline([(across.at(x), up.at(y)) for x, y in one.points], one.color) for one in lines
    ]
    first, last = lines[0].points[0][1], lines[0].points[-1][1]
    label = f"{title}: from {first:.4g} to {last:.4g}"
    body = "".join(parts) + f"<g{many}>{''.join(drawn)}</g>"
    below = 22 + 18 * (len(lined) - 1) if lined else 0
    return svg(width, height + below, body, label)


def in_lines(colors: Mapping[str, str], width: float) -> list[dict[str, str]]:
    """The names of a legend in as many lines as they need."""
    lines: list[dict[str, str]] = []
    room = 0.0
    for name, color in colors.items():
        room -= 27 + 6.2 * len(name)  # as `legend` places them
        if room < 0 or not lines:
            lines.append({})
            room = width - 27 - 6.2 * len(name)
        lines[-1][name] = color
    return lines


def scales(
    lines: Sequence[Line], log: bool, across: tuple[float, float], up: tuple[float, float]
) -> tuple[AxisScale, AxisScale, tuple[list[float], list[float]]]:
    """Both scales of some curves, from 0 on where that is near, and their ticks.

    Args:
        lines: At least one.
        log: Whether the y axis is logarithmic.
        across: Left and right edge of the plot.
        up: Lower and upper edge.
    """
    ys = [y for line in lines for _, y in line.points]
    end = max(x for line in lines for x, _ in line.points)
    low, high = min(ys), max(ys)
    if not log and 0 <= low < high / 2:
        low = 0.0
    y_ticks = log_ticks(low, high) if log else nice_ticks(low, high)
    every = nice_ticks(0, end)
    x_ticks = [tick for tick in every if tick <= end * 1.0001] or every
    x = AxisScale(0.0, max(end, x_ticks[-1]), *across)
    return x, AxisScale(y_ticks[0], y_ticks[-1], *up, log), (x_ticks, y_ticks)


def polyline(points: Sequence[Point], color: str) -> str:
    """A line through some points; a single one is a dot."""
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
    colors: Mapping[str, str],
    threshold: tuple[float, str] | None = None,
    width: float = 1060,
    height: float = 270,
) -> str:
    """Stacked bars in percent; names below them where they fit.

    Args:
        bars: At least one; heights in percent.
        colors: One per part, by its name.
        threshold: Height and caption of a dashed line.
        width: Of the drawing.
        height: Of the drawing.
    """
    bottom, pitch = height - 34, (width - 52) / len(bars)
    ticks = nice_ticks(0, max(1e-9, *(sum(bar.parts) for bar in bars)))
    across, up = AxisScale(0, len(bars), 44, width - 8), AxisScale(0, ticks[-1], bottom, 32)
    parts = frame("", across, up, ((), ticks), "codes, the most frequent first", " %")
    parts += legend(colors, across.start, 0)
    for i, bar in enumerate(bars):
        parts.append(_stack(bar, list(colors.values()), across.at(i + 0.08), 0.84 * pitch, up))
        if pitch >= 13:
            parts.append(text(across.at(i + 0.5), bottom + 13, bar.name, "small", "middle"))
    if threshold is not None:
        y = up.at(threshold[0])
        parts += [rule((across.start, y), (across.end, y), "threshold")]
        parts += [text(across.end, y - 8, threshold[1], "tick", "end")]
    return svg(width, height, "".join(parts), "Code frequencies, the most frequent first", "wide")


def _stack(bar: Bar, colors: Sequence[str], x: float, width: float, up: AxisScale) -> str:
    rects, total = "", 0.0
    for size, color in zip(bar.parts, colors, strict=True):
        if size > 0:
            total += size
            height = up.at(0) - up.at(size)
            rects += (
                f'<rect x="{x:.2f}" y="{up.at(total):.2f}" width="{width:.2f}" '
                f'height="{height:.2f}" style="fill:{color}"/>'
            )
    title = escape(f"code {bar.name}: {sum(bar.parts):.2f} %")
    return f'<g data-bar="{escape(bar.name)}"><title>{title}</title>{rects}</g>'
