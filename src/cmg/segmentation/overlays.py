"""Pictures of masks: frame, truth, and what each query gave, side by side.

Shape legend: T frames of a strip.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

Pixels = NDArray[np.uint8]

TRUE, FOUND = (0, 200, 90), (255, 210, 0)
"""Colors of a true and of a predicted mask."""
_BORDER = 4


def blended(frames: Tensor, masks: Tensor, color: tuple[int, int, int]) -> Pixels:
    """Frames in a row with a mask laid over them, uint8 [S, T S + borders, 3].

    Args:
        frames: uint8 [T, 3, S, S].
        masks: bool [M, S, S]; frames beyond the masks are shown faint, as they are not known.
        color: Of the mask.
    """
    cells = []
    for index, frame in enumerate(frames.permute(0, 2, 3, 1).numpy()):
        if index >= len(masks):
            cells.append((frame * 0.35 + 160).clip(0, 255).astype(np.uint8))
            continue
        inside = masks[index].numpy()[..., None]
        tinted = 0.45 * frame + 0.55 * np.array(color)
        faded = (
            0.35 * frame + 0.25 * frame.mean(2, keepdims=True) + 90
        )  # so that the mask stands out
        cells.append(np.where(inside, tinted, faded).astype(np.uint8))
    return in_a_row(cells)


def in_a_row(cells: Sequence[Pixels]) -> Pixels:
    """Pictures of one size beside each other, with white borders."""
    border = np.full((cells[0].shape[0], _BORDER, 3), 255, np.uint8)
    parts = [part for cell in cells for part in (cell, border)][:-1]
    return np.concatenate(parts, 1)


def strips(frames: Tensor, truth: Tensor, found: Mapping[str, Tensor]) -> dict[str, Pixels]:
    """A row of pictures for the frames, the truth, and each prediction.

    Args:
        frames: uint8 [T, 3, S, S].
        truth: bool [M, S, S].
        found: Predicted masks by name, bool [T, S, S].
    """
    plain = in_a_row(list(frames.permute(0, 2, 3, 1).numpy()))
    rows = {"frames": plain, "truth": blended(frames, truth, TRUE)}
    return rows | {name: blended(frames, mask, FOUND) for name, mask in found.items()}


def png(pixels: Pixels) -> bytes:
    """A picture as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def labeled_sheet(rows: Mapping[str, Pixels]) -> Pixels:
    """Rows below each other, each under its name."""
    parts = []
    for name, row in rows.items():
        bar = Image.new("RGB", (row.shape[1], 16), "white")
        ImageDraw.Draw(bar).text((2, 2), name, fill="black")
        parts += [np.asarray(bar), row]
    return np.concatenate(parts, 0)
