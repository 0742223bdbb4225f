"""Clips listed in a csv or jsonl file, a row each."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.extract.clip import MediaClip
from cmg.extract.scan_options import (
    AUDIO,
    TEXT,
    VIDEO,
    ScanOptions,
    checked_split,
    printable,
    share_of,
)
from cmg.suffixes import medium_of
from cmg.tables import once, read_records

FILES = ("file", "video", "audio")
TEXTS = ("text", "caption")
KNOWN = ("id", "split", *FILES, *TEXTS, "start", "end", "picture_fps", "label")
LABEL = "label:"


def is_manifest(path: Path) -> bool:
    """Whether a file is read as a manifest, by its suffix."""
    return path.suffix.lower() in (".csv", ".jsonl")


def read_manifest_clips(path: Path, folder: Path, options: ScanOptions) -> list[MediaClip]:
    """Read a manifest.

    Columns, all optional as long as a row names a file or a text: ``id``; ``split``; ``video``
    and ``audio``, or ``file`` for both; ``text`` or ``caption``; ``start`` and ``end`` in seconds
    or hh:mm:ss; ``picture_fps``; ``label``, ``label:NAME`` and the columns of `options.labels`.
    Everything else is kept as `meta`.

    Args:
        path: csv with a header, or a JSON object per line; UTF-8. If relative and not found, it
            is looked for in `folder`.
        folder: Where relative paths of media start.
        options: Labels, shares and the rate of pictures.

    Raises:
        DataError: it is unreadable or empty, or rows are bad; the message names file and lines.
        ConfigError: options that are for folders.
    """
    if not path.exists() and (folder / path).exists():
        path = folder / path
    if not is_manifest(path):
        raise DataError(f"{path}: a manifest is a .csv or .jsonl file")
    if options.folder_label or options.text_from_names or options.picture_folders:
        raise ConfigError(
            f"{path}: labels and texts from names, and folders of pictures as clips, are for "
            "folders; a manifest names labels, texts and folders itself"
        )
    lines: dict[str, int] = {}
    columns: dict[str, None] = {}

    def clip_of(line: int, row: dict[str, Any]) -> MediaClip:
        columns.update(dict.fromkeys(row))
        cells = {name: value for name, value in row.items() if value not in (None, "")}
        clip = _Row(folder, cells, options).clip(f"row-{len(lines) + 1}")
        once(lines, clip.id, line)
        return clip

    clips = read_records(path, clip_of, header=partial(_check_header, path))
    if not clips:
        raise DataError(f"{path} lists no clip")
    for name in options.labels:
        if name not in columns:
            raise DataError(f"{path} has no column {name!r}{did_you_mean(name, columns)}")
    names = dict.fromkeys(name for clip in clips for name in clip.labels)
    return [replace(clip, labels=dict.fromkeys(names) | dict(clip.labels)) for clip in clips]


def _check_header(path: Path, names: Sequence[str]) -> None:
    if not {*FILES, *TEXTS}.intersection(names):
        raise DataError(
            f"{path}: no column names a file or a text; it has {', '.join(names)}"
            f"{did_you_mean(names[0], (*FILES, *TEXTS))}"
        )


@dataclass(frozen=True)
class _Row:
    """A row on its way to a clip.

    Attributes:
        folder: Where relative paths start.
        cells: By column, without empty ones.
        options: Of the scan.
    """

    folder: Path
    cells: Mapping[str, Any]
    options: ScanOptions

    def clip(self, fallback: str) -> MediaClip:
        """The clip; `fallback` is its id where nothing else gives one."""
        files, text = self._files(), self._text()
        if not files and not text:
            raise DataError("the row names no file and has no text")
        start, end = self._span()
        key = next((printable(path) for path in self._named().values()), "")
        id_ = self._string("id") or _id_of(key, start, end) or fallback
        return MediaClip(
            id_,
            self._split(key or id_),
            files,
            {TEXT: text} if text else {},
            start,
            end,
            self._labels(),
            self._meta(files),
        )

    def _string(self, column: str) -> str | None:
        value = self.cells.get(column)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value}"
        raise DataError(f"{column!r} must be text, not {json.dumps(value)[:40]}")

    def _named(self) -> dict[str, Path]:
        """The paths as written, by modality."""
        paths = {name: Path(text) for name in FILES if (text := self._string(name))}
        both = paths.pop("file", None)
        if both is None:
            return paths
        if paths:
            raise DataError("'file' stands for video and audio; drop one of them")
        series = os.path.isdir(self.folder / both)
        if not series and medium_of(both) is None:
            raise DataError(
                f"{both} is no video, sound or picture by its suffix; name it in the "
                "column 'video' or 'audio'"
            )
        still = series or medium_of(both) == "picture"
        if medium_of(both) == "sound":
            return {AUDIO: both}
        return {VIDEO: both} if still else {VIDEO: both, AUDIO: both}

    def _files(self) -> dict[str, Path]:
        files = {name: self.folder / path for name, path in self._named().items()}
        for name, path in files.items():
            missing = not os.path.exists(path)  # also for names that no system can have
            if missing or (name == AUDIO and path.is_dir()):
                what = "does not exist" if missing else "is a folder"
                raise DataError(f"the {name} file {path} {what}")
        return files

    def _text(self) -> str:
        texts = {name: self._string(name) for name in TEXTS if name in self.cells}
        if len(texts) > 1:
            raise DataError("'text' and 'caption' are the same; leave one empty")
        return " ".join((next(iter(texts.values()), "") or "").split())

    def _span(self) -> tuple[float, float | None]:
        start = self._time("start") or 0.0
        end = self._time("end")
        if end is not None and end <= start:
            raise DataError(f"the end {end:g} s is not after the start {start:g} s")
        return start, end

    def _time(self, column: str) -> float | None:
        text = self._string(column)
        if text is None:
            return None
        try:
            return parse_time(text)
        except ValueError:
            raise DataError(f"{column} {text!r} is neither seconds nor [hh:]mm:ss") from None

    def _split(self, key: str) -> str:
        name = self._string("split")
        if name is None:
            return share_of(key, self.options.shares)
        return checked_split(name)

    def _label_columns(self) -> dict[str, str]:
        """Names of the labels by column."""
        asked = {name: name for name in (*self.options.labels, "label")}
        prefixed = {n: n.removeprefix(LABEL).strip() for n in self.cells if n.startswith(LABEL)}
        return asked | prefixed

    def _labels(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for column, name in self._label_columns().items():
            value = self._string(column)
            if value is not None and found.setdefault(name, value) != value:
                raise DataError(f"two values of the label {name!r}")
        return found

    def _meta(self, files: Mapping[str, Path]) -> dict[str, Any]:
        known = {*KNOWN, *self._label_columns()}
        meta = {name: value for name, value in self.cells.items() if name not in known}
        meta["files"] = {name: printable(path) for name, path in self._named().items()}
        fps = self._picture_fps()
        if fps is not None and VIDEO in files and files[VIDEO].is_dir():
            meta["picture_fps"] = fps
        return meta

    def _picture_fps(self) -> float | None:
        text = self._string("picture_fps")
        if text is None:
            return self.options.picture_fps
        try:
            fps = float(text)
        except ValueError:
            fps = 0.0
        if not 0 < fps < math.inf:
            raise DataError(f"picture_fps {text!r} is no positive number")
        return fps


def _id_of(key: str, start: float, end: float | None) -> str:
    """An id by the name of the file, and the part of it."""
    if not key:
        return ""
    name = (Path(key).parent / Path(key).stem).as_posix()
    if start == 0 and end is None:
        return name
    return f"{name}@{start:g}-" + ("" if end is None else f"{end:g}")


def parse_time(text: str) -> float:
    """Seconds from ``12.5``, ``3:20`` or ``1:02:03.5``.

    Raises:
        ValueError: it is none of these, negative, or not finite.
    """
    parts = [float(part) for part in text.split(":")]
    total = 0.0
    for part in parts:
        total = 60 * total + part
    small = all(part < 60 for part in parts[1:])
    plain = "_" not in text and "-" not in text.replace("e-", "")
    if len(parts) > 3 or not small or not math.isfinite(total) or not plain:
        raise ValueError(text)
    return total
