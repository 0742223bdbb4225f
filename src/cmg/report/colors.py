"""Colors that color-blind readers can tell apart, with text that is legible on them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

OKABE_ITO = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#56b4e9",
    "#f0e442",
    "#8c8c8c",
)
"""Okabe and Ito's palette for the modalities, in an order in which neighbors differ most."""
ON_DARK = (
    "#4a9fe0",
    "#e69f00",
    "#12b886",
    "#d78fb6",
    "#ec7a33",
    "#a5dcfb",
    "#f0e442",
    "#a8a8a8",
)
"""The same hues, bright enough for thin lines on dark pages."""

_LIGHT_SCALE = ("#ffffff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
_DARK_SCALE = ("#1c242d", "#20425f", "#2f76ad", "#7fbce6", "#d6ecfb")
_LIGHT_BELOW = ("#ffffff", "#fbd9bd", "#ee9d5e", "#b5541c")
_DARK_BELOW = ("#1c242d", "#54371f", "#a3612a", "#f0a878")
_GOLDEN_ANGLE = 0.6180339887


@dataclass(frozen=True)
class Shade:
    """A background with the text color that is legible on it, for light and for dark pages."""

    light: str
    light_text: str
    dark: str
    dark_text: str

    @property
    def style(self) -> str:
        """As custom properties of a ``style`` attribute; style.css says where they go."""
        return f"--l:{self.light};--lt:{self.light_text};--d:{self.dark};--dt:{self.dark_text}"


def modality_colors(modalities: Sequence[str]) -> dict[str, str]:
    """A CSS color per modality; beyond the eight of the palette, hues at equal distances."""
    more = len(modalities) - len(OKABE_ITO)
    extra = [_hex(*colorsys.hls_to_rgb(i / max(more, 1), 0.45, 0.6)) for i in range(more)]
    named = [f"var(--m{i})" for i in range(len(OKABE_ITO))]
    return dict(zip(modalities, (*named, *extra), strict=False))


def palette_css() -> str:
    """The custom properties that :func:`modality_colors` names, for light and for dark pages."""
    light, dark = (
        "".join(f" --m{i}: {color};" for i, color in enumerate(colors))
        for colors in (OKABE_ITO, ON_DARK)
    )
    return f":root {{{light} }}\n@media (prefers-color-scheme: dark) {{ :root {{{dark} }} }}\n"


def code_color(code: int) -> str:
    """The pastel of a code; codes of neighboring numbers get hues far apart."""
    lightness = (0.78, 0.68, 0.86)[code % 3]
    return _hex(*colorsys.hls_to_rgb(code * _GOLDEN_ANGLE % 1, lightness, 0.62))


def heat(value: float) -> Shade:
    """The shade of a value: neutral at 0, blue up to 1, orange down to -1.

    Args:
        value: Clipped to -1..1.
    """
    scales = (_LIGHT_BELOW, _DARK_BELOW) if value < 0 else (_LIGHT_SCALE, _DARK_SCALE)
    light, dark = (_between(scale, abs(value)) for scale in scales)
    return Shade(light, text_on(light), dark, text_on(dark))


def text_on(background: str) -> str:
    """Black or white, whichever has more contrast; the ratio is at least 4.5 on any color."""
    black, white = contrast(background, "#000000"), contrast(background, "#ffffff")
    return "#000000" if black >= white else "#ffffff"


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colors as WCAG defines it, 1..21."""
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _between(stops: Sequence[str], value: float) -> str:
    place = min(max(value, 0.0), 1.0) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    a, b = _rgb(stops[low]), _rgb(stops[low + 1])
    red, green, blue = (x + (y - x) * (place - low) for x, y in zip(a, b, strict=True))
    return _hex(red, green, blue)


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _hex(red: float, green: float, blue: float) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in (red, green, blue))
