"""The feature store: a folder of safetensors shards, a manifest and one row per clip.

Layout of a store::

    manifest.json                    modalities, labels, splits, shards with checksums, notes
    clips.jsonl                      one row per clip: id, split, lengths, labels, meta
    clips.index.safetensors          of many rows: where each is, see cmg.data.index
    shards/00000.audio.safetensors   the steps of consecutive clips, one after the other: tensor
                                     `features` [sum of lengths, *shape], or see cmg.data.compact

Nothing in a store is executable, and every file is covered by a SHA-256 in the manifest.
:class:`~cmg.data.writer.StoreWriter` writes stores, :class:`FeatureStore` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.embedded import embedded_folder, is_embedded
from cmg.data.index import RowIndex, id_key, open_index
from cmg.data.manifest import (
    CLIPS,
    ClipRow,
    FeatureSpec,
    LabelSpec,
    Manifest,
    MediaName,
    Shard,
    read_manifest,
    read_rows,
)
from cmg.data.remote import RemoteStore, is_remote
from cmg.data.rows import IndexedRows
from cmg.data.shards import MappedShard, least_bytes, map_shard
from cmg.data.source import HasSplits
from cmg.data.verify import verify_store
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.files import StrPath, as_path
from cmg.types import Modality


class FeatureStore(HasSplits):
    """A store, opened for reading. Features are memory mapped and read when asked for.

    It can be pickled and used by several threads and processes.

    Attributes:
        path: The folder; of a remote store its copy in the cache.
        manifest: Its manifest.
        rows: One row per clip, in the order of the file; read when asked for if there is an index.
        remote: Where shards that `path` lacks are fetched from.
        index: Of the rows; small stores have none.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        rows: Sequence[ClipRow],
        remote: RemoteStore | None = None,
        index: RowIndex | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.rows = rows
        self.remote = remote
        self.index = index
        self._maps: dict[str, MappedShard] = {}
        # Steps of the modality in all clips before a clip; the last is of all clips.
        self._steps: Mapping[str, NDArray[np.int64]] = (
            _steps(rows, manifest.modalities) if index is None else index.steps
        )
        self._shards = {
            m: sorted((s for s in manifest.shards if s.modality == m), key=lambda s: s.clips)
            for m in manifest.modalities
        }
        self._ends = {m: np.array([s.clips[1] for s in x]) for m, x in self._shards.items()}

    @classmethod
    def open(cls, where: StrPath) -> FeatureStore:
        """Open a store by its folder or address, or an embedded set: ``"digits"``, ``"watch:3"``.

        Checks the manifest, the checksum of the rows and the sizes of all shards; the checksums
        of the shards are for :meth:`verify`. Of a store with an index, only the header of that is
        checked now, and each block of rows when it is first read. An address as
        ``s3://bucket/store`` is read through fsspec: each shard is fetched when it is first needed,
        checked against its checksum, and kept in the cache (``CMG_CACHE``).

        Raises:
            DataError: the folder is no store, or a file is missing, truncated or edited.
            ConfigError: an address that the installed packages cannot read, or no such fold.
        """
        if isinstance(where, str) and is_remote(where):
            return cls._open_remote(where)
        if isinstance(where, str) and is_embedded(where):
            where = embedded_folder(where)
        path = as_path(where, "a store is named by its folder, its address, or as an embedded set")
        manifest = read_manifest(path)
        for shard in manifest.shards:
            _check_size(path / shard.file, shard)
        return cls._with_rows(path, manifest)

    @classmethod
    def _open_remote(cls, address: str) -> FeatureStore:
        remote = RemoteStore.open(address)
        return cls._with_rows(remote.folder, remote.manifest, remote)

    @classmethod
    def _with_rows(
        cls, path: Path, manifest: Manifest, remote: RemoteStore | None = None
    ) -> FeatureStore:
        index = open_index(path, manifest)
        if index is not None:
            store = cls(path, manifest, IndexedRows(path, index), remote, index)
        else:
            store = cls(path, manifest, read_rows(path, manifest), remote)
            store._check_counts()
        store._check_steps()
        return store

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: everything but the memory maps, which are made again when needed."""
        state = self.__dict__ | {"_maps": {}}
        if self.index is not None:
            del state["_steps"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What was pickled, and what is mapped from the index."""
        self.__dict__.update(state)
        if self.index is not None:
            self._steps = self.index.steps

    def __repr__(self) -> str:
        """Path, modalities and splits."""
        return f"FeatureStore({str(self.path)!r}, {list(self.modalities)}, {self.splits})"

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.rows)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """One clip: ``id``, ``split``, ``labels``, ``meta``, and ``features`` by modality.

        Args:
            position: From 0; from the end if negative.

        Returns:
            Features [T, *shape] in the stored dtype, of the modalities that the clip has.

        Raises:
            IndexError: there is no such clip.
            DataError: a shard cannot be read.
        """
        at = range(len(self))[position]
        row = self.rows[at]
        clip = np.array([at])
        features = {m: self.gather(m, clip)[0][0] for m, n in row.lengths.items() if n}
        return row.model_dump(exclude={"lengths"}) | {"features": features}

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """The stored modalities; widths that belong to models are at their defaults."""
        specs = self.manifest.modalities
        return {m: Modality(name=m, kind=s.kind, shape=s.shape) for m, s in specs.items()}

    @property
    def step_seconds(self) -> dict[str, float | None]:
        """Duration of a step per modality, None where steps are not equally long."""
        return {m: spec.step_seconds for m, spec in self.manifest.modalities.items()}

    @property
    def labels(self) -> dict[str, LabelSpec]:
        """The labels with their classes."""
        return self.manifest.labels

    @property
    def splits(self) -> dict[str, int]:
        """Number of clips per split."""
        return self.manifest.splits

    @property
    def media(self) -> MediaName | None:
        """The embedded set that the rows' `meta` refers to."""
        return self.manifest.media

    @property
    def extractors(self) -> dict[str, str]:
        """What made the features of each modality, of those where that is known."""
        specs = self.manifest.modalities
        return {m: spec.extractor for m, spec in specs.items() if spec.extractor is not None}

    @property
    def notes(self) -> str:
        """Where the data are from."""
        return self.manifest.notes

    @property
    def content_hash(self) -> str:
        """SHA-256 that covers the whole content; equal stores have equal hashes."""
        return self.manifest.content_hash

    def clips(self, split: str) -> Sequence[ClipRow]:
        """The rows of one split.

        Raises:
            DataError: there is no such split.
        """
        return self.split(split).rows

    def verify(self) -> list[str]:
        """Recompute checksums, shapes, finiteness and counts from the disk.

        All of a remote store is fetched.

        Returns:
            One line per problem, each naming a file; empty if the store is as it was written.

        Raises:
            DataError: a shard cannot be fetched.
        """
        if self.remote is not None:
            for shard in self.manifest.shards:
                self.remote.fetch(shard)
        return verify_store(self.path)

    def spec(self, modality: str) -> FeatureSpec:
        """How a modality is stored.

        Raises:
            ModalityError: the store lacks it.
        """
        if modality not in self.manifest.modalities:
            raise ModalityError(
                f"{self.path}: unknown modality {modality!r}"
                f"{did_you_mean(modality, self.manifest.modalities)}"
            )
        return self.manifest.modalities[modality]

    def members_of(self, split: str) -> NDArray[np.int64] | None:
        """Positions of the clips of one split; None where no index has them."""
        return None if self.index is None else self.index.members[split]

    def lengths_of(self, modality: str, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        ends = self._steps[modality]
        if self.index is not None and not self.index.holds(clips):
            raise self.index.refused("has clips that do not exist")
        found = np.asarray(ends[1:][clips] - ends[:-1][clips])
        if (
            self.index is not None
            and not 0 <= found.min(initial=0) <= found.max(initial=0) <= ends[-1]
        ):
            raise self.index.refused(f"has strange steps of {modality}")
        return found

    def absent_of(self, modality: str) -> int:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        if self.index is not None:
            return self.index.absent[modality]
        return int((np.diff(self._steps[modality]) == 0).sum())

    def keys_of(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        if self.index is not None:
            return np.asarray(self.index.keys[clips])
        return np.array([id_key(self.rows[i].id) for i in clips], dtype=np.int64)

    def gather(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features of some clips, given as positions in :attr:`rows`.

        Returns:
            Features [B, T, *shape] in the stored dtype, zero after each clip's end, T the longest
            of these clips; and their lengths, int64 [B].

        Raises:
            ModalityError: the store lacks the modality.
            DataError: a shard cannot be read.
        """
        spec = self.spec(modality)
        clips = np.asarray(clips, dtype=np.int64)
        lengths = self.lengths_of(modality, clips)
        starts = self._steps[modality]
        # NumPy asks for huge pages, so that large batches cost few page faults.
        out = np.zeros((len(clips), int(lengths.max(initial=0)), *spec.shape), spec.dtype)
        shards = self._shards[modality]
        inside = np.searchsorted(self._ends[modality], clips, side="right")
        for i, (clip, length, at) in enumerate(zip(clips, lengths, inside, strict=True)):
            if length:
                start = int(starts[clip] - starts[shards[at].clips[0]])
                self._map(shards[at], spec).read(start, start + int(length), out[i, :length])
        return torch.from_numpy(out), torch.from_numpy(lengths)

    def _map(self, shard: Shard, spec: FeatureSpec) -> MappedShard:
        mapped = self._maps.get(shard.file)
        if mapped is None:
            first, last = shard.clips
            ends = self._steps[shard.modality]
            steps = int(ends[last] - ends[first])
            path = self.path / shard.file if self.remote is None else self.remote.fetch(shard)
            mapped = self._maps[shard.file] = map_shard(path, spec, steps)
        return mapped

    def _check_steps(self) -> None:
        """Refuse rows with more steps than the shards have room for, before they are asked for."""
        for name, shards in self._shards.items():
            ends, size = self._steps[name], least_bytes(self.spec(name))
            for shard in shards:
                first, last = shard.clips
                steps = int(ends[last]) - int(ends[first])
                if not 0 <= steps * size <= shard.bytes:
                    raise DataError(
                        f"{self.path / CLIPS} has {steps} steps of {name} in clips {first} to "
                        f"{last}, for which {shard.file} with its {shard.bytes} bytes has no room; "
                        "restore or rewrite the store"
                    )

    def _check_counts(self) -> None:
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.split] = found.get(row.split, 0) + 1
        if found != self.splits:
            raise DataError(
                f"{self.path / CLIPS} has splits {found}, the manifest says {self.splits}; "
                "restore or rewrite the store"
            )


def _steps(rows: Sequence[ClipRow], modalities: Iterable[str]) -> dict[str, NDArray[np.int64]]:
    """Sums of the lengths of all rows before each, [N + 1] per modality."""
    found = {}
    for name in modalities:
        ends = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([row.lengths.get(name, 0) for row in rows], out=ends[1:])
        found[name] = ends
    return found


def _check_size(path: Path, shard: Shard) -> None:
    if not path.is_file():
        raise DataError(f"shard {path} is missing; restore it, or write the store again")
    size = path.stat().st_size
    if size != shard.bytes:
        raise DataError(
            f"shard {path} is truncated or foreign: {size} bytes, the manifest says "
            f"{shard.bytes}; restore it, or write the store again"
        )
