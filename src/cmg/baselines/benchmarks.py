"""Baselines of a benchmark: ridge, CCA and heads on raw features, with its clips and its heads.

What :mod:`cmg.baselines.rows` computes on a run's own clips, on those of a benchmark. A step's raw
features, the mean over the places of maps, take the place of its code; heads, seeds and the choice
of epochs are the benchmark's own. Maps between modalities are fitted to the clips that the run was
trained on, without labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cmg.baselines.linear import CCA, Ridge, SharedSpace
from cmg.baselines.raw import AT_ONCE, FeatureScale, pooled, refuse_non_finite
from cmg.baselines.rows import (
    QUICK_PENALTY,
    RIDGE_PENALTIES,
    Baseline,
    Map,
    cca_dimensions,
    cca_spaces,
    same,
)
from cmg.data.clips import Clips
from cmg.errors import DataError
from cmg.evaluation.features import VectorFeatures
from cmg.evaluation.training import HeadOptions, Kept
from cmg.masking import mean_over_time
from cmg.tasks.benchmark import Plan
from cmg.tasks.outcome import Figures
from cmg.tasks.run import SELECTION, HeadRunner, Heads
from cmg.tasks.sides import Side

MOST_STEPS = 100_000
"""Of a modality, that maps are fitted to; where there are more, every n-th clip is taken."""


@dataclass(frozen=True)
class RawSteps:
    """Raw features of unlabeled clips, step after step.

    Attributes:
        where: What they are of, for messages.
        features: float64 [S, F] per modality, of all clips one after the other.
        counts: Steps of every clip, int64 [N] per modality.
        scale: What has given every feature mean 0 and deviation 1.
    """

    where: str
    features: dict[str, Tensor]
    counts: dict[str, Tensor]
    scale: dict[str, FeatureScale]

    @classmethod
    def of(cls, clips: Clips, names: Sequence[str]) -> RawSteps:
        """Of clips, of some modalities.

        Raises:
            ModalityError: there is no such modality.
            DataError: clips that cannot be read, or features that are no numbers.
        """
        most = max(clips.total_steps(name) for name in names)
        chosen = np.arange(0, len(clips), max(1, -(-most // MOST_STEPS)))
        features, counts, scale = {}, {}, {}
        for name in names:
            parts = []
            for start in range(0, len(chosen), AT_ONCE):
                steps, lengths = clips.features(name, chosen[start : start + AT_ONCE])
                parts.append(pooled(steps)[existing(steps, lengths)])
            found = torch.cat(parts)
            refuse_non_finite(found, name, f"{clips.path}: split {clips.name!r}")
            scale[name] = FeatureScale.of(found)
            features[name] = scale[name](found)
            counts[name] = torch.from_numpy(clips.lengths_of(name, chosen).copy())
        return cls(f"{clips.path}: split {clips.name!r}", features, counts, scale)

    def pairs(self, first: str, second: str) -> tuple[Tensor, Tensor]:
        """Features of the same steps, or means of clips where any has not as many of both.

        Raises:
            DataError: fewer than two clips have both.
        """
        counts = (self.counts[first], self.counts[second])
        both = (counts[0] > 0) & (counts[1] > 0)
        if int(both.sum()) < 2:
            raise DataError(
                f"{self.where}: fewer than two clips have both {first!r} and {second!r}, so no map "
                "between them can be fitted; baselines learn from pairs"
            )
        aligned = bool((counts[0] == counts[1])[both].all())
        found = []
        for name, count in zip((first, second), counts, strict=True):
            x = self.features[name]
            found.append(
                x[both.repeat_interleave(count)] if aligned else clip_means(x, count)[both]
            )
        return found[0], found[1]


def existing(steps: Tensor, lengths: Tensor) -> Tensor:
    """Steps that exist, bool [N, T], of features [N, T, ...]."""
    return torch.arange(steps.shape[1])[None] < lengths[:, None]


def clip_means(features: Tensor, counts: Tensor) -> Tensor:
    """Means [N, F] over the steps of every clip, of features [S, F]; zero where there is none."""
    clip = torch.arange(len(counts)).repeat_interleave(counts)
    total = features.new_zeros(len(counts), features.shape[1]).index_add_(0, clip, features)
    return total / counts.clamp_min(1)[:, None]


class BenchmarkRows:
    """The computed baselines of one benchmark.

    Args:
        plan: What to do; one that holds clips out to select by.
        options: Of head training.
        seeds: A head per direction and seed.
        known: Of the clips that the run was trained on, with all modalities of the plan.
    """

    def __init__(
        self, plan: Plan, options: HeadOptions, seeds: Sequence[int], known: RawSteps
    ) -> None:
        self.plan, self.options, self.seeds, self.known = plan, options, seeds, known
        self._raw: dict[int, tuple[Tensor, Tensor]] = {}
        self.runner = HeadRunner(plan, options, seeds, lambda side: self.read(side, same))
        self._heads: Heads = {}

    @property
    def crossing(self) -> list[tuple[str, str]]:
        """The directions between two modalities."""
        return [(a, b) for a, b in self.plan.directions if a != b]

    def raw(self, side: Side) -> tuple[Tensor, Tensor]:
        """Scaled features of a side, float64 [N, T, F], and which steps exist, bool [N, T]."""
        if id(side) not in self._raw:
            parts, masks = [], []
            longest = int(side.source.lengths_of(side.modality, side.clips).max())
            for some in np.split(side.clips, range(AT_ONCE, len(side.clips), AT_ONCE)):
                steps, lengths = side.source.features(side.modality, some)
                x = self.known.scale[side.modality](pooled(steps))
                fill = (0, 0, 0, longest - x.shape[1])
                parts.append(functional.pad(x, fill))
                masks.append(existing(parts[-1], lengths))
            found = torch.cat(parts)
            refuse_non_finite(found, side.modality, f"{side.source.path}: {side.name}")
            self._raw[id(side)] = found, torch.cat(masks)
        return self._raw[id(side)]

    def read(self, side: Side, to: Map) -> VectorFeatures:
        """A side in some space, as heads read it."""
        data, (x, mask) = self.plan.data, self.raw(side)
        where = data.model.device
        return VectorFeatures(to(x).to(where, data.dtype), mask.to(where))

    def heads(self, source: str) -> Heads:
        """Heads on raw features of a modality, trained when first asked for."""
        if source not in self._heads:
            self._heads |= self.runner.trained([source])
        return {source: self._heads[source]}

    def direction(self, source: str, target: str) -> Plan:
        """The plan with a single direction."""
        train, select, test = self.plan.train, self.plan.select, self.plan.test
        return replace(
            self.plan,
            train={source: train[source]},
            select={source: select[source]},
            test={target: test[target]},
        )

    def linear(self, row: Baseline) -> Figures:
        """Heads on raw features of the target itself: what a direction could reach at most."""
        own = {}
        for target in self.plan.test:
            heads = self.heads(target)
            own[target] = self.runner_of(target, target, same, same).figures(heads=heads)
            row.parameters += self.size(heads)
        return {f"{a}->{b}": own[b][f"{b}->{b}"] for a, b in self.plan.directions}

    def ridge(self, row: Baseline) -> Figures:
        """Heads on raw features of the source, read on features of the target mapped to them."""
        figures: Figures = {}
        for source, target in self.crossing:
            heads, maps = self.heads(source), Ridge(*self.known.pairs(target, source))
            tried = {p: self.judged(heads[source], target, maps.at(p)) for p in RIDGE_PENALTIES}
            penalty = max(tried, key=tried.__getitem__)
            to, direction = maps.at(penalty), f"{source}->{target}"
            figures |= self.runner_of(source, target, same, to).figures(heads=heads)
            row.chosen[direction] = {"penalty": penalty}
            row.tries += len(tried)
            row.parameters += to.weight.numel() + to.bias.numel() + self.size(heads)
        return figures

    def cca(self, row: Baseline) -> Figures:
        """Heads on the source's projection, read on the target's, in the space they share."""
        figures: Figures = {}
        for pair in combinations(self.plan.train, 2):
            spaces = cca_spaces(CCA(*self.known.pairs(*pair)), pair)
            for source, target in (pair, pair[::-1]):
                if (source, target) not in self.crossing:
                    continue
                turned = source != pair[0]
                own = {p: space.turned() if turned else space for p, space in spaces.items()}
                tried = {
                    (p, d): value
                    for p, space in own.items()
                    for d, value in self.quick(source, target, space).items()
                }
                penalty, columns = max(tried, key=tried.__getitem__)
                space = own[penalty].leading(columns)
                runner = self.runner_of(source, target, space.first, space.second)
                heads = runner.trained([source])
                figures |= runner.figures(heads=heads)
                row.chosen[f"{source}->{target}"] = {"penalty": penalty, "dimensions": columns}
                row.tries += len(tried)
                sides = (space.first, space.second)
                row.parameters += sum(s.weight.numel() for s in sides) + self.size(heads)
        return figures

    def runner_of(self, source: str, target: str, first: Map, second: Map) -> HeadRunner:
        """Heads of one direction that read both modalities in some space.

        Args:
            source: What heads are trained on.
            target: What they are read on.
            first: From the source's raw features to the space.
            second: From the target's.
        """

        def read(side: Side) -> VectorFeatures:
            return self.read(side, first if side.modality == source else second)

        return HeadRunner(self.direction(source, target), self.options, self.seeds, read)

    def size(self, heads: Heads) -> int:
        """How many numbers a seed of some heads has."""
        kept = [next(iter(by_seed.values()))[SELECTION] for by_seed in heads.values()]
        return sum(w.numel() for one in kept for w in one.head.weights)

    def judged(self, heads: dict[int, dict[str, Kept]], target: str, to: Map) -> float:
        """What heads, by seed and watch, reach on the target's clips that are held out."""
        side = self.plan.select[target]
        features, labels = self.read(side, to), self.runner.labeled(side)[1]
        with torch.no_grad():
            logits = [features.read(by_watch[SELECTION].head) for by_watch in heads.values()]
        return fmean(self.runner.score(one, labels) for one in logits)

    def quick(self, source: str, target: str, space: SharedSpace) -> dict[int, float]:
        """What least-squares heads reach on held-out clips, by number of dimensions."""
        x, wanted, _ = self.sample(self.plan.train[source], space.first)
        _, _, held = self.sample(self.plan.select[target], space.second)
        labels = self.runner.labeled(self.plan.select[target])[1].cpu()
        found = {}
        for columns in cca_dimensions(space):
            head = Ridge(x[:, :columns], wanted).at(QUICK_PENALTY)
            # Least squares of 0 and 1 are probabilities; of logits 0 is where these are 0.5.
            found[columns] = self.runner.score(head(held[..., :columns]) - 0.5, labels)
        return found

    def sample(self, side: Side, to: Map) -> tuple[Tensor, Tensor, Tensor]:
        """What a least-squares head is fitted to, and what it is read on, of a side in some space.

        Returns:
            Labeled clips or steps [n, D]; their classes as 0 and 1, float64 [n, C]; and all clips,
            [N, D] where clips are classified, [N, T, D] where steps are.
        """
        x, mask = self.raw(side)
        labels = self.runner.labeled(side)[1].cpu()
        if self.plan.benchmark.per == "clip":
            clips = to(mean_over_time(x, mask))
            return clips, functional.one_hot(labels, len(self.plan.classes)).double(), clips
        steps, known = to(x), (labels >= 0).all(-1)
        return steps[known], labels[known].double(), steps


COMPUTED: dict[str, Callable[[BenchmarkRows, Baseline], Figures]] = {
    "ridge": BenchmarkRows.ridge,
    "cca": BenchmarkRows.cca,
    "linear": BenchmarkRows.linear,
}
"""By their names in files and tables; the majority is among a benchmark's controls anyhow."""


def computed_figures(rows: BenchmarkRows) -> Iterator[tuple[str, Figures, Baseline]]:
    """All of :data:`COMPUTED`, one after the other, with what each took.

    Heads on raw features are trained once, and counted where they are first read.
    """
    headline = rows.plan.headline
    for name, compute in COMPUTED.items():
        row, wall, cpu = Baseline(), time.perf_counter(), time.process_time()
        figures = compute(rows, row)
        row.seconds, row.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        row.scores = {direction: by_metric[headline] for direction, by_metric in figures.items()}
        yield name, figures, row
