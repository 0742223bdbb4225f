"""Writing a feature store, clip by clip."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter, ValidationError

from cmg.data.blocks import write_blocks
from cmg.data.columns import ColumnsWriter
from cmg.data.features import as_block, check_features
from cmg.data.manifest import (
    BLOCKS,
    COLUMNS,
    MANIFEST,
    SHARDS,
    ClipRow,
    FeatureSpec,
    LabelSpec,
    Manifest,
    MediaName,
    Shard,
    SplitName,
)
from cmg.data.shards import ShardWriter, shard_writer
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.files import (
    StrPath,
    as_path,
    file_digests,
    file_sha256,
    need_space,
    write_synced,
    writing,
)
from cmg.options import problems
from cmg.staging import Staging

SHARD_BYTES = 128 << 20
"""A shard is closed when it has reached this size."""

Label = int | Sequence[int] | Sequence[Sequence[int]] | None

_split_name = TypeAdapter(SplitName)


@dataclass
class Clip:
    """One clip on its way into a store.

    Attributes:
        id: Unique in the store.
        split: Name of its split.
        features: [T, *shape] per modality; T may differ between modalities, and a modality that
            the clip lacks is absent, None or empty.
        labels: Class index per label, or one index per step of the clip's longest modality for a
            label per step; -1 or None where unlabelled. A multiple label has a list of indices
            per step instead.
        meta: Anything worth keeping, JSON.
    """

    id: str
    split: str
    features: Mapping[str, ArrayLike | None]
    labels: Mapping[str, Label] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class StoreWriter:
    """Writes a store clip by clip; use it as a context manager.

    The store appears at `path` when the block ends without an exception, whole and on disk.
    After any exception, an interrupt included, nothing is left at `path` or beside it.

    Args:
        path: Folder to be.
        modalities: What is stored of each modality.
        labels: The labels and their classes.
        media: The embedded set that the clips' `meta` refers to.
        notes: Where the data are from, for readers.
        overwrite: Whether a store at `path` may be replaced. Another kind of folder never is.
        shard_bytes: Shards are closed at this size.
        expected_bytes: What all clips take, about; the disk is asked for it before any is written.

    Raises:
        DataError: `path` is occupied or cannot be written, or a text is none.
        ModalityError: the name of a modality is no plain word.

    Example:
        >>> spec = {"audio": FeatureSpec(kind="vectors", shape=(128,), step_seconds=1.0)}
        >>> with StoreWriter("store", spec) as writer:
        ...     writer.add(Clip("a", "train", {"audio": np.zeros((10, 128))}))
    """

    def __init__(
        self,
        path: StrPath,
        modalities: Mapping[str, FeatureSpec],
        labels: Mapping[str, LabelSpec] | None = None,
        *,
        media: MediaName | None = None,
        notes: str = "",
        overwrite: bool = False,
        shard_bytes: int = SHARD_BYTES,
        expected_bytes: float = 0,
    ) -> None:
        self.path = as_path(path, "the folder of the store to be")
        if not modalities:
            raise DataError(f"a store at {self.path} needs at least one modality")
        self._ids: set[str] = set()
        self._shards: list[Shard] = []
        self._blocks: dict[str, bytes] = {}
        self.modalities = dict(modalities)
        self.labels = dict(labels or {})
        self.media = media
        self.notes = notes
        self._columns = ColumnsWriter(self.modalities, self.labels)
        self._manifest()
        texts = {"notes": notes, "labels": {n: spec.classes for n, spec in self.labels.items()}}
        refuse_halves(f"store {self.path}", texts)
        self.overwrite = overwrite
        self.shard_bytes, self.expected_bytes = shard_bytes, expected_bytes
        self._open: dict[str, ShardWriter] = {}
        self._first: dict[str, int] = {}
        self._staging: Staging | None = None
        self.intact = True
        """Whether clips can still be added: a clip that was refused does no harm."""

    def __enter__(self) -> Self:
        """Start writing into a temporary folder beside `path`."""
        need_space(self.path, self.expected_bytes)
        self._staging = Staging(self.path, self.overwrite, MANIFEST)
        try:
            with writing(self.path):
                (self._folder / SHARDS).mkdir()
        except BaseException:
            self._staging.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish the store, or remove what was written if anything failed."""
        assert self._staging is not None
        try:
            if error is None:
                with writing(self.path):
                    self._finish()
                self._staging.publish()
        finally:
            for shard in self._open.values():
                with suppress(OSError):  # a full disk fails again when a stream is flushed
                    shard.close()
            self._staging.discard()

    @property
    def _folder(self) -> Path:
        if not self.intact:
            raise DataError(f"writing {self.path} failed before; start again")
        if self._staging is None:
            raise DataError(f"the writer of {self.path} is not open; use `with StoreWriter(...)`")
        return self._staging.folder

    def add(self, clip: Clip) -> None:
        """Append a clip.

        Raises:
            DataError: a duplicate id, a clip without any modality, a feature that is not finite,
                a label out of range, meta that is not JSON, or a full disk.
            ModalityError: an unknown modality, or features of another shape or dtype.
        """
        folder = self._folder
        features = self._checked_features(clip)
        row = self._row(clip, features)
        # An error in what follows leaves shards and rows at odds, so nothing may follow it.
        self.intact = False
        with writing(self.path):
            for name, spec in self.modalities.items():
                if name not in self._open:
                    file = f"{len(self._shards) + len(self._open):05d}.{name}.safetensors"
                    self._open[name] = shard_writer(folder / SHARDS / file, spec)
                    self._first[name] = len(self._ids)
                if name in features:
                    self._open[name].append(features[name])
            self._columns.add(row)
            self._ids.add(clip.id)
            for name in [m for m, s in self._open.items() if s.bytes >= self.shard_bytes]:
                self._close_shard(name)
        self.intact = True

    def _close_shard(self, name: str) -> None:
        shard = self._open[name]
        shard.finish()
        del self._open[name]
        file = f"{SHARDS}/{shard.path.name}"
        digest, self._blocks[file] = file_digests(shard.path)
        self._shards.append(
            Shard(
                file=file,
                modality=name,
                clips=(self._first[name], len(self._ids)),
                sha256=digest,
                bytes=shard.bytes,
            )
        )

    def _finish(self) -> None:
        if not self._ids:
            raise DataError(f"no clip was written to {self.path}; a store needs at least one")
        for name in list(self._open):
            self._close_shard(name)
        self._columns.write(self._folder)
        finish_store(self._folder, self._manifest(), self._blocks)

    def _manifest(self) -> Manifest:
        """The manifest of what has been written so far."""
        try:
            return Manifest(
                modalities=self.modalities,
                labels=self.labels,
                splits=self._columns.splits,
                shards=tuple(sorted(self._shards, key=lambda shard: shard.file)),
                media=self.media,
                notes=self.notes,
                clips_sha256=self._columns.clips_sha256,
            )
        except ValidationError as error:
            wrong = error.errors()[0]["loc"][:1] == ("modalities",)
            kind = ModalityError if wrong else DataError
            raise kind(f"store {self.path}: {'; '.join(problems(error))}") from error

    def _checked_features(self, clip: Clip) -> dict[str, NDArray[Any]]:
        if not isinstance(clip.id, str) or not clip.id:
            raise DataError(f"clip id {clip.id!r} is no text; give every clip a name")
        if clip.id in self._ids:
            raise DataError(f"clip id {clip.id!r} occurs twice; ids must be unique in a store")
        check_split(f"clip {clip.id!r}", clip.split)
        features = {}
        for name, values in clip.features.items():
            if name not in self.modalities:
                raise ModalityError(
                    f"clip {clip.id!r}: unknown modality {name!r}"
                    f"{did_you_mean(name, self.modalities)}"
                )
            if values is None:
                continue
            block = as_block(f"clip {clip.id!r}, modality {name!r}", values)
            if block.shape[:1] != (0,):
                features[name] = check_features(clip.id, name, self.modalities[name], block)
        if not features:
            raise DataError(f"clip {clip.id!r} has no step of any modality; leave it out")
        return features

    def _row(self, clip: Clip, features: Mapping[str, NDArray[Any]]) -> ClipRow:
        for name in clip.labels:
            if name not in self.labels:
                raise DataError(
                    f"clip {clip.id!r}: unknown label {name!r}{did_you_mean(name, self.labels)}"
                )
        lengths = {m: len(features[m]) for m in self.modalities if m in features}
        longest = max(lengths.values())
        labels = {
            name: check_label(clip.id, name, spec, clip.labels.get(name), longest)
            for name, spec in self.labels.items()
        }
        try:
            meta = json.loads(json.dumps(dict(clip.meta), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DataError(f"clip {clip.id!r}: meta is not plain JSON ({error})") from error
        row = {"id": clip.id, "split": clip.split, "meta": meta}
        refuse_halves(f"clip {clip.id!r}", row)
        return ClipRow(id=clip.id, split=clip.split, lengths=lengths, labels=labels, meta=meta)


def finish_store(folder: Path, manifest: Manifest, blocks: Mapping[str, bytes]) -> Manifest:
    """Write checksums and manifest of a store on its way; waits until the disk has them.

    Args:
        folder: The store to be, with its shards and columns.
        manifest: Of it, without the checksums of what is beside the shards.
        blocks: Digests of the shards, see :mod:`cmg.data.blocks`.

    Returns:
        The manifest as it is written.
    """
    digest, own = file_digests(folder / COLUMNS)
    write_blocks(folder, {**blocks, COLUMNS: own})
    told = {"columns_sha256": digest, "blocks_sha256": file_sha256(folder / BLOCKS)}
    manifest = manifest.model_copy(update=told)
    write_synced(folder / MANIFEST, manifest.pretty())
    return manifest


def check_split(where: str, split: str) -> None:
    """Refuse what cannot name a split.

    Raises:
        DataError: it is no plain name.
    """
    try:
        _split_name.validate_python(split)
    except ValidationError as error:
        raise DataError(
            f"{where}: split {split!r} is no plain name (letters, digits, _ . -), e.g. train"
        ) from error


def refuse_halves(where: str, texts: Mapping[str, Any]) -> None:
    """Refuse what JSON can escape, but no reader of UTF-8 takes.

    Raises:
        DataError: a text has half a character, as file names do that are not in UTF-8.
    """
    try:
        json.dumps(texts, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        found = error.object[max(0, error.start - 20) : error.end]
        raise DataError(
            f"{where}: half a character in {found!r}, as in file names that are not in UTF-8; "
            "rename it"
        ) from error


def check_label(
    clip: str, name: str, spec: LabelSpec, label: Label, steps: int
) -> int | list[int] | list[list[int]] | None:
    """`label` as it is written to a row.

    Raises:
        DataError: a class index out of range, or not one index (or list of them) per step.
    """
    where = f"clip {clip!r}, label {name!r}"
    if label is None:
        return None
    if spec.multiple:
        return _multiple(where, spec, label, steps)
    try:
        values = np.asarray(label)
    except ValueError:  # lists of different lengths
        values = np.asarray(None)
    if values.ndim != (0 if spec.per == "clip" else 1) or values.dtype.kind not in "iu":
        wanted = "one class index" if spec.per == "clip" else "a list of class indices"
        raise DataError(f"{where}: {label!r} is not {wanted} (whole numbers)")
    if values.ndim and len(values) != steps:
        raise DataError(f"{where}: {len(values)} indices for {steps} steps; give one per step")
    if values.size and (values.min() < -1 or values.max() >= len(spec.classes)):
        raise DataError(
            f"{where}: class index out of range 0..{len(spec.classes) - 1} in {label!r} "
            "(-1 or null: unlabelled)"
        )
    if values.ndim == 0:
        return None if values < 0 else int(values)
    return [int(v) for v in values]


def _multiple(where: str, spec: LabelSpec, label: Label, steps: int) -> list[list[int]]:
    if not isinstance(label, Sequence) or not all(isinstance(x, Sequence) for x in label):
        raise DataError(f"{where}: {label!r} is not a list of lists of class indices")
    if len(label) != steps:
        raise DataError(f"{where}: {len(label)} lists for {steps} steps; give one per step")
    lists = [active for active in label if isinstance(active, Sequence)]
    if not all(isinstance(c, Integral) for active in lists for c in active):
        raise DataError(f"{where}: {label!r} has class indices that are no whole numbers")
    found = [sorted({int(c) for c in active}) for active in lists]
    if any(active and not 0 <= active[0] <= active[-1] < len(spec.classes) for active in found):
        raise DataError(
            f"{where}: class index out of range 0..{len(spec.classes) - 1} in {label!r}"
        )
    return found
