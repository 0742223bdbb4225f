"""Chunks: a few hundred clips of a source at a time on their way into a store.

A chunk is a small store of its own, written whole or not at all, so that it does not matter which
process writes it, when, and what was interrupted before; :mod:`cmg.copying.workspace` joins them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from numpy.typing import NDArray

from cmg.allocation import kept_memory
from cmg.data.about import About
from cmg.data.features import as_block, converted
from cmg.data.manifest import (
    DTYPES,
    ENCODINGS,
    FeatureSpec,
    LabelSpec,
    Manifest,
    MediaName,
    Record,
    read_manifest,
)
from cmg.data.writer import Clip, StoreWriter
from cmg.errors import CmgError, DataError, ModalityError, did_you_mean
from cmg.files import replace_file
from cmg.workers import OWN_PROCESS

CHUNK = 256
"""Clips per chunk, and so per shard."""

OnError = Literal["skip", "fail"]
Tick = Callable[[], None]


class Copyable(Protocol):
    """Clips on their way into a store: :class:`~cmg.data.clips.Clips`, or raw media."""

    @property
    def about(self) -> About:
        """What is known of all of them."""

    @property
    def content_hash(self) -> str:
        """SHA-256 that changes with the content."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def ids(self) -> list[str]:
        """Of all clips."""

    def ids_of(self, clips: Sequence[int]) -> list[str]:
        """Of some clips by their positions."""

    def __getitem__(self, position: int) -> dict[str, Any]:
        """One clip as the fields of a :class:`~cmg.data.writer.Clip`.

        Raises:
            CmgError: it cannot be read.
        """


