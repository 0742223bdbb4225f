"""Comparing a store on disk with its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cmg.data.blocks import read_blocks
from cmg.data.columns import ColumnsWriter, Rows, open_columns, read_lines
from cmg.data.manifest import (
    BLOCKS,
    COLUMNS,
    INDEX,
    LINES,
    MANIFEST,
    SHARDS,
    ClipRow,
    Manifest,
    Shard,
    read_manifest,
)
from cmg.data.mapped import EDITED, refused
from cmg.data.shards import map_shard
from cmg.data.writer import check_label
from cmg.errors import DataError
from cmg.files import DIGESTED, StrPath, file_digests, file_sha256


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
    found: ColumnsWriter | None = None
    blocks: Mapping[str, bytes] = {}
    problems: list[str] = []
    try:
        blocks = _blocks(folder, manifest)
    except DataError as error:
        problems.append(str(error))
    try:
        found, more = _rows(folder, manifest, blocks)
        problems += more
    except DataError as error:
        problems.append(str(error))
    for shard in manifest.shards:
        problems += _shard_problems(folder, manifest, shard, blocks.get(shard.file), found)
    listed = {shard.file for shard in manifest.shards}
    for file in sorted((folder / SHARDS).glob("*")):
        if f"{SHARDS}/{file.name}" not in listed:
            problems.append(f"{file} is not in {MANIFEST}; remove it")
    return problems


def _blocks(folder: Path, manifest: Manifest) -> Mapping[str, bytes]:
    """The checksums per block, where the version has them."""
    if manifest.version == 1:
        return {}
    found = read_blocks(folder, manifest)
    if file_sha256(folder / BLOCKS) != manifest.blocks_sha256:
        raise refused(folder / BLOCKS, EDITED)
    return found


def _rows(
    folder: Path, manifest: Manifest, blocks: Mapping[str, bytes]
) -> tuple[ColumnsWriter, list[str]]:
    """What the rows say, gathered anew, and what is wrong with them."""
    problems: list[str] = []
    if manifest.version == 1:
        file, wanted = folder / LINES, manifest.clips_sha256
        _refuse_changed(file, wanted, None)
        if manifest.index_sha256 is not None:
            _refuse_changed(folder / INDEX, manifest.index_sha256, None)
        rows = read_lines(file)
    else:
        file, wanted = folder / COLUMNS, str(manifest.columns_sha256)
        _refuse_changed(file, wanted, blocks.get(COLUMNS))
        rows = iter(Rows(open_columns(folder, manifest)))
    where, ids = folder / MANIFEST, []
    found = ColumnsWriter(manifest.modalities, manifest.labels, hashed=manifest.version > 1)
    for row in rows:
        try:
            found.add(row)
        except OverflowError as error:
            raise DataError(f"{file}: clip {row.id!r} has a number beyond all measure") from error
        ids.append(row.id)
        problems += _problems_of(where, manifest, row)
    if found.splits != manifest.splits:
        problems.append(f"{where}: splits {manifest.splits}, but the rows have {found.splits}")
    problems += [
        f"{where}: clip id {name!r} occurs {count} times"
        for name, count in Counter(ids).items()
        if count > 1
    ]
    if manifest.version > 1:
        problems += _column_problems(folder, manifest, found)
    return found, problems


def _column_problems(folder: Path, manifest: Manifest, found: ColumnsWriter) -> list[str]:
    """Columns that say the same twice, in two ways, and the checksum of the rows."""
    stored, again = open_columns(folder, manifest), found.arrays()
    different = [n for n, x in stored.arrays.items() if not np.array_equal(x, again.get(n, x[:0]))]
    if stored.absent != found.absent:
        different.append("absent")
    if different:
        return [f"{folder / COLUMNS}: {different[0]} is not what the rows say; restore it"]
    if found.clips_sha256 != manifest.clips_sha256:
        return [f"{folder / COLUMNS}: the rows are not those of {MANIFEST} (checksum differs)"]
    return []


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


def check_size(path: Path, shard: Shard) -> None:
    """Refuse a shard's file that is not there, or of another size.

    Raises:
        DataError: says which.
    """
    if not path.is_file():
        raise refused(f"shard {path}", "is missing")
    size = path.stat().st_size
    if size != shard.bytes:
        told = f"is truncated or foreign: {size} bytes, the manifest says {shard.bytes}"
        raise refused(f"shard {path}", told)


def _refuse_changed(path: Path, sha256: str, blocks: bytes | None) -> None:
    """Refuse a file with another checksum; where blocks are known, it is said which differ."""
    try:
        digest, found = file_digests(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; restore or rewrite it") from error
    if digest == sha256 and blocks in (None, found):
        return
    size = len(found) // 32
    wrong = [i for i in range(size) if blocks and found[32 * i :][:32] != blocks[32 * i :][:32]]
    first = f", first in the {DIGESTED >> 20} MiB from byte {wrong[0] * DIGESTED}" if wrong else ""
    raise refused(path, f"{EDITED}{first}")


def _shard_problems(
    folder: Path,
    manifest: Manifest,
    shard: Shard,
    blocks: bytes | None,
    rows: ColumnsWriter | None,
) -> list[str]:
    path = folder / shard.file
    try:
        check_size(path, shard)
        _refuse_changed(path, shard.sha256, blocks)
        if rows is None or shard.clips[1] > len(rows):
            return []  # which is a problem of its own
        ends = rows.steps(shard.modality)
        steps = int(ends[shard.clips[1]] - ends[shard.clips[0]])
        return map_shard(path, manifest.modalities[shard.modality], steps).problems()
    except DataError as error:
        return [str(error)]
