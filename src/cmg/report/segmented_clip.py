"""The folder of a segmented clip: masks, overlay, and what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cmg.files import Staging, write_synced, writing
from cmg.recipes.segment_clip import SegmentedClip
from cmg.segmentation.overlays import FOUND, Pixels, blended, in_a_row, labeled_sheet, png

RECORD, OVERLAY, MASKS = "segmentation.json", "overlay.png", "masks"
IN_A_ROW = 10
"""Seconds per row of the overlay."""


def write_segmented(
    out: Path, segment: Callable[[], SegmentedClip], overwrite: bool = False
) -> SegmentedClip:
    """Segment, and write the folder whole or not at all.

    Args:
        out: The folder.
        segment: Called once `out` is known to be free.
        overwrite: Whether an earlier segmentation in `out` may be replaced.

    Raises:
        DataError: `out` is occupied, or cannot be written.
    """
    staging = Staging(out, overwrite, RECORD)
    try:
        found = segment()
        masks = found.probabilities > 0.5
        with writing(out):
            (staging.folder / MASKS).mkdir()
            for second, mask in enumerate(masks.numpy()):
                white = np.repeat((255 * mask).astype(np.uint8)[..., None], 3, 2)
                write_synced(staging.folder / MASKS / f"{second:04d}.png", png(white))
            rows = {}
            for first in range(0, len(masks), IN_A_ROW):
                part = slice(first, first + IN_A_ROW)
                last = min(first + IN_A_ROW, len(masks))
                shown = in_a_row(list(found.frames[part].permute(0, 2, 3, 1).numpy()))
                rows[f"seconds {first} to {last}"] = shown
                rows[f"{found.query}, {first} to {last}"] = blended(
                    found.frames[part], masks[part], FOUND
                )
            write_synced(staging.folder / OVERLAY, png(labeled_sheet(_padded(rows))))
            told = {
                "format": "cmg-segmented-clip",
                "version": 1,
                "id": found.id,
                "query": found.query,
                "share_of_pixels": [float(mask.mean()) for mask in masks.float()],
                "remarks": list(found.remarks),
            }
            write_synced(staging.folder / RECORD, json.dumps(told, indent=1).encode())
        staging.publish()
    finally:
        staging.discard()
    return found


def _padded(rows: dict[str, Pixels]) -> dict[str, Pixels]:
    """Rows of one width, white at the end of shorter ones."""
    width = max(row.shape[1] for row in rows.values())
    return {
        name: np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for name, row in rows.items()
    }
