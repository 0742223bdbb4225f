"""Reconstruction: the code and the private detail together rebuild the feature (paper Eq. 6)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cmg.masking import squared_error
from cmg.objectives.base import Objective, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Steps


class ReconstructionOptions(TermOptions):
    """Target of the reconstruction.

    Attributes:
        detach_token_target: Cut the gradient that reaches the token LSTM through the target. As
            coded it is not cut, and the LSTM can lower the loss by shrinking its output.
    """

    detach_token_target: bool = True


@full_precision
def reconstruction_loss(
    inputs: Mapping[str, Tensor],
    rebuilt: Mapping[str, Tensor],
    steps: Steps | None = None,
    detach_target: bool = True,
) -> dict[str, Tensor]:
    """Mean squared error per modality.

    Args:
        inputs: Targets, [B, T, ...] per modality.
        rebuilt: Decoder outputs of the same shapes.
        steps: Which steps exist; None for all.
        detach_target: Cut the gradient through the target.

    Returns:
        A scalar per modality that some clip of the batch has.
    """
    steps = steps or Steps.of(inputs)
    return {
        m: squared_error(rebuilt[m], x.detach() if detach_target else x, steps.mask(m))
        for m, x in inputs.items()
        if steps.any(m)
    }


@objectives.register("reconstruction", ReconstructionOptions)
class Reconstruction(Objective):
    """:func:`reconstruction_loss` as a term."""

    scope = "clip"
    needs = frozenset({"detail", "rebuilt"})
    by_default = True
    title = "reconstruction"
    about = "code and private detail together rebuild the input"

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        rebuilt: Mapping[str, Tensor],
        steps: Steps | None = None,
    ) -> dict[str, Tensor]:
        """See :func:`reconstruction_loss`."""
        return reconstruction_loss(inputs, rebuilt, steps, self.options.detach_token_target)

    def term(self, view: View, draw: None) -> dict[str, Tensor]:
        """Mean squared error per modality."""
        return self.forward(view.encoded.inputs, view.rebuilt, view.encoded.steps)
