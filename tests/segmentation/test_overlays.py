"""Pictures of masks: what is inside is tinted, what is outside fades."""

import io

import numpy as np
import torch
from PIL import Image

from cmg.segmentation.overlays import FOUND, TRUE, blended, labeled_sheet, png, strips


def frames():
    return torch.full((3, 3, 4, 4), 100, dtype=torch.uint8)


def test_inside_is_tinted_outside_fades_and_unknown_frames_are_pale():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, 0] = True
    row = blended(frames(), mask, TRUE)
    assert row.shape == (4, 3 * 4 + 2 * 4, 3)
    assert row[0, 0].tolist() == [int(0.45 * 100 + 0.55 * c) for c in TRUE]
    assert row[1, 1].tolist() == [150, 150, 150]
    assert row[0, 4].tolist() == [255, 255, 255]
    assert row[0, 8].tolist() == [195, 195, 195]


def test_a_sheet_has_a_row_per_prediction():
    masks = torch.ones(3, 4, 4, dtype=torch.bool)
    rows = strips(frames(), masks, {"one": masks, "two": ~masks})
    assert list(rows) == ["frames", "truth", "one", "two"]
    assert rows["one"][0, 0].tolist() == [int(0.45 * 100 + 0.55 * c) for c in FOUND]
    sheet = labeled_sheet(rows)
    assert sheet.shape == (4 * (4 + 16), 20, 3)
    read = np.asarray(Image.open(io.BytesIO(png(sheet))))
    assert np.array_equal(read, sheet)
