"""Which of several tracks of a file is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cmg.extract.media.opening import pyav

STILL = ("attached_pic", "timed_thumbnails")
"""Dispositions of pictures that are no video: covers, and previews of chapters."""
ASIDE = ("comment", "hearing_impaired", "visual_impaired")
"""Dispositions of tracks that are made for something else than being heard by most."""


def moving_tracks(streams: Sequence[Any]) -> list[Any]:
    """The video streams that are videos."""
    return [stream for stream in streams if not _has(stream, *STILL)]


def best_track(streams: Sequence[Any]) -> Any | None:
    """The track to read of those that can be decoded; None where there is none.

    A commentary, or one for people who do not hear or see well, comes after all others, one that is
    not flagged default after those that are; of equal ones the first is taken.
    """
    usable = [stream for stream in streams if stream.codec_context is not None]
    return min(usable, key=_rank, default=None)


def choice_of(streams: Sequence[Any], chosen: Any) -> str:
    """Which of several tracks was chosen, in words, numbers from 1; empty where there is one."""
    if len(streams) < 2:
        return ""
    number = 1 + [stream.index for stream in streams].index(chosen.index)
    told = [chosen.metadata.get(key) for key in ("language", "title")]
    told += ["default"] if _has(chosen, "default") else []
    words = ", ".join(word for word in told if word and word != "und")
    kind = "sound" if chosen.type == "audio" else "video"
    return f"{kind}: track {number} of {len(streams)}" + (f" ({words})" if words else "")


def _rank(stream: Any) -> tuple[bool, bool]:
    return _has(stream, *ASIDE), not _has(stream, "default")


def _has(stream: Any, *names: str) -> bool:
    flags = pyav().stream.Disposition
    return any(stream.disposition & getattr(flags, name) for name in names)
