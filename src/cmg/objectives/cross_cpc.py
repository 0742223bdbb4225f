"""Cross-CPC: each modality's past predicts every modality's future (paper Eq. 5).

Clips too short for a past, a step to predict from and a target (T < K + min_start + 1; T = 1 says
there is no time axis) cannot be predicted. For them the term is InfoNCE between modalities at the
same step, returned and logged under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cmg.objectives.base import Objective, Term, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Modality, Steps, sequences


class CrossCPCOptions(TermOptions):
    """Shape of the predictive term.

    Attributes:
        self_weight: Of pairs within a modality; 0.1 as coded.
        prediction_steps: K, how many steps ahead; their losses are averaged.
        min_start: First step to predict from, 0-based.
        layers: LSTM layers of the context; 2 as coded, 1 in the paper.
        hidden: LSTM width; None is the semantic width D.
        accuracy: Where the largest of the row-softmaxed scores is to lie on the diagonal for a
            prediction to count as right, for the log: of its ``columns`` [as coded], or of its
            ``rows``, which are told the predictions [as coded in successors].
    """

    self_weight: float = Field(0.1, ge=0.0)
    prediction_steps: int = Field(1, ge=1, le=1000)
    min_start: int = Field(1, ge=0)
    layers: int = Field(2, ge=1, le=1000)
    hidden: int | None = Field(None, ge=1)
    accuracy: Literal["columns", "rows"] = "columns"

    @property
    def shortest(self) -> int:
        """Steps a clip needs for a prediction."""
        return self.min_start + self.prediction_steps + 1


@dataclass
class CrossCPCResult:
    """Value of the predictive term.

    Attributes:
        cross_cpc: Over the clips that are long enough; None if there is none.
        same_step_nce: Over the others; None if there is none.
        accuracy: Per "target_from_source" pair, of the last prediction step, float32. As coded: a
            prediction is right if, of its column of row-softmaxed scores, the diagonal is largest.
    """

    cross_cpc: Tensor | None = None
    same_step_nce: Tensor | None = None
    accuracy: dict[str, Tensor] = field(default_factory=dict)


@objectives.register("cross_cpc", CrossCPCOptions)
class CrossCPC(Objective):
    """Context LSTM and linear predictors per modality.

    Args:
        modalities: Names.
        width: D.
        options: See :class:`CrossCPCOptions`.
    """

    by_default = shares_draws = True
    clip_group = "cpc"
    title = "Cross-CPC"
    about = "the past of one modality predicts the future of the others"

    def __init__(
        self, modalities: Sequence[str], width: int, options: CrossCPCOptions | None = None
    ) -> None:
        options = options or CrossCPCOptions()
        super().__init__(options)
        hidden = options.hidden or width
        self.context = nn.ModuleDict(
            {m: nn.LSTM(width, hidden, options.layers, batch_first=True) for m in modalities}
        )
        self.predictors = nn.ModuleDict(
            {
                m: nn.ModuleList(nn.Linear(hidden, width) for _ in range(options.prediction_steps))
                for m in modalities
            }
        )

    @classmethod
    def build(
        cls, options: CrossCPCOptions, modalities: Sequence[Modality], width: int, vectors: int
    ) -> CrossCPC:
        """Of a model's modalities."""
        return cls([m.name for m in modalities], width, options)

    @classmethod
    def draw(cls, generator: torch.Generator, names: Sequence[str], steps: Steps) -> float:
        """How far into its valid range the step to predict from lies, in [0, 1)."""
        return float(torch.rand((), generator=generator))

    def term(self, view: View, draw: float) -> Term:
        """Both forms of the contrast, and the accuracies."""
        found = self(view.encoded.semantic, view.encoded.steps, draw)
        both = {self.name: found.cross_cpc, "same_step_nce": found.same_step_nce}
        values = {name: value for name, value in both.items() if value is not None}
        return Term(values, {f"cpc_accuracy/{k}": v for k, v in found.accuracy.items()})

    @full_precision
    def forward(
        self,
        semantic: Mapping[str, Tensor],
        steps: Steps | None = None,
        draw: float | None = None,
    ) -> CrossCPCResult:
        """Contrast predictions with the clips' true features.

        Args:
            semantic: Continuous features z (before quantization), [B, T, D] per modality, or
                [N, D].
            steps: Which steps exist; None for all.
            draw: In [0, 1): how far into its valid range each clip's step t lies, the same for
                all. Clips of one length share one t, as published; every target is valid. None
                draws from torch's global generator.

        Returns:
            The term and its accuracies.
        """
        semantic = sequences(semantic)
        steps = steps or Steps.of(semantic)
        draw = float(torch.rand(())) if draw is None else draw
        reach = self._reach(semantic, steps)
        long = reach >= self.options.shortest
        result = CrossCPCResult()
        if bool(long.any()):
            self._predict(result, semantic, steps, reach, long, draw)
        if not bool(long.all()):
            result.same_step_nce = self._same_step(semantic, steps, ~long)
        return result

    def _reach(self, semantic: Mapping[str, Tensor], steps: Steps) -> Tensor:
        """CPU int64 [B]: leading steps at which every modality a clip has exists."""
        if steps.lengths is None:
            return steps.length_of()
        lengths = torch.stack([steps.lengths[m] for m in semantic])
        return lengths.masked_fill(lengths == 0, steps.length).amin(0)

    def _predict(
        self,
        result: CrossCPCResult,
        semantic: Mapping[str, Tensor],
        steps: Steps,
        reach: Tensor,
        long: Tensor,
        draw: float,
    ) -> None:
        options = self.options
        ahead = options.prediction_steps
        choices = (reach - ahead - options.min_start).clamp_min(1)
        t = options.min_start + (draw * choices).long().clamp_max(choices - 1)  # CPU, [B]
        context = {m: self._context_at(m, z, t, long) for m, z in semantic.items()}
        groups = pair_groups(list(semantic), steps, long)
        losses = []
        for k in range(ahead):
            targets = {m: at_step(z, t + k + 1) for m, z in semantic.items()}
            predicted = {m: self._predictor(m, k)(c) for m, c in context.items()}
            for pairs, rows in groups:
                x = torch.stack([targets[a] for a, _ in pairs])
                y = torch.stack([predicted[b] for _, b in pairs])
                score = scores(x, y, rows)
                weight = options.self_weight if pairs[0][0] == pairs[0][1] else 1.0
                losses.append(weight * contrast(score).sum())
                if k == ahead - 1:
                    right = diagonal_accuracy(score, options.accuracy)
                    for (a, b), share in zip(pairs, right, strict=True):
                        result.accuracy[f"{a}_from_{b}"] = share
        if losses:
            result.cross_cpc = torch.stack(losses).sum() / ahead

    def _context_at(self, m: str, z: Tensor, t: Tensor, long: Tensor) -> Tensor:
        """Context LSTM output at step t of every clip, [B, hidden]."""
        last = int(t[long].max())
        outputs = self.context[m](z[:, : last + 1])[0]
        return at_step(outputs, t.clamp_max(last))

    def _same_step(
        self, semantic: Mapping[str, Tensor], steps: Steps, short: Tensor
    ) -> Tensor | None:
        """InfoNCE between different modalities at the same step, for the `short` clips.

        The context at a step predicts the partner's feature at that step; negatives are all clips
        that have both modalities there. Mean over rows, summed over ordered pairs.
        """
        losses = []
        longest = int(self._reach(semantic, steps)[short].max())
        contexts = {m: self.context[m](z[:, :longest])[0] for m, z in semantic.items()}
        for a in semantic:
            for b in semantic:
                if a == b:
                    continue
                predicted = self._predictor(b, 0)(contexts[b])
                per_step, rows = [], 0
                for t in range(longest):
                    there = steps.length_of(a, b) > t
                    wanted = (short & there)[there]
                    if not bool(wanted.any()):
                        continue
                    columns = there.nonzero().flatten().to(predicted.device)
                    score = scores(semantic[a][:, t], predicted[:, t], columns)
                    chosen = wanted.nonzero().flatten().to(predicted.device)
                    per_step.append(-score.log_softmax(1).diagonal()[chosen].sum())
                    rows += int(wanted.sum())
                if per_step:
                    losses.append(torch.stack(per_step).sum() / rows)
        return torch.stack(losses).sum() if losses else None

    def _predictor(self, modality: str, k: int) -> nn.Module:
        """The predictor of step k + 1 from a modality's context."""
        own = self.predictors[modality]
        assert isinstance(own, nn.ModuleList)
        return own[k]


