"""Batches of clips for segmentation: pictures, masks, and the order of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.data.batches import permutation
from cmg.data.frames import FramedClip, read_frames, read_masks
from cmg.errors import DataError

HELD_BYTES = 2 * 1024**3
"""Of pictures that are kept in memory; the others are read again in every epoch."""


@dataclass(frozen=True)
class MaskedBatch:
    """Some clips.

    Attributes:
        clips: Who they are, B.
        frames: uint8 [B, T, 3, S, S].
        masks: bool [B, M, S, S].
    """

    clips: list[FramedClip]
    frames: Tensor
    masks: Tensor

    @property
    def ids(self) -> list[str]:
        """Ids of the clips."""
        return [clip.id for clip in self.clips]


class MaskedClips:
    """Clips of one split; pictures are read when they are asked for, and held up to a limit.

    Args:
        clips: At least one.
        side: S, pixels.
        frames: T that every clip must have; None takes that of the first.
        masks: M that every clip must have at least; the others are left out.
        allow_empty: Whether the first mask may be empty.

    Raises:
        DataError: a clip with another number of frames, with too few masks, or with an empty
            first mask where that is refused.
    """

    def __init__(
        self,
        clips: Sequence[FramedClip],
        side: int,
        frames: int | None = None,
        masks: int = 1,
        allow_empty: bool = True,
    ) -> None:
        if not clips:
            raise DataError("no clip with frames and masks")
        self.clips, self.side, self.masks = list(clips), side, masks
        self.allow_empty = allow_empty
        self.frames = frames or len(clips[0].frames)
        self._held: dict[int, tuple[Tensor, Tensor]] = {}
        self._held_bytes = 0
        for clip in clips:
            self._check(clip)

    def __len__(self) -> int:
        return len(self.clips)

    def batches(self, size: int, order: Sequence[int] | None = None) -> list[list[int]]:
        """Places of the clips of every batch, in a given order."""
        places = list(range(len(self)) if order is None else order)
        return [places[i : i + size] for i in range(0, len(places), size)]

    def shuffled(self, epoch: int, seed: int) -> list[int]:
        """Order of an epoch, a function of nothing else."""
        return [int(i) for i in permutation(len(self), seed, epoch)]

    def batch(self, places: Sequence[int]) -> MaskedBatch:
        """Read some clips.

        Raises:
            DataError: a picture is missing, damaged, or a mask of another size or empty.
        """
        found = [self._read(place) for place in places]
        frames, masks = (torch.stack(parts) for parts in zip(*found, strict=True))
        return MaskedBatch([self.clips[i] for i in places], frames, masks)

    def _check(self, clip: FramedClip) -> None:
        where = clip.frames[0].parent if clip.frames else "nowhere"
        if len(clip.frames) != self.frames:
            raise DataError(
                f"{where}: clip {clip.id!r} has {len(clip.frames)} frames where the others have "
                f"{self.frames}; extract it again or leave it out"
            )
        if len(clip.masks) < self.masks:
            raise DataError(
                f"{where}: clip {clip.id!r} has {len(clip.masks)} masks and {self.masks} are "
                "needed; draw the missing ones or leave it out"
            )

    def _read(self, place: int) -> tuple[Tensor, Tensor]:
        if place in self._held:
            return self._held[place]
        clip = self.clips[place]
        frames, masks = read_frames(clip, self.side), read_masks(clip, self.side)[: self.masks]
        if not self.allow_empty and not bool(masks[0].any()):
            raise DataError(
                f"{clip.masks[0]}: the mask of clip {clip.id!r} is empty, so there is nothing "
                "to learn; leave the clip out, or allow empty masks"
            )
        if self._held_bytes < HELD_BYTES:
            self._held[place] = frames, masks
            self._held_bytes += frames.nbytes + masks.nbytes
        return frames, masks
