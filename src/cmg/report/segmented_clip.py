"""The folder of a segmented clip: masks, overlay, and what was found."""

from __future__ import annotations

import numpy as np

from cmg.recipes.segment_clip import SegmentedClip
from cmg.report.write import Files
from cmg.segmentation.overlays import FOUND, Pixels, blended, in_a_row, labeled_sheet, png

RECORD, OVERLAY, MASKS = "segmentation.json", "overlay.png", "masks"
IN_A_ROW = 10
"""Seconds per row of the overlay."""


def segmented_files(found: SegmentedClip) -> Files:
    """A mask per second, the masks laid over the frames, and what they are."""
    masks = found.probabilities > 0.5
    white = [np.repeat((255 * mask).astype(np.uint8)[..., None], 3, 2) for mask in masks.numpy()]
    files = {f"{MASKS}/{second:04d}.png": png(mask) for second, mask in enumerate(white)}
    told = {
        "format": "cmg-segmented-clip",
        "version": 1,
        "id": found.id,
        "query": found.query,
        "share_of_pixels": [float(mask.mean()) for mask in masks.float()],
        "remarks": list(found.remarks),
    }
    return {**files, OVERLAY: png(overlay(found)), RECORD: told}


def overlay(found: SegmentedClip) -> Pixels:
    """The frames in rows, and below each row the same with their masks."""
    masks, rows = found.probabilities > 0.5, {}
    for first in range(0, len(masks), IN_A_ROW):
        part = slice(first, first + IN_A_ROW)
        last = min(first + IN_A_ROW, len(masks))
        frames = found.frames[part]
        rows[f"seconds {first} to {last}"] = in_a_row(list(frames.permute(0, 2, 3, 1).numpy()))
        rows[f"{found.query}, {first} to {last}"] = blended(frames, masks[part], FOUND)
    return labeled_sheet(_padded(rows))


def _padded(rows: dict[str, Pixels]) -> dict[str, Pixels]:
    """Rows of one width, white at the end of shorter ones."""
    width = max(row.shape[1] for row in rows.values())
    return {
        name: np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for name, row in rows.items()
    }
