"""A contrast of clips by sigmoids: each pair of clips is a question of its own.

With s_ij the cosine of clip i of one modality and clip j of another, y_ij = 1 for i = j and -1
otherwise, and a temperature and a bias b that are learned (Zhai et al., *Sigmoid Loss for Language
Image Pre-Training*, ICCV 2023),

    L = 1/N sum over i, j of -log sigmoid( y_ij (s_ij / temperature + b) ).

It is the same in both directions, and no clip depends on how many others there are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from cmg.objectives.base import objectives
from cmg.objectives.contrast import ContrastOptions, clip_means, contrasted, unit
from cmg.objectives.info_nce import InfoNCE
from cmg.precision import full_precision
from cmg.types import Steps


class ClipSigmoidOptions(ContrastOptions):
    """How sharp the questions are, and where a yes begins.

    Attributes:
        temperature: Of the cosines; where it is learned, the one it begins with.
        learned: Whether temperature and bias are trained along.
        bias: Of every pair; where it is learned, the one it begins with. -10 in the paper: of many
            pairs nearly all are no pairs.
    """

    temperature: float = Field(0.1, gt=0.0)
    learned: bool = True
    bias: float = -10.0


@full_precision
def clip_sigmoid(
    features: Mapping[str, Tensor],
    steps: Steps | None = None,
    temperature: float | Tensor = 0.1,
    bias: float | Tensor = -10.0,
    probabilities: bool = False,
) -> Tensor | None:
    """The loss of means over the steps that exist, summed over pairs of modalities.

    Args:
        features: [B, T, D] per modality, or [N, D].
        steps: Which steps exist; None for all. A pair of modalities is contrasted over the clips
            that have both.
        temperature: Of the cosines.
        bias: Added to all of them.
        probabilities: Whether they are distributions, whose means are rooted.

    Returns:
        A scalar; None if no two clips have the same two modalities.

    Raises:
        DataError: a single clip, which there is nothing to tell from.
    """

    def pair(a: Tensor, b: Tensor) -> Tensor:
        score = a @ b.T / temperature + bias
        sign = 2.0 * torch.eye(len(score), dtype=score.dtype, device=score.device) - 1.0
        return -logsigmoid(sign * score).sum() / len(score)

    means = clip_means(features, steps)
    return contrasted({m: unit(x, probabilities) for m, x in means.items()}, steps, pair)


@objectives.register("clip_sigmoid", ClipSigmoidOptions)
class ClipSigmoid(InfoNCE):
    """:func:`clip_sigmoid` as a term."""

    title = "sigmoids of clips"
    about = "whether two clips of two modalities belong together, each two by themselves"

    def __init__(self, options: ClipSigmoidOptions | None = None) -> None:
        super().__init__(options)
        if self.options.learned:
            self.bias = nn.Parameter(torch.tensor(self.options.bias))

    def contrast(
        self, features: Mapping[str, Tensor], steps: Steps | None, probabilities: bool = False
    ) -> Tensor | None:
        """See :func:`clip_sigmoid`."""
        bias = self.bias if self.options.learned else self.options.bias
        return clip_sigmoid(features, steps, self.temperature, bias, probabilities)
