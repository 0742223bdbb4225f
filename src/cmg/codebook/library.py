"""Quantizers of the package vector-quantize-pytorch as kinds, through one thin adapter.

The library chooses codes, moves them and estimates gradients; see docs/quantizers.md for what is
left out. It is given tokens [1, N, D] alone, for it reads more axes as those of pictures. Its
modules learn in `forward`; here they are frozen there, and learn in `update`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from cmg.codebook.distances import distance_to_codes, soft_codes
from cmg.codebook.quantizer import Quantizer
from cmg.masking import existing_steps
from cmg.optional import optional
from cmg.precision import full_precision, no_autocast
from cmg.process import mode, seeded
from cmg.types import Steps, sequences


class LibraryQuantizer(Quantizer):
    """A module of the library: what is common to its kinds.

    Vectors have the value of the code, and the gradient that the library gives its own output,
    which also reaches the weights of its projections.

    Attributes:
        module: The library's, an ``nn.Module``.
    """

    one_process = True
    module: Any
    frozen: ClassVar[Mapping[str, bool]] = {}
    """What keeps the library's forward from changing its module."""

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: Any = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(modalities, width, options, generator)
        with seeded(drawn_seed(generator)):
            self.module = self.made(self.need_package())

    @classmethod
    def need_package(cls) -> Any:
        """The library; see :meth:`Quantizer.need_package`."""
        needed = (
            f"model.codebook.kind={cls.kind} needs vector-quantize-pytorch: "
            "pip install 'cmg-torch[quantizers]'"
        )
        return optional("vector_quantize_pytorch", needed)

    def made(self, library: Any) -> Any:
        """The library's module for these options."""
        raise NotImplementedError

    def decoded(self, indices: Tensor) -> Any:
        """The library's vectors [1, N, D] of indices [1, N] or [1, N, L]."""
        return self.module.indices_to_codes(indices)

    @full_precision
    def run(self, z: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """The library's forward, which changes nothing.

        Args:
            z: Tokens, [N, D].
            training: Whether it estimates gradients and computes its loss.

        Returns:
            Vectors [N, D], indices int64 [N] or [N, L], and the loss, if it has one.
        """
        with mode(self.module, training):
            vectors, indices, *loss = self.module(z[None], **self.frozen)
        return vectors[0], indices[0].long(), loss[0].sum() if loss else None

    @torch.no_grad()
    def nearest(self, semantic: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`Quantizer.nearest`."""
        found = {m: self.run(z.flatten(0, -2), False)[1] for m, z in semantic.items()}
        return {m: x.view(*semantic[m].shape[:-1], *x.shape[1:]) for m, x in found.items()}

    @torch.no_grad()
    def codes_of(self, modality: str, indices: Tensor) -> Tensor:
        """See :meth:`Quantizer.codes_of`."""
        shape, levels = indices.shape, () if self.levels is None else (self.levels,)
        with no_autocast(indices.device.type):
            flat: Tensor = self.decoded(indices.reshape(1, -1, *levels))
        return flat.view(*shape[: len(shape) - len(levels)], self.width)

    def through(
        self,
        semantic: Mapping[str, Tensor],
        indices: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        steps: Steps,
    ) -> dict[str, Tensor]:
        """The codes, with the gradient that the library gives its output in training mode."""
        if not torch.is_grad_enabled():
            return dict(codes)
        own = {m: self.run(z.flatten(0, -2), True)[0].view(z.shape) for m, z in semantic.items()}
        return {m: x + (codes[m] - x).detach() for m, x in own.items()}

    def compared(self, z: Tensor) -> Tensor:
        """Features [..., D] where they are compared with the codes of `table`, [..., d]."""
        return z

    def distances(self, modality: str, z: Tensor) -> Tensor:
        """See :meth:`Quantizer.distances`; where the library compares, of which `table` tells."""
        return distance_to_codes(self.compared(z), self.table(modality))

    def posterior(self, modality: str, z: Tensor, temperature: float) -> Tensor:
        """See :meth:`Quantizer.posterior`."""
        if self.levels is not None:
            return super().posterior(modality, z, temperature)
        return soft_codes(self.compared(z), self.table(modality), temperature)

    def loss(self, semantic: Mapping[str, Tensor], steps: Steps) -> Tensor:
        """The library's own loss on the steps of all modalities together; see `Quantizer.loss`."""
        found = self.run(self.tokens(sequences(semantic), steps), True)[2]
        return super().loss(semantic, steps) if found is None else found

    def tokens(self, values: Mapping[str, Tensor], steps: Steps) -> Tensor:
        """Features or indices [B, T, ...] at the steps that exist, of all modalities, [N, ...]."""
        there = [m for m in self.modalities if m in values]
        return torch.cat([existing_steps(values[m], steps.mask(m)) for m in there])


def drawn_seed(generator: torch.Generator | None) -> int:
    """A seed for the library, which draws from torch's global generators."""
    return int(torch.randint(2**31, (), generator=generator))
