"""Inline SVG: colors of text and lines come from style.css, so that charts follow the theme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        f'<svg class="{kind}" viewBox="0 0 {n(width)} {n(height)}" role="img" '
        f'aria-label="{escape(label)}" width="{n(width)}" height="{n(height)}">{body}</svg>'
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    cls = f' class="{kind}"' if kind else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{n(x)}" y="{n(y)}"{cls}{where}>{escape(content)}</text>'


def rule(a: Point, b: Point, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{n(a[0])}" y1="{n(a[1])}" x2="{n(b[0])}" y2="{n(b[1])}" class="{kind}"/>'


def legend(colors: Mapping[str, str], left: float, top: float) -> list[str]:
    """A dot and a name per color, in one line."""
    parts, x = [], left
    for name, color in colors.items():
        parts.append(f'<circle cx="{n(x + 4)}" cy="{n(top + 14)}" r="4" style="fill:{color}"/>')
        parts.append(text(x + 13, top + 18, name, "tick"))
        x += 27 + 6.2 * len(name)
    return parts


def n(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")


def pie(center: Point, radius: float, shares: Sequence[float], colors: Sequence[str]) -> str:
    """A disk cut by shares that sum to 1, from the top clockwise; a ring where all are 0."""
    x, y = center
    if sum(shares) < 1e-9:
        return f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(radius)}" class="ring"/>'
    out, turn = [], 0.0
    for share, color in zip(shares, colors, strict=True):
        if share > 0.9995:
            out.append(f'<circle cx="{n(x)}" cy="{n(y)}" r="{radius:.2f}" style="fill:{color}"/>')
        elif share > 0.0005:
            (ax, ay), (bx, by) = (_on(center, radius, t) for t in (turn, turn + share))
            out.append(
                f'<path d="M{n(x)} {n(y)}L{ax:.2f} {ay:.2f}A{radius:.2f} {radius:.2f} 0 '
                f'{int(share > 0.5)} 1 {bx:.2f} {by:.2f}Z" style="fill:{color}"/>'
            )
        turn += share
    return "".join(out)


def _on(center: Point, radius: float, turn: float) -> Point:
    angle = 2 * math.pi * turn
    return center[0] + radius * math.sin(angle), center[1] - radius * math.cos(angle)


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
            x = left + value * scale
            parts.append(f'<circle cx="{n(x)}" cy="{n(y)}" r="4" class="{kind}"/>')
    if across:
        x = left + scale * sum(across) / len(across)
        parts.append(rule((x, y - 9), (x, y + 9), "mean"))
    return svg(width, 20, "".join(parts), label, "strip-chart")


def envelope(wave: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """The largest magnitude in each of some equal parts of a sound, at most one per sample."""
    parts = np.array_split(np.abs(wave), min(bins, max(len(wave), 1)))
    return np.array([part.max(initial=0) for part in parts], dtype=np.float32)


def axes(curves: NDArray[np.float64], size: Point, label: str, at: slice | None = None) -> str:
    """What a sensor measured along its axes as a small picture.

    Args:
        curves: [axes, samples] in -1..1; what is beyond is cut.
        size: Width and height.
        label: What a screen reader says.
        at: Samples behind which there is a band.
    """
    width, height = size
    across = np.linspace(1, width - 1, curves.shape[1])
    up = height / 2 - (height / 2 - 1) * np.clip(curves, -1, 1)
    band = ""
    if at is not None:
        left, right = across[at][0], across[at][-1]
        band = f'<rect x="{n(left)}" y="0" width="{n(right - left)}" height="{n(height)}"/>'
    points = (" ".join(f"{n(x)},{n(y)}" for x, y in zip(across, line, strict=True)) for line in up)
    lines = "".join(f'<polyline points="{line}"/>' for line in points)
    return svg(width, height, band + lines, label, "axes")


def waveform(wave: NDArray[np.float32], bins: int = 28) -> str:
    """The envelope of a sound as a small picture."""
    peaks = envelope(wave, bins).astype(np.float64)
    peaks = peaks / max(float(peaks.max(initial=0)), 1e-6)
    strokes = "".join(
        f"M{1 + 1.6 * i:.1f} {10 - 9 * p:.1f}V{10 + 9 * p:.1f}" for i, p in enumerate(peaks)
    )
    return svg(46, 20, f'<path d="{strokes}"/>', "waveform", "wave")
