"""Features brought to a common scale, as those of the training clips are."""

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


@dataclass(frozen=True)
class Components:
    """Principal components, so scaled that their mean deviation is 1.

    Attributes:
        mean: float32 [C].
        weights: float32 [C, components].
    """

    mean: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(
        cls, mean: NDArray[np.float64], covariance: NDArray[np.float64], count: int
    ) -> Components:
        """Of numbers with a mean [C] and a covariance [C, C].

        Args:
            mean: Of training rows alone.
            covariance: Likewise.
            count: Most components; there are never more than C.
        """
        variances, vectors = np.linalg.eigh(covariance)
        kept = vectors[:, ::-1][:, :count]
        # The sign of an eigenvector is arbitrary: its largest entry is made positive.
        kept = kept * np.sign(kept[np.abs(kept).argmax(0), np.arange(kept.shape[1])])
        scale = np.sqrt(np.maximum(variances[::-1][:count], 1e-12)).mean()
        return cls(mean.astype(np.float32), (kept / scale).astype(np.float32))

    def __call__(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """[..., C] as [..., components]."""
        return np.asarray((rows.astype(np.float32) - self.mean) @ self.weights, dtype=np.float32)


def _exact_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([math.fsum(column) for column in values.T.tolist()])
