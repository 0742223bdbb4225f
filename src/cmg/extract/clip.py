"""A clip of raw media, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MediaClip:
    """Which files, or parts of files, belong together, and what is known of them.

    Attributes:
        id: Unique among the clips of a store.
        split: Name of its split.
        files: Media file by modality, for modalities that are seen or heard: a video, a sound, a
            picture, or a folder of pictures. Two modalities of one video name the same file.
        texts: Text by modality, for modalities that are read.
        unread: Why its caption could not be read; empty where it could, or there is none.
        start: Where the clip begins in its files, in seconds.
        end: Where it ends; None is the end of the file.
        labels: Class name by label; None where it is not known.
        meta: Anything else, JSON.
    """

    id: str
    split: str
    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    start: float = 0.0
    end: float | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    unread: str = ""
