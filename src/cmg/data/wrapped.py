"""Clips of a source, changed in some respect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy import int64
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.manifest import ClipRow, LabelSpec, MediaName
from cmg.data.source import (
    ClipSource,
    HasSplits,
    absent_of,
    extractors_of,
    keys_of,
    lengths_of,
    members,
)
from cmg.types import Modality


class WrappedClips(HasSplits):
    """A :class:`~cmg.data.source.ClipSource` that says what its source says.

    Those that change something say it themselves, and at least another :attr:`content_hash`.

    Args:
        source: The clips; left as they are.
    """

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    @property
    def path(self) -> Path:
        """Of the source."""
        return self.source.path

    @property
    def rows(self) -> Sequence[ClipRow]:
        """Of the source."""
        return self.source.rows

    @property
    def modalities(self) -> dict[str, Modality]:
        """Of the source."""
        return self.source.modalities

    @property
    def labels(self) -> dict[str, LabelSpec]:
        """Of the source."""
        return self.source.labels

    @property
    def splits(self) -> dict[str, int]:
        """Of the source."""
        return self.source.splits

    @property
    def step_seconds(self) -> dict[str, float | None]:
        """Of the source."""
        return self.source.step_seconds

    @property
    def extractors(self) -> dict[str, str]:
        """Of the source."""
        return extractors_of(self.source)

    @property
    def media(self) -> MediaName | None:
        """Of the source."""
        return self.source.media

    @property
    def notes(self) -> str:
        """Of the source."""
        return self.source.notes

    @property
    def content_hash(self) -> str:
        """Of the source."""
        return self.source.content_hash

    def members_of(self, split: str) -> NDArray[int64]:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        return members(self.source, split)

    def lengths_of(self, modality: str, clips: NDArray[int64]) -> NDArray[int64]:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        return lengths_of(self.source, modality, clips)

    def absent_of(self, modality: str) -> int | None:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        return absent_of(self.source, modality)

    def keys_of(self, clips: NDArray[int64]) -> NDArray[int64]:
        """See :class:`~cmg.data.source.KnowsAllRows`."""
        return keys_of(self.source, clips)

    def gather(self, modality: str, clips: NDArray[int64]) -> tuple[Tensor, Tensor]:
        """See :class:`~cmg.data.source.ClipSource`."""
        return self.source.gather(modality, clips)
