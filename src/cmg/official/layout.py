"""Where the parts of an official download lie, however deep they were unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cmg.errors import DataError
from cmg.files import StrPath, file_sha256
from cmg.official.catalogue import ANNOTATIONS, FOLDERS, PICTURES
from cmg.official.lists.ave import HEADER
from cmg.places import lies_there

SETS = {data_set for data_set, _ in FOLDERS}
"""Data sets whose features lie below a folder of that name, in any case."""

_UNREAD = ("raw_videos", "audio_wav", "audio_log_mel")
"""AVSBench's folders of what is not read: not entered."""
_MULTIPLE = ("ms3_data", "multi-sources")
"""Folders of AVSBench's other part, several sounds at a time, in lower case."""

FEATURES = {feature for _, feature in FOLDERS}
ZIP_FOLDER = "zip"
SIMULATION = "simulation.json"
"""Marks a folder that was simulated, and what was imported from one."""
DEPTH = 10
"""Folders below the root that are looked into."""

LIST_SUFFIXES = (".csv", ".txt", ".h5", ".pkl", ".json")


@dataclass(frozen=True)
class Layout:
    """The parts below a root.

    Attributes:
        root: Where the search began.
        files: Every place of a list or h5 file, by file name.
        features: Every folder of zips, by (data set, ``audio`` | ``video`` | ``label``).
        pictures: Every folder of AVSBench-S4's frames and masks, by name.
        lists: Further files, which come before those of the root; from ``--lists``.
    """

    root: Path
    files: dict[str, list[Path]] = field(default_factory=dict)
    features: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    pictures: dict[str, list[Path]] = field(default_factory=dict)
    lists: dict[str, list[Path]] = field(default_factory=dict)

    def file(self, *names: str) -> Path | None:
        """The first of these files that is there; None if none is.

        Raises:
            DataError: the file is there twice with different content.
        """
        for name in names:
            for places in (self.lists.get(name), self.files.get(name)):
                if places:
                    return _the_one(places)
        return None

    def need(self, *names: str, purpose: str) -> Path:
        """The first of these files that is there.

        Raises:
            DataError: none is, or one is there twice with different content.
        """
        found = self.file(*names)
        if found is None:
            raise DataError(
                f"{purpose} needs {' or '.join(names)}, which is nowhere below {self.root}; "
                "`cmg data check` lists what is missing and where to get it, and --lists names a "
                "further folder to look in"
            )
        return found

    def folder(self, data_set: str, feature: str) -> Path | None:
        """The folder of zips of one set; None if there is none.

        Raises:
            DataError: there are two.
        """
        places = self.features.get((data_set, feature), [])
        _refuse_two(f"features of {data_set} {feature}", places)
        return places[0] if places else None

    def need_pictures(self, kind: str) -> Path:
        """The folder of AVSBench-S4's ``visual_frames`` or ``gt_masks``.

        Raises:
            DataError: there is none, or there are two.
        """
        places = self.pictures.get(kind, [])
        if not places:
            raise DataError(
                f"avsbench needs the folder {kind} with <split>/<category>/<name>/<name>_1.png, "
                f"which is nowhere below {self.root}; it is not in the authors' download, get "
                "Single-source/s4_data from github.com/OpenNLPLab/AVSBench"
            )
        _refuse_two(f"{kind} of avsbench", places)
        return places[0]


def find_layout(root: StrPath, lists: StrPath | None = None) -> Layout:
    """Look through a folder for the parts of the official data.

    Folders of zips and of pictures are found, not listed.

    Raises:
        DataError: `root` or `lists` is no folder that can be read.
    """
    layout = Layout(Path(root))
    for place, folders, files in _walk(layout.root):
        _add_lists(layout.files, place, files)
        if ZIP_FOLDER in folders and (part := _feature_part(place, layout.root)):
            layout.features.setdefault(part, []).append(place / ZIP_FOLDER)
        if not _of_several_sounds(place, layout.root):
            for kind in PICTURES:
                if kind in folders:
                    layout.pictures.setdefault(kind, []).append(place / kind)
    if lists is not None:
        for place, _, files in _walk(Path(lists)):
            _add_lists(layout.lists, place, files)
    return layout


def _add_lists(found: dict[str, list[Path]], place: Path, files: Iterable[str]) -> None:
    for name in files:
        if name.endswith(LIST_SUFFIXES):
            found.setdefault(name, []).append(place / name)


def _walk(root: Path) -> Iterable[tuple[Path, list[str], list[str]]]:
    """Folders with their sub-folders and files, sorted; those of zips and pictures are not entered.

    Links to folders are followed, and no folder is entered twice.
    """
    entered: set[Path] = set()
    if not root.is_dir():
        there = lies_there(root)
        raise DataError(f"there is no folder {root}" if not there else f"{root}: {there}")
    try:
        os.listdir(root)
    except OSError as error:
        raise DataError(f"cannot read {root}: {error.strerror}") from error
    for place, folders, files in os.walk(root, followlinks=True):
        here = Path(place)
        if (real := here.resolve()) in entered:
            folders.clear()
            continue
        entered.add(real)
        found = sorted(name for name in folders if not name.startswith("."))
        deep = len(here.relative_to(root).parts) >= DEPTH
        closed = (ZIP_FOLDER, *PICTURES, *_UNREAD)
        folders[:] = [] if deep else [name for name in found if name not in closed]
        yield here, found, sorted(files)


def _feature_part(place: Path, root: Path) -> tuple[str, str] | None:
    """Which set's features the folder of zips in `place` holds, from the names above it."""
    names = [name.lower() for name in place.relative_to(root.parent).parts]
    feature = next((name for name in reversed(names) if name in FEATURES), None)
    data_set = next((name for name in reversed(names) if name in SETS), None)
    return None if feature is None or data_set is None else (data_set, feature)


def _of_several_sounds(place: Path, root: Path) -> bool:
    """Whether a folder belongs to the part of AVSBench with several sounds at a time."""
    return any(name.lower() in _MULTIPLE for name in place.relative_to(root.parent).parts)


def _refuse_two(what: str, places: list[Path]) -> None:
    if len(places) > 1:
        raise DataError(f"{what} are in {places[0]} and in {places[1]}; keep one of the two")


def _the_one(places: list[Path]) -> Path:
    first = places[0]
    for other in places[1:]:
        if not same_content(first, other):
            raise DataError(
                f"{first} and {other} differ; keep the right one (`cmg data check` says which "
                "counts are expected)"
            )
    return first


def same_content(first: Path, other: Path) -> bool:
    """Whether two files say the same.

    Lists do if they differ only in line ends, or in the header that one copy of AVE's annotations
    has and the other has not.

    Raises:
        DataError: one cannot be read.
    """
    try:
        if first.samefile(other):
            return True
        if first.suffix in (".csv", ".txt"):
            return _lines(first) == _lines(other)
        same_size = first.stat().st_size == other.stat().st_size
        return same_size and file_sha256(first) == file_sha256(other)
    except OSError as error:
        raise DataError(f"cannot compare {first} and {other}: {error.strerror}") from error


def _lines(path: Path) -> list[bytes]:
    lines = path.read_bytes().rstrip().splitlines()
    header = "&".join(HEADER).encode()
    return lines[1:] if path.name == ANNOTATIONS and lines[:1] == [header] else lines
