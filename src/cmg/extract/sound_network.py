"""An extractor over any network that turns a wave into frames.

Shape legend: S samples, F frames, T steps, C width.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.identity import identity_of
from cmg.extract.steps import in_whole_steps, pooled, step_count, step_of

Wave = NDArray[np.float32]


class FramesOfSound(Protocol):
    """A network that hears a piece of sound."""

    rate: int
    """Samples per second."""
    width: int
    """C."""
    hop_seconds: float
    """Between frames."""
    longest_seconds: float
    """Of what it hears at once."""

    def prepared(self, wave: Wave) -> Wave:
        """What is done to a whole wave [S] before it is cut into pieces."""

    def frames(self, piece: Wave) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Frames [F, C] of a piece [S], F at least 1, and when each has its middle [F], seconds."""


class SoundNetwork:
    """A :class:`~cmg.extract.extractor.SoundExtractor`: the mean of the frames in each step.

    A long wave is cut into pieces of whole steps, each heard alone, so that memory and time stay in
    proportion to its length; what is less than half a step at the end is not heard.

    Args:
        name: As in the registry.
        network: What hears the pieces.
        weights: Digest of the files that decide what it computes.
        notes: Which weights of what origin, and which front end.
        options: Of loading.
        settings: What else decides the numbers, JSON values.

    Raises:
        ConfigError: a step too short or too long for the network.
    """

    def __init__(
        self,
        name: str,
        network: FramesOfSound,
        weights: str,
        notes: str,
        options: LoadOptions,
        settings: str = "",
    ) -> None:
        step = step_of(options)
        if not network.hop_seconds <= step <= network.longest_seconds:
            raise ConfigError(
                f"{name}: a step of {step:g} s; the network gives a vector every "
                f"{network.hop_seconds:g} s and hears {network.longest_seconds:g} s at once, so "
                "steps must last between the two"
            )
        self.name = name
        self.rate = network.rate
        self.shape: tuple[int, ...] = (network.width,)
        self.step_seconds: float | None = step
        self.notes = notes
        self.identity = identity_of(weights, step_seconds=step, settings=settings)
        self._network, self._step = network, step

    def extract(self, wave: Wave) -> NDArray[np.float32]:
        """Features of a mono waveform [S]: float32 [T, C]."""
        steps = step_count(len(wave), self.rate, self._step)
        if steps == 0:
            return np.zeros((0, *self.shape), dtype=np.float32)
        line = in_whole_steps(self._network.prepared(wave), self.rate, self._step)
        at_once = int(self._network.longest_seconds / self._step + 1e-9)
        return np.concatenate(
            [
                self._heard(line, first, min(at_once, steps - first))
                for first in range(0, steps, at_once)
            ]
        )

    def _heard(self, line: Wave, first: int, steps: int) -> NDArray[np.float32]:
        begin, end = (round(s * self._step * self.rate) for s in (first, first + steps))
        frames, times = self._network.frames(line[begin:end])
        return pooled(frames, times, self._step, steps)
