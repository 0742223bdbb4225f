"""Masks: which pixels of a picture belong to the object.

Shape legend: H, W size of a mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.pictures.reader import WHITE_16, in_eight_bits, open_picture

EDGE, EDGES = 20, 10
"""Of soft edges, one gray is at most one in so many pixels of a mask, all middle grays together
one in so many; more is another object, or no mask."""
FEW, FLAT, NEAR = 8, 40, 16
"""Where a mask has so few grays, one that fills a square of 3 x 3 pixels is another object; with
more, one that varies there by less than one part in 40 of all, if not within one part in 16 of the
darkest or brightest: edges are narrow or steep."""
_TOLD = 6


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask, upright.

    Of two values, one of which is 0 (black), the other one is the object, whatever it is. In gray
    with soft edges the object begins at half of white. Nothing else is read.

    Args:
        path: A picture.

    Returns:
        bool [H, W].

    Raises:
        DataError: it cannot be read, or does not say what the object is.
    """
    values, white = _values(path)
    found, counts = np.unique(values, return_counts=True)
    alone = len(found) == 1
    # One dark gray alone is no plain object: it may be the ground of a mask from 16 to 235.
    plain = (found[0] == 0 and len(found) <= 2) or (alone and (white is None or found[0] == 1))
    if plain and np.isfinite(found[-1]):
        return np.asarray(values != 0)
    if white is not None and found[-1] >= (half := (white + 1) // 2):
        grays, many = found[1:-1].astype(int), counts[1:-1]
        middle = many[abs(grays - half) < half // 2].sum()
        edges = many.max(initial=0) * EDGE <= values.size and middle * EDGES <= values.size
        bright = found[-1] >= half + half // 2  # of a darker object half of white is an edge
        if alone or (found[0] < half and bright and edges and not has_inner(values, found)):
            return np.asarray(values >= half)
    told = ", ".join(f"#{v:06x}" if values.dtype == np.uint32 else f"{v:g}" for v in found[:_TOLD])
    raise _unplain(path, f"it has the values {told}{', ...' if len(found) > _TOLD else ''}")


def has_inner(values: NDArray[Any], found: NDArray[Any]) -> bool:
    """Whether a gray that is neither the darkest nor the brightest fills an area, as no edge does.

    Args:
        values: Grays [H, W].
        found: Those that occur, ascending.
    """
    height, width = (max(0, n - 2) for n in values.shape)
    shifts = [values[i : height + i, j : width + j] for i in range(3) for j in range(3)]
    low = np.minimum.reduce(shifts).astype(int)
    high = np.maximum.reduce(shifts).astype(int)
    darkest, brightest = int(found[0]), int(found[-1])
    if len(found) <= FEW:
        return bool(((low == high) & (low != darkest) & (low != brightest)).any())
    span = brightest - darkest
    between = (NEAR * (low - darkest) > span) & (NEAR * (brightest - high) > span)
    return bool((between & (FLAT * (high - low) < span)).any())


def _values(path: Path) -> tuple[NDArray[Any], int | None]:
    """Gray values and their white, or numbers of colors (uint32) or of objects and None."""
    picture = open_picture(path)
    if picture.mode in ("I", "F"):
        return np.asarray(picture), None
    if picture.mode in ("1", "L") and not picture.has_transparency_data:
        return np.asarray(picture.convert("L")), 255
    eight = in_eight_bits(path, picture)
    if eight.mode == "RGBA" and np.asarray(eight.getchannel("A")).min() < 255:
        raise _unplain(path, "it is transparent in places")
    if picture.mode == "I;16":
        return np.asarray(picture), WHITE_16
    colors = np.asarray(eight, np.uint32)[..., :3]
    if (colors == colors[..., :1]).all():
        gray = colors[..., 0].astype(np.uint8)
        if picture.mode == "P" and np.ptp(gray) == 0 < np.ptp(np.asarray(picture)):
            raise _unplain(path, f"its palette has one color, {gray.flat[0]}, for all it shows")
        return gray, 255
    return colors @ np.array([1 << 16, 1 << 8, 1], np.uint32), None


def _unplain(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} does not say which pixels are the object: {why}; draw the object white on black"
    )
