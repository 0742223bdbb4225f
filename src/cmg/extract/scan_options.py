"""What is asked of a scan, and what folders and names say of clips."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from cmg.data.manifest import SplitName
from cmg.errors import DataError
from cmg.extract.extractor import Takes
from cmg.files import read_text
from cmg.options import Options

VIDEO, AUDIO, TEXT = "video", "audio", "text"
"""Names of the modalities."""
READS: Mapping[str, Takes] = {VIDEO: "frames", AUDIO: "sound", TEXT: "text"}
"""What an extractor of each reads; modalities of other names have any."""

SPLITS = ("train", "val", "test")
"""Folders of these names are splits."""

LARGEST_CAPTION = 1_000_000
"""Bytes of the text of one clip."""

LabelName = Annotated[str, Field(pattern=r"^[^\W\d]\w*$")]


class ScanOptions(Options):
    """How clips are found.

    Attributes:
        manifest: A csv or jsonl file with a row per clip; None goes by the files themselves.
        labels: Columns of the manifest that are labels, besides ``label`` and ``label:NAME``.
        folder_label: Name of the label that folder names give; None takes none from them.
        text_from_names: Whether the words of a file's name are the text of a clip without caption.
        picture_folders: Whether the pictures of a folder without other media are one clip.
        picture_fps: Pictures per second of such a folder; None is one per step.
        split: ``folders``: those named train, val and test; ``shares``: by a hash; ``auto``: by
            folders if there is one of these, by shares otherwise. A manifest's column comes first.
        shares: Of the clips, by the name of the split; they add up to 1.
    """

    manifest: Path | None = None
    labels: tuple[str, ...] = ()
    folder_label: LabelName | None = None
    text_from_names: bool = False
    picture_folders: bool = False
    picture_fps: Annotated[float, Field(gt=0)] | None = None
    split: Literal["auto", "folders", "shares"] = "auto"
    shares: dict[SplitName, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=lambda: {"train": 0.8, "test": 0.2}
    )

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, float]) -> dict[str, float]:
        if abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError("shares must add up to 1")
        return shares


def share_of(key: str, shares: Mapping[str, float]) -> str:
    """The split of a clip by a hash, the same whatever other clips there are.

    Args:
        key: Of the clip; clips of one file have one key, so that no split sees parts of another's.
        shares: Of the clips, by split.
    """
    digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if position < reached:
            return name
    return name  # the shares' sum was rounded


def checked_split(name: str) -> str:
    """A name of a split.

    Raises:
        DataError: it cannot be one.
    """
    try:
        return TypeAdapter[str](SplitName).validate_python(name)
    except ValidationError:
        raise DataError(
            f"{name!r} cannot name a split: letters, digits, '.', '_' and '-' only"
        ) from None


def printable(path: PurePath) -> str:
    """A path with slashes, bytes that are not UTF-8 written as backslash, x and two digits."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def words_of_name(stem: str) -> str:
    """The words of a file's name, without separators and numbers: ``dog_bark-03`` is dog bark."""
    words = re.split(r"[\s_.\-]+", stem)
    return " ".join(word for word in words if word and not word.isdigit())


def read_caption(path: Path | None) -> tuple[str, str]:
    """The text of a caption file, on one line, and why it cannot be read; empty where it can.

    A caption is one file of many: who reads a folder decides what becomes of the clip.
    """
    try:
        return "" if path is None else " ".join(read_text(path, LARGEST_CAPTION).split()), ""
    except DataError as error:
        return "", str(error)