def at_step(x: Tensor, t: Tensor) -> Tensor:
    """x[b, t[b]] for every clip, [B, T, F] -> [B, F]; t is a CPU index, clamped to T - 1."""
    t = t.clamp_max(x.shape[1] - 1)
    if bool((t == t[0]).all()):
        return x[:, int(t[0])]
    return x[torch.arange(x.shape[0], device=x.device), t.to(x.device, non_blocking=True)]


def pair_groups(
    names: Sequence[str], steps: Steps, long: Tensor
) -> list[tuple[list[tuple[str, str]], Tensor | None]]:
    """Ordered pairs (target, source) that are contrasted in one product.

    Pairs go together if the same long clips have both modalities, pairs of a modality with itself
    apart. Pairs that no long clip has are left out.

    Returns:
        Pairs, and the indices of their clips (None for all clips).
    """
    groups: dict[tuple[bool, ...], list[tuple[str, str]]] = {}
    rows = {}
    for a, b in product(names, repeat=2):
        have = long & (steps.length_of(a, b) > 0)
        key = (a == b, *have.tolist())
        groups.setdefault(key, []).append((a, b))
        rows[key] = None if bool(have.all()) else have.nonzero().flatten().to(steps.device)
    return [(pairs, rows[key]) for key, pairs in groups.items() if any(key[1:])]


@full_precision
def scores(targets: Tensor, predicted: Tensor, rows: Tensor | None) -> Tensor:
    """Inner products [..., R, R] of targets (rows) and predictions (columns), [..., B, D] each."""
    if rows is not None:
        targets, predicted = targets[..., rows, :], predicted[..., rows, :]
    return targets @ predicted.mT


@full_precision
def contrast(score: Tensor) -> Tensor:
    """InfoNCE, [..., R, R] -> [...]: mean over rows of -log softmax of the diagonal."""
    return -score.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean(-1)


@full_precision
def diagonal_accuracy(score: Tensor, over: Literal["columns", "rows"] = "columns") -> Tensor:
    """Share of columns or rows whose largest row-softmaxed score is on the diagonal, float32."""
    best = score.detach().softmax(-1).argmax(-2 if over == "columns" else -1)
    return (best == torch.arange(best.shape[-1], device=best.device)).float().mean(-1)
