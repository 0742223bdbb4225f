"""Linear maps between the features of two modalities, in closed form and float64.

With features x [N, F] and y [N, G] of the same clips, centered at their means,

    ridge  W = (Y'Y + N p I)^-1 Y'X: y W is the least-squares guess of x with penalty p |W|^2;
    CCA    A, B: the columns of x A and y B with the greatest correlations, where the covariances
           are X'X / N + p I and Y'Y / N + p I (Hotelling, 1936; Vinod, 1976, with the penalty).

Both are computed from the principal directions of x and y, which are found once for all penalties;
of N < F clips from the N x N matrix of their products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RANK = 1e-12
"""Principal directions with less than this share of the largest variance are rounding errors."""


@dataclass(frozen=True)
class Affine:
    """x -> (x - mean) @ weight + bias.

    Attributes:
        mean: [F].
        weight: [F, D].
        bias: [D].
    """

    mean: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """[N, F] -> [N, D]."""
        return (x - self.mean) @ self.weight + self.bias

    def leading(self, columns: int) -> Affine:
        """Only the first columns of the outcome."""
        return Affine(self.mean, self.weight[:, :columns], self.bias[:columns])


@dataclass(frozen=True)
class Principal:
    """Features by their principal directions: x - mean = U diag(scale) directions'.

    Attributes:
        mean: [F].
        scale: Singular values, descending, [R].
        directions: Orthonormal columns, [F, R].
    """

    mean: Tensor
    scale: Tensor
    directions: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Principal:
        """Of features [N, F]; R is their rank."""
        mean = x.mean(0)
        centered = x - mean
        wide = x.shape[1] > x.shape[0]
        products = centered @ centered.T if wide else centered.T @ centered
        squares, vectors = torch.linalg.eigh(products)
        squares, vectors = squares.flip(0), vectors.flip(1)
        kept = squares > RANK * squares[0].clamp_min(torch.finfo(x.dtype).tiny)
        scale, vectors = squares[kept].sqrt(), vectors[:, kept]
        return cls(mean, scale, centered.T @ vectors / scale if wide else vectors)

    def normalized(self, products: Tensor) -> Tensor:
        """U'Z [R, G] of products X'Z [F, G] with other features of the same clips."""
        return self.directions.T @ products / self.scale[:, None]


@dataclass(frozen=True)
class SharedSpace:
    """Two projections to one space.

    Attributes:
        first: Of one modality's features.
        second: Of the other's.
        correlations: Of their columns, descending, [D].
    """

    first: Affine
    second: Affine
    correlations: Tensor

    def leading(self, columns: int) -> SharedSpace:
        """The space's first dimensions."""
        maps = (self.first.leading(columns), self.second.leading(columns))
        return SharedSpace(*maps, self.correlations[:columns])

    def turned(self) -> SharedSpace:
        """The other modality first."""
        return SharedSpace(self.second, self.first, self.correlations)


class Ridge:
    """Guesses `wanted` features from `given` ones.

    Args:
        given: y, [N, G].
        wanted: x, [N, F].
    """

    def __init__(self, given: Tensor, wanted: Tensor) -> None:
        self.clips, self.bias = len(given), wanted.mean(0)
        self.given = Principal.of(given)
        products = (given - self.given.mean).T @ (wanted - self.bias)
        self.cross = self.given.normalized(products)

    def at(self, penalty: float) -> Affine:
        """The map from `given` to `wanted` with a penalty p."""
        scale = self.given.scale
        shrunk = scale / (scale.square() + self.clips * penalty)
        weight = self.given.directions @ (shrunk[:, None] * self.cross)
        return Affine(self.given.mean, weight, self.bias)


class CCA:
    """Projects two modalities to where they are correlated most.

    Args:
        first: x, [N, F].
        second: y, [N, G].
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        self.clips = len(first)
        self.first, self.second = Principal.of(first), Principal.of(second)
        products = (first - self.first.mean).T @ (second - self.second.mean)
        half = self.first.normalized(products)  # U1'Y, and then U1'U2
        self.cross = self.second.normalized(half.T).T

    def at(self, penalty: float) -> SharedSpace:
        """Both projections with a penalty p; without one each column has unit variance."""
        sides = (self.first, self.second)
        spread = [(p.scale.square() + self.clips * penalty).sqrt() for p in sides]
        shares = [p.scale / s for p, s in zip(sides, spread, strict=True)]
        left, correlations, right = torch.linalg.svd(
            shares[0][:, None] * self.cross * shares[1], full_matrices=False
        )
        root = self.clips**0.5
        columns = (root * left / spread[0][:, None], root * right.T / spread[1][:, None])
        maps = [projection(p, c) for p, c in zip(sides, columns, strict=True)]
        return SharedSpace(maps[0], maps[1], correlations)


def projection(principal: Principal, weight: Tensor) -> Affine:
    """What weights [R, D] on principal directions do to features."""
    return Affine(principal.mean, principal.directions @ weight, weight.new_zeros(weight.shape[1]))
