"""What a file says of its own end, and files that hold less or more than they say."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cmg.errors import DataError
from cmg.extract.media.opening import logged

GUESS = "Estimating duration from bitrate"
"""What ffmpeg logs where the duration it gives is the file's size over its first packets' rate."""
TS_DISCONT = 0x0200
"""A flag of ffmpeg's formats."""
HEADS = {
    "wav": rb"RIFF....WAVE",
    "aiff": rb"FORM....AIF[FC]",
    "avi": rb"RIFF....AVI ",
    "flv": rb"FLV\x01.\0\0\0\x09",
    "mov,mp4,m4a,3gp,3g2,mj2": rb"\0\0\0.ftyp",
}
"""How recordings begin that ffmpeg does not look for behind the end of the first one."""
FROM_ZERO = frozenset({"flv", "matroska,webm"})
"""Formats that state the last time stamp, wherever the first one is."""
WHOLE = frozenset({"flac", "matroska,webm"})
"""Formats that say at the file's beginning how all of it is decoded: nothing can be joined to it
though ffmpeg reads on."""


def stated_end(path: Path, container: Any, stream: Any) -> float | None:
    """When a stream ends by what the file says of it, in seconds on the file's clock.

    What ffmpeg takes from the last time stamps, or from the size of the file, says nothing of what
    may be missing; for the latter see :func:`is_guess`.

    Args:
        path: The file.
        container: PyAV's.
        stream: PyAV's; None for the last of all streams.
    """
    if restarts(container):
        return None
    if stream is None:
        if container.duration is None:
            return None
        start = 0 if container.format.name in FROM_ZERO else container.start_time or 0
        return float((start + container.duration) / 1e6)
    tag = stream.metadata.get("DURATION")  # Matroska's, hh:mm:ss.fraction
    # Where Matroska's tracks have no duration of their own, ffmpeg may give them the file's.
    if stream.duration is not None and not (tag and container.format.name in FROM_ZERO):
        duration = stream.duration * _size_stated(path)
        return float(((stream.start_time or 0) + duration) * stream.time_base)
    try:
        hours, minutes, seconds = map(float, tag.split(":"))
    except (AttributeError, ValueError):
        return None
    return 3600 * hours + 60 * minutes + seconds


def is_guess(path: Path) -> bool:
    """Whether ffmpeg guesses the duration of a file from its size."""
    guessed = any(GUESS in line for line in logged(path, "WARNING"))
    return guessed and _size_stated(path) == 1.0


def restarts(container: Any) -> bool:
    """Whether the clock of a format may begin anew (ogg, ts, mpg)."""
    return bool(container.format.flags & TS_DISCONT)


def refuse_joined(path: Path, kind: str, packets: Sequence[Any], *, steady: bool) -> None:
    """Refuse several recordings in one file where no more than the first can be decoded.

    Args:
        path: The file.
        kind: Its format, as ffmpeg calls it.
        packets: PyAV's, those up to the file's end.
        steady: Whether their clock did not begin anew.

    Raises:
        DataError: with the remedy.
    """
    read = max((packet.pos or 0 for packet in packets), default=0)
    read = _riff_size(path) if kind == "avi" else read
    if (not steady and kind in WHOLE) or (kind in HEADS and _occurs(HEADS[kind], path, read)):
        raise DataError(
            f"{path} holds several recordings, joined without regard to their format "
            f"({kind}), and only the first can be decoded: split or convert it"
        )


def _occurs(pattern: bytes, path: Path, start: int) -> bool:
    """Whether a pattern occurs in a file from some byte on, other than at its very beginning."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return re.compile(pattern, re.DOTALL).search(data, max(1, start)) is not None


def _size_stated(path: Path) -> float:
    """How much larger than it is a wav or avi file was, by its header.

    ffmpeg takes the duration of these from the size that the file has.
    """
    return max(1.0, _riff_size(path) / path.stat().st_size)


def _riff_size(path: Path) -> int:
    """The size of a wav or avi file by its header; 0 where it does not say."""
    if path.suffix.lower() not in (".wav", ".avi"):
        return 0
    with path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:8], "little")
    streamed = size in (0, 0xFFFFFFFF)  # written without knowing the size
    return 0 if head[:4] != b"RIFF" or streamed else size + 8
