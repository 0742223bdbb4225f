"""Symmetric InfoNCE between modalities: of whole clips, and of single steps.

A clip (or a step) of one modality is to be told from the others of the batch by its partner in the
other modality, and the other way round: with unit vectors a and b of N pairs,

    L = mean_i -log softmax_j(a_i . b_j / temperature)[i]  +  the same of columns,

summed over unordered pairs of modalities. As in van den Oord et al. (2018) and CLIP. Vectors are
features z, code vectors, or square roots of a distribution over the codes, whose products are
Bhattacharyya coefficients: the contrast that CMCM means, on what heads of soft codes read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.objectives.base import objectives
from cmg.objectives.contrast import (
    Contrast,
    ContrastOptions,
    RootedDistribution,
    clip_means,
    contrasted,
    refuse_single,
    unit,
)
from cmg.precision import full_precision
from cmg.types import Kind, Modality, Steps, sequences

SHARPEST = 100.0
"""Largest 1 / temperature that is learned, as in CLIP."""

Directions = Literal["both", "forward"]


class InfoNCEOptions(ContrastOptions):
    """What is contrasted, and how sharply.

    Attributes:
        temperature: Of the softmax; where it is learned, the one it begins with.
        learned: Whether it is trained along, down to 1/100.
        directions: ``both``, added; or ``forward``: only the modality that is declared first is
            asked for its partner among the other's clips.
    """

    temperature: float = Field(0.1, gt=0.0)
    learned: bool = False
    directions: Directions = "both"


class ClipInfoNCEOptions(InfoNCEOptions):
    """Which clips are contrasted.

    Attributes:
        pairs: ``all`` of modalities; or ``tokens``: one of moments with one of tokens, and
            ``forward`` asks the moments for their partners among the tokens.
    """

    pairs: Literal["all", "tokens"] = "all"


@full_precision
def clip_info_nce(
    features: Mapping[str, Tensor],
    steps: Steps | None = None,
    temperature: float | Tensor = 0.1,
    probabilities: bool = False,
    directions: Directions = "both",
) -> Tensor | None:
    """InfoNCE of clips: unit vectors of means over the steps that exist.

    Args:
        features: [B, T, D] per modality, or [N, D].
        steps: Which steps exist; None for all. A pair of modalities is contrasted over the clips
            that have both.
        temperature: Of the softmax.
        probabilities: Whether they are distributions, whose means are rooted.
        directions: See :class:`InfoNCEOptions`.

    Returns:
        A scalar; None if no two clips have the same two modalities.

    Raises:
        DataError: a single clip, which there is nothing to tell from.
    """

    def pair(a: Tensor, b: Tensor) -> Tensor:
        score = a @ b.T / temperature
        told = score.log_softmax(1) + (score.log_softmax(0) if directions == "both" else 0.0)
        return -told.diagonal().mean()

    means = clip_means(features, steps)
    return contrasted({m: unit(x, probabilities) for m, x in means.items()}, steps, pair)


@full_precision
def step_info_nce(
    features: Mapping[str, Tensor],
    steps: Steps | None = None,
    temperature: float | Tensor = 0.1,
    probabilities: bool = False,
    directions: Directions = "both",
) -> Tensor | None:
    """InfoNCE of steps: each is told from the same step of the other clips.

    The mean is over all steps of all clips that both modalities have and at least one other clip
    has, too.

    Args:
        features: [B, T, D] per modality whose steps are aligned in time.
        steps: Which steps exist; None for all.
        temperature: Of the softmax.
        probabilities: Whether they are distributions, which are rooted.
        directions: See :class:`InfoNCEOptions`.

    Returns:
        A scalar; None if no two clips have a step of the same two modalities.

    Raises:
        DataError: a single clip, which there is nothing to tell from.
    """
    features = sequences(features)
    steps = steps or Steps.of(features)
    refuse_single(steps)
    rooted = RootedDistribution.apply if probabilities else unit
    units = {m: rooted(x).transpose(0, 1) for m, x in features.items()}  # [T, B, D]
    losses, back = [], float(directions == "both")
    for a, b in combinations(units, 2):
        score = units[a] @ units[b].mT / temperature
        mask = steps.mask(a, b)
        if mask is None:
            told = score.log_softmax(2) + back * score.log_softmax(1)
            losses.append(-told.diagonal(0, 1, 2).mean())
            continue
        there = mask.T  # [T, B]
        counted = there & (there.sum(1, keepdim=True) > 1)
        if int((steps.length_of(a, b) > 0).sum()) < 2:
            continue
        lowest = torch.finfo(score.dtype).min
        rows = score.masked_fill(~there[:, None, :], lowest).log_softmax(2).diagonal(0, 1, 2)
        columns = score.masked_fill(~there[:, :, None], lowest).log_softmax(1).diagonal(0, 1, 2)
        losses.append(-(rows + back * columns)[counted].mean())
    return torch.stack(losses).sum() if losses else None


@full_precision
def told_apart(
    query: Tensor, key: Tensor, temperature: float | Tensor = 0.1, there: Tensor | None = None
) -> Tensor:
    """InfoNCE one way: -log softmax_j(q_i . k_j / temperature)[i] of unit vectors, per query.

    A query of zeros gives ln N, and no gradient to the keys.

    Args:
        query: [..., N, D].
        key: [..., N, D]; the partner of query i is key i, the others are its negatives.
        temperature: Of the softmax.
        there: Which keys can be told, bool [..., N]; None for all. Where it is False, what is given
            of the query is finite and means nothing.

    Returns:
        [..., N].
    """
    score = unit(query) @ unit(key).mT / temperature
    if there is not None:
        score = score.masked_fill(~there[..., None, :], torch.finfo(score.dtype).min)
    return -score.log_softmax(-1).diagonal(0, -2, -1)


class InfoNCE(Contrast):
    """A contrast by a softmax whose temperature may be learned."""

    def __init__(self, options: ContrastOptions | None = None) -> None:
        super().__init__(options)
        if self.options.learned:
            self.sharpness = nn.Parameter(torch.tensor(-math.log(self.options.temperature)))

    @property
    def temperature(self) -> float | Tensor:
        """The one in force."""
        if not self.options.learned:
            return float(self.options.temperature)
        with torch.no_grad():  # the number itself, as CLIP does: behind a bound it had no gradient
            self.sharpness.clamp_(max=math.log(SHARPEST))
        return torch.exp(-self.sharpness)


@objectives.register("clip_info_nce", ClipInfoNCEOptions)
class ClipInfoNCE(InfoNCE):
    """:func:`clip_info_nce` as a term."""

    title = "InfoNCE of clips"
    about = "a clip is told from others by its partner in another modality"

    def __init__(
        self, options: ClipInfoNCEOptions | None = None, tokens: Sequence[str] = ()
    ) -> None:
        super().__init__(options)
        self.tokens = tokens

    @classmethod
    def build(
        cls, options: ClipInfoNCEOptions, modalities: Sequence[Modality], width: int, vectors: int
    ) -> ClipInfoNCE:
        """Of a model's modalities.

        Raises:
            ConfigError: pairs with tokens, and no such pair.
        """
        tokens = [m.name for m in modalities if m.kind is Kind.TOKENS]
        if options.pairs == "tokens" and len(tokens) in (0, len(modalities)):
            raise ConfigError(
                "pairs=tokens contrasts modalities of moments with those of tokens (text), and "
                f"{', '.join(m.name for m in modalities)} are not both; set pairs=all"
            )
        return cls(options, tokens)

    def contrast(
        self, features: Mapping[str, Tensor], steps: Steps | None, probabilities: bool = False
    ) -> Tensor | None:
        """See :func:`clip_info_nce`."""
        how = (self.temperature, probabilities, self.options.directions)
        if self.options.pairs == "all":
            return clip_info_nce(features, steps, *how)
        moments = [m for m in features if m not in self.tokens]
        pairs = product(moments, [m for m in features if m in self.tokens])
        losses = [clip_info_nce({m: features[m], t: features[t]}, steps, *how) for m, t in pairs]
        found = [loss for loss in losses if loss is not None]
        return torch.stack(found).sum() if found else None


@objectives.register("step_info_nce", InfoNCEOptions)
class StepInfoNCE(InfoNCE):
    """:func:`step_info_nce` as a term, between modalities whose steps are moments.

    Steps of tokens are words, which are aligned with nothing: such modalities are left out.
    """

    title = "InfoNCE of steps"
    about = "a step is told from the same step of other clips by its partner in another modality"

    def __init__(
        self, options: InfoNCEOptions | None = None, aligned: Sequence[str] | None = None
    ) -> None:
        super().__init__(options)
        self.aligned = aligned

    @classmethod
    def build(
        cls, options: InfoNCEOptions, modalities: Sequence[Modality], width: int, vectors: int
    ) -> StepInfoNCE:
        """Of the modalities that are not words."""
        return cls(options, [m.name for m in modalities if m.kind is not Kind.TOKENS])

    def contrast(
        self, features: Mapping[str, Tensor], steps: Steps | None, probabilities: bool = False
    ) -> Tensor | None:
        """See :func:`step_info_nce`."""
        known = features if self.aligned is None else self.aligned
        aligned = {m: x for m, x in features.items() if m in known}
        if not aligned:
            return None
        how = self.options.directions
        return step_info_nce(aligned, steps, self.temperature, probabilities, how)
