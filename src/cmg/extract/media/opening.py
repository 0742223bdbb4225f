"""Opening a video or sound file with ffmpeg, and what ffmpeg says of it.

A name is a file, never an address or a list of other files.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from cmg.errors import DataError
from cmg.optional import optional

LISTS = frozenset({"concat", "dash", "hls", "imf"})
"""Formats that only name other files."""
_LOG = Lock()
"""The level of PyAV's log is one for all threads."""


def pyav() -> Any:
    """The module `av`.

    Raises:
        ConfigError: it is not installed.
    """
    return optional("av", "decoding video and sound needs PyAV: pip install 'cmg-torch[extract]'")


def open_container(path: Path) -> Any:
    """PyAV's container of a file.

    Raises:
        DataError: there is no such file, it is empty, or ffmpeg cannot read it.
    """
    failure = pyav().FFmpegError
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: restore it")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        container = _open(path)
    except failure as error:
        reason = ", ".join(logged(path, "ERROR")) or reason_of(error)
        raise DataError(f"{path} cannot be read: {reason}; restore it or leave it out") from error
    kind = container.format.name
    if kind in LISTS:
        container.close()
        raise DataError(f"{path} is a list of files ({kind}), not a media file: name these files")
    return container


def logged(path: Path, level: str) -> list[str]:
    """What ffmpeg logs when it opens a file, which says more than its error codes and fields.

    Args:
        path: The file.
        level: ``ERROR``, or ``WARNING`` for warnings as well.
    """
    av = pyav()
    with _LOG:
        before, repeated = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(getattr(av.logging, level))
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture() as lines, suppress(av.FFmpegError):
                _open(path).close()
        finally:
            av.logging.set_level(before)
            av.logging.set_skip_repeated(repeated)
    return list(dict.fromkeys(text.strip() for _, _, text in lines if text.strip()))


def reason_of(error: Any) -> str:
    """Why ffmpeg failed."""
    return str(error.strerror or error)


def _open(path: Path) -> Any:
    options = {"protocol_whitelist": "file"}
    return pyav().open(f"file:{path}", options=options, metadata_errors="replace")
