"""Stamps as pixels: cropped to what is drawn, centered on white."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError, DataError
from cmg.pictures.reader import in_eight_bits, open_picture, pillow

INSTALL = "pip install 'cmg-torch[tuxpaint]'"
SVG_WIDTH = 448
"""Pixels to which an svg is drawn before it is scaled."""
MARGIN = 16
"""The white on each side is one part in so many of the drawing."""


def stamp_picture(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A stamp as RGB [H, W, 3].

    Args:
        path: A png or svg file.
        size: H and W.

    Raises:
        ConfigError: pillow or resvg-py is missing.
        DataError: it cannot be drawn, or nothing is on it.
    """
    image = pillow()
    try:
        drawn = io.BytesIO(_drawn(path)) if path.suffix == ".svg" else None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot draw {path}: {error}") from error
    picture = in_eight_bits(path, open_picture(path, drawn)).convert("RGBA")
    box = picture.getchannel("A").getbbox()
    if box is None:
        raise DataError(f"{path} is transparent everywhere")
    picture = picture.crop(box)
    side = max(picture.size) + 2 * (max(picture.size) // MARGIN)
    page = image.new("RGBA", (side, side), (255, 255, 255, 255))
    page.alpha_composite(picture, ((side - picture.size[0]) // 2, (side - picture.size[1]) // 2))
    height, width = size
    scaled = page.convert("RGB").resize((width, height), image.Resampling.BILINEAR)
    return np.array(scaled, dtype=np.uint8)


def _drawn(path: Path) -> bytes:
    """An svg as png."""
    found = _module("resvg_py", "resvg-py").svg_to_bytes(svg_path=str(path), width=SVG_WIDTH)
    return bytes(found)


def _module(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"stamps need {package}: {INSTALL}") from error
