"""Find the clips of a folder of media: which files belong together, and what they are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmg.errors import DataError
from cmg.extract.clip import MediaClip
from cmg.extract.manifest import is_manifest, read_manifest_clips
from cmg.extract.scan_options import (
    AUDIO,
    SPLITS,
    TEXT,
    VIDEO,
    ScanOptions,
    printable,
    read_caption,
    share_of,
    words_of_name,
)
from cmg.places import lies_there
from cmg.suffixes import CAPTION, Medium, medium_of

__all__ = ["AUDIO", "TEXT", "VIDEO", "FoundMedia", "ScanOptions", "find_clips", "scan"]


@dataclass(frozen=True)
class FoundMedia:
    """The clips of a folder.

    Attributes:
        clips: In the order of their ids; those of a manifest in its order.
        others: How many files were left out, by suffix or by what they are.
    """

    clips: list[MediaClip]
    others: Counter[str] = field(default_factory=Counter)


def scan(folder: Path, options: ScanOptions | None = None) -> list[MediaClip]:
    """The clips of a folder, see :func:`find_clips`."""
    return find_clips(folder, options).clips


def find_clips(folder: Path, options: ScanOptions | None = None) -> FoundMedia:
    """Find the clips of a folder and the folders in it, or of a manifest.

    Files of one folder with one name and different suffixes are one clip: NAME.mp4 with the
    caption NAME.txt, NAME.png with NAME.wav. A sound file comes before the sound of a video, a
    video before a picture. Linked files are read wherever they are; linked folders are not entered.

    Args:
        folder: Of the media, or a manifest whose paths start from its own folder.
        options: How to read it.

    Raises:
        DataError: there are no clips, two files claim one place, a file is in no split's folder
            though others are, or a manifest is bad.
    """
    options = options or ScanOptions()
    if not folder.is_dir():
        if folder.is_file() and is_manifest(folder) and options.manifest is None:
            return FoundMedia(read_manifest_clips(folder, folder.parent, options))
        there = lies_there(folder) or "give one of these"
        raise DataError(f"{folder} is neither a folder nor a csv or jsonl manifest; {there}")
    if options.manifest is not None:
        return FoundMedia(read_manifest_clips(options.manifest, folder, options))
    others: Counter[str] = Counter()
    groups = _groups(folder, options, others)
    if not groups:
        held = ", ".join(f"{count} {name}" for name, count in sorted(others.items())) or "nothing"
        there = lies_there(folder) or "name another folder, or a manifest"
        raise DataError(
            f"{folder} holds no video, sound or picture file (it holds {held}); {there}"
        )
    by_folder = _goes_by_folders(folder, groups, options)
    clips = [_clip(folder, id_, groups[id_], options, by_folder) for id_ in sorted(groups)]
    return FoundMedia(clips, others)


@dataclass
class _Group:
    """Files with one name.

    Attributes:
        place: Their path without suffix, from the scanned folder.
        media: A file per medium; a folder of pictures counts as a video.
        caption: NAME.txt.
    """

    place: Path
    media: dict[Medium, Path] = field(default_factory=dict)
    caption: Path | None = None


def _groups(folder: Path, options: ScanOptions, others: Counter[str]) -> dict[str, _Group]:
    """Clips to be, by id."""
    groups: dict[str, _Group] = {}
    for here, files in _folders(folder, others):
        media = {path: medium for path in files if (medium := medium_of(path)) is not None}
        rest = [path for path in files if path not in media]
        if options.picture_folders and set(media.values()) == {"picture"} and here != folder:
            _add(groups, here.relative_to(folder), "video", here)
            others.update(_suffix(path) for path in rest)
            continue
        for path, medium in media.items():
            _add(groups, path.relative_to(folder).with_suffix(""), medium, path)
        others.update(_add_captions(groups, folder, rest))
    for group in groups.values():
        if {"video", "picture"} <= set(group.media):
            del group.media["picture"]
            others["picture beside a video of that name"] += 1
    return groups


def _add_captions(groups: dict[str, _Group], folder: Path, files: Sequence[Path]) -> list[str]:
    """Give clips their captions.

    Returns:
        What the other files are.
    """
    others = []
    for path in files:
        group = groups.get(printable(path.relative_to(folder).with_suffix("")))
        if path.suffix.lower() != CAPTION:
            others.append(_suffix(path))
        elif group is None:
            others.append(f"{CAPTION} without media of that name")
        else:
            group.caption = path
    return others


def seen_and_heard(media: Mapping[Medium, Path]) -> dict[str, Path]:
    """The files of a clip by modality: a video before a picture, a sound before that of a video."""
    seen = media.get("video") or media.get("picture")
    heard = media.get("sound") or media.get("video")
    found = {VIDEO: seen, AUDIO: None if heard is not None and heard.is_dir() else heard}
    return {name: path for name, path in found.items() if path is not None}


def _folders(folder: Path, others: Counter[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder with its files."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        here = Path(root)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = [here / name for name in sorted(names) if not name.startswith(".")]
        files = [path for path in shown if path.is_file() or not path.exists()]  # a link to nothing
        others.update(["linked folder"] * len(linked))
        others.update(["hidden file"] * (len(names) - len(shown)))
        others.update(["neither file nor folder"] * (len(shown) - len(files)))
        yield here, files


def _suffix(path: Path) -> str:
    return printable(Path(path.suffix.lower())) if path.suffix else "no suffix"


def _add(groups: dict[str, _Group], place: Path, medium: Medium, path: Path) -> None:
    group = groups.setdefault(printable(place), _Group(place))
    known = group.media.setdefault(medium, path)
    if known != path:
        raise DataError(
            f"{printable(known)} and {printable(path)} have one name, so both would be the "
            f"{medium} of the clip {printable(place)!r}; rename or remove one, or list the clips "
            "in a manifest"
        )


def _goes_by_folders(folder: Path, groups: Mapping[str, _Group], options: ScanOptions) -> bool:
    """Whether folders named train, val and test are the splits."""
    if options.split == "shares":
        return False
    named = {
        id_: [part for part in _parents(group) if part in SPLITS] for id_, group in groups.items()
    }
    if options.split == "auto" and not any(named.values()):
        return False
    for id_, names in named.items():
        if len(set(names)) != 1:
            what = f"folders of {' and '.join(names)}" if names else "no folder of a split"
            raise DataError(
                f"{folder}: {id_!r} is in {what} (train, val, test); move it, or split by shares"
            )
    return True


def _parents(group: _Group) -> tuple[str, ...]:
    return group.place.parent.parts


def _clip(
    folder: Path, id_: str, group: _Group, options: ScanOptions, by_folder: bool
) -> MediaClip:
    present = seen_and_heard(group.media)
    text, unread = read_caption(group.caption)
    if not (text or unread) and options.text_from_names:
        text = words_of_name(printable(Path(group.place.name)))
    parents = _parents(group)
    if by_folder:
        split = next(part for part in parents if part in SPLITS)
    else:
        split = share_of(id_, options.shares)
    labels = {}
    if options.folder_label is not None:
        classes = (part for part in parents if not (by_folder and part in SPLITS))
        found = next(classes, None)
        labels[options.folder_label] = None if found is None else printable(Path(found))
    meta: dict[str, Any] = {
        "files": {name: printable(path.relative_to(folder)) for name, path in present.items()}
    }
    if options.picture_fps is not None and VIDEO in present and present[VIDEO].is_dir():
        meta["picture_fps"] = options.picture_fps
    texts = {TEXT: text} if text else {}
    return MediaClip(id_, split, present, texts, labels=labels, meta=meta, unread=unread)