@dataclass(frozen=True)
class CopyPlan:
    """What every chunk of a copy has in common.

    Attributes:
        clips: Of the source.
        specs: How each modality will be stored.
        labels: The labels and their classes.
        on_error: Whether a clip that cannot be read is left out or ends everything.
        media: What the clips' `meta` refers to.
        chunk: Clips per chunk.
    """

    clips: int
    specs: Mapping[str, FeatureSpec]
    labels: Mapping[str, LabelSpec]
    on_error: OnError
    media: MediaName | None = None
    chunk: int = CHUNK

    @property
    def chunks(self) -> int:
        """How many there are."""
        return -(-self.clips // self.chunk)

    def positions(self, index: int) -> range:
        """Which clips of the source are in a chunk."""
        return range(index * self.chunk, min(self.clips, (index + 1) * self.chunk))


class Skipped(Record):
    """A clip that was left out.

    Attributes:
        id: Of the clip.
        reason: The error.
    """

    id: str
    reason: str


class ChunkRecord(Record):
    """What is known of a finished chunk.

    Attributes:
        index: Of the chunk.
        skipped: Clips that were left out.
        rounding: Largest absolute change of a number by its conversion, per modality.
        numbers: How many were stored, zeros included.
        seconds: It took one process.
        manifest: Of the chunk as a store; None where every clip was left out.
    """

    index: int
    skipped: tuple[Skipped, ...]
    rounding: dict[str, float]
    numbers: int
    seconds: float
    manifest: Manifest | None


class CannotWriteError(Exception):
    """The disk is full or the like; the argument is the system's reason."""


class _NothingLeftError(Exception):
    """No clip of a chunk could be read."""


@dataclass
class _Progress:
    skipped: list[Skipped] = field(default_factory=list)
    rounding: dict[str, float] = field(default_factory=dict)
    numbers: int = 0
    clips: int = 0


def stored_specs(
    source: Copyable, dtype: str | None, encoding: str | None
) -> dict[str, FeatureSpec]:
    """How a source's modalities will be stored.

    Args:
        source: The clips.
        dtype: Of all modalities; None keeps that of a store, and is float32 for anything else.
        encoding: Likewise, ``dense`` or ``compact``; None is dense for anything but a store.

    Raises:
        ModalityError: an unknown dtype or encoding, or uint8.
    """
    if dtype is not None and (dtype not in DTYPES or dtype == "uint8"):
        raise ModalityError(f"unknown dtype {dtype!r}{did_you_mean(dtype, DTYPES[:3])}")
    if encoding is not None and encoding not in ENCODINGS:
        raise ModalityError(f"unknown encoding {encoding!r}{did_you_mean(encoding, ENCODINGS)}")
    if source.about.manifest is None:
        dtype, encoding = dtype or "float32", encoding or "dense"
    change: dict[str, Any] = {"dtype": dtype, "encoding": encoding}
    change = {key: value for key, value in change.items() if value is not None}
    return {name: spec.model_copy(update=change) for name, spec in source.about.specs.items()}


def write_chunk(
    source: Copyable, plan: CopyPlan, folder: Path, index: int, tick: Tick | None = None
) -> ChunkRecord:
    """Write one chunk and its record into `folder`; `tick` is called after every clip.

    In a process of cmg's own what extractors free is kept for the next frames: the same bits.

    Raises:
        CannotWriteError: the disk is full or the like.
        CmgError: a clip cannot be read, where that is not to be skipped.
    """
    start = time.perf_counter()
    done = _Progress()
    target = folder / f"{index:05d}"
    manifest: Manifest | None = None
    try:
        with (
            kept_memory(OWN_PROCESS.get()),
            StoreWriter(
                target, plan.specs, plan.labels, media=plan.media, shard_bytes=sys.maxsize
            ) as writer,
        ):
            for position in plan.positions(index):
                _add(writer, source, plan, position, done)
                if tick is not None:
                    tick()
            if done.clips == 0:
                raise _NothingLeftError
        manifest = read_manifest(target)
    except _NothingLeftError:
        pass
    except DataError as error:
        if isinstance(error.__cause__, OSError):  # of the writer; those of clips are _RefusedError
            raise CannotWriteError(error.__cause__.strerror or str(error.__cause__)) from error
        raise
    except _RefusedError as error:
        raise error.error from error
    seconds = round(time.perf_counter() - start, 3)
    record = ChunkRecord(
        index=index,
        skipped=tuple(done.skipped),
        rounding=done.rounding,
        numbers=done.numbers,
        seconds=seconds,
        manifest=manifest,
    )
    try:
        replace_file(record_path(folder, index), record.model_dump_json().encode())
    except DataError as error:
        raise CannotWriteError(str(error.__cause__)) from error
    return record


def record_path(folder: Path, index: int) -> Path:
    """Where the record of a chunk is."""
    return folder / f"{index:05d}.json"


class _RefusedError(Exception):
    """A clip that is not to be skipped."""

    def __init__(self, error: CmgError) -> None:
        super().__init__(str(error))
        self.error = error


def _add(
    writer: StoreWriter, source: Copyable, plan: CopyPlan, position: int, done: _Progress
) -> None:
    """Add one clip, or note why not."""
    (name,) = source.ids_of([position])
    try:
        clip = Clip(**source[position])
        clip.features, rounding = _converted(clip, plan)
        writer.add(clip)
    except CmgError as error:
        if not writer.intact:
            raise
        if plan.on_error == "fail":
            raise _RefusedError(error) from error
        done.skipped.append(Skipped(id=name, reason=str(error)))
        return
    done.clips += 1
    done.numbers += sum(block.size for block in clip.features.values())
    for name, change in rounding.items():
        done.rounding[name] = max(change, done.rounding.get(name, 0.0))


def _converted(clip: Clip, plan: CopyPlan) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """The features of a clip in the dtypes to be stored, and how much they changed by that."""
    features, rounding = {}, {}
    for name, spec in plan.specs.items():
        values = clip.features.get(name)
        if values is not None:
            where = f"clip {clip.id!r}, modality {name!r}"
            block = as_block(where, values)
            features[name], rounding[name] = converted(where, block, spec.dtype)
    return features, rounding


def counted_chunk(given: tuple[Copyable, CopyPlan, Path, Any], index: int) -> ChunkRecord:
    """Write one chunk in a worker process, whose parent reads from a counter how far it is."""
    source, plan, folder, done = given
    torch.set_num_threads(1)

    def tick() -> None:
        with done.get_lock():
            done.value += 1

    return write_chunk(source, plan, folder, index, tick)
