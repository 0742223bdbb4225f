"""Comparing a store on disk with its manifest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cmg.data.manifest import MANIFEST, SHARDS, ClipRow, Manifest, Shard, read_manifest, read_rows
from cmg.data.shards import map_shard
from cmg.data.writer import check_label
from cmg.errors import DataError
from cmg.files import file_sha256


def verify_store(path: str | Path) -> list[str]:
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
        rows: list[ClipRow] | None = read_rows(folder, manifest)
        problems = []
    except DataError as error:
        rows, problems = None, [str(error)]
    if rows is not None:
        problems += _row_problems(folder, manifest, rows)
    listed = {shard.file for shard in manifest.shards}
    for shard in manifest.shards:
        problems += _shard_problems(folder, manifest, shard, rows)
    for file in sorted((folder / SHARDS).glob("*")):
        if f"{SHARDS}/{file.name}" not in listed:
            problems.append(f"{file} is not in {MANIFEST}; remove it")
    return problems


def _row_problems(folder: Path, manifest: Manifest, rows: list[ClipRow]) -> list[str]:
    problems = []
    where = folder / MANIFEST
    found = dict(Counter(row.split for row in rows))
    if found != manifest.splits:
        problems.append(f"{where}: splits {manifest.splits}, but the rows have {found}")
    problems += [
        f"{where}: clip id {name!r} occurs {count} times"
        for name, count in Counter(row.id for row in rows).items()
        if count > 1
    ]
    return problems + _label_problems(where, manifest, rows)


def _label_problems(where: Path, manifest: Manifest, rows: list[ClipRow]) -> list[str]:
    problems = []
    for row in rows:
        for name, label in row.labels.items():
            if name not in manifest.labels:
                problems.append(f"{where}: clip {row.id!r} has an undeclared label {name!r}")
                continue
            try:
                check_label(row.id, name, manifest.labels[name], label, row.length)
            except DataError as error:
                problems.append(f"{where}: {error}")
    return problems


def _shard_problems(
    folder: Path, manifest: Manifest, shard: Shard, rows: list[ClipRow] | None
) -> list[str]:
    path = folder / shard.file
    if not path.is_file():
        return [f"shard {path} is missing; restore it, or write the store again"]
    size = path.stat().st_size
    if size != shard.bytes:
        return [f"shard {path} is truncated or foreign: {size} bytes, not {shard.bytes}"]
    if file_sha256(path) != shard.sha256:
        return [f"shard {path} was changed after the store was written (checksum differs)"]
    return [] if rows is None else _content_problems(folder, manifest, shard, rows)


def _content_problems(
    folder: Path, manifest: Manifest, shard: Shard, rows: list[ClipRow]
) -> list[str]:
    path = folder / shard.file
    first, last = shard.clips
    steps = sum(row.lengths.get(shard.modality, 0) for row in rows[first:last])
    try:
        return map_shard(path, manifest.modalities[shard.modality], steps).problems()
    except DataError as error:
        return [str(error)]
