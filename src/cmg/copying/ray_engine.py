"""Chunks of a store written by Ray Data, on one machine or a cluster with a common file system."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cmg.copying.chunks import CannotWriteError, ChunkRecord, Copyable, CopyPlan, write_chunk
from cmg.errors import CmgError, DataError
from cmg.optional import optional
from cmg.workers import usable_cores


class RayChunks:
    """An actor of Ray: keeps its networks loaded from one chunk to the next."""

    def __init__(self, source: Copyable, plan: CopyPlan, folder: str) -> None:
        import torch

        torch.set_num_threads(1)
        self.source, self.plan, self.folder = source, plan, Path(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The record of a written chunk as JSON, or why it was not written."""
        told = {"record": "", "full": "", "refused": ""}
        try:
            record = write_chunk(self.source, self.plan, self.folder, int(row["index"]))
        except CannotWriteError as error:
            return told | {"full": str(error)}
        except CmgError as error:
            return told | {"refused": str(error)}
        return told | {"record": record.model_dump_json()}


def ray_chunks(
    source: Copyable,
    plan: CopyPlan,
    folder: Path,
    todo: Sequence[int],
    workers: int | None,
    tick: Callable[[int], None],
) -> Iterator[ChunkRecord]:
    """Like :func:`~cmg.copying.clips.write_chunks`, by actors of Ray.

    A cluster that ``RAY_ADDRESS`` names is used, otherwise Ray is started here.

    Raises:
        ConfigError: Ray is not installed.
        CannotWriteError: the disk is full.
        DataError: a clip cannot be read.
    """
    needed = "--engine ray needs Ray: pip install 'cmg-torch[ray]'; or leave the engine out"
    ray, data = optional("ray", needed), optional("ray.data", needed)
    if not todo:
        return
    own = not ray.is_initialized()
    if own:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        size = min(workers or usable_cores(), len(todo))
        rows = data.from_items([{"index": i} for i in todo], override_num_blocks=len(todo))
        done = rows.map(
            RayChunks,
            fn_constructor_args=(source, plan, str(folder.resolve())),
            concurrency=size,
            num_cpus=1,
        )
        for row in done.iter_rows():
            if row["full"]:
                raise CannotWriteError(row["full"])
            if row["refused"]:
                raise DataError(row["refused"])
            yield ChunkRecord.model_validate_json(row["record"])
    finally:
        if own:  # a cluster of our own must not outlive the work in a process of somebody else
            ray.shutdown()
