"""The hidden folder beside a store that is being written in chunks.

::

    .STORE.partial-import/
      lock              held by the process that writes, or shared by the ranks that do
      world, lock-0     of ranks: how many there are, and one held by each
      joining           held by the rank that joins the chunks
      journal.json      what is copied and how; another copy is refused here
      chunks/00012/     a finished chunk, and chunks/00012.json, its record
      store.partial-0/  the store, while the chunks are joined

What a killed process left is either a finished chunk, which is kept, or is removed.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from cmg.copying.chunks import ChunkRecord, record_path
from cmg.data.blocks import read_blocks
from cmg.data.columns import ColumnsWriter, Rows, open_columns
from cmg.data.manifest import COLUMNS, MANIFEST, SHARDS, Manifest, Shard
from cmg.data.writer import finish_store
from cmg.errors import DataError
from cmg.files import (
    read_json,
    replace_file,
    sync_folder,
    write_synced,
    writing,
)
from cmg.staging import Staging
from cmg.writers import beside

JOURNAL = "journal.json"
LOCK = "lock"
CHUNKS = "chunks"
WORLD = "world"
JOINING = "joining"
PATIENCE = 5.0
"""Seconds that a rank waits for another one to say how many there are."""


class ResumableStaging(Staging):
    """A temporary sibling folder that outlives its process; see :class:`cmg.staging.Staging`.

    Raises:
        DataError: `target` exists and may not be replaced, or its parent cannot be written.
    """

    def _made(self) -> Path:
        self.home = self.target.parent / f".{self.target.name}.partial-import"
        with writing(self.target):
            self.home.mkdir(parents=True, exist_ok=True)
        return self.home / "store.partial-0"

    @contextmanager
    def locked(self, told: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for one process and one purpose.

        Args:
            told: What is written and how; plain JSON.

        Raises:
            DataError: another process holds it, or it was begun for another purpose.
        """
        with (self.home / LOCK).open("wb") as stream:
            if not _locked(stream, fcntl.LOCK_EX):
                raise DataError(f"another process is writing {self.target}; wait for it, or end it")
            self._same_purpose(dict(told))
            yield

    @contextmanager
    def shared(self, told: Mapping[str, Any], rank: int, world: int) -> Iterator[None]:
        """Hold the folder as one of several processes that write for one purpose.

        Args:
            told: What is written and how; plain JSON.
            rank: Of this process, from 0.
            world: Number of processes.

        Raises:
            DataError: a process that is alone holds it, another one has this rank, the others
                are of another number, or it was begun for another purpose.
        """
        with (self.home / LOCK).open("wb") as all_, (self.home / f"lock-{rank}").open("wb") as own:
            if not _locked(own, fcntl.LOCK_EX):
                raise DataError(
                    f"another process is rank {rank} of {self.target}; wait for it, or end it"
                )
            self._join_world(all_, world)
            self._same_purpose(dict(told))
            yield

    def _join_world(self, lock: BinaryIO, world: int) -> None:
        """Share the lock with ranks of the same number; the first one says what that is."""
        path = self.home / WORLD
        give_up = time.monotonic() + PATIENCE
        while True:
            if _locked(lock, fcntl.LOCK_EX):
                replace_file(path, str(world).encode())
                fcntl.flock(lock, fcntl.LOCK_SH)
                return
            if _locked(lock, fcntl.LOCK_SH):
                break
            if time.monotonic() > give_up:
                raise DataError(f"another process is writing {self.target}; wait for it, or end it")
            time.sleep(0.05)
        said = path.read_text(encoding="utf-8")
        if said != str(world):
            raise DataError(
                f"{said} processes are writing {self.target}, and this is one of {world}; wait for "
                "them, or end them"
            )

    @contextmanager
    def joining(self) -> Iterator[bool]:
        """Be the only rank that may join the chunks; False if another one has done it."""
        try:
            stream = (self.home / JOINING).open("wb")
        except FileNotFoundError:
            yield False
            return
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield self.home.exists()

    def _same_purpose(self, told: dict[str, Any]) -> None:
        path = self.home / JOURNAL
        try:
            before = read_json(path)
        except FileNotFoundError:
            replace_file(path, (json.dumps(told, indent=1) + "\n").encode())
            return
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} is damaged ({error}); remove {self.home} to start over"
            ) from error
        changed = [key for key in {**before, **told} if before.get(key) != told.get(key)]
        if changed:
            raise DataError(
                f"{self.home} holds an unfinished import to {self.target} with another "
                f"{' and '.join(changed)}; import as then to go on with it, or remove that folder "
                "to start over"
            )

    def publish(self) -> None:
        """Put the finished folder in the place of `target`, and remove what is left of the work.

        Raises:
            DataError: another process has filled `target` meanwhile, or the rename failed.
        """
        begun, self.folder = self.folder, beside(self.target)
        with writing(self.target):  # what it is exchanged for is never taken for part of the work
            begun.rename(self.folder)
        try:
            super().publish()
        except BaseException:
            if self.folder.exists() and self.home.exists():
                self.folder.rename(begun)
            self.folder = begun
            raise

    def discard(self) -> None:
        """Remove everything written so far."""
        super().discard()
        shutil.rmtree(self.home, ignore_errors=True)


