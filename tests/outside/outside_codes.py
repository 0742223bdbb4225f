"""A quantizer from outside the package, as a user would write it: a plugin of the tests."""

from __future__ import annotations

import torch
from pydantic import Field

from cmg.codebook import Quantizer, QuantizerOptions, quantizers


class SignOptions(QuantizerOptions):
    """How many features are rounded."""

    kind: str = "signs"
    bits: int = Field(6, ge=1, le=12)


@quantizers.register("signs", SignOptions)
class Signs(Quantizer):
    """A code is the signs of the first features: nothing is learned, nothing can collapse."""

    kind = "signs"

    def __init__(self, modalities, width, options=None, generator=None):
        super().__init__(modalities, width, options, generator)
        bits = self.options.bits
        self.size = 2**bits
        codes = torch.zeros(self.size, width)
        codes[:, :bits] = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * bits).view(-1, bits)
        self.register_buffer("codes", codes)

    def table(self, modality):
        return self.codes

    def distances(self, modality, z):
        return (z[..., None, :] - self.codes).square().sum(-1).add(1e-6).sqrt()

    def nearest(self, semantic):
        places = 2 ** torch.arange(self.options.bits - 1, -1, -1, device=self.codes.device)
        return {m: ((z[..., : len(places)] > 0) * places).sum(-1) for m, z in semantic.items()}

    def codes_of(self, modality, indices):
        return self.codes[indices]
