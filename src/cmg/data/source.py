"""What training and evaluation ask of data, however they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.index import id_key
from cmg.data.manifest import ClipRow, LabelSpec
from cmg.types import Modality

if TYPE_CHECKING:
    from cmg.data.split import Split


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
    def media(self) -> Literal["digits"] | None:
        """What the rows' `meta` refers to, see :mod:`cmg.data.digits`."""

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