class Workspace(ResumableStaging):
    """Where the chunks of one store are collected.

    Args:
        target: The store to be.
        overwrite: Whether a store at `target` may be replaced.
    """

    def __init__(self, target: Path, overwrite: bool) -> None:
        super().__init__(target, overwrite, MANIFEST)
        self.chunks = self.home / CHUNKS

    def finished(self, indices: Sequence[int]) -> dict[int, ChunkRecord]:
        """Records of those of some chunks that are whole; what else is of these is removed."""
        with writing(self.target):
            self.chunks.mkdir(exist_ok=True)
        records = self.records(indices)
        whole = {record_path(self.chunks, i).name for i in records}
        whole |= {f"{i:05d}" for i in records}
        own = set(indices)
        for path in list(self.chunks.iterdir()):
            index = re.match(r"\.?(\d{5,})", path.name)
            if path.name not in whole and index is not None and int(index[1]) in own:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return records

    def records(self, indices: Sequence[int]) -> dict[int, ChunkRecord]:
        """Records of those of some chunks that are whole."""
        found = {index: self._record(index) for index in indices}
        return {i: record for i, record in found.items() if record and self._whole(record)}

    def _record(self, index: int) -> ChunkRecord | None:
        try:
            data = record_path(self.chunks, index).read_bytes()
            return ChunkRecord.model_validate_json(data)
        except (OSError, ValidationError):
            return None

    def _whole(self, record: ChunkRecord) -> bool:
        """Whether all files of a chunk are there, where it was written or already joined."""
        if record.manifest is None:
            return True
        if not (self.chunks / f"{record.index:05d}" / COLUMNS).is_file():
            return False
        for shard in record.manifest.shards:
            places = (self._shard(record, shard), self.folder / joined(record, shard))
            if not any(p.is_file() and p.stat().st_size == shard.bytes for p in places):
                return False
        return True

    def _shard(self, record: ChunkRecord, shard: Shard) -> Path:
        return self.chunks / f"{record.index:05d}" / shard.file

    def join(
        self, records: Sequence[ChunkRecord], notes: str, beside: Mapping[str, bytes] | None = None
    ) -> Manifest:
        """Make one store of all chunks, and put it in its place.

        Shards are renamed, one by one: if this ends half-way it can be done again.

        Args:
            records: Of all chunks, in order; at least one has a clip.
            notes: Where the data are from.
            beside: Further files of the store, by name.

        Raises:
            DataError: the disk is full, or the target was occupied meanwhile.
        """
        whole = [record for record in records if record.manifest is not None]
        with writing(self.target):
            (self.folder / SHARDS).mkdir(parents=True, exist_ok=True)
            columns, blocks = self._join_columns(whole)
            shards = self._join_shards(whole)
            sync_folder(self.folder / SHARDS)
            for name, data in (beside or {}).items():
                write_synced(self.folder / name, data)
            manifest = _joined_manifest(whole, shards, notes, columns)
            columns.write(self.folder)
            manifest = finish_store(self.folder, manifest, blocks)
        self.publish()
        return manifest

    def _join_columns(
        self, records: Sequence[ChunkRecord]
    ) -> tuple[ColumnsWriter, dict[str, bytes]]:
        """Columns of all clips, and checksums of all shards."""
        blocks: dict[str, bytes] = {}
        columns: ColumnsWriter | None = None
        for record in records:
            folder, manifest = self.chunks / f"{record.index:05d}", record.manifest
            assert manifest is not None
            if columns is None:
                columns = ColumnsWriter(manifest.modalities, manifest.labels)
            for row in Rows(open_columns(folder, manifest)):
                columns.add(row)
            own = read_blocks(folder, manifest)
            blocks |= {joined(record, shard): own[shard.file] for shard in manifest.shards}
        assert columns is not None
        return columns, blocks

    def _join_shards(self, records: Sequence[ChunkRecord]) -> list[Shard]:
        shards, first = [], 0
        for record in records:
            assert record.manifest is not None
            last = first + record.manifest.clips
            for shard in record.manifest.shards:
                file, place = joined(record, shard), self._shard(record, shard)
                if place.is_file():
                    place.rename(self.folder / file)
                shards.append(shard.model_copy(update={"file": file, "clips": (first, last)}))
            first = last
        return sorted(shards, key=lambda shard: shard.file)


def _joined_manifest(
    records: Sequence[ChunkRecord], shards: Sequence[Shard], notes: str, columns: ColumnsWriter
) -> Manifest:
    first = records[0].manifest
    assert first is not None
    return Manifest(
        modalities=first.modalities,
        labels=first.labels,
        splits=columns.splits,
        shards=tuple(shards),
        media=first.media,
        notes=notes,
        clips_sha256=columns.clips_sha256,
    )


def _locked(stream: BinaryIO, kind: int) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def joined(record: ChunkRecord, shard: Shard) -> str:
    """File of a chunk's shard in the whole store."""
    return f"{SHARDS}/{record.index:05d}.{shard.modality}.safetensors"
