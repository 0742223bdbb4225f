"""Which dimensions of a finished codebook heads read: chosen from the codes, without training.

A dimension is worth keeping whose values spread over the codes while their products do not: for
codes e_1 .. e_K, of every dimension d,

    similarity_d = mean over ordered pairs i != j of e_id e_jd   (products as they are)
    variance_d   = unbiased variance over i of e_id
    criterion_d  = 0.3 variance_d - 0.7 similarity_d

The idea of TOC (Training-free Optimization of the Codebook); docs/methods/toc.md.
"""

from __future__ import annotations

import torch
from pydantic import Field, model_validator
from torch import Tensor

from cmg.codebook.levels import ProductCodebook
from cmg.codebook.quantizer import Quantizer
from cmg.errors import ConfigError
from cmg.options import Options

SIMILARITY, VARIANCE = 0.7, 0.3
"""Weights of the criterion [as coded]."""


class DimensionOptions(Options):
    """How many dimensions are kept, and from which end of the criterion.

    Attributes:
        keep: How many, of each group of dimensions where there are some; a multiple of
            `largest` + `smallest`.
        largest: Share of those with the largest criterion, in a ratio to `smallest`.
        smallest: Share of those with the smallest.
        as_coded: Where the ratio does not divide `keep`, keep fewer, which is said in a remark.
    """

    keep: int = Field(ge=1)
    largest: int = Field(1, ge=0)
    smallest: int = Field(0, ge=0)
    as_coded: bool = False

    @model_validator(mode="after")
    def _divisible(self) -> DimensionOptions:
        parts = self.largest + self.smallest
        if not parts:
            raise ValueError("largest and smallest are both 0, which keeps nothing; give a ratio")
        below = self.keep // parts * parts
        if self.keep % parts and not (self.as_coded and below):
            also = f", or set as_coded=true, which keeps {below}" if below else ""
            raise ValueError(
                f"keep = {self.keep} is no multiple of largest + smallest = {parts}; "
                f"keep {' or '.join(str(k) for k in (below, below + parts) if k)}{also}"
            )
        return self

    @property
    def kept(self) -> int:
        """How many are kept in the end: the division comes before the product [as coded]."""
        parts = self.largest + self.smallest
        return self.keep // parts * parts

    @property
    def remark(self) -> str | None:
        """What has to be said of fewer dimensions than were asked for."""
        if self.kept == self.keep:
            return None
        return (
            f"{self.kept} of the {self.keep} dimensions asked for are kept: the ratio "
            f"{self.largest}:{self.smallest} does not divide {self.keep} [as coded]"
        )


def dimension_criterion(codes: Tensor) -> Tensor:
    """What dimensions are ordered by, in closed form and float64.

    Args:
        codes: [K, D].

    Returns:
        [D].
    """
    codes = codes.double()
    count = codes.shape[0]
    pairs = codes.sum(0).square() - codes.square().sum(0)
    return VARIANCE * codes.var(0) - SIMILARITY * pairs / (count * (count - 1))


def chosen_dimensions(criterion: Tensor, options: DimensionOptions) -> Tensor:
    """The kept dimensions: first the largest, from the top; then the smallest, from the bottom.

    Args:
        criterion: [D], of :func:`dimension_criterion`.
        options: How many, and from which end.

    Returns:
        int64 [options.kept].

    Raises:
        ConfigError: more than there are.
    """
    if options.kept > len(criterion):
        raise ConfigError(
            f"probe.dimensions.keep = {options.keep}, but code vectors have {len(criterion)} "
            "dimensions; keep at most so many"
        )
    each = options.kept // (options.largest + options.smallest)
    rising = criterion.argsort(stable=True)
    falling = criterion.argsort(stable=True, descending=True)
    return torch.cat([falling[: each * options.largest], rising[: each * options.smallest]])


@torch.no_grad()
def kept_dimensions(book: Quantizer, options: DimensionOptions) -> Tensor:
    """The dimensions that are kept of what heads are given of a codebook.

    One list for all modalities, since a head goes from one to the other: where each has vectors of
    its own, by the mean of their criteria. Of groups of dimensions, or layers side by side, as many
    of each, by its own codes, group after group [as coded of two layers].

    Args:
        book: Left untouched.
        options: How many (of each group), and from which end.

    Returns:
        int64 [options.kept], or [L options.kept], on the codebook's device.

    Raises:
        ConfigError: no codes, levels of them that are added, or more dimensions than there are.
    """
    if isinstance(book, ProductCodebook):
        own = [kept_dimensions(one, options) for one in book.books]
        return torch.cat([x + level * book.level_width for level, x in enumerate(own)])
    book.need_one_level("probe.dimensions", "set probe.dimensions=null")
    device = book.table(book.modalities[0]).device
    every = torch.arange(book.size, device=device)
    criteria = [dimension_criterion(book.vectors(m, every)) for m in book.modalities]
    return chosen_dimensions(torch.stack(criteria).mean(0), options)
