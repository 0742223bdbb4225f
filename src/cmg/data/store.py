"""The feature store: a folder of safetensors shards, a manifest and one row per clip.

Layout of a store::

    manifest.json                    modalities, labels, splits, shards with checksums, notes
    clips.jsonl                      one row per clip: id, split, lengths, labels, meta
    shards/00000.audio.safetensors   tensor `features` [sum of lengths, *shape]: the steps of
                                     consecutive clips, one after the other

Nothing in a store is executable, and every file is covered by a SHA-256 in the manifest.
:class:`~cmg.data.writer.StoreWriter` writes stores, :class:`FeatureStore` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.manifest import (
    CLIPS,
    ClipRow,
    FeatureSpec,
    LabelSpec,
    Manifest,
    Shard,
    read_manifest,
    read_rows,
)
from cmg.data.shards import map_shard
from cmg.data.split import Split, members
from cmg.data.verify import verify_store
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.types import Modality

DIGITS = "digits"
"""The store name that stands for the embedded set; a folder of that name is ``./digits``."""


class FeatureStore:
    """A store, opened for reading. Features are memory mapped and read when asked for.

    Attributes:
        path: The folder.
        manifest: Its manifest.
        rows: One row per clip, in the order of the file.
    """

    def __init__(self, path: Path, manifest: Manifest, rows: Sequence[ClipRow]) -> None:
        self.path = path
        self.manifest = manifest
        self.rows = rows
        self._maps: dict[str, Tensor] = {}
        self._lengths = {
            m: np.array([row.lengths.get(m, 0) for row in rows], dtype=np.int64)
            for m in manifest.modalities
        }
        self._offsets = {m: np.cumsum(n) - n for m, n in self._lengths.items()}
        self._shards = {
            m: [shard for shard in manifest.shards if shard.modality == m]
            for m in manifest.modalities
        }

    @classmethod
    def open(cls, where: str | Path) -> FeatureStore:
        """Open a store by its folder, or the embedded set by the name ``"digits"``.

        Checks the manifest, the checksum of the rows and the sizes of all shards; the checksums
        of the shards are for :meth:`verify`.

        Raises:
            DataError: the folder is no store, or a file is missing, truncated or edited.
        """
        if where == DIGITS:
            from cmg.data.digits.cache import open_digits

            return open_digits()
        path = Path(where)
        manifest = read_manifest(path)
        for shard in manifest.shards:
            _check_size(path / shard.file, shard)
        store = cls(path, manifest, read_rows(path, manifest))
        store._check_counts()
        return store

    def __repr__(self) -> str:
        """Path, modalities and splits."""
        return f"FeatureStore({str(self.path)!r}, {list(self.modalities)}, {self.splits})"

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
    def media(self) -> Literal["digits"] | None:
        """What the rows' `meta` refers to, see :mod:`cmg.data.digits`."""
        return self.manifest.media

    @property
    def notes(self) -> str:
        """Where the data are from."""
        return self.manifest.notes

    @property
    def content_hash(self) -> str:
        """SHA-256 that covers the whole content; equal stores have equal hashes."""
        return self.manifest.content_hash

    def split(self, name: str) -> Split:
        """The clips of one split, or of several joined as in ``train+test``, in that order.

        Raises:
            DataError: there is no such split.
        """
        return Split(self, name, members(self, name))

    def clips(self, split: str) -> list[ClipRow]:
        """The rows of one split.

        Raises:
            DataError: there is no such split.
        """
        return self.split(split).rows

    def verify(self) -> list[str]:
        """Recompute checksums, shapes, finiteness and counts from the disk.

        Returns:
            One line per problem, each naming a file; empty if the store is as it was written.
        """
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
        lengths = self._lengths[modality][clips]
        longest = int(lengths.max(initial=0))
        inside = np.arange(longest)[None, :] < lengths[:, None]
        rows = self._offsets[modality][clips][:, None] + np.arange(longest)[None, :]
        shape = (len(clips), longest, *spec.shape)
        out: Tensor | None = None
        for shard in self._shards[modality]:
            first, last = shard.clips
            here = inside & ((clips >= first) & (clips < last))[:, None]
            if not here.any():
                continue
            source = torch.from_numpy(rows[here] - self._offsets[modality][first])
            found = self._map(shard, spec).index_select(0, source)
            if here.all():  # One shard, no padding: the usual case needs no second copy.
                return found.view(shape), torch.from_numpy(lengths)
            if out is None:
                out = found.new_zeros((len(clips) * longest, *spec.shape))
            out.index_copy_(0, torch.from_numpy(np.flatnonzero(here)), found)
        if out is None:
            out = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
        return out.view(shape), torch.from_numpy(lengths)

    def _map(self, shard: Shard, spec: FeatureSpec) -> Tensor:
        if shard.file not in self._maps:
            first, last = shard.clips
            steps = int(self._lengths[shard.modality][first:last].sum())
            self._maps[shard.file] = map_shard(self.path / shard.file, spec, steps)
        return self._maps[shard.file]

    def _check_counts(self) -> None:
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.split] = found.get(row.split, 0) + 1
        if found != self.splits:
            raise DataError(
                f"{self.path / CLIPS} has splits {found}, the manifest says {self.splits}; "
                "restore or rewrite the store"
            )


def _check_size(path: Path, shard: Shard) -> None:
    if not path.is_file():
        raise DataError(f"shard {path} is missing; restore it, or write the store again")
    size = path.stat().st_size
    if size != shard.bytes:
        raise DataError(
            f"shard {path} is truncated or foreign: {size} bytes, the manifest says "
            f"{shard.bytes}; restore it, or write the store again"
        )
