"""Clips of one's own as a folder of frames and masks.

```
ROOT/
  clips.csv              id, split, and where there are some category
  frames/<id>/*.png      or another picture, in the order of their names (2 before 10)
  masks/<id>/*.png       masks of the first frames, named as these
```
"""

from __future__ import annotations

from pathlib import Path

from cmg.data.frames import FramedClip
from cmg.errors import DataError, did_you_mean
from cmg.files import StrPath
from cmg.pictures.reader import picture_paths
from cmg.tables import TableRow, once, read_table

CLIPS = "clips.csv"
FRAMES, MASKS = "frames", "masks"
_COLUMNS = ("id", "split", "category")


def read_frame_folder(root: StrPath, need_masks: bool = True) -> list[FramedClip]:
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
    lines: dict[str, int] = {}

    def check(names: list[str]) -> None:
        for name in names:
            if name not in _COLUMNS:
                raise DataError(
                    f"{path}, line 1: unknown column {name!r}{did_you_mean(name, _COLUMNS)}"
                )

    def clip_of(row: TableRow) -> tuple[str, str, str]:
        clip, split = row.cells["id"], row.cells["split"]
        if not clip or not split:
            raise DataError("id and split must not be empty")
        if clip in (".", "..") or set(clip) & set("/\\:\0"):
            raise DataError(f"id {clip!r} cannot be the name of a folder")
        once(lines, clip, row.line)
        return clip, split, row.cells.get("category", "")

    return read_table(path, clip_of, required=("id", "split"), strip=True, header=check)


def _frames(folder: Path, clip: str) -> tuple[Path, ...]:
    found = _named_once(folder)
    if not found:
        raise DataError(
            f"clip {clip!r} has no frames: no picture (png, jpg, ...) is in {folder}; put them "
            f"there, or remove its row from {CLIPS}"
        )
    return tuple(found.values())


def _masks(folder: Path, frames: tuple[Path, ...], needed: bool) -> tuple[Path, ...]:
    masks = _named_once(folder)
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


def _named_once(folder: Path) -> dict[str, Path]:
    """Pictures of a folder in order, by their names without suffix."""
    found: dict[str, Path] = {}
    for path in picture_paths(folder):
        if path.stem in found:
            raise DataError(f"{folder} has two pictures named {path.stem}; keep one of them")
        found[path.stem] = path
    return found
