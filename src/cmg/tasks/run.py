"""Running one benchmark under one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from cmg.evaluation.metrics import top1_accuracy
from cmg.evaluation.probe import unseen_classes
from cmg.evaluation.scores import Score, mean_of
from cmg.tasks.controls import chance, majority
from cmg.tasks.features import Features, Readable
from cmg.tasks.frozen import fitted_steps
from cmg.tasks.measure import Metrics, clip_metrics, probabilities, step_metrics, step_score
from cmg.tasks.outcome import Figures, Outcome, Predictions
from cmg.tasks.paper import PaperTable
from cmg.tasks.plan import Plan, Side
from cmg.tasks.training import HeadJob, Kept, Watch, train_heads
from cmg.tasks.world import World

CONTINUOUS = "continuous"


@dataclass(frozen=True)
class Labeled:
    """A side ready to be read.

    Attributes:
        features: Codes, or continuous features.
        labels: int64 [N], or [N, T, C] with -1 at steps that do not count.
    """

    features: Readable
    labels: Tensor


def run_plan(
    plan: Plan, world: World, seeds: Sequence[int], paper: PaperTable, leaks: list[dict[str, Any]]
) -> Outcome:
    """Train the heads of a benchmark and read them.

    Args:
        plan: What to do.
        world: The frozen model and its data.
        seeds: A head per direction and seed.
        paper: The paper's figures, which were made by the published protocol.
        leaks: To be told with the outcome.

    Returns:
        Figures of codes, controls, and predictions of every clip.

    Raises:
        DataError: clips that cannot be read, or labels of a single class.
    """
    plan.check()
    runner = _Runner(plan, world, seeds)
    figures = runner.figures(paper if plan.published else {})
    controls = {
        "chance": runner.baseline(chance),
        "majority": runner.baseline(majority),
        CONTINUOUS: _Runner(plan, world, seeds, continuous=True).figures({}),
    }
    counts = {
        what: {m: len(s.clips) for m, s in sides.items()}
        for what, sides in (("train", plan.train), ("select", plan.select), ("test", plan.test))
    }
    return Outcome(
        plan.benchmark,
        plan.protocol,
        plan.per,
        plan.headline,
        plan.classes,
        figures,
        controls,
        counts,
        leaks,
        plan.notes,
        plan.marks,
        paper,
        predictions=runner.predictions,
        remarks=runner.remarks(),
    )


def crossing_score(plan: Plan, world: World, seeds: Sequence[int]) -> Score:
    """The headline, mean over the directions across modalities; no controls, no predictions.

    Args:
        plan: What to do.
        world: The frozen model and its data.
        seeds: A head per direction and seed.
    """
    plan.check()
    found = _Runner(plan, world, seeds).figures({})
    across = [found[f"{a}->{b}"][plan.headline] for a, b in plan.directions if a != b]
    return mean_of(across)


class _Runner:
    """The heads of one plan on codes, or on continuous features."""

    def __init__(
        self, plan: Plan, world: World, seeds: Sequence[int], continuous: bool = False
    ) -> None:
        self.plan = plan
        self.world = world
        self.seeds = seeds
        self.continuous = continuous
        self.predictions: dict[str, Predictions] = {}
        self._read: dict[int, Labeled] = {}

    def figures(self, paper: PaperTable) -> Figures:
        """Every metric of every direction; keeps the predictions."""
        jobs = {(m, seed): self._job(m, seed) for m in self.plan.train for seed in self.seeds}
        device = self.world.model.device
        what = f"heads {self.plan.benchmark} {self.plan.protocol}"
        trained = train_heads(
            list(jobs.values()),
            self.plan.options,
            self.world.dtype,
            device,
            lambda done, of: self.world.progress(what, done, of),
        )
        kept = dict(zip(jobs, trained, strict=True))
        figures: Figures = {}
        for source, target in self.plan.directions:
            direction = f"{source}->{target}"
            values = self._direction(direction, {s: kept[source, s] for s in self.seeds}, target)
            expected = paper.get(direction, {})
            figures[direction] = {
                name: Score.of(found, expected.get(name)) for name, found in values.items()
            }
        return figures

    def remarks(self) -> list[str]:
        """What is said of classes that no head was trained on."""
        found = []
        for source, target in self.plan.directions:
            train = self.labeled(self.plan.train[source]).labels.cpu()
            test = self.labeled(self.plan.test[target]).labels.cpu()
            found.append(unseen_classes(train, test, self.plan.classes))
        return [line for line in dict.fromkeys(found) if line is not None]

    def baseline(self, guess: Callable[[Tensor, Tensor, int], Metrics]) -> Figures:
        """Figures that need no head, of labels alone."""
        figures: Figures = {}
        for source, target in self.plan.directions:
            train = self.labeled(self.plan.train[source]).labels
            test = self.labeled(self.plan.test[target]).labels
            found = guess(train, test, len(self.plan.classes))
            figures[f"{source}->{target}"] = {k: Score.of([v]) for k, v in found.items()}
        return figures

    def _direction(
        self, direction: str, kept: dict[int, dict[str, Kept]], target: str
    ) -> dict[str, list[float]]:
        side, given = self.plan.test[target], self.labeled(self.plan.test[target])
        values: dict[str, list[float]] = {}
        said, epochs = {}, {}
        for seed, by_watch in kept.items():
            chosen = by_watch[target if target in by_watch else SELECTION]
            with torch.no_grad():
                logits = given.features.read(chosen.head)
            metrics = self._metrics(logits, given.labels)
            if self.plan.last_epoch:
                metrics["best_accuracy"] = 100.0 * max(chosen.scores.values())
            for name, value in metrics.items():
                values.setdefault(name, []).append(value)
            said[seed], epochs[seed] = probabilities(logits), chosen.epoch
        self.predictions[direction] = Predictions(side.rows, given.labels.cpu(), said, epochs)
        return values

    def _metrics(self, logits: Tensor, labels: Tensor) -> Metrics:
        if self.plan.per == "clip":
            return clip_metrics(logits, labels)
        return step_metrics(logits, labels, self.plan.published)

    def _job(self, modality: str, seed: int) -> HeadJob:
        side = self.plan.train[modality]
        labels = self.labeled(side).labels
        watches = {}
        if self.plan.select:
            watches[SELECTION] = self._watch(self.plan.select[modality])
        else:
            watches = {m: self._watch(target) for m, target in self.plan.test.items()}
        return HeadJob(seed, self._training(side), labels, len(self.plan.classes), watches)

    def _training(self, side: Side) -> Features:
        if self.plan.published and not self.continuous:
            return side.source.noisy(side.modality, side.clips)
        return self.labeled(side).features

    def _watch(self, side: Side) -> Watch:
        given, plan = self.labeled(side), self.plan
        keep: Literal["best", "last"] = "last" if plan.last_epoch else "best"

        def score(logits: Tensor) -> float:
            if plan.per == "clip":
                return top1_accuracy(logits, given.labels)
            return step_score(logits, given.labels, plan.headline, plan.published)

        return Watch(given.features, score, keep)

    def labeled(self, side: Side) -> Labeled:
        """A side's features and labels; every side is read once."""
        if id(side) not in self._read:
            take = side.source.continuous if self.continuous else side.source.codes
            features = take(side.modality, side.clips)
            if self.plan.per == "clip":
                labels = side.clip_labels()[0]
            else:
                labels = fitted_steps(side.raw_labels(), features.mask.shape[1])
                labels = labels.masked_fill(~features.mask.cpu()[..., None], -1.0)
            self._read[id(side)] = Labeled(features, labels.to(self.world.model.device))
        return self._read[id(side)]


SELECTION = "selection"
"""Name of the watch on held-out clips; the others are named like the modality they read."""
