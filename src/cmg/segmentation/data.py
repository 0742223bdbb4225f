"""Clips with frames, masks and queries: AVSBench-S4, or a folder of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmg.data.frame_folder import CLIPS, read_frame_folder
from cmg.data.frames import FramedClip
from cmg.data.source import ClipSource
from cmg.data.store import FeatureStore
from cmg.errors import ConfigError
from cmg.files import StrPath
from cmg.official.collection import open_collection
from cmg.official.datasets.avsbench import avsbench_frames
from cmg.official.layout import SIMULATION, find_layout

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
    queries: ClipSource
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
    simulated = (data / SIMULATION).is_file()
    if (data / CLIPS).is_file():
        if queries is None:
            raise ConfigError(
                f"{data} has frames and masks; name the store with the features of their sounds or "
                "words by --queries STORE (`cmg extract` and `cmg data import` make one)"
            )
        return SegmentationData(data, read_frame_folder(data), FeatureStore.open(queries), False)
    frames = avsbench_frames(find_layout(data, lists))
    if queries is not None:
        return SegmentationData(data, frames, FeatureStore.open(queries), simulated)
    collection = open_collection(data, lists)
    return SegmentationData(data, frames, collection.open(AVSBENCH), simulated)
