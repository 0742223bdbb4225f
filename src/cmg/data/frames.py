"""Clips as pictures, one per step, with masks of what is asked for.

Shape legend: T frames, M masks, S side of a picture in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cmg.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

WHITE = 128
"""A pixel of a mask belongs to the object from this gray level on."""


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
        DataError: a picture is missing or damaged.
        ConfigError: Pillow is not installed.
    """
    frames = [
        np.asarray(_open(path, clip).convert("RGB").resize((side, side), 2)) for path in clip.frames
    ]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def read_masks(clip: FramedClip, side: int) -> Tensor:
    """Masks of a clip's first frames: bool [M, S, S].

    Raises:
        DataError: a mask is missing, damaged, or of another size than its frame.
        ConfigError: Pillow is not installed.
    """
    masks = []
    for frame, path in zip(clip.frames, clip.masks, strict=False):
        mask, wanted = _open(path, clip), _open(frame, clip).size
        if mask.size != wanted:
            raise DataError(
                f"{path}: clip {clip.id!r} has a mask of {mask.size[0]} x {mask.size[1]} pixels "
                f"for a frame of {wanted[0]} x {wanted[1]}; make the mask of the frame as it is"
            )
        masks.append(np.asarray(mask.convert("L").resize((side, side), 0)) >= WHITE)
    return torch.from_numpy(np.stack(masks))


def _open(path: Path, clip: FramedClip) -> Image:
    """A picture, decoded."""
    try:
        from PIL import Image as Pictures
        from PIL import UnidentifiedImageError
    except ImportError as error:
        raise ConfigError("frames and masks need Pillow; pip install 'cmg-torch[avs]'") from error
    try:
        with Pictures.open(path) as opened:
            opened.load()
            return opened.copy()
    except FileNotFoundError as error:
        raise DataError(f"clip {clip.id!r}: there is no file {path}") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        UnidentifiedImageError,
        Pictures.DecompressionBombError,
    ) as error:
        raise DataError(f"clip {clip.id!r}: cannot read {path}: {error}") from error
