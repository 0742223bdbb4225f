"""A feature store of any source of clips: in chunks, by several processes, resumable."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.data.chunks import (
    CHUNK,
    CannotWriteError,
    ChunkRecord,
    OnError,
    Plan,
    Skipped,
    start_worker,
    stored_specs,
    work,
    write_chunk,
)
from cmg.data.manifest import Manifest
from cmg.data.source import ClipSource
from cmg.data.workspace import Workspace
from cmg.errors import DataError, WorkerError
from cmg.recipes.jobs import stop, usable_cores

Told = Callable[[int, int], None]
"""Told (clips done, of these taken over from an interrupted copy) after every chunk."""


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


def copy_clips(
    source: ClipSource,
    out: str | Path,
    *,
    dtype: str | None = None,
    encoding: str | None = None,
    on_error: OnError = "fail",
    workers: int | None = None,
    overwrite: bool = False,
    state: Mapping[str, Any] | None = None,
    told: Told | None = None,
    chunk: int = CHUNK,
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
        told: Told of every chunk, in this process.
        chunk: Clips per chunk; also the size of the shards.

    Raises:
        DataError: a clip cannot be read, `out` is occupied, the disk is full, an unfinished copy
            of something else is in the way, ...
        ModalityError: an unknown dtype or encoding.
        WorkerError: a worker was killed from outside.
    """
    start = time.perf_counter()
    plan = Plan(
        clips=len(source.rows),
        specs=stored_specs(source, dtype, encoding),
        labels=source.labels,
        on_error=on_error,
        media=source.media,
        chunk=chunk,
    )
    _refuse_equal_ids(source)
    workspace = Workspace(Path(out), overwrite)
    with workspace.locked(_purpose(source, plan, state)):
        records = workspace.finished(plan)
        _refuse_skipped(records, on_error)
        resumed = _clips(records.values(), plan)
        report = told or (lambda clips, resumed: None)
        report(resumed, resumed)
        todo = [index for index in range(plan.chunks) if index not in records]
        try:
            for record in _written(source, plan, workspace.chunks, todo, workers):
                records[record.index] = record
                report(_clips(records.values(), plan), resumed)
        except CannotWriteError as error:
            raise DataError(
                f"cannot write {out}: {error}; free space and run this again: "
                f"{_clips(records.values(), plan)} of {plan.clips} clips are kept in "
                f"{workspace.home}"
            ) from error
        finally:
            if not records:  # nothing worth keeping
                workspace.discard()
        found = [records[index] for index in range(plan.chunks)]
        skipped = tuple(clip for record in found for clip in record.skipped)
        if len(skipped) == plan.clips:
            workspace.discard()
            first = f": {skipped[0].reason}" if skipped else ""
            raise DataError(f"no clip of {source.path} can be read{first}")
        manifest = workspace.join(found, source.notes)
    return Copied(
        manifest=manifest,
        clips=manifest.clips,
        skipped=skipped,
        rounding=_largest(found),
        seconds=time.perf_counter() - start,
        resumed=resumed,
        dense_bytes=4 * sum(record.numbers for record in found),
    )


def _purpose(source: ClipSource, plan: Plan, state: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the journal of a copy says of it."""
    return {
        "source": str(source.path),
        "content": source.content_hash,
        "modalities": {m: spec.model_dump(mode="json") for m, spec in plan.specs.items()},
        "chunk": plan.chunk,
        **(state or {}),
    }


def _refuse_equal_ids(source: ClipSource) -> None:
    seen: set[str] = set()
    for row in source.rows:
        if row.id in seen:
            raise DataError(f"{source.path}: clip id {row.id!r} occurs twice; ids must be unique")
        seen.add(row.id)


def _refuse_skipped(records: Mapping[int, ChunkRecord], on_error: OnError) -> None:
    skipped = [clip for record in records.values() for clip in record.skipped]
    if skipped and on_error == "fail":
        raise DataError(skipped[0].reason)


def _clips(records: Any, plan: Plan) -> int:
    return sum(len(plan.positions(record.index)) for record in records)


def _largest(records: Sequence[ChunkRecord]) -> dict[str, float]:
    changes: dict[str, float] = {}
    for record in records:
        for name, change in record.rounding.items():
            changes[name] = max(change, changes.get(name, 0.0))
    return changes


def _written(
    source: ClipSource, plan: Plan, folder: Path, todo: Sequence[int], workers: int | None
) -> Iterator[ChunkRecord]:
    """Write chunks; their records come as they are finished."""
    # A worker takes seconds to start: unless it is asked for, there is none for a single chunk.
    workers = min(usable_cores(), len(todo) // 2) if workers is None else min(workers, len(todo))
    if workers <= 1:
        for index in todo:
            yield write_chunk(source, plan, folder, index)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, start_worker, (source, plan, folder))
    processes = []
    try:
        futures = [pool.submit(work, index) for index in todo]
        processes = list((pool._processes or {}).values())
        for done in as_completed(futures):
            yield done.result()
    except BrokenProcessPool as error:
        raise WorkerError(
            f"a worker process was killed from outside, most likely for want of memory; run this "
            f"again with fewer than {workers} workers: what was finished is kept"
        ) from error
    finally:
        stop(pool)
        for process in processes:
            process.join()  # so that nothing is written any more
