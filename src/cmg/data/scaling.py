"""Features brought to mean 0 and variance 1, as those of the training clips are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Standardizer:
    """Shift and scale of the numbers of a step.

    Attributes:
        mean: float64 [C].
        std: float64 [C].
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, clips: list[NDArray[np.float64]]) -> Standardizer:
        """Mean and standard deviation over all steps of some clips, [T, C] each.

        Sums are exact before they are rounded: they do not depend on the machine. A number that
        never changes, as three of MiniLM's, is only shifted.
        """
        values = np.concatenate(clips)
        mean = _exact_sums(values) / len(values)
        std = np.sqrt(_exact_sums((values - mean) ** 2) / len(values))
        return cls(mean, np.where(std > 0, std, 1))

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float32]:
        """Features [T, C] in units of what these were."""
        scaled: NDArray[np.float32] = ((features - self.mean) / self.std).astype(np.float32)
        return scaled


def _exact_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([math.fsum(column) for column in values.T.tolist()])
