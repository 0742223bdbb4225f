"""Quantizers whose steps have several indices, each of a shared codebook of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from cmg.codebook.codebook import CodebookOptions, SharedCodebook, TableOptions, in_batches
from cmg.codebook.quantizer import Features, Quantizer, quantizers
from cmg.codebook.reset import ResetDraw
from cmg.errors import ConfigError
from cmg.types import Quantized


class LeveledCodebook(Quantizer):
    """L shared codebooks, each given a part of the feature; MM-EMA, reset and start are theirs.

    A kind says what a level is given (`part`), what is left for the next one (`left`), and how
    their codes are joined. Every level draws from the same source of chance, in order.

    Attributes:
        books: L codebooks of K codes [K, d].
    """

    levels: int
    books: Sequence[SharedCodebook]
    alike: bool = False
    """Whether all levels have one codebook, which moves once for each of them, in order."""

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: Any = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(modalities, width, options, generator)
        self.levels, self.level_width = self.divided(width)
        self.size = self.options.size
        common = self.options.model_dump(include=TableOptions.model_fields.keys() - {"kind"})
        books = [
            SharedCodebook(modalities, self.level_width, CodebookOptions(**common), generator)
            for _ in range(1 if self.alike else self.levels)
        ]
        self.books = cast(
            Sequence[SharedCodebook], nn.ModuleList(books * self.levels if self.alike else books)
        )

    def divided(self, width: int) -> tuple[int, int]:
        """Number of levels L, and the width d of each."""
        raise NotImplementedError

    def part(self, z: Tensor, level: int) -> Tensor:
        """What a level is given, [..., d], of what the levels before it have left [..., D]."""
        return z

    def left(self, z: Tensor, codes: Tensor) -> Tensor:
        """What a level leaves of what it found [..., D], by its codes [..., d]."""
        return z

    def joined(self, codes: Sequence[Tensor]) -> Tensor:
        """The code vector [..., D] of the levels' [..., d]."""
        raise NotImplementedError

    @property
    def starts_on_data(self) -> bool:
        """Whether :meth:`start_from` does anything."""
        return self.books[0].starts_on_data

    def descend(
        self, semantic: Mapping[str, Tensor], picked: Mapping[str, Tensor] | None = None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """What each level is given of features [..., D], and the indices [..., L].

        Args:
            semantic: By modality.
            picked: Indices that are known; None looks them up.
        """
        rest, given, found = dict(semantic), [], []
        for level, book in enumerate(self.books):
            given.append({m: self.part(z, level) for m, z in rest.items()})
            if picked is None:
                found.append(book.nearest(given[-1]))
            else:
                found.append({m: x[..., level] for m, x in picked.items()})
            codes = {m: book.codes_of(m, x) for m, x in found[-1].items()}
            rest = {m: self.left(rest[m], e) for m, e in codes.items()}
        return given, {m: torch.stack([x[m] for x in found], -1) for m in semantic}

    def nearest(self, semantic: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`Quantizer.nearest`."""
        return self.descend(semantic)[1]

    def table(self, modality: str) -> Tensor:
        """The codes of every level, [L, K, d]."""
        return torch.stack([book.codes for book in self.books])

    def codes_of(self, modality: str, indices: Tensor) -> Tensor:
        """See :meth:`Quantizer.codes_of`."""
        levels = zip(self.books, indices.unbind(-1), strict=True)
        return self.joined([book.codes_of(modality, x) for book, x in levels])

    def vectors(self, modality: str, indices: Tensor) -> Tensor:
        """See :meth:`Quantizer.vectors`; -1 leaves a level out."""
        self.check_indices(modality, indices)
        levels = zip(self.books, indices.unbind(-1), strict=True)
        return self.joined([book.vectors(modality, x) for book, x in levels])

    def distances(self, modality: str, z: Tensor) -> Tensor:
        """See :meth:`Quantizer.distances`; a level's are of what it is given of z."""
        given, _ = self.descend({modality: z})
        levels = zip(self.books, given, strict=True)
        return torch.stack([book.distances(modality, x[modality]) for book, x in levels], -2)

    def draw(self, generator: torch.Generator | None = None) -> ResetDraw:
        """The random choices of an update, from a generator; None is torch's global one."""
        return self.books[0].draw(generator)

    @torch.no_grad()
    def update(self, quantized: Quantized, draw: ResetDraw | None = None) -> None:
        """MM-EMA and reset of every level, by what the codes before the update gave it."""
        given, _ = self.descend(quantized.semantic, quantized.indices)
        for level, book in enumerate(self.books):
            picked = {m: x[..., level] for m, x in quantized.indices.items()}
            book.update(Quantized(picked, {}, {}, given[level], quantized.steps), draw)

    @torch.no_grad()
    def start_from(self, features: Features, generator: torch.Generator) -> None:
        """See :meth:`Quantizer.start_from`; a level starts on what those before it leave."""
        rest = in_batches(features)
        for level, book in enumerate(self.books):
            given = [{m: self.part(z, level) for m, z in batch.items()} for batch in rest]
            book.start_from(given, generator)
            rest = [
                {m: self.left(z, book.codes_of(m, book.nearest(one)[m])) for m, z in batch.items()}
                for batch, one in zip(rest, given, strict=True)
            ]


class ResidualOptions(TableOptions):
    """Options of a :class:`ResidualCodebook`; see :class:`TableOptions`.

    Attributes:
        levels: L.
    """

    kind: Literal["residual"] = "residual"
    levels: int = Field(2, ge=1)


@quantizers.register("residual", ResidualOptions)
class ResidualCodebook(LeveledCodebook):
    """Level after level rounds what the levels before it have left; the code is their sum."""

    kind = "residual"

    def divided(self, width: int) -> tuple[int, int]:
        """Every level has the whole width."""
        return self.options.levels, width

    def left(self, z: Tensor, codes: Tensor) -> Tensor:
        """The residual."""
        return z - codes

    def joined(self, codes: Sequence[Tensor]) -> Tensor:
        """The sum of the levels' codes."""
        return torch.stack(list(codes)).sum(0)


class ProductOptions(TableOptions):
    """Options of a :class:`ProductCodebook`; see :class:`TableOptions`.

    Attributes:
        groups: L; divides the model's width.
        shared: Whether one codebook serves all groups, and moves once for each of them, in order
            [as coded in TURN].
    """

    kind: Literal["product"] = "product"
    groups: int = Field(8, ge=1)
    shared: bool = False


@quantizers.register("product", ProductOptions)
class ProductCodebook(LeveledCodebook):
    """The dimensions of a feature in groups, a codebook for each."""

    kind = "product"

    def divided(self, width: int) -> tuple[int, int]:
        """Groups of equal width.

        Raises:
            ConfigError: there are none.
        """
        groups, self.alike = self.options.groups, self.options.shared
        if width % groups:
            raise ConfigError(
                f"model.width = {width} is not a multiple of model.codebook.groups = {groups}"
            )
        return groups, width // groups

    def part(self, z: Tensor, level: int) -> Tensor:
        """The group's dimensions."""
        return z[..., level * self.level_width : (level + 1) * self.level_width]

    def joined(self, codes: Sequence[Tensor]) -> Tensor:
        """The groups' codes side by side."""
        return torch.cat(list(codes), -1)

    @torch.no_grad()
    def start_from(self, features: Features, generator: torch.Generator) -> None:
        """See :meth:`Quantizer.start_from`; one codebook starts on what all groups are given."""
        if not self.alike:
            return super().start_from(features, generator)
        cut = [
            {m: z.reshape(-1, self.level_width) for m, z in batch.items()}
            for batch in in_batches(features)
        ]
        return self.books[0].start_from(cut, generator)
