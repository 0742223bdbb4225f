"""AVSBench-S4: audio and prompts of its clips, their frames, and masks of what is heard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.data.frames import FramedClip
from cmg.data.manifest import LabelSpec
from cmg.errors import DataError
from cmg.official.catalogue import FRAMES, MASKS, S4
from cmg.official.dataset import OfficialDataset
from cmg.official.datasets.vggsound import add_prompts
from cmg.official.datasets.zipped import clip_row, zipped_dataset
from cmg.official.layout import Layout
from cmg.official.lengths import RULES
from cmg.official.lists.avsbench import CATEGORIES, S4Clip, read_s4
from cmg.official.loaders import ZipFolder

STEPS = RULES["avsbench", "audio"].steps
SOURCE = "Single-source of github.com/OpenNLPLab/AVSBench"
_REMEDY = f"unpack it again from {SOURCE}"


@dataclass(frozen=True)
class S4Audio(ZipFolder):
    """Audio of AVSBench, in a folder of zips per split with a folder per category.

    Attributes:
        paths: The zip of every clip.
    """

    paths: Mapping[str, Path]

    def path(self, video_id: str) -> Path:
        """The zip of a clip."""
        return self.paths[video_id]

    def state(self) -> str:
        """Names, sizes and times of the zips."""
        digest = hashlib.sha256()
        for name, path in sorted(self.paths.items()):
            found = path.stat()
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def read_avsbench(
    layout: Layout, prompts: Mapping[str, NDArray[np.float32]] | None = None
) -> OfficialDataset:
    """Audio of every clip, and the text of its category.

    Args:
        layout: Where the parts are.
        prompts: Token vectors [S, H] per category; None leaves text out.

    Raises:
        DataError: a part is missing or damaged, or a category has no prompt.
    """
    csv = layout.need(S4, purpose="avsbench")
    audio = s4_audio(layout)
    folders = {"audio": audio}
    rows = [
        clip_row(c.name, c.split, folders, {"category": CATEGORIES.index(c.category)})
        for c in read_s4(csv)
    ]
    labels = {"category": LabelSpec(classes=CATEGORIES)}
    found = zipped_dataset("avsbench", layout, rows, labels, folders, f"From {csv.name}.")
    if prompts is not None:
        add_prompts(found, prompts, list(CATEGORIES))
    return found


def s4_audio(layout: Layout) -> S4Audio:
    """The zips of AVSBench: ``<split>/zip/<category>/<name>.zip``, or in ``zip`` itself.

    Raises:
        DataError: there are none, a folder cannot be read, or a clip is there twice.
    """
    places = layout.features.get(("avsbench", "audio"), [])
    paths: dict[str, Path] = {}
    for place in places:
        for path in zips_below(place):
            if path.stem in paths:
                raise DataError(
                    f"avsbench: clip {path.stem!r} is in {paths[path.stem]} and in {path}; keep "
                    "one of the two"
                )
            paths[path.stem] = path
    if not paths:
        raise DataError(
            f"avsbench: no features; nowhere below {layout.root} is a folder "
            "AVSBench/feature/audio/<split>/zip/<category> with zips"
        )
    rule = RULES["avsbench", "audio"]
    return S4Audio(places[0], rule, frozenset(paths), paths)


def zips_below(folder: Path) -> list[Path]:
    """The zips in a folder and in the folders in it, sorted.

    Raises:
        DataError: one cannot be read.
    """
    found: list[Path] = []
    try:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            names = os.listdir(entry.path) if entry.is_dir() else [entry.name]
            where = Path(entry.path) if entry.is_dir() else folder
            found += [where / n for n in sorted(names) if n.endswith(".zip") and n[0] != "."]
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error
    return found


def avsbench_frames(layout: Layout, remarks: list[str] | None = None) -> list[FramedClip]:
    """Frames and masks of every clip that has frames, in the order of the list.

    A clip has five frames, and a mask of the first one in training, of all five otherwise; further
    masks of training clips are not taken.

    Args:
        layout: Where the parts are.
        remarks: Gets a line about the clips that were left out.

    Raises:
        DataError: a part is missing, no clip has frames, or one has not its five frames and masks.
    """
    csv = layout.need(S4, purpose="avsbench")
    frames, masks = layout.need_pictures(FRAMES), layout.need_pictures(MASKS)
    clips = read_s4(csv)
    found, absent = [], []
    for clip in clips:
        seen, meant = pictures_of(clip, frames, FRAMES), pictures_of(clip, masks, MASKS)
        if not seen.names:
            absent.append(clip.name)
            continue
        if seen.more:
            raise DataError(
                f"{seen.folder / seen.more[0]}: clip {clip.name!r} has {len(seen.names)} frames, "
                f"where {STEPS} are wanted, {seen.wanted[0]} to {seen.wanted[-1]}; remove what is "
                "no frame of it"
            )
        for pictures, what in ((seen, "frames"), (meant, "masks")):
            if missing := pictures.missing:
                wanted = len(pictures.wanted)
                raise DataError(
                    f"{pictures.folder / missing[0]} is missing: clip {clip.name!r} ({clip.split}) "
                    f"has {wanted - len(missing)} of {wanted} {what}; {_REMEDY}, or remove its row "
                    f"from {S4}"
                )
        found.append(FramedClip(clip.name, clip.split, clip.category, seen.paths, meant.paths))
    if not found:
        raise DataError(
            f"{frames}: no clip of {csv} has frames there, the first would be in "
            f"{pictures_of(clips[0], frames, FRAMES).folder}; {_REMEDY}"
        )
    if absent and remarks is not None:
        remarks.append(
            f"avsbench: {len(absent)} of {len(clips)} clips have no frames and were left out, the "
            f"first is {absent[0]!r}"
        )
    return found


@dataclass(frozen=True)
class S4Pictures:
    """The frames or masks of a clip.

    Attributes:
        folder: Where they are.
        wanted: Names of those that there should be.
        names: Of those that there are.
    """

    folder: Path
    wanted: tuple[str, ...]
    names: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """Names of those that are not there."""
        return [name for name in self.wanted if name not in self.names]

    @property
    def more(self) -> list[str]:
        """Names of those that there should not be."""
        return sorted(self.names.difference(self.wanted))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that there should be and are."""
        return tuple(self.folder / name for name in self.wanted if name in self.names)


def pictures_of(clip: S4Clip, root: Path, kind: str) -> S4Pictures:
    """The frames of a clip, five of them, or its masks: the first in training, five otherwise.

    Args:
        clip: Whose.
        root: The folder ``visual_frames`` or ``gt_masks``.
        kind: Which of the two it is.

    Raises:
        DataError: the clip's folder cannot be read; one that is not there has no pictures.
    """
    folder = root / clip.split / clip.category / clip.name
    count = 1 if kind == MASKS and clip.split == "train" else STEPS
    wanted = tuple(f"{clip.name}_{step}.png" for step in range(1, count + 1))
    try:
        there = [n for n in os.listdir(folder) if n.endswith(".png") and not n.startswith(".")]
    except FileNotFoundError:
        there = []
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error
    return S4Pictures(folder, wanted, frozenset(there))
