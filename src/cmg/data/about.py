"""What clips are as a whole, and how their features are read.

Shape legend: B clips, T steps of the longest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from cmg.data.columns import Positions
from cmg.data.manifest import FeatureSpec, LabelSpec, Manifest, MediaName
from cmg.errors import DataError, did_you_mean

Read = Callable[[str, Positions], tuple[Tensor, Tensor]]
"""Reads features, wherever they are: of a modality and the positions of clips gives [B, T, *shape],
zero after each clip's end, and lengths, int64 [B]; a DataError where a clip cannot be read."""


@dataclass(frozen=True)
class About:
    """What is known of clips as a whole.

    Attributes:
        path: Where they are, for messages.
        specs: How each modality is stored.
        labels: The labels with their classes.
        fingerprint: Gives the SHA-256 that changes with the content.
        media: The embedded set that the rows' `meta` refers to.
        notes: Where the data are from.
        remarks: What a user should know: parts that are missing, labels that fit no clip.
        grid: Seconds that steps were brought to; None where they are as they are stored.
        manifest: Of a store as it is on disk; None of anything else.
    """

    path: Path
    specs: Mapping[str, FeatureSpec]
    labels: Mapping[str, LabelSpec]
    fingerprint: Callable[[], str]
    media: MediaName | None = None
    notes: str = ""
    remarks: tuple[str, ...] = ()
    grid: float | None = None
    manifest: Manifest | None = None

    def first_label(self, per: str) -> str | None:
        """The first label per ``clip`` or per ``step``; None where there is none."""
        return next((name for name, spec in self.labels.items() if spec.per == per), None)

    def need_label(self, name: str) -> LabelSpec:
        """A label by its name.

        Raises:
            DataError: there is no such label.
        """
        if name not in self.labels:
            raise DataError(f"{self.path} has no label {name!r}{did_you_mean(name, self.labels)}")
        return self.labels[name]

    def of_labels(self, names: Iterable[str]) -> About:
        """With some of the labels alone, in this order.

        Raises:
            DataError: there is no such label.
        """
        return replace(self, labels={name: self.need_label(name) for name in names})
