"""A feature store of any source of clips: in chunks, by several processes, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from cmg.copying.chunks import (
    CHUNK,
    CannotWriteError,
    ChunkRecord,
    Copyable,
    CopyPlan,
    OnError,
    Skipped,
    counted_chunk,
    stored_specs,
    write_chunk,
)
from cmg.copying.workspace import Workspace
from cmg.data.clips import Clips
from cmg.data.manifest import Manifest
from cmg.data.shards import least_bytes
from cmg.errors import DataError
from cmg.files import StrPath, need_space
from cmg.workers import SPAWN, usable_cores, worker_processes

Told = Callable[[int, int], None]
"""Told (clips done, of these taken over from an interrupted copy), often."""
Beside = Callable[[Sequence[Skipped]], Mapping[str, bytes]]
"""From the clips that were left out to further files of the store, by name."""
ChunkWriter = Callable[
    [Copyable, CopyPlan, Path, Sequence[int], int | None, Callable[[int], None]],
    Iterator[ChunkRecord],
]
"""Writes chunks into a folder, like :func:`write_chunks`."""
POLL = 0.5
"""Seconds between looks at what the workers have done."""


@dataclass(frozen=True)
class Copied:
    """What became of a source.

    Attributes:
        manifest: Of the store.
        clips: Written.
        skipped: Left out, and why.
        rounding: Largest absolute change of a number by its conversion, per modality.
        seconds: It took, from the first chunk to the store in its place; of this run.
        resumed: Clips taken over from an interrupted run.
        dense_bytes: What the same numbers take in float32, all of them written out.
    """

    manifest: Manifest
    clips: int
    skipped: tuple[Skipped, ...]
    rounding: dict[str, float]
    seconds: float
    resumed: int
    dense_bytes: int


class CopyOptions(TypedDict, total=False):
    """How a source is copied; see :class:`Copying`."""

    dtype: str | None
    encoding: str | None
    on_error: OnError
    workers: int | None
    overwrite: bool
    state: Mapping[str, Any] | None
    told: Told | None
    chunk: int
    beside: Beside | None
    write: ChunkWriter | None


def copy_clips(source: Copyable, out: StrPath, **how: Unpack[CopyOptions]) -> Copied:
    """Write a store with all clips of a source.

    The store appears when it is whole. What was done until an interruption is kept in a hidden
    folder beside it, and the same call goes on from there; the bytes do not depend on interruptions
    nor on the number of workers.

    Args:
        source: The clips; picklable if several processes read them.
        out: Folder of the store to be.
        how: See :class:`Copying`.

    Raises:
        DataError: a clip cannot be read, `out` is occupied, the disk is full, an unfinished copy
            of something else is in the way, ...
        ModalityError: an unknown dtype or encoding.
        WorkerError: a worker was killed from outside.
    """
    copying = Copying(source, out, **how)
    with copying.workspace.locked(copying.purpose):
        every = range(copying.plan.chunks)
        records = copying.workspace.finished(every)
        try:
            copying.write(every, records)
        finally:
            if not records:  # nothing worth keeping
                copying.workspace.discard()
        return copying.join(records)


class Copying:
    """A source on its way into a store.

    Args:
        source: The clips; picklable if several processes read them.
        out: Folder of the store to be.
        dtype: float16, float32 or float64, of all modalities; None keeps a store's and is float32
            for anything else.
        encoding: ``dense`` or ``compact``; None keeps a store's and is dense for anything else.
        on_error: ``skip`` leaves a clip out that cannot be read, and says so.
        workers: Processes; None is one per core, fewer for few clips; 1 works in this process.
        overwrite: Whether a store at `out` may be replaced.
        state: What else tells this copy from another with the same rows; plain JSON.
        told: Told how many clips are done, in this process.
        chunk: Clips per chunk; also the size of the shards.
        beside: Further files of the store.
        write: What writes the chunks; None is :func:`write_chunks`.

    Raises:
        DataError: two clips have one id, or `out` is occupied.
        ModalityError: an unknown dtype or encoding.
    """

    def __init__(
        self,
        source: Copyable,
        out: StrPath,
        *,
        dtype: str | None = None,
        encoding: str | None = None,
        on_error: OnError = "fail",
        workers: int | None = None,
        overwrite: bool = False,
        state: Mapping[str, Any] | None = None,
        told: Told | None = None,
        chunk: int = CHUNK,
        beside: Beside | None = None,
        write: ChunkWriter | None = None,
    ) -> None:
        self.start = time.perf_counter()
        self.source, self.workers = source, workers
        self.told: Told = told or (lambda clips, resumed: None)
        self.beside: Beside = beside or (lambda skipped: {})
        self.writer = write or write_chunks
        _refuse_equal_ids(source)
        self.plan = CopyPlan(
            clips=len(source),
            specs=stored_specs(source, dtype, encoding),
            labels=source.about.labels,
            on_error=on_error,
            media=source.about.media,
            chunk=chunk,
        )
        self.workspace = Workspace(Path(out), overwrite)
        self.resumed = 0
        self.purpose = {
            "source": str(source.about.path),
            "content": source.content_hash,
            "modalities": {m: s.model_dump(mode="json") for m, s in self.plan.specs.items()},
            "chunk": chunk,
            **(state or {}),
        }
        """What the journal of the copy says of it."""

    def write(self, indices: Sequence[int], records: dict[int, ChunkRecord]) -> None:
        """Write those of some chunks that have no record yet, and add their records.

        Raises:
            CmgError: see :func:`copy_clips`.
        """
        plan, workspace = self.plan, self.workspace
        _refuse_skipped(records, plan.on_error)
        self.resumed = resumed = clips_of(records.values(), plan)
        self.told(resumed, resumed)
        todo = [index for index in indices if index not in records]
        self.need_space(todo, records)

        def tick(clips: int) -> None:
            if (resumed + clips) % plan.chunk:  # the end of a chunk is told when it is kept
                self.told(max(clips_of(records.values(), plan), resumed + clips), resumed)

        try:
            for record in self.writer(
                self.source, plan, workspace.chunks, todo, self.workers, tick
            ):
                records[record.index] = record
                if len(records) == 1:
                    self.need_space(todo, records)
                self.told(clips_of(records.values(), plan), resumed)
        except CannotWriteError as error:
            kept = clips_of(records.values(), plan)
            raise DataError(
                f"cannot write {workspace.target}: {error}; free space and run this again: "
                f"{kept} of {plan.clips} clips are kept in {workspace.home}"
            ) from error

    def need_space(self, indices: Sequence[int], records: Mapping[int, ChunkRecord]) -> None:
        """Ask for the space of the chunks of `indices` that have no record yet.

        It goes by the chunks that are finished, else by the lengths of the clips. Media have none
        before their first chunk.

        Raises:
            DataError: the disk has less.
        """
        left = sum(len(self.plan.positions(index)) for index in indices if index not in records)
        kept, remedy = clips_of(records.values(), self.plan), ""
        if not left:
            return
        if kept:
            manifests = [record.manifest for record in records.values() if record.manifest]
            size = sum(shard.bytes for one in manifests for shard in one.shards) / kept * left
            remedy = (
                f"free space and run this again: {kept} of {self.plan.clips} clips are kept in "
                f"{self.workspace.home}"
            )
        elif isinstance(self.source, Clips):
            specs = self.plan.specs.items()
            size = sum(least_bytes(spec, self.source.total_steps(m)) for m, spec in specs)
            size *= left / self.plan.clips
        else:
            return
        need_space(self.workspace.target, size, remedy)

    def join(self, records: Mapping[int, ChunkRecord]) -> Copied:
        """Make a store of all chunks.

        Raises:
            DataError: there is no clip in them, or the disk is full.
        """
        found = [records[index] for index in range(self.plan.chunks)]
        skipped = tuple(clip for record in found for clip in record.skipped)
        if len(skipped) == self.plan.clips:
            self.workspace.discard()
            first = f": {skipped[0].reason}" if skipped else ""
            raise DataError(f"no clip of {self.source.about.path} can be read{first}")
        manifest = self.workspace.join(found, self.source.about.notes, self.beside(skipped))
        return Copied(
            manifest=manifest,
            clips=manifest.clips,
            skipped=skipped,
            rounding=_largest(found),
            seconds=time.perf_counter() - self.start,
            resumed=self.resumed,
            dense_bytes=4 * sum(record.numbers for record in found),
        )


def _refuse_equal_ids(source: Copyable) -> None:
    seen: set[str] = set()
    for clip in source.ids:
        if clip in seen:
            raise DataError(
                f"{source.about.path}: clip id {clip!r} occurs twice; ids must be unique"
            )
        seen.add(clip)


def _refuse_skipped(records: Mapping[int, ChunkRecord], on_error: OnError) -> None:
    skipped = [clip for record in records.values() for clip in record.skipped]
    if skipped and on_error == "fail":
        raise DataError(skipped[0].reason)


def clips_of(records: Iterable[ChunkRecord], plan: CopyPlan) -> int:
    """How many clips of the source some chunks stand for, those left out included."""
    return sum(len(plan.positions(record.index)) for record in records)


def _largest(records: Sequence[ChunkRecord]) -> dict[str, float]:
    changes: dict[str, float] = {}
    for record in records:
        for name, change in record.rounding.items():
            changes[name] = max(change, changes.get(name, 0.0))
    return changes


def write_chunks(
    source: Copyable,
    plan: CopyPlan,
    folder: Path,
    todo: Sequence[int],
    workers: int | None,
    tick: Callable[[int], None],
) -> Iterator[ChunkRecord]:
    """Write chunks on this machine; their records come as they are finished.

    Args:
        source: The clips.
        plan: Of the chunks.
        folder: Where they go.
        todo: Which.
        workers: Processes, see :class:`Copying`.
        tick: Told the number of clips done so far, now and then.

    Raises:
        CannotWriteError: the disk is full.
        CmgError: a clip cannot be read, or a worker was killed.
    """
    # A worker takes seconds to start: unless it is asked for, there is none for a single chunk.
    workers = min(usable_cores(), len(todo) // 2) if workers is None else min(workers, len(todo))
    if workers <= 1:
        count = iter(range(1, plan.clips + 1))
        for index in todo:
            yield write_chunk(source, plan, folder, index, lambda: tick(next(count)))
        return
    done = SPAWN.Value("q", 0)
    remedy = f"run this again with fewer than {workers} workers: what was finished is kept"
    with worker_processes(workers, (source, plan, folder, done), remedy) as submit:
        pending = {submit(counted_chunk, index) for index in todo}
        while pending:
            finished, pending = wait(pending, POLL, FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            tick(done.value)
