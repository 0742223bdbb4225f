"""A contrast of clips with a margin: the adaptive mean margin, and the fixed one before it.

With S_ij the plain dot product of clip i of one modality and clip j of another, each N of them,

    M_i = alpha (S_ii - mean over j != i of S_ij)
    L   = mean_i -log[ exp(S_ii - M_i) / (exp(S_ii - M_i) + sum over j != i of exp S_ij) ]

plus the same of the transpose, which has margins of its own (Monfort et al., *Spoken Moments*,
CVPR 2021, Eq. 2 and 3). A fixed M is the masked margin softmax of Ilharco et al. (2019).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from cmg.objectives.base import objectives
from cmg.objectives.contrast import Contrast, ContrastOptions, clip_means, contrasted, unit
from cmg.precision import full_precision
from cmg.types import Steps


class ClipMarginOptions(ContrastOptions):
    """By how much a pair must win.

    Attributes:
        alpha: Of its lead over the mean of the others, the share that is taken off; 0.5 in the
            paper.
        margin: A fixed margin in its place.
        detach_margin: Whether the adaptive margin is a number to the gradient. In the paper it is
            none: the slope by S_ii is scaled by 1 - alpha.
    """

    alpha: float = Field(0.5, ge=0.0, le=1.0)
    margin: float | None = Field(None, ge=0.0)
    detach_margin: bool = False


DEFAULT = ClipMarginOptions()


@full_precision
def margin_loss(score: Tensor, options: ClipMarginOptions = DEFAULT) -> Tensor:
    """Both directions of the contrast of N > 1 pairs, added.

    Args:
        score: S, [N, N]; pairs are on the diagonal.
        options: Margins.

    Returns:
        A scalar.
    """
    own, losses = score.diagonal(), []
    for rows in (score, score.T):
        if options.margin is None:
            others = (rows.sum(1) - own) / (len(rows) - 1)
            margin = options.alpha * (own - others)
        else:
            margin = torch.full_like(own, options.margin)
        margin = margin.detach() if options.detach_margin else margin
        losses.append(-(rows - margin.diag()).log_softmax(1).diagonal().mean())
    return losses[0] + losses[1]


@full_precision
def clip_margin(
    features: Mapping[str, Tensor],
    steps: Steps | None = None,
    options: ClipMarginOptions = DEFAULT,
    probabilities: bool = False,
) -> Tensor | None:
    """:func:`margin_loss` of dot products of means over the steps that exist, summed over pairs.

    Args:
        features: [B, T, D] per modality, or [N, D].
        steps: Which steps exist; None for all. A pair of modalities is contrasted over the clips
            that have both.
        options: Margins.
        probabilities: Whether they are distributions, whose means are rooted.

    Returns:
        A scalar; None if no two clips have the same two modalities.

    Raises:
        DataError: a single clip, which there is nothing to tell from.
    """
    means = clip_means(features, steps)
    vectors = {m: unit(x, True) for m, x in means.items()} if probabilities else means
    return contrasted(vectors, steps, lambda a, b: margin_loss(a @ b.T, options))


@objectives.register("clip_margin", ClipMarginOptions)
class ClipMargin(Contrast):
    """:func:`clip_margin` as a term."""

    title = "margin of clips"
    about = "a clip is told from others by its partner, which must win by a margin"

    def contrast(
        self, features: Mapping[str, Tensor], steps: Steps | None, probabilities: bool = False
    ) -> Tensor | None:
        """See :func:`clip_margin`."""
        return clip_margin(features, steps, self.options, probabilities)
