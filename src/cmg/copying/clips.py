"""A feature store of any source of clips: in chunks, by several processes, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.copying.chunks import (
    CHUNK,
    CannotWriteError,
    ChunkRecord,
    CopyPlan,
    OnError,
    Skipped,
    Source,
    counted_chunk,
    stored_specs,
    write_chunk,
)
from cmg.copying.workspace import Workspace
from cmg.data.manifest import Manifest
from cmg.errors import DataError
from cmg.files import StrPath
from cmg.workers import SPAWN, usable_cores, worker_processes

Told = Callable[[int, int], None]
"""Told (clips done, of these taken over from an interrupted copy), often."""
Beside = Callable[[Sequence[Skipped]], Mapping[str, bytes]]
"""From the clips that were left out to further files of the store, by name."""
ChunkWriter = Callable[
    [Source, CopyPlan, Path, Sequence[int], int | None, Callable[[int], None]],
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
        resumed: Source taken over from an interrupted run.
        dense_bytes: What the same numbers take in float32, all of them written out.
    """

    manifest: Manifest
    clips: int
    skipped: tuple[Skipped, ...]
    rounding: dict[str, float]
    seconds: float
    resumed: int
    dense_bytes: int


def copy_clips(
    source: Source,
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
) -> Copied:
    """Write a store with all clips of a source.

    The store appears when it is whole. What was done until an interruption is kept in a hidden
    folder beside it, and the same call goes on from there; the bytes do not depend on interruptions
    nor on the number of workers.

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
        chunk: Source per chunk; also the size of the shards.
        beside: Further files of the store.
        write: What writes the chunks; None is :func:`write_chunks`.

    Raises:
        DataError: a clip cannot be read, `out` is occupied, the disk is full, an unfinished copy
            of something else is in the way, ...
        ModalityError: an unknown dtype or encoding.
        WorkerError: a worker was killed from outside.
    """
    start = time.perf_counter()
    plan = planned(source, dtype, encoding, on_error, chunk)
    workspace = Workspace(Path(out), overwrite)
    every = range(plan.chunks)
    with workspace.locked(purpose(source, plan, state)):
        records = workspace.finished(every)
        resumed = clips_of(records.values(), plan)
        try:
            write_missing(source, plan, workspace, every, records, workers, told, write)
        finally:
            if not records:  # nothing worth keeping
                workspace.discard()
        return join_chunks(source, plan, workspace, records, beside, resumed, start)


def planned(
    source: Source, dtype: str | None, encoding: str | None, on_error: OnError, chunk: int
) -> CopyPlan:
    """What all chunks have in common; see :func:`copy_clips`.

    Raises:
        DataError: two clips have one id.
        ModalityError: an unknown dtype or encoding.
    """
    _refuse_equal_ids(source)
    return CopyPlan(
        clips=len(source),
        specs=stored_specs(source, dtype, encoding),
        labels=source.about.labels,
        on_error=on_error,
        media=source.about.media,
        chunk=chunk,
    )


def write_missing(
    source: Source,
    plan: CopyPlan,
    workspace: Workspace,
    indices: Sequence[int],
    records: dict[int, ChunkRecord],
    workers: int | None,
    told: Told | None,
    write: ChunkWriter | None = None,
) -> None:
    """Write those of some chunks that have no record yet, and add their records.

    Raises:
        CmgError: see :func:`copy_clips`.
    """
    _refuse_skipped(records, plan.on_error)
    resumed = clips_of(records.values(), plan)
    report = told or (lambda clips, resumed: None)
    report(resumed, resumed)
    todo = [index for index in indices if index not in records]
    writer = write or write_chunks

    def tick(clips: int) -> None:
        if (resumed + clips) % plan.chunk:  # the end of a chunk is told when it is kept
            report(max(clips_of(records.values(), plan), resumed + clips), resumed)

    try:
        for record in writer(source, plan, workspace.chunks, todo, workers, tick):
            records[record.index] = record
            report(clips_of(records.values(), plan), resumed)
    except CannotWriteError as error:
        raise DataError(
            f"cannot write {workspace.target}: {error}; free space and run this again: "
            f"{clips_of(records.values(), plan)} of {plan.clips} clips are kept in {workspace.home}"
        ) from error


def join_chunks(
    source: Source,
    plan: CopyPlan,
    workspace: Workspace,
    records: Mapping[int, ChunkRecord],
    beside: Beside | None,
    resumed: int,
    start: float,
) -> Copied:
    """Make a store of all chunks.

    Args:
        source: Of the clips.
        plan: Of the chunks.
        workspace: Where they are.
        records: Of all of them.
        beside: Further files of the store.
        resumed: Source taken over from an interrupted run.
        start: Time of :func:`time.perf_counter` when this one began.

    Raises:
        DataError: there is no clip in them, or the disk is full.
    """
    found = [records[index] for index in range(plan.chunks)]
    skipped = tuple(clip for record in found for clip in record.skipped)
    if len(skipped) == plan.clips:
        workspace.discard()
        first = f": {skipped[0].reason}" if skipped else ""
        raise DataError(f"no clip of {source.about.path} can be read{first}")
    files = {} if beside is None else beside(skipped)
    manifest = workspace.join(found, source.about.notes, files)
    return Copied(
        manifest=manifest,
        clips=manifest.clips,
        skipped=skipped,
        rounding=_largest(found),
        seconds=time.perf_counter() - start,
        resumed=resumed,
        dense_bytes=4 * sum(record.numbers for record in found),
    )


def purpose(source: Source, plan: CopyPlan, state: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the journal of a copy says of it."""
    return {
        "source": str(source.about.path),
        "content": source.content_hash,
        "modalities": {m: spec.model_dump(mode="json") for m, spec in plan.specs.items()},
        "chunk": plan.chunk,
        **(state or {}),
    }


def _refuse_equal_ids(source: Source) -> None:
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
    source: Source,
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
        workers: Processes, see :func:`copy_clips`.
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
