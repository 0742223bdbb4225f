"""What training and evaluation ask of data, however they are kept: clips, and splits of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.index import id_key
from cmg.data.manifest import ClipRow, LabelSpec, MediaName
from cmg.data.rows import ChosenRows, LazyRows
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.types import Modality

AT_ONCE = 1 << 16
"""Clips that are looked at together where all of a split have to be."""


class ClipSource(Protocol):
    """Clips with features and labels: a feature store, or a folder in the official layout."""

    @property
    def path(self) -> Path:
        """Where it is, for messages."""

    @property
    def rows(self) -> Sequence[ClipRow]:
        """One row per clip."""

    @property
    def modalities(self) -> dict[str, Modality]:
        """What there is of every clip, or of some."""

    @property
    def labels(self) -> dict[str, LabelSpec]:
        """The labels with their classes."""

    @property
    def splits(self) -> dict[str, int]:
        """Number of clips per split."""

    @property
    def step_seconds(self) -> dict[str, float | None]:
        """Duration of a step per modality, None where steps are not equally long."""

    @property
    def media(self) -> MediaName | None:
        """The embedded set that the rows' `meta` refers to."""

    @property
    def notes(self) -> str:
        """Where the data are from."""

    @property
    def content_hash(self) -> str:
        """SHA-256 that changes with the content."""

    def split(self, name: str) -> Split:
        """The clips of one split, or of several joined as in ``train+test``, in that order.

        Raises:
            DataError: there is no such split.
        """

    def gather(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features of some clips, given as positions in :attr:`rows`.

        Returns:
            Features [B, T, *shape], zero after each clip's end, T the longest of these clips; and
            their lengths, int64 [B].

        Raises:
            ModalityError: the source lacks the modality.
            DataError: a clip cannot be read.
        """


class HasSplits:
    """What sources answer alike."""

    def split(self: ClipSource, name: str) -> Split:
        """The clips of one split, or of several joined as in ``train+test``, in that order.

        Raises:
            DataError: there is no such split.
        """
        return Split(self, name)


@runtime_checkable
class KnowsAllRows(Protocol):
    """What a :class:`ClipSource` may also answer, faster than by reading rows.

    Sources that change rows of another one in these respects say it themselves.
    """

    def members_of(self, split: str) -> NDArray[np.int64] | None:
        """Positions of the clips of one split; None where rows have to be read."""

    def lengths_of(self, modality: str, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Steps of some clips, 0 where they lack the modality."""

    def absent_of(self, modality: str) -> int | None:
        """Number of clips that lack a modality; None where they would have to be counted."""

    def keys_of(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """First 63 bits of the SHA-256 of the ids of some clips."""


def lengths_of(source: ClipSource, modality: str, clips: NDArray[np.int64]) -> NDArray[np.int64]:
    """Steps of some clips of any source, 0 where they lack the modality.

    Args:
        source: The clips.
        modality: One of the source's.
        clips: Positions in its rows.
    """
    if isinstance(source, KnowsAllRows):
        return source.lengths_of(modality, clips)
    rows = source.rows
    return np.array([rows[i].lengths.get(modality, 0) for i in clips], dtype=np.int64)


def absent_of(source: ClipSource, modality: str) -> int | None:
    """How many clips of any source lack a modality; None where nobody has counted."""
    return source.absent_of(modality) if isinstance(source, KnowsAllRows) else None


def keys_of(source: ClipSource, clips: NDArray[np.int64]) -> NDArray[np.int64]:
    """First 63 bits of the SHA-256 of the ids of some clips of any source."""
    if isinstance(source, KnowsAllRows):
        return source.keys_of(clips)
    rows = source.rows
    return np.array([id_key(rows[i].id) for i in clips], dtype=np.int64)


def extractors_of(source: ClipSource) -> dict[str, str]:
    """What made the features of each modality, of those where that is known.

    Only stores and raw media can know it; of anything else, nothing is said.
    """
    return dict(getattr(source, "extractors", {}))


def members(source: ClipSource, name: str) -> NDArray[np.int64]:
    """Positions of the clips of one split, or of several joined as in ``train+test``.

    Raises:
        DataError: there is no such split.
    """
    parts: list[NDArray[np.int64]] = []
    for part in name.split("+"):
        if part not in source.splits:
            raise DataError(
                f"{source.path}: unknown split {part!r}{did_you_mean(part, source.splits)}"
            )
        found = source.members_of(part) if isinstance(source, KnowsAllRows) else None
        if found is None:
            places = [i for i, row in enumerate(source.rows) if row.split == part]
            found = np.array(places, dtype=np.int64)
        parts.append(found)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class Split:
    """Some clips of a store: a split of it, or a subset of a split.

    Of a store with an index, rows are read when they are asked for and positions are
    memory mapped, unless several splits are joined: these are 8 bytes per clip in memory.

    Attributes:
        store: The store.
        name: Name of the split.
        positions: int64 [N], the clips' positions in the store's rows; None at construction is
            all clips of the split.

    Raises:
        DataError: there is no such split.
    """

    def __init__(
        self, store: ClipSource, name: str, positions: NDArray[np.int64] | None = None
    ) -> None:
        self.store = store
        self.name = name
        self._whole = positions is None
        self.positions = members(store, name) if positions is None else positions

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: positions that are mapped, are found again."""
        state = dict(self.__dict__)
        if self._whole and isinstance(self.store.rows, LazyRows):
            del state["positions"]
            state.pop("rows", None)
        return state

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The clips' positions in the store's rows, int64 [N]."""
        return members(self.store, self.name)

    def __len__(self) -> int:
        """Number of clips N."""
        return len(self.positions)

    @cached_property
    def rows(self) -> Sequence[ClipRow]:
        """The rows of the clips."""
        rows = self.store.rows
        if isinstance(rows, LazyRows):
            return ChosenRows(rows, self.positions)
        return [rows[i] for i in self.positions]

    @property
    def ids(self) -> list[str]:
        """The clips' ids; all rows are read for it, so ask :attr:`rows` for those of a few."""
        return [row.id for row in self.rows]

    @property
    def modalities(self) -> dict[str, Modality]:
        """The modalities of the store."""
        return self.store.modalities

    def subset(self, clips: Sequence[int] | NDArray[np.int64]) -> Split:
        """The clips at these positions of the split, in this order."""
        return Split(self.store, self.name, self.positions[np.asarray(clips, dtype=np.int64)])

    def lengths(self, modality: str) -> Tensor:
        """Steps of each clip, int64 [N], 0 where it lacks the modality.

        Raises:
            ModalityError: the store lacks the modality.
        """
        self.check_modality(modality)
        out = np.empty(len(self), np.int64)
        for part in self.parts():
            out[part] = self.lengths_of(modality, part)
        return torch.from_numpy(out)

    def total_steps(self, modality: str) -> int:
        """Sum of :meth:`lengths`, without holding them.

        Raises:
            ModalityError: the store lacks the modality.
        """
        self.check_modality(modality)
        return sum(int(self.lengths_of(modality, part).sum()) for part in self.parts())

    def lengths_of(self, modality: str, clips: NDArray[np.int64] | slice) -> NDArray[np.int64]:
        """Steps of some clips, given as positions in this split; int64 [B].

        The modality is one of the store's.
        """
        return lengths_of(self.store, modality, self.positions[clips])

    def parts(self) -> Iterator[slice]:
        """Slices of the split, :data:`AT_ONCE` clips each, for what has to look at all of it."""
        return (slice(i, min(i + AT_ONCE, len(self))) for i in range(0, len(self), AT_ONCE))

    def check_modality(self, name: str) -> None:
        """Refuse a modality that the store lacks.

        Raises:
            ModalityError: it does.
        """
        if name not in self.modalities:
            raise ModalityError(
                f"{self.store.path}: unknown modality {name!r}{did_you_mean(name, self.modalities)}"
            )

    def features(
        self, modality: str, clips: Sequence[int] | NDArray[Any] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features of some clips.

        Args:
            modality: Name of the modality.
            clips: Positions in this split, B of them; None for all.

        Returns:
            Features [B, T, *shape] in the stored dtype, zero after each clip's end, T the longest
            of these clips; and their lengths, int64 [B].

        Raises:
            ModalityError: the store lacks the modality.
            DataError: a shard cannot be read.
            IndexError: a position outside the split.
        """
        chosen = slice(None) if clips is None else np.asarray(clips, dtype=np.int64)
        return self.store.gather(modality, self.positions[chosen])

    def labels(self, name: str) -> Tensor:
        """Class indices, -1 where unlabelled.

        Returns:
            int64 [N] for a label per clip; [N, T] for a label per step, T the longest clip,
            -1 after each clip's end. For a multiple label float32 [N, T, C], 1 for every class of
            a step, -1 throughout where a step is unlabelled or does not exist.

        Raises:
            DataError: the store lacks the label.
        """
        known = self.store.labels
        if name not in known:
            raise DataError(f"{self.store.path}: unknown label {name!r}{did_you_mean(name, known)}")
        values = [row.labels.get(name) for row in self.rows]
        if known[name].per == "clip":
            return torch.tensor(
                [v if isinstance(v, int) else -1 for v in values], dtype=torch.int64
            )
        longest = max((row.length for row in self.rows), default=0)
        if known[name].multiple:
            return multi_hot(values, longest, len(known[name].classes))
        out = torch.full((len(values), longest), -1, dtype=torch.int64)
        for clip, value in enumerate(values):
            if isinstance(value, list):
                out[clip, : len(value)] = torch.tensor(value)
        return out


def multi_hot(values: Sequence[Any], steps: int, classes: int) -> Tensor:
    """Lists of class indices per step as numbers.

    Args:
        values: Per clip a list, one entry per step, of lists of class indices; None: unlabelled.
        steps: T.
        classes: C.

    Returns:
        float32 [N, T, C], -1 where nothing is known.
    """
    out = torch.full((len(values), steps, classes), -1.0)
    for clip, value in enumerate(values):
        if value is None:
            continue
        out[clip, : len(value)] = 0.0
        at = [(step, c) for step, active in enumerate(value) for c in active]
        if at:
            step, column = torch.tensor(at).unbind(1)
            out[clip, step, column] = 1.0
    return out
