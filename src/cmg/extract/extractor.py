"""What an extractor is: from decoded frames, a waveform or a text to one feature per step.

Shape legend: N frames, S samples, T steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmg.types import Kind

Takes = Literal["frames", "sound", "text"]

KINDS: dict[Takes, Kind] = {
    "frames": Kind.MAPS,
    "sound": Kind.VECTORS,
    "text": Kind.TOKENS,
}
"""What one step of the features of each is."""


@dataclass(frozen=True)
class Card:
    """What is known of an extractor without loading it.

    Attributes:
        name: How commands call it; ``family:*`` stands for all models of a library.
        takes: What it reads.
        shape: Of one step, as text where it depends on the model: ``7 x 7 x 512``, ``768``.
        get: How to get the weights, and where they are looked for.
        loader: ``module:function`` that takes :class:`LoadOptions` and gives the extractor.
        seconds: Duration of a step that is no word, if nothing else is asked for.
        code: License of the code.
        weights: License of the weights.
        extra: Of `cmg-torch` that it needs; None where it needs none.
    """

    name: str
    takes: Takes
    shape: str
    get: str
    loader: str
    seconds: float = 1.0
    code: str = "Apache-2.0"
    weights: str = "see the model's page"
    extra: str | None = None

    @property
    def step_seconds(self) -> float | None:
        """Duration of a step if nothing else is asked for; None for words."""
        return None if self.takes == "text" else self.seconds


@dataclass(frozen=True)
class LoadOptions:
    """How an extractor is to be loaded.

    Attributes:
        model: Which of a family: what follows the colon of ``timm:resnet50``; empty otherwise.
        weights: The user's file or folder of weights; None looks where the card says.
        step_seconds: Duration of a step; None is the extractor's own.
        device: Torch device of the network.
    """

    model: str = ""
    weights: Path | None = None
    step_seconds: float | None = None
    device: str = "cpu"


class Extractor(Protocol):
    """What all extractors have."""

    name: str
    """As in the registry, with the model: ``timm:resnet50``."""
    shape: tuple[int, ...]
    """Of one step, channels last."""
    step_seconds: float | None
    identity: str
    """SHA-256 of everything that decides what it computes: weights, their origin, settings."""
    notes: str
    """One sentence for the store: which weights of what origin, which preprocessing."""


class FrameExtractor(Extractor, Protocol):
    """Reads frames; the features of a step are the mean over its frames."""

    frames_per_step: int
    size: tuple[int, int]
    """Height and width that frames are scaled to, bilinear, aspect ratio not kept."""

    def extract(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of RGB frames [N, H, W, 3]: float32 [N, *shape]."""


class SoundExtractor(Extractor, Protocol):
    """Reads a waveform."""

    rate: int
    """Samples per second that it reads."""

    def extract(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of a mono waveform [S] in [-1, 1]: float32 [T, *shape].

        T is the number of steps that the wave fills, a last one that is at least half full (padded
        with zeros) included, and at least 1 for a wave that is not empty; VGGish as published
        counts only whole windows.
        """


class TextExtractor(Extractor, Protocol):
    """Reads a text."""

    def extract(self, text: str) -> NDArray[np.float32]:
        """A feature per word: float32 [T, *shape]; T is 0 for a text without words."""
