"""The data sets of a collection seen through one frozen model."""

from __future__ import annotations

import copy

import torch

from cmg.data.source import ClipSource
from cmg.errors import DataError, ModalityError
from cmg.models.unified import UnifiedModel
from cmg.official.collection import Collection
from cmg.tasks.frozen import FrozenSource, Progress, quiet
from cmg.tasks.plan import MODALITIES, Protocol


class Opened:
    """A collection whose sources are opened once.

    Args:
        collection: The data sets.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.path = collection.path
        self.names = collection.names
        self._open: dict[str, ClipSource] = {}

    def open(self, name: str) -> ClipSource:
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


class World:
    """What a benchmark builds its plan from.

    Args:
        collection: The data sets.
        model: Left untouched; ``published`` reads a float64 copy of it.
        protocol: ``published`` or ``clean``.
        progress: Told about clips that are encoded.

    Raises:
        ModalityError: the model lacks audio or video.
    """

    def __init__(
        self,
        collection: Opened,
        model: UnifiedModel,
        protocol: Protocol,
        progress: Progress = quiet,
    ) -> None:
        missing = [m for m in MODALITIES if m not in model.modalities]
        if missing:
            raise ModalityError(
                f"the benchmarks go from video to audio and back; the model has "
                f"{', '.join(model.modalities)} and no {missing[0]}; give one that was trained "
                "with modalities=av or avt"
            )
        self.collection = collection
        self.protocol = protocol
        self.progress = progress
        published = protocol == "published"
        self.dtype = torch.float64 if published else torch.float32
        # As coded, encoders run in float64; converting a model is in place.
        as_coded = published and model.dtype != torch.float64
        self.model = copy.deepcopy(model).to(torch.float64) if as_coded else model
        self._sources: dict[str, FrozenSource] = {}

    def source(self, name: str) -> FrozenSource:
        """One of the data sets, the same object for every benchmark.

        Raises:
            DataError: the collection lacks it.
        """
        if name not in self._sources:
            self._sources[name] = FrozenSource(
                self.model,
                self.collection.open(name),
                name,
                self.protocol == "published",
                self.progress,
            )
        return self._sources[name]
