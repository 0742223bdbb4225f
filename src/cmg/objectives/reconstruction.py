"""Reconstruction: the code and the private detail together rebuild the feature (paper Eq. 6)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cmg.masking import ALL_STEPS, Drawn, at_steps, squared_error, step_weights
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
    drawn: Drawn = ALL_STEPS,
) -> dict[str, Tensor]:
    """Mean squared error per modality.

    Args:
        inputs: Targets, [B, T, ...] per modality.
        rebuilt: Decoder outputs of the same shapes, or of the drawn steps.
        steps: Which steps exist; None for all.
        detach_target: Cut the gradient through the target.
        drawn: The steps that were rebuilt, by modality; of others all were.

    Returns:
        A scalar per modality that some clip of the batch has.
    """
    steps, losses = steps or Steps.of(inputs), {}
    for m, x in inputs.items():
        if steps.any(m):
            some = drawn.get(m)
            target = at_steps(x.detach() if detach_target else x, some)
            losses[m] = squared_error(rebuilt[m], target, step_weights(steps.mask(m), some))
    return losses


@objectives.register("reconstruction", ReconstructionOptions)
class Reconstruction(Objective):
    """:func:`reconstruction_loss` as a term."""

    scope = "clip"
    needs = frozenset({"detail", "rebuilt"})
    by_default = of_some_steps = True
    title = "reconstruction"
    about = "code and private detail together rebuild the input"

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        rebuilt: Mapping[str, Tensor],
        steps: Steps | None = None,
        drawn: Drawn = ALL_STEPS,
    ) -> dict[str, Tensor]:
        """See :func:`reconstruction_loss`."""
        return reconstruction_loss(inputs, rebuilt, steps, self.options.detach_token_target, drawn)

    def term(self, view: View, draw: None) -> dict[str, Tensor]:
        """Mean squared error per modality."""
        encoded = view.encoded
        return self.forward(encoded.inputs, view.rebuilt, encoded.steps, encoded.drawn)
