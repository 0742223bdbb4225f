"""Reconstruction: the code and the private detail together rebuild the feature (paper Eq. 6)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from cmg.masking import squared_error
from cmg.options import Options
from cmg.precision import full_precision
from cmg.types import Steps


class ReconstructionOptions(Options):
    """Weight and target of the reconstruction.

    Attributes:
        weight: In the sum; 0 is computed and logged only.
        detach_token_target: Cut the gradient that reaches the token LSTM through the target. As
            coded it is not cut, and the LSTM can lower the loss by shrinking its output.
    """

    weight: float = Field(1.0, ge=0.0)
    detach_token_target: bool = True


@full_precision
def reconstruction_loss(
    inputs: Mapping[str, Tensor],
    rebuilt: Mapping[str, Tensor],
    steps: Steps,
    detach_target: bool = True,
) -> dict[str, Tensor]:
    """Mean squared error per modality.

    Args:
        inputs: Targets, [B, T, ...] per modality.
        rebuilt: Decoder outputs of the same shapes.
        steps: Which steps exist.
        detach_target: Cut the gradient through the target.

    Returns:
        A scalar per modality that some clip of the batch has.
    """
    return {
        m: squared_error(rebuilt[m], x.detach() if detach_target else x, steps.mask(m))
        for m, x in inputs.items()
        if steps.any(m)
    }
