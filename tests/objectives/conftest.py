"""Random features, and steps that exist or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cmg.types import Steps

NAMES = ("audio", "video", "text", "eeg")


@pytest.fixture
def features() -> Callable[..., dict[str, Tensor]]:
    """Features [B, T, D] of the first `modalities` names."""

    def make(
        modalities: int = 2,
        shape: tuple[int, ...] = (5, 4, 3),
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
        scale: float = 1.0,
    ) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(seed)
        return {
            m: scale * torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)
            for m in NAMES[:modalities]
        }

    return make


@pytest.fixture
def ragged() -> Callable[..., dict[str, Tensor]]:
    """Lengths 0 .. T per modality; the first clip is whole, and no clip has nothing at all."""

    def make(modalities: int, clips: int, steps: int, seed: int = 0) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(seed)
        drawn = torch.randint(0, steps + 1, (modalities, clips), generator=g)
        drawn[:, 0] = steps
        drawn[0] = torch.where(drawn.amax(0) == 0, 1, drawn[0])
        return dict(zip(NAMES, drawn, strict=False))

    return make


@pytest.fixture
def poisoned() -> Callable[..., dict[str, Tensor]]:
    """The same features with something else at the steps that do not exist."""

    def poison(z: dict[str, Tensor], lengths: dict[str, Tensor], value: float) -> dict[str, Tensor]:
        spoilt = {}
        for m, x in z.items():
            outside = torch.arange(x.shape[1])[None] >= lengths[m][:, None]
            spoilt[m] = x.masked_fill(outside.view(*x.shape[:2], *[1] * (x.dim() - 2)), value)
        return spoilt

    return poison


@pytest.fixture
def steps_of() -> Callable[..., Steps]:
    """Steps of a batch of features."""

    def make(z: dict[str, Tensor], lengths: dict[str, Tensor] | None = None) -> Steps:
        some = next(iter(z.values()))
        return Steps(some.shape[0], some.shape[1], lengths)

    return make
