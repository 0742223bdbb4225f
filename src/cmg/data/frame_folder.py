"""Clips of one's own as a folder of frames and masks.

```
ROOT/
  clips.csv              id, split, and where there are some category
  frames/<id>/*.png      or .jpg, in the order of their names (2 before 10)
  masks/<id>/*.png       masks of the first frames, named as these
```
"""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

from cmg.data.frames import FramedClip
from cmg.errors import DataError, did_you_mean
from cmg.files import read_text

CLIPS = "clips.csv"
FRAMES, MASKS = "frames", "masks"
_COLUMNS = ("id", "split", "category")
_FRAME_TYPES, _MASK_TYPES = (".png", ".jpg", ".jpeg"), (".png",)


def read_frame_folder(root: str | Path, need_masks: bool = True) -> list[FramedClip]:
    """The clips of a folder, in the order of its ``clips.csv``.

    Args:
        root: The folder; see the module.
        need_masks: Whether every clip must have a mask of its first frame at least.

    Raises:
        DataError: ``clips.csv`` is missing or says what it may not, a clip has no frames or no
            mask, or there is a mask without its frame or not of the first frames.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    return [
        FramedClip(clip, split, category, frames, _masks(root / MASKS / clip, frames, need_masks))
        for clip, split, category in _rows(root / CLIPS)
        for frames in [_frames(root / FRAMES / clip, clip)]
    ]


def _rows(path: Path) -> list[tuple[str, str, str]]:
    """(id, split, category) of every clip."""
    if not path.exists():
        raise DataError(
            f"there is no {path}; write it with a header `id,split,category` and a row per clip"
        )
    try:
        reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        lines = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(f"cannot read {path}: {error}") from error
    header = lines[0][1] if lines else []
    for name in header:
        if name not in _COLUMNS:
            raise DataError(
                f"{path}, line 1: unknown column {name!r}{did_you_mean(name, _COLUMNS)}"
            )
    if "id" not in header or "split" not in header or len(set(header)) < len(header):
        raise DataError(f"{path}, line 1: the columns id and split must be there, each once")
    rows: dict[str, tuple[str, str, str]] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells, the header has {len(header)}"
            )
        row = dict(zip(header, cells, strict=True))
        clip, split = row["id"], row["split"]
        if not clip or not split:
            raise DataError(f"{path}, line {line}: id and split must not be empty")
        if clip in (".", "..") or set(clip) & set("/\\:\0"):
            raise DataError(f"{path}, line {line}: id {clip!r} cannot be the name of a folder")
        if clip in rows:
            raise DataError(f"{path}, line {line}: clip {clip!r} is there twice; ids are unique")
        rows[clip] = clip, split, row.get("category", "")
    if not rows:
        raise DataError(f"{path} lists no clip")
    return list(rows.values())


def _frames(folder: Path, clip: str) -> tuple[Path, ...]:
    found = _pictures(folder, _FRAME_TYPES)
    if not found:
        raise DataError(
            f"clip {clip!r} has no frames: no .png or .jpg is in {folder}; put them there, or "
            f"remove its row from {CLIPS}"
        )
    stems = [path.stem for path in found]
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise DataError(f"{folder} has two frames named {twice[0]}; keep one of them")
    return tuple(found)


def _masks(folder: Path, frames: tuple[Path, ...], needed: bool) -> tuple[Path, ...]:
    masks = {path.stem: path for path in _pictures(folder, _MASK_TYPES)}
    stems = [frame.stem for frame in frames]
    if alone := [path for stem, path in masks.items() if stem not in stems]:
        raise DataError(
            f"{alone[0]} is the mask of no frame; masks are named as their frames, the first of "
            f"which is {frames[0]}"
        )
    if needed and not masks:
        raise DataError(
            f"clip {folder.name!r} has no mask; put one of its first frame at "
            f"{folder / (stems[0] + '.png')}"
        )
    missing = [stem for stem in stems[: len(masks)] if stem not in masks]
    if missing:
        raise DataError(
            f"{folder / (missing[0] + '.png')} is missing: masks are of the first frames, without "
            "a gap; add it, or remove the masks of later frames"
        )
    return tuple(masks[stem] for stem in stems[: len(masks)])


def _pictures(folder: Path, types: tuple[str, ...]) -> list[Path]:
    """Pictures in a folder, numbers in their names in the order of numbers."""
    try:
        names = [n for n in os.listdir(folder) if n.lower().endswith(types) and n[0] != "."]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error
    return [folder / name for name in sorted(names, key=_in_order)]


def _in_order(name: str) -> list[tuple[int, str]]:
    return [(int(n or -1), text) for n, text in re.findall(r"([0-9]+)|([^0-9]+)", name)]
