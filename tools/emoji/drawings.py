"""Drawings as pixels, and what a network sees in them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image
from sources import DRAWN_BY, Concept, read

from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor

SIDE = 448
"""Pixels that a drawing is rendered to before it is scaled."""
MARGIN = 16
"""The white on each side is one part in so many of the drawing."""


class Icons:
    """The drawings of one designer.

    Args:
        folder: Of the unpacked packages.
        who: Which designer.
    """

    def __init__(self, folder: Path, who: str) -> None:
        self.who = who
        self._set = read(folder, DRAWN_BY[who], "icons.json")

    def picture(self, concept: Concept, side: int) -> NDArray[np.uint8]:
        """RGB [side, side, 3]: cropped to what is drawn, centered on white."""
        drawn = Image.open(io.BytesIO(bytes(self._png(concept.icons[self.who])))).convert("RGBA")
        drawn = drawn.crop(drawn.getchannel("A").getbbox())
        whole = max(drawn.size) + 2 * (max(drawn.size) // MARGIN)
        page = Image.new("RGBA", (whole, whole), (255, 255, 255, 255))
        page.alpha_composite(drawn, ((whole - drawn.size[0]) // 2, (whole - drawn.size[1]) // 2))
        scaled = page.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        return np.array(scaled, dtype=np.uint8)

    def _png(self, name: str) -> bytes:
        icon = self._set["icons"][name]
        box = [icon.get(key, self._set.get(key, 0)) for key in ("left", "top", "width", "height")]
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{" ".join(map(str, box))}">{icon["body"]}</svg>'
        )
        return resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, skip_system_fonts=True)


def maps(icons: Icons, found: list[Concept]) -> NDArray[np.float32]:
    """EfficientNet-Lite0 of every drawing: [N, 7, 7, 1280], all in [0, 6]."""
    network = load_extractor("efficientnet-lite0", LoadOptions())
    size = network.size[0]
    return np.concatenate([network.extract(icons.picture(c, size)[None]) for c in found])


def quadrants(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 4 x 4 positions in each corner of maps of 7 x 7: [N, 4, C]."""
    corners = [(top, left) for top in (0, 3) for left in (0, 3)]
    return np.stack([seen[:, y : y + 4, x : x + 4].mean((1, 2)) for y, x in corners], axis=1)


def palettes(
    pictures: list[NDArray[np.uint8]], colors: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Every picture in its own few colors: colors [N, colors, 3], and of every pixel [N, H, W]."""
    tables, indices = [], []
    for pixels in pictures:
        few = Image.fromarray(pixels).quantize(colors, dither=Image.Dither.NONE)
        table = np.zeros((colors, 3), np.uint8)
        known = np.array(few.getpalette(), np.uint8).reshape(-1, 3)[:colors]
        table[: len(known)] = known
        tables.append(table)
        indices.append(np.asarray(few, np.uint8))
    return np.stack(tables), np.stack(indices)
