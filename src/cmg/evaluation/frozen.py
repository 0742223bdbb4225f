"""Data sets seen through a frozen model: every clip and modality is encoded once and kept small.

What is kept of a clip is its codes, its continuous features, and, where encoding is to be repeated
with dropout, what the temporal encoder reads. Features, which are a hundred times larger, are read
in batches and dropped.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.codebook.dimensions import DimensionOptions, kept_dimensions
from cmg.data.clips import Clips
from cmg.decoders.heads import ReadBy
from cmg.errors import ConfigError, DataError
from cmg.evaluation.encoding import (
    FrozenEncoder,
    check_shape,
    code_distances,
    encoded,
    read_by,
    stacked,
    step_mask,
)
from cmg.evaluation.features import CodeFeatures, Features, NoisyFeatures, Readable, VectorFeatures
from cmg.models.unified import UnifiedModel
from cmg.types import Batch

if TYPE_CHECKING:
    from cmg.official.collection import Collection

Protocol = Literal["published", "clean"]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many clips are done, and of how many."""
CLIPS_AT_ONCE = 32


def quiet(what: str, done: int, of: int) -> None:
    """Progress that nobody watches."""


class Opened:
    """A collection whose sources are opened once.

    Args:
        collection: The data sets.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.path = collection.path
        self.names = collection.names
        self._open: dict[str, Clips] = {}

    def open(self, name: str) -> Clips:
        """One of the data sets.

        Raises:
            DataError: there is none of that name, or it cannot be read.
        """
        if name not in self._open:
            if name not in self.names:
                raise DataError(
                    f"{self.path} has no data set {name!r}; it has "
                    f"{', '.join(self.names) or 'none'}. `cmg data check` says what is missing"
                )
            self._open[name] = self.collection.open(name)
        return self._open[name]


@dataclass
class _Kept:
    """What is known of some clips of one modality; row i is of clip `clips[i]`."""

    clips: NDArray[np.int64]
    indices: Tensor
    semantic: Tensor
    inputs: Tensor | None

    def joined(self, new: _Kept) -> _Kept:
        """These clips and others."""
        both = [x for x in (self.inputs, new.inputs) if x is not None]
        return _Kept(
            np.concatenate([self.clips, new.clips]),
            stacked([self.indices, new.indices], -1),
            stacked([self.semantic, new.semantic], 0),
            stacked(both, 0) if both else None,
        )


class FrozenData:
    """The data sets of a collection through one frozen model.

    Args:
        collection: The data sets.
        model: Left untouched; ``published`` reads a float64 copy of it.
        protocol: ``published`` or ``clean``.
        modalities: That benchmarks shall go between; None leaves it to each.
        by: What heads read.
        progress: Told about every batch.
        dimensions: Of code vectors, which heads read instead of all of them.

    Attributes:
        remarks: What has to be said of what heads read.

    Raises:
        ConfigError: dimensions where heads read no code vectors, or more than these have.
    """

    def __init__(
        self,
        collection: Opened,
        model: UnifiedModel,
        protocol: Protocol = "clean",
        modalities: Sequence[str] | None = None,
        by: ReadBy = "codes",
        progress: Progress = quiet,
        dimensions: DimensionOptions | None = None,
    ) -> None:
        self.collection = collection
        self.protocol = protocol
        self.modalities = modalities
        self.by = by
        self.progress = progress
        self.published = protocol == "published"
        self.dtype = torch.float64 if self.published else torch.float32
        # As coded, encoders run in float64; converting a model is in place.
        as_coded = self.published and model.dtype != torch.float64
        self.model = copy.deepcopy(model).to(torch.float64) if as_coded else model
        self._kept: dict[tuple[str, str], _Kept] = {}
        self.remarks: list[str] = []
        self.columns: Tensor | None = None
        if dimensions is not None:
            if by != "codes":
                raise ConfigError(f"dimensions are those of code vectors, but heads read {by}")
            self.columns = kept_dimensions(self.model.codebook, dimensions)
            self.remarks += [dimensions.remark] if dimensions.remark else []

    def source(self, name: str) -> Clips:
        """One of the data sets.

        Raises:
            DataError: the collection lacks it.
        """
        return self.collection.open(name)

    def features(self, name: str, modality: str, clips: NDArray[np.int64], by: ReadBy) -> Readable:
        """Clips as heads read them.

        Args:
            name: Of the data set.
            modality: Name of the modality.
            clips: Positions in the data set's rows; all of them have the modality.
            by: See :func:`~cmg.evaluation.encoding.read_by`.

        Raises:
            ModalityError: model or data set lack the modality, or differ in its shape.
            DataError: clips that cannot be read, or NaN or infinite features.
        """
        kept, rows = self._of(name, modality, clips)
        indices = kept.indices[rows].long().to(self.model.device)
        table = self._table()
        if by == "codes" and table is not None:
            return CodeFeatures(table, indices)
        semantic = kept.semantic[rows].to(self.model.device)
        vectors = read_by(self.model, modality, indices, semantic, by, columns=self.columns)
        return VectorFeatures(vectors, step_mask(indices))

    def noisy(self, name: str, modality: str, clips: NDArray[np.int64]) -> Features:
        """Clips that are encoded anew for every batch, with dropout; see :meth:`features`."""
        kept, rows = self._of(name, modality, clips)
        assert kept.inputs is not None
        lengths = step_mask(kept.indices[rows]).sum(1)
        table = self._table() if self.by == "codes" else None
        encoder = FrozenEncoder(self.model, modality)
        return NoisyFeatures(encoder, kept.inputs[rows], lengths, self.by, table, self.columns)

    def distances(self, name: str, modality: str, clips: NDArray[np.int64]) -> Tensor | None:
        """How far clips are from their codes, [N], see :func:`code_distances`; None without codes.

        Args:
            name: See :meth:`features`.
            modality: Likewise.
            clips: Likewise.
        """
        kept, rows = self._of(name, modality, clips)
        given = kept.indices[rows].long(), kept.semantic[rows]
        found = code_distances(self.model, modality, *given)
        return found if found is None else found.to(self.model.device)

    def _table(self) -> Tensor | None:
        """The code vectors as heads read them, where all modalities have the same."""
        table = shared_table(self.model)
        return table if table is None or self.columns is None else table[:, self.columns]

    def _of(self, name: str, modality: str, clips: NDArray[np.int64]) -> tuple[_Kept, Tensor]:
        kept = self._kept.get((name, modality))
        known = np.array([], dtype=np.int64) if kept is None else kept.clips
        missing = np.setdiff1d(clips, known)
        if len(missing):
            new = self._encode(name, modality, missing)
            kept = new if kept is None else kept.joined(new)
            self._kept[name, modality] = kept
        assert kept is not None
        order = np.argsort(kept.clips)
        rows = order[np.searchsorted(kept.clips, clips, sorter=order)]
        return kept, torch.from_numpy(rows)

    def _encode(self, name: str, modality: str, clips: NDArray[np.int64]) -> _Kept:
        source, count = self.source(name), 0
        check_shape(self.model, source, modality)
        encoder, inputs = FrozenEncoder(self.model, modality), list[Tensor]()

        def batches() -> Iterator[Batch]:
            for some in np.split(clips, range(CLIPS_AT_ONCE, len(clips), CLIPS_AT_ONCE)):
                features, lengths = source.features(modality, some)
                ids = source.ids_of(some)
                yield Batch({modality: features}, {modality: lengths}, ids)
                if self.published:
                    inputs.append(encoder.inputs(features, lengths, ids).cpu())

        def done(some: int) -> None:
            nonlocal count
            count += some
            self.progress(f"encode {name} {modality}", count, len(clips))

        found = encoded(self.model, batches(), source.path, done=done)
        indices, semantic = found[modality]
        seen = stacked(inputs, 0) if inputs else None
        return _Kept(clips, indices.to(torch.int32), semantic, seen)


def shared_table(model: UnifiedModel) -> Tensor | None:
    """The code vectors [K, D] where all modalities have the same and a step has one index."""
    return model.codebook.table("") if model.codebook.kind == "shared" else None
