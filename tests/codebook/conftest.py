"""Codebooks and lookups with chosen contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from cmg.codebook import CodebookOptions, SharedCodebook
from cmg.types import Quantized, Steps


@pytest.fixture
def make_codebook() -> Callable[..., SharedCodebook]:
    """A codebook that holds the given codes; counts and sums only where they are given."""

    def make(
        codes: Tensor,
        modalities: tuple[str, ...] = ("audio", "video"),
        counts: Tensor | None = None,
        sums: Tensor | None = None,
        **options: object,
    ) -> SharedCodebook:
        settings = CodebookOptions.model_validate({"size": codes.shape[0], **options})
        book = SharedCodebook(modalities, codes.shape[1], settings).to(codes.dtype)
        book.codes.copy_(codes)
        if counts is not None:
            book.counts.copy_(counts)
        initial = settings.ema.initial_count
        if sums is None:
            sums = codes * book.counts[:, None] if counts is not None or initial else codes
        book.sums.copy_(sums)
        return book

    return make


@pytest.fixture
def make_quantized() -> Callable[..., Quantized]:
    """What `lookup` would return for these indices; features are zero unless given."""

    def make(
        indices: Mapping[str, Tensor],
        semantic: Mapping[str, Tensor] | None = None,
        lengths: Mapping[str, Tensor] | None = None,
        width: int = 2,
    ) -> Quantized:
        some = next(iter(indices.values()))
        z = semantic or {m: torch.zeros(*some.shape, width) for m in indices}
        steps = Steps(some.shape[0], some.shape[1], lengths)
        return Quantized(dict(indices), dict(z), dict(z), dict(z), steps)

    return make


@pytest.fixture
def state_of() -> Callable[[SharedCodebook], dict[str, Tensor]]:
    """A copy of every buffer."""
    return lambda book: {name: x.clone() for name, x in book.state_dict().items()}
