"""From frames of sound to steps of equal length.

Shape legend: S samples, F frames, T steps, C width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions


def step_of(options: LoadOptions, default: float = 1.0) -> float:
    """The duration of a step in seconds: the one asked for, or the extractor's own.

    Raises:
        ConfigError: not a positive number.
    """
    if options.step_seconds is None:
        return default
    if not 0 < options.step_seconds < float("inf"):
        raise ConfigError(
            f"a step of {options.step_seconds:g} s; steps must last longer than 0 s, e.g. 1.0"
        )
    return options.step_seconds


def step_count(samples: int, rate: int, step_seconds: float) -> int:
    """Steps that a wave fills, a last one that is at least half full included.

    At least 1 for a wave that is not empty.
    """
    if samples == 0:
        return 0
    # The small part lets 0.25 s be half full of a step of 0.5 s whatever floats make of it.
    return max(1, int(samples / (rate * step_seconds) + 0.5 + 1e-9))


def in_whole_steps(
    wave: NDArray[np.float32], rate: int, step_seconds: float
) -> NDArray[np.float32]:
    """A wave [S] that ends where its last step ends: padded with zeros, or cut."""
    steps = step_count(len(wave), rate, step_seconds)
    length = round(steps * step_seconds * rate)
    return np.pad(wave[:length], (0, max(0, length - len(wave))))


def pooled(
    frames: NDArray[np.float32], times: NDArray[np.float64], step_seconds: float, steps: int
) -> NDArray[np.float32]:
    """The mean of the frames whose middle lies in each step.

    A step without one takes the frame whose middle is nearest to its own.

    Args:
        frames: [F, C], F at least 1.
        times: Of their middles, in seconds, [F]; those outside the steps are left out.
        step_seconds: Duration of a step.
        steps: T.

    Returns:
        float32 [T, C].
    """
    of_step = np.floor(times / step_seconds + 1e-9).astype(np.int64)
    found = np.empty((steps, frames.shape[1]), dtype=np.float32)
    for step in range(steps):
        own = of_step == step
        if not own.any():
            own = np.arange(len(times)) == np.abs(times - (step + 0.5) * step_seconds).argmin()
        found[step] = frames[own].mean(axis=0, dtype=np.float64)
    return found
