"""Stamps as pixels: cropped to what is drawn, centered on white."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmg.errors import ConfigError, DataError
from cmg.pictures.reader import in_eight_bits, open_picture

INSTALL = "pip install 'cmg-torch[tuxpaint]'"
SVG_WIDTH = 448
"""Pixels to which an svg is drawn before it is scaled."""
SVG_HEIGHT = 10 * SVG_WIDTH
"""The most; what is taller is drawn narrower, whatever size the file asks for."""
DPI = 96
"""Pixels per inch of CSS. Without it the renderer takes pt, mm, cm, in and pc for nothing."""
DEEPEST = 100
"""Elements of an svg inside each other; the renderer ends the process from about 250 on."""
MARGIN = 16
"""The white on each side is one part in so many of the drawing."""


def stamp_picture(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A stamp as RGB [H, W, 3].

    An svg is drawn as a browser draws it as a picture: its size in any unit of CSS, by its view
    box, or else what is drawn on it; other files that it names are not opened, scripts are not run.
    Fonts of the system are not used either, so that a stamp is the same on every machine.

    Args:
        path: A png or svg file.
        size: H and W.

    Raises:
        ConfigError: resvg-py is missing.
        DataError: it cannot be drawn, or nothing is on it.
    """
    is_drawing = path.suffix == ".svg"
    picture = drawing(path) if is_drawing else in_eight_bits(path, open_picture(path))
    picture = picture.convert("RGBA")
    box = picture.getchannel("A").getbbox()
    if box is None:
        raise DataError(f"{path} is transparent everywhere")
    picture = picture.crop(box)
    side = max(picture.size) + 2 * (max(picture.size) // MARGIN)
    page = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    page.alpha_composite(picture, ((side - picture.size[0]) // 2, (side - picture.size[1]) // 2))
    height, width = size
    scaled = page.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.array(scaled, dtype=np.uint8)


def drawing(path: Path) -> Image.Image:
    """An svg as pixels.

    Raises:
        ConfigError: resvg-py is missing.
        DataError: it cannot be drawn.
    """
    try:
        return Image.open(io.BytesIO(_drawn(path)))
    except (OSError, ValueError, SyntaxError) as error:  # the last one is of the XML parser
        raise DataError(f"cannot draw {path}: {error}") from error


def _drawn(path: Path) -> bytes:
    """An svg as png."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise ConfigError(f"stamps need resvg-py: {INSTALL}") from error
    root = ElementTree.parse(path).getroot()
    level, depth = [root], 0
    while level:
        depth += 1
        for element in level:  # the renderer would open any file, from the working directory
            for name in [name for name in element.attrib if name.rpartition("}")[2] == "href"]:
                if not element.attrib[name].startswith(("#", "data:")):
                    del element.attrib[name]
        level = [child for element in level for child in element]
    if depth > DEEPEST:
        raise ValueError(f"it is nested {depth} deep, more than {DEEPEST}")
    return bytes(
        svg_to_bytes(
            svg_string=ElementTree.tostring(root, encoding="unicode"),
            width=SVG_WIDTH,
            height=SVG_HEIGHT,
            dpi=DPI,
            skip_system_fonts=True,
        )
    )
