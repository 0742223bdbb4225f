"""Clips with frames, masks and queries: where they are from, batches, and the order of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cmg.data.clips import Clips
from cmg.data.frame_folder import CLIPS, read_frame_folder
from cmg.data.frames import FramedClip, read_frames, read_masks
from cmg.data.store import open_store
from cmg.errors import ConfigError, DataError
from cmg.files import StrPath
from cmg.official.collection import open_collection
from cmg.official.datasets.avsbench import avsbench_frames
from cmg.official.layout import SIMULATION, find_layout

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
        allow_empty: Whether the first mask may be empty; see `check_masks`.

    Raises:
        DataError: a clip with another number of frames, or with too few masks.
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
            where = clip.frames[0].parent if clip.frames else "nowhere"
            if len(clip.frames) != self.frames:
                raise DataError(
                    f"{where}: clip {clip.id!r} has {len(clip.frames)} frames where the others "
                    f"have {self.frames}; extract it again or leave it out"
                )
            if len(clip.masks) < masks:
                raise DataError(
                    f"{where}: clip {clip.id!r} has {len(clip.masks)} masks and {masks} are "
                    "needed; draw the missing ones or leave it out"
                )

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, places: Sequence[int]) -> MaskedBatch:
        """Read some clips.

        Raises:
            DataError: a picture cannot be read, or a mask is of another size than its frame.
        """
        found = [self._read(place) for place in places]
        frames, masks = (torch.stack(parts) for parts in zip(*found, strict=True))
        return MaskedBatch([self.clips[i] for i in places], frames, masks)

    def check_masks(self, tell: Callable[[int, int], None] = lambda done, of: None) -> list[int]:
        """Read every clip once, so that a bad picture is known before a training, not after it.

        Args:
            tell: Told how many clips were read, and of how many.

        Returns:
            How many masks of each clip are empty at this size.

        Raises:
            DataError: as for `batch`, an empty first mask where that is refused, or nothing but
                empty masks, by which nothing can be learned or scored.
        """
        empty = []
        for place, clip in enumerate(self.clips):
            masks = self._read(place)[1].flatten(1).any(1)
            if not self.allow_empty and not masks[0]:
                raise DataError(
                    f"{clip.masks[0]}: nothing is marked at {self.side} x {self.side} pixels, so "
                    f"clip {clip.id!r} teaches that there is nothing; draw the object white on "
                    "black, leave the clip out, or, where its frame truly shows no object, train "
                    "on it by --allow-empty-masks"
                )
            empty.append(int((~masks).sum()))
            tell(place + 1, len(self))
        if sum(empty) == self.masks * len(self):
            raise nothing_marked(self.clips)
        return empty

    def _read(self, place: int) -> tuple[Tensor, Tensor]:
        if place in self._held:
            return self._held[place]
        clip = self.clips[place]
        frames, masks = read_frames(clip, self.side), read_masks(clip, self.side)[: self.masks]
        if self._held_bytes < HELD_BYTES:
            self._held[place] = frames, masks
            self._held_bytes += frames.nbytes + masks.nbytes
        return frames, masks


def nothing_marked(clips: Sequence[FramedClip]) -> DataError:
    """The error of a set of clips whose masks are all empty: any score of it would mean nothing."""
    return DataError(
        f"{clips[0].masks[0]}: nothing is marked in it, nor in any mask of the {len(clips)} clips "
        f"of {clips[0].split!r}, where a model that finds nothing would be perfect; draw the "
        "objects white on black"
    )


AVSBENCH = "avsbench"


@dataclass(frozen=True)
class SegmentationData:
    """What is segmented, and what it is asked by.

    Attributes:
        path: The folder.
        clips: Frames and masks.
        queries: Features of sounds and words, by the ids of the clips.
        simulated: Whether the folder was simulated.
    """

    path: Path
    clips: list[FramedClip]
    queries: Clips
    simulated: bool


def open_segmentation(
    data: StrPath, queries: StrPath | None = None, lists: StrPath | None = None
) -> SegmentationData:
    """Open a folder.

    Args:
        data: In the layout of AVSBench-S4, or with ``clips.csv``, ``frames`` and ``masks``.
        queries: Store with the features of the queries; needed for a folder of one's own, and
            AVSBench's own features where not said.
        lists: Folder with further annotation files.

    Raises:
        ConfigError: no store of queries for a folder of one's own.
        DataError: a part is missing or damaged.
    """
    data = Path(data)
    own = (data / CLIPS).is_file()
    if own and queries is None:
        raise ConfigError(
            f"{data} has frames and masks; name the store with the features of their sounds or "
            "words by --queries STORE (`cmg extract` and `cmg data import` make one)"
        )
    frames = read_frame_folder(data) if own else avsbench_frames(find_layout(data, lists))
    source = open_store(queries) if queries else open_collection(data, lists).open(AVSBENCH)
    return SegmentationData(data, frames, source, (data / SIMULATION).is_file())
