"""Commitment: features stay near their own code and near their partners' codes (paper Eq. 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor

from cmg.masking import squared_error
from cmg.objectives.base import Objective, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Steps


class CommitmentOptions(TermOptions):
    """Weights of the commitment.

    Attributes:
        beta: 0.25 in the paper.
        form: ``as_coded`` weighs the own code 2 beta and each partner's beta / (M - 1);
            ``paper`` half of that; ``own`` weighs the own code beta and no other.
        partner_weight: Of each partner's code, in betas; null is 1 / (M - 1).
    """

    beta: float = Field(0.25, ge=0.0)
    form: Literal["as_coded", "paper", "own"] = "as_coded"
    partner_weight: float | None = Field(None, ge=0.0)


DEFAULT = CommitmentOptions()  # made here: torch.compile traces no making of options


@full_precision
def commitment_loss(
    semantic: Mapping[str, Tensor],
    codes: Mapping[str, Tensor],
    steps: Steps | None = None,
    options: CommitmentOptions | None = None,
) -> dict[str, Tensor]:
    """Pull of the features z towards own and partner codes e.

    L_m = own mse(z_m, e_m) + sum over n != m of cross mse(z_m, e_n), over the steps that exist in
    m, and in m and n.

    Args:
        semantic: z, [B, T, D] per modality.
        codes: e of the same steps, no gradient.
        steps: Which steps exist; None for all.
        options: beta and form.

    Returns:
        A scalar per modality that some clip of the batch has.
    """
    options, steps = options or DEFAULT, steps or Steps.of(semantic)
    scale = options.beta * (1.0 if options.form == "as_coded" else 0.5)
    partners = max(1, len(semantic) - 1)
    cross = scale / partners if options.partner_weight is None else scale * options.partner_weight
    losses = {}
    for m, z in semantic.items():
        if not steps.any(m):
            continue
        loss = 2.0 * scale * squared_error(z, codes[m].detach(), steps.mask(m))
        for n, partner in codes.items():
            if n != m and options.form != "own" and steps.any(m, n):
                loss = loss + cross * squared_error(z, partner.detach(), steps.mask(m, n))
        losses[m] = loss
    return losses


@objectives.register("commitment", CommitmentOptions)
class Commitment(Objective):
    """:func:`commitment_loss` as a term."""

    needs = frozenset({"codes"})
    by_default = True
    title = "commitment"
    about = "encoders stay near the codes, their own and, for less, the other modalities'"

    def forward(
        self,
        semantic: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        steps: Steps | None = None,
    ) -> dict[str, Tensor]:
        """See :func:`commitment_loss`."""
        return commitment_loss(semantic, codes, steps, self.options)

    def term(self, view: View, draw: None) -> dict[str, Tensor]:
        """Pull of the features per modality."""
        return self.forward(view.encoded.semantic, view.quantized.codes, view.encoded.steps)
