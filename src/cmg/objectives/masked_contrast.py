"""Masked InfoNCE between modalities, fine (of steps) and coarse (of clips).

Some steps are masked, the same ones of all modalities. For every ordered pair of modalities (m, n),
m = n included, what is left of m is to be told its partner in n, which is not masked:

    fine    of a step, from the other steps of the same clip:  -log softmax_j(m_bi . n_bj / t)[i]
    coarse  of a clip, from the other clips, by means over time; m's is of the steps left.

The rows are unit vectors. Fine is the mean over steps, coarse over clips; both are summed over the
pairs. The idea of MICU's FCMI; docs/methods/micu.md has its form as coded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from cmg.masking import mean_over_time
from cmg.objectives.base import Objective, Term, TermOptions, View, objectives
from cmg.objectives.contrast import refuse_single, unit
from cmg.objectives.info_nce import told_apart
from cmg.precision import full_precision
from cmg.types import Kind, Modality, Steps, sequences

Grain = Literal["steps", "clips"]


def grains(given: Any) -> Any:
    """A single name as a tuple of one; none at all is refused."""
    if isinstance(given, tuple | list) and not given:
        raise ValueError("name at least one of steps, clips")
    return (given,) if isinstance(given, str) else given


class MaskedContrastOptions(TermOptions):
    """What is masked, what is contrasted, and how sharply.

    Attributes:
        of: ``steps`` (fine), ``clips`` (coarse), or both, which are added.
        ratio: Share of the steps that is masked.
        adaptive: Mask more of a modality that is better aligned with the others than the median
            one is, and less of one that is worse: :func:`adaptive_ratio`.
        temperature: Of the softmax.
        symmetric: Contrast both ways and take half of each; as coded only what is masked is told
            its partner.
        masked: What becomes of masked steps: ``left_out``, or as queries of ``zeros``, which are a
            constant of the mean without gradient [as coded].
        words: Contrast steps of tokens, too, which are words, with moments [as coded].
        rounded_mean: Take 1/B of the mean over clips in float32 [as coded].
    """

    of: Annotated[tuple[Grain, ...], BeforeValidator(grains)] = ("steps", "clips")
    ratio: float = Field(0.3, ge=0.0, lt=1.0)
    adaptive: bool = False
    temperature: float = Field(0.1, gt=0.0)
    symmetric: bool = True
    masked: Literal["left_out", "zeros"] = "left_out"
    words: bool = False
    rounded_mean: bool = False


def adaptive_ratio(scores: Tensor, middle: float = 0.3) -> Tensor:
    """Shares to mask of modalities that are aligned well or badly.

    The median modality (the lower one of an even number) has the middle share, every other
    f(own / median) with f(v) = 0.01 + (middle - 0.01)(1 + tanh(v^2 - 1)).

    Args:
        scores: Of alignment, above 0, [..., M].
        middle: Of the median modality.

    Returns:
        [..., M].
    """
    relative = scores / scores.median(-1, keepdim=True).values
    return 0.01 + (middle - 0.01) * (1.0 + torch.tanh(relative.square() - 1.0))


def pair_contrast(
    query: Tensor, key: Tensor, left: Tensor, there: Tensor, options: MaskedContrastOptions
) -> Tensor:
    """The contrast of one ordered pair of modalities.

    Args:
        query: Of the modality that is masked, [..., N, D]; rows are told from others of the N.
        key: Their partners.
        left: Which queries are not masked, bool [..., N].
        there: Which rows exist in both, bool [..., N].
        options: See :class:`MaskedContrastOptions`.

    Returns:
        The mean over rows that there is another to tell from; 0 if all of them are masked.
    """
    others = there.sum(-1, keepdim=True)
    rows = there & (others > 1)
    lost = told_apart(query, key, options.temperature, there)
    if options.masked == "zeros":
        lost = torch.where(left, lost, others.clamp_min(1).to(lost.dtype).log())
    else:
        rows = rows & left
    if options.symmetric:
        # A partner is told among the queries that are left; of a masked one there is nothing.
        backward = told_apart(key, query, options.temperature, there & left)
        lost = 0.5 * (lost + torch.where(left, backward, lost))
    return torch.where(rows, lost, 0.0).sum() / rows.sum().clamp_min(1)


@full_precision
def masked_contrast(
    features: Mapping[str, Tensor],
    keep: Mapping[str, Tensor],
    steps: Steps | None = None,
    options: MaskedContrastOptions | None = None,
    aligned: Sequence[str] | None = None,
) -> dict[Grain, dict[tuple[str, str], Tensor]]:
    """The contrasts of all ordered pairs (masked, not masked), fine and coarse.

    Args:
        features: z, [B, T, D] per modality, or [N, D].
        keep: Which steps are not masked, bool [B, T] per modality.
        steps: Which steps exist; None for all. A pair is contrasted at the steps, and over the
            clips, that both have.
        options: See :class:`MaskedContrastOptions`.
        aligned: Modalities whose steps are moments, for the fine contrast; None for all.

    Returns:
        A scalar per pair that there is something to tell apart of, by grain.

    Raises:
        DataError: a coarse contrast in a batch of one clip.
    """
    features, options = sequences(features), options or MaskedContrastOptions()
    steps = steps or Steps.of(features)
    found: dict[Grain, dict[tuple[str, str], Tensor]] = {grain: {} for grain in options.of}
    if "clips" in options.of:
        refuse_single(steps)
    exist = {m: torch.ones_like(keep[m]) for m in features}
    exist |= {m: mask for m in features if (mask := steps.mask(m)) is not None}
    left = {m: keep[m] & exist[m] for m in features}
    means = {m: mean_over_time(x, steps.mask(m)) for m, x in features.items()}
    rests = {m: mean_over_time(x, left[m]) for m, x in features.items()}
    for m, n in product(features, features):
        both, lengths = exist[m] & exist[n], steps.length_of(m, n)
        moments = aligned is None or {m, n} <= set(aligned)
        if "steps" in options.of and moments and int(lengths.max()) > 1:
            here = features[m], features[n], left[m], both
            found["steps"][m, n] = pair_contrast(*here, options)
        if "clips" in options.of and int((lengths > 0).sum()) > 1:
            here = rests[m], means[n], left[m].any(1), both.any(1)
            found["clips"][m, n] = pair_contrast(*here, options)
    return found


@objectives.register("masked_contrast", MaskedContrastOptions)
class MaskedContrast(Objective):
    """:func:`masked_contrast` as a term, on the features of a step's first pass."""

    title = "masked InfoNCE"
    about = "what is left of a masked clip, and of its steps, is told its partners"

    def __init__(
        self, options: MaskedContrastOptions | None = None, aligned: Sequence[str] | None = None
    ) -> None:
        super().__init__(options)
        self.aligned = aligned

    @classmethod
    def build(
        cls,
        options: MaskedContrastOptions,
        modalities: Sequence[Modality],
        width: int,
        vectors: int,
    ) -> MaskedContrast:
        """Fine between the modalities whose steps are moments."""
        moments = [m.name for m in modalities if options.words or m.kind is not Kind.TOKENS]
        return cls(options, moments)

    @classmethod
    def draw(cls, generator: torch.Generator, names: Sequence[str], steps: Steps) -> Tensor:
        """Uniform in [0, 1), [B, T]: a step is kept where it is above the masked share."""
        return torch.rand(steps.batch_size, steps.length, generator=generator)

    def term(self, view: View, draw: Tensor) -> Term:
        """The sum over pairs of each grain."""
        first = view.first.encoded
        keep = self.kept(first.semantic, first.steps, draw)
        given = (first.semantic, keep, first.steps, self.options, self.aligned)
        values = {
            f"{self.name}/{grain}": torch.stack(list(pairs.values())).sum()
            for grain, pairs in masked_contrast(*given).items()
            if pairs
        }
        fine, clips = f"{self.name}/steps", first.steps.batch_size
        if self.options.rounded_mean and fine in values:
            values[fine] = values[fine] * (clips * float(torch.tensor(1.0 / clips)))
        return Term(values)

    @torch.no_grad()
    def kept(self, semantic: Mapping[str, Tensor], steps: Steps, draw: Tensor) -> dict[str, Tensor]:
        """Which steps are not masked, bool [B, T] per modality; one mask unless it is adaptive.

        Alignment is the mean cosine of a modality's clips with their partners, at least 0.001.
        """
        draw = draw.to(steps.device)
        if not self.options.adaptive or len(semantic) < 2:
            return dict.fromkeys(semantic, draw > self.options.ratio)
        clips = [unit(mean_over_time(z, steps.mask(m))) for m, z in semantic.items()]
        means = torch.stack(clips)  # [M, B, D]
        cosines = torch.einsum("mbd,nbd->mn", means, means) / means.shape[1]
        scores = (cosines.sum(1) - cosines.diagonal()) / (len(means) - 1)
        ratios = adaptive_ratio(scores.clamp_min(1e-3), self.options.ratio)
        return {m: draw > ratio for m, ratio in zip(semantic, ratios, strict=True)}
