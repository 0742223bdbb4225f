"""Clips as pictures, one per step, with masks of what is asked for.

Shape legend: T frames, M masks, S side of a picture in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cmg.errors import DataError
from cmg.pictures.masks import read_mask
from cmg.pictures.reader import picture_size, read_picture


@dataclass(frozen=True)
class FramedClip:
    """Frames of a clip, and the masks that exist of them.

    Attributes:
        id: Of the clip; its query has the same id.
        split: ``train``, ``val``, ``test``, or any other name.
        category: What is heard or named; empty where nobody says.
        frames: Pictures in their order, T.
        masks: Of the first frames, M <= T; AVSBench has one in training and five otherwise.
    """

    id: str
    split: str
    category: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]


def clips_of(clips: Sequence[FramedClip], split: str) -> list[FramedClip]:
    """The clips of one split.

    Raises:
        DataError: there is none.
    """
    found = [clip for clip in clips if clip.split == split]
    if not found:
        known = ", ".join(sorted({clip.split for clip in clips})) or "none"
        raise DataError(f"no clip of split {split!r} has frames and masks; splits: {known}")
    return found


def read_frames(clip: FramedClip, side: int) -> Tensor:
    """Frames of a clip, scaled to a square: uint8 [T, 3, S, S].

    Raises:
        DataError: a picture cannot be read.
    """
    frames = [read_picture(path, (side, side)) for path in clip.frames]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def read_masks(clip: FramedClip, side: int) -> Tensor:
    """Masks of a clip's first frames: bool [M, S, S].

    Raises:
        DataError: a mask cannot be read, does not say what the object is, or is of another size
            than its frame.
    """
    masks = []
    scaled, nearest = (side, side), Image.Resampling.NEAREST
    for frame, path in zip(clip.frames, clip.masks, strict=False):
        mask, wanted = read_mask(path), picture_size(frame)
        if mask.shape[::-1] != wanted:
            raise DataError(
                f"{path}: clip {clip.id!r} has a mask of {mask.shape[1]} x {mask.shape[0]} pixels "
                f"for a frame of {wanted[0]} x {wanted[1]}, both turned upright where their files "
                "say so (EXIF); make the mask of the frame as it is shown"
            )
        bits = Image.fromarray(mask.view(np.uint8)).resize(scaled, nearest)
        masks.append(np.asarray(bits, bool))
    return torch.from_numpy(np.stack(masks))
