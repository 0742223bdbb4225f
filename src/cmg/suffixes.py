"""Which files are media, by their suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

FORMATS = {
    "BMP": (".bmp",),
    "JPEG": (".jpeg", ".jpg"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""What Pillow may try, with the suffixes; some of its other readers start programs."""
PICTURES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
VIDEOS = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()
)
SOUNDS = frozenset(
    ".aac .aif .aiff .amr .au .flac .m4a .m4b .mka .mp3 .oga .ogg .opus .wav .wma".split()
)
CAPTION = ".txt"

Medium = Literal["video", "sound", "picture"]


def medium_of(path: Path) -> Medium | None:
    """What a file is by its suffix; None for anything that is not media."""
    suffix = path.suffix.lower()
    if suffix in VIDEOS:
        return "video"
    if suffix in SOUNDS:
        return "sound"
    return "picture" if suffix in PICTURES else None
