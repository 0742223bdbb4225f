"""Which clips a command line names: media files, folders of them, or a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cmg.errors import DataError
from cmg.extract.clip import MediaClip
from cmg.extract.manifest import is_manifest
from cmg.extract.scan import TEXT, VIDEO, scan, seen_and_heard
from cmg.extract.scan_options import printable, read_caption
from cmg.files import StrPath
from cmg.places import lies_there
from cmg.suffixes import CAPTION, Medium, medium_of

SPLIT = "media"
"""Clips that are named one by one are of no split; stores want one."""


def named_clips(paths: Sequence[StrPath], text: str | None = None) -> list[MediaClip]:
    """The clips of some media files, folders and manifests.

    Files that differ only in their suffix are one clip, as in a folder: ``dog.png`` and
    ``dog.wav``; ``dog.txt`` beside them is its text.

    Args:
        paths: In any mixture; at least one.
        text: Of the clip, if there is only one; it comes before a caption file.

    Raises:
        DataError: a path does not exist or is no media, two clips have one id, two files claim
            one place, or there is a text for several clips.
    """
    clips: list[MediaClip] = []
    groups: dict[Path, list[Path]] = {}
    for path in map(Path, paths):
        if path.is_dir() or (path.is_file() and is_manifest(path)):
            clips += scan(path)
        else:
            _refuse_unreadable(path)
            groups.setdefault(path.with_suffix(""), []).append(path)
    clips += [_clip(place, files) for place, files in groups.items()]
    seen: set[str] = set()
    for clip in clips:
        if clip.id in seen:
            raise DataError(f"two clips are called {clip.id!r}; encode them one by one")
        seen.add(clip.id)
    if text is None:
        return clips
    if len(clips) != 1:
        raise DataError(
            f"--text is for one clip, these are {len(clips)}; write NAME.txt beside each file"
        )
    return [with_text(clips[0], text)]


def with_text(clip: MediaClip, text: str) -> MediaClip:
    """A clip with another text."""
    return replace(clip, texts={TEXT: " ".join(text.split())}, unread="")


def one_clip(path: Path, text: str | None = None) -> MediaClip:
    """The clip of one media file, or of a folder of pictures, which is a video.

    Args:
        path: The file or the folder.
        text: Of the clip; it comes before a caption file.

    Raises:
        DataError: see :func:`named_clips`, or the path names several clips.
    """
    if path.is_dir():
        clip = MediaClip(printable(Path(path.absolute().name)), SPLIT, {VIDEO: path})
        return clip if text is None else with_text(clip, text)
    clips = named_clips([path], text)
    if len(clips) != 1:
        raise DataError(f"{path} names {len(clips)} clips; give the file of one of them")
    return clips[0]


def _refuse_unreadable(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path} does not exist; give a media file, a folder of media or a store")
    if medium_of(path) is None and path.suffix.lower() != CAPTION:
        remedy = "give a media file, a folder of media, a csv or jsonl manifest, or a store"
        raise DataError(
            f"{path} is no video, sound, picture or text by its suffix; "
            f"{lies_there(path) or remedy}"
        )


def _clip(place: Path, files: Sequence[Path]) -> MediaClip:
    """A clip of files of one name."""
    media: dict[Medium, Path] = {}
    for path in files:
        if (medium := medium_of(path)) is not None and media.setdefault(medium, path) != path:
            one = media[medium]
            raise DataError(f"{one} and {path} have one name; rename one, or encode it apart")
    caption = place.with_name(place.name + CAPTION)
    gone = caption.is_symlink() and not caption.exists()
    said, unread = read_caption(caption if gone or caption.is_file() else None)
    return MediaClip(
        printable(Path(place.name)),
        SPLIT,
        seen_and_heard(media),
        {TEXT: said} if said else {},
        unread=unread,
    )
