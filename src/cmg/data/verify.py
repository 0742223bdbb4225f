"""Comparing a store on disk with its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cmg.data.index import Gathered, RowIndex, id_key, read_lines
from cmg.data.manifest import (
    CLIPS,
    INDEX,
    MANIFEST,
    SHARDS,
    ClipRow,
    Manifest,
    Shard,
    check_clips,
    read_manifest,
)
from cmg.data.shards import map_shard
from cmg.data.writer import check_label
from cmg.errors import DataError
from cmg.files import StrPath, file_sha256


def verify_store(path: StrPath) -> list[str]:
    """Recompute checksums, shapes, finiteness and counts of a store.

    Args:
        path: The folder; it need not be a store that opens.

    Returns:
        One line per problem, each naming a file; empty if the store is as it was written.
    """
    folder = Path(path)
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        return [str(error)]
    try:
        check_clips(folder, manifest)
        found, problems = _gathered(folder, manifest)
        problems += _row_problems(folder, manifest, found)
        problems += _index_problems(folder, manifest, found)
        steps: Mapping[str, Sequence[int]] | None = found.steps
    except DataError as error:
        steps, problems = None, [str(error)]
    listed = {shard.file for shard in manifest.shards}
    for shard in manifest.shards:
        problems += _shard_problems(folder, manifest, shard, steps)
    for file in sorted((folder / SHARDS).glob("*")):
        if f"{SHARDS}/{file.name}" not in listed:
            problems.append(f"{file} is not in {MANIFEST}; remove it")
    return problems


def _gathered(folder: Path, manifest: Manifest) -> tuple[Gathered, list[str]]:
    """What the rows say, read one by one, and what is wrong with them."""
    found, problems = Gathered(tuple(manifest.modalities)), []
    for line, row in read_lines(folder / CLIPS):
        found.add(line, row)
        problems += _problems_of(folder / MANIFEST, manifest, row)
    return found, problems


def _row_problems(folder: Path, manifest: Manifest, found: Gathered) -> list[str]:
    where = folder / MANIFEST
    splits = {name: len(clips) for name, clips in found.splits.items()}
    problems = []
    if splits != manifest.splits:
        problems.append(f"{where}: splits {manifest.splits}, but the rows have {splits}")
    return problems + [
        f"{where}: clip id {name!r} occurs {count} times"
        for name, count in _repeated(folder, found).items()
    ]


def _repeated(folder: Path, found: Gathered) -> dict[str, int]:
    """Ids that occur more than once; their rows are read again."""
    keys = np.sort(np.frombuffer(found.keys, np.int64))
    twice = set(keys[1:][keys[1:] == keys[:-1]].tolist())
    if not twice:
        return {}
    ids = (row.id for _, row in read_lines(folder / CLIPS))
    counts = Counter(name for name in ids if id_key(name) in twice)
    return {name: count for name, count in counts.items() if count > 1}


def _problems_of(where: Path, manifest: Manifest, row: ClipRow) -> list[str]:
    problems = [
        f"{where}: clip {row.id!r} has steps of an undeclared modality {name!r}"
        for name in row.lengths
        if name not in manifest.modalities
    ]
    for name, label in row.labels.items():
        if name not in manifest.labels:
            problems.append(f"{where}: clip {row.id!r} has an undeclared label {name!r}")
            continue
        try:
            check_label(row.id, name, manifest.labels[name], label, row.length)
        except DataError as error:
            problems.append(f"{where}: {error}")
    return problems


def _index_problems(folder: Path, manifest: Manifest, found: Gathered) -> list[str]:
    path = folder / INDEX
    if manifest.index_sha256 is None:
        return [f"{path} is not in {MANIFEST}; remove it"] if path.exists() else []
    if not path.is_file():
        return [f"index {path} is missing; all rows are read without it; restore it"]
    try:
        different = RowIndex(folder, manifest).differs(found)
    except DataError as error:
        return [str(error)]
    if different is not None:
        return [f"index {path}: {different} is not what the rows say; delete or restore it"]
    if file_sha256(path) != manifest.index_sha256:
        return [f"index {path} was changed after the store was written (checksum differs)"]
    return []


def _shard_problems(
    folder: Path, manifest: Manifest, shard: Shard, steps: Mapping[str, Sequence[int]] | None
) -> list[str]:
    path = folder / shard.file
    if not path.is_file():
        return [f"shard {path} is missing; restore it, or write the store again"]
    size = path.stat().st_size
    if size != shard.bytes:
        return [f"shard {path} is truncated or foreign: {size} bytes, not {shard.bytes}"]
    if file_sha256(path) != shard.sha256:
        return [f"shard {path} was changed after the store was written (checksum differs)"]
    return [] if steps is None else _content_problems(folder, manifest, shard, steps)


def _content_problems(
    folder: Path, manifest: Manifest, shard: Shard, steps: Mapping[str, Sequence[int]]
) -> list[str]:
    path = folder / shard.file
    first, last = shard.clips
    ends = steps[shard.modality]
    if last >= len(ends):
        return []  # there are fewer rows than the manifest says, which is a problem of its own
    count = ends[last] - ends[first]
    try:
        return map_shard(path, manifest.modalities[shard.modality], count).problems()
    except DataError as error:
        return [str(error)]
