"""Running one benchmark under one protocol, and the videos that it has seen before."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from cmg.data.manifest import ClipRow
from cmg.decoders.heads import ReadBy
from cmg.evaluation.encoding import pad_steps
from cmg.evaluation.features import Features, Readable
from cmg.evaluation.metrics import (
    Guess,
    Metrics,
    background,
    chance,
    clip_metrics,
    every_second,
    majority,
    probabilities,
    step_metrics,
    step_score,
    top1_accuracy,
)
from cmg.evaluation.probe import unseen_classes
from cmg.evaluation.scores import Score, mean_of
from cmg.evaluation.training import HeadJob, HeadOptions, Kept, Watch, train_heads
from cmg.tasks.benchmark import Plan
from cmg.tasks.outcome import Figures, Outcome, Predictions
from cmg.tasks.paper import PaperTable
from cmg.tasks.sides import Side, VideoIds, video_id


def youtube_id(row: ClipRow) -> str:
    """A clip's video id without the start second that VGGSound's own clip names end with."""
    return re.sub(r"(?<=^.{11})_\d{6}$", "", video_id(row))


def leak_report(plan: Plan, lists: Mapping[str, VideoIds]) -> list[dict[str, Any]]:
    """How many test clips of every direction are of videos seen before.

    Args:
        plan: Of the benchmark.
        lists: Video ids per pre-training list.

    Returns:
        A row per direction: ``direction``, ``clips`` tested, how many of them are of a video that
        is ``in_training`` of the head, or ``in_pretraining`` (by list).
    """
    rows = []
    for source, target in plan.directions:
        tested = plan.test[target].video_ids
        trained = set(plan.train[source].video_ids)
        rows.append(
            {
                "direction": f"{source}->{target}",
                "clips": len(tested),
                "in_training": sum(v in trained for v in tested),
                "in_pretraining": {
                    name: sum(v in ids for v in tested) for name, ids in lists.items()
                },
            }
        )
    return rows


CONTINUOUS: Literal["continuous"] = "continuous"
SELECTION = "selection"
"""Name of the watch on held-out clips; the others are named like the modality they read."""
ORACLE = "oracle_classes"
"""The one control that reads labels of test clips."""
GUESSES: dict[str, dict[str, Guess]] = {
    "clip": {"majority": majority},
    "step": {"majority": majority, "background": background, ORACLE: every_second},
}
"""Answers without a model, of clips and of steps."""
Heads = dict[str, dict[int, dict[str, Kept]]]
"""Trained heads by modality, seed and watch."""


def run_plan(
    plan: Plan,
    options: HeadOptions,
    seeds: Sequence[int],
    paper: PaperTable | None = None,
    leaks: Sequence[Mapping[str, Any]] = (),
) -> Outcome:
    """Train the heads of a benchmark and read them.

    Args:
        plan: What to do.
        options: Of head training.
        seeds: A head per direction and seed.
        paper: The paper's figures, which were made by the published protocol.
        leaks: To be told with the outcome.

    Returns:
        Figures of what heads read, controls, and predictions of every clip.

    Raises:
        DataError: clips that cannot be read, or labels of a single class.
    """
    plan.check()
    paper = paper or {}
    runner = HeadRunner(plan, options, seeds)
    figures = runner.figures(paper if plan.data.published else {})
    controls = {
        "chance": runner.expected(),
        **{name: runner.guessed(guess) for name, guess in GUESSES[plan.benchmark.per].items()},
        CONTINUOUS: HeadRunner(plan, options, seeds, CONTINUOUS).figures(),
    }
    counts = {
        what: {m: len(s.clips) for m, s in sides.items()}
        for what, sides in (("train", plan.train), ("select", plan.select), ("test", plan.test))
    }
    return Outcome(
        plan.benchmark,
        plan.protocol,
        plan.headline,
        plan.classes,
        figures,
        controls,
        counts,
        [dict(row) for row in leaks],
        plan.notes,
        plan.marks,
        paper,
        predictions=runner.predictions,
        remarks=runner.remarks() + beaten(figures, controls.get(ORACLE, {}), plan.headline),
    )


def beaten(figures: Figures, oracle: Figures, headline: str) -> list[str]:
    """What is said where the oracle of clips' classes is better than heads."""
    better = [
        f"{arrow} {oracle[arrow][metric].mean:.1f} against {row[metric].mean:.1f} ({metric})"
        for metric in dict.fromkeys((headline, "event_f1"))
        for arrow, row in figures.items()
        if arrow in oracle and oracle[arrow][metric].mean > row[metric].mean
    ]
    what = "an oracle that reads test labels, the clip's classes in every second, beats heads"
    return [f"{what}: {'; '.join(better)}"] if better else []


def crossing_score(plan: Plan, options: HeadOptions, seeds: Sequence[int]) -> Score:
    """The headline, mean over the directions across modalities; no controls, no predictions.

    Of a single modality its own direction.

    Args:
        plan: What to do.
        options: Of head training.
        seeds: A head per direction and seed.
    """
    plan.check()
    found = HeadRunner(plan, options, seeds).figures()
    across = [(a, b) for a, b in plan.directions if a != b] or plan.directions
    return mean_of([found[f"{a}->{b}"][plan.headline] for a, b in across])


def kept_for(by_watch: Mapping[str, Kept], target: str) -> Kept:
    """Of the heads that the watches of one have kept, the one to be read on a modality."""
    return by_watch[target if target in by_watch else SELECTION]


class HeadRunner:
    """The heads of one plan, by what they read.

    Args:
        plan: What to do.
        options: Of head training.
        seeds: A head per modality and seed.
        read: What heads read of the clips: something of the frozen model, by its name (None takes
            that of `plan.data`), or what a function makes of a side, which is called once for each.
    """

    def __init__(
        self,
        plan: Plan,
        options: HeadOptions,
        seeds: Sequence[int],
        read: ReadBy | Callable[[Side], Readable] | None = None,
    ) -> None:
        self.plan, self.options, self.seeds = plan, options, seeds
        by = plan.data.by if read is None else read
        of_model = not callable(by)
        self.noisy = plan.data.published and of_model and by != CONTINUOUS
        self.read = self._of_model(by) if not callable(by) else by
        self.predictions: dict[str, Predictions] = {}
        self._labeled: dict[int, tuple[Readable, Tensor]] = {}

    def figures(self, paper: PaperTable | None = None, heads: Heads | None = None) -> Figures:
        """Every metric of every direction; keeps the predictions.

        Args:
            paper: The paper's figures.
            heads: See :meth:`trained`; None trains them.
        """
        heads = self.trained(list(self.plan.train)) if heads is None else heads
        figures: Figures = {}
        for source, target in self.plan.directions:
            direction = f"{source}->{target}"
            values = self._direction(direction, heads[source], target)
            expected = (paper or {}).get(direction, {})
            figures[direction] = {
                name: Score.of(found, expected.get(name)) for name, found in values.items()
            }
        return figures

    def trained(self, modalities: Sequence[str]) -> Heads:
        """Heads of some modalities."""
        jobs = {(m, seed): self._job(m, seed) for m in modalities for seed in self.seeds}
        what = f"heads {self.plan.benchmark.name} {self.plan.protocol}"
        kept = train_heads(
            list(jobs.values()),
            self.options,
            self.plan.data.dtype,
            self.plan.data.model.device,
            lambda done, of: self.plan.data.progress(what, done, of),
        )
        found: Heads = {m: {} for m in modalities}
        for (m, seed), by_watch in zip(jobs, kept, strict=True):
            found[m][seed] = by_watch
        return found

    def remarks(self) -> list[str]:
        """What is said of modalities that are left out, and of classes no head was trained on."""
        found: list[str | None] = [*self.plan.data.remarks]
        missing = [m for m in self.plan.benchmark.modalities if m not in self.plan.train]
        if missing:
            found.append(f"without {' and '.join(missing)}, so not all of its directions")
        for train, test in self._ends():
            found.append(unseen_classes(train.cpu(), test.cpu(), self.plan.classes))
        return [line for line in dict.fromkeys(found) if line is not None]

    def expected(self) -> Figures:
        """What guessing by chance is expected to reach."""
        size = len(self.plan.classes)
        return {
            f"{source}->{target}": {k: Score.of([v]) for k, v in chance(*ends, size).items()}
            for (source, target), ends in zip(self.plan.directions, self._ends(), strict=True)
        }

    def guessed(self, guess: Guess) -> Figures:
        """Every metric of an answer that needs no head."""
        figures: Figures = {}
        for (source, target), (train, test) in zip(self.plan.directions, self._ends(), strict=True):
            found = self.metrics(guess(train, test, len(self.plan.classes)), test)
            figures[f"{source}->{target}"] = {k: Score.of([v]) for k, v in found.items()}
        return figures

    def _ends(self) -> list[tuple[Tensor, Tensor]]:
        """Training and test labels of every direction."""
        train, test = self.plan.train, self.plan.test
        return [
            (self.labeled(train[a])[1], self.labeled(test[b])[1]) for a, b in self.plan.directions
        ]

    def _direction(
        self, direction: str, kept: dict[int, dict[str, Kept]], target: str
    ) -> dict[str, list[float]]:
        side = self.plan.test[target]
        features, labels = self.labeled(side)
        values: dict[str, list[float]] = {}
        said, epochs = {}, {}
        for seed, by_watch in kept.items():
            chosen = kept_for(by_watch, target)
            with torch.no_grad():
                logits = features.read(chosen.head)
            metrics = self.metrics(logits, labels)
            if self.plan.last_epoch:
                metrics["best_accuracy"] = 100.0 * max(chosen.scores.values())
            for name, value in metrics.items():
                values.setdefault(name, []).append(value)
            said[seed], epochs[seed] = probabilities(logits), chosen.epoch
        self.predictions[direction] = Predictions(side.rows, labels.cpu(), said, epochs)
        return values

    def metrics(self, logits: Tensor, labels: Tensor) -> Metrics:
        """Every metric of the benchmark, in percent."""
        if self.plan.benchmark.per == "clip":
            return clip_metrics(logits, labels)
        return step_metrics(logits, labels, self.plan.data.published)

    def _job(self, modality: str, seed: int) -> HeadJob:
        side = self.plan.train[modality]
        labels = self.labeled(side)[1]
        watches = {}
        if self.plan.select:
            watches[SELECTION] = self._watch(self.plan.select[modality])
        else:
            watches = {m: self._watch(target) for m, target in self.plan.test.items()}
        return HeadJob(seed, self._training(side), labels, len(self.plan.classes), watches)

    def _training(self, side: Side) -> Features:
        if self.noisy:
            return self.plan.data.noisy(side.name, side.modality, side.clips)
        return self.labeled(side)[0]

    def _watch(self, side: Side) -> Watch:
        features, labels = self.labeled(side)
        keep: Literal["best", "last"] = "last" if self.plan.last_epoch else "best"
        return Watch(features, lambda logits: self.score(logits, labels), keep)

    def score(self, logits: Tensor, labels: Tensor) -> float:
        """What epochs are decided by; larger is better."""
        if self.plan.benchmark.per == "clip":
            return top1_accuracy(logits, labels)
        return step_score(logits, labels, self.plan.headline, self.plan.data.published)

    def labeled(self, side: Side) -> tuple[Readable, Tensor]:
        """What heads read of a side, and its labels; every side is read once.

        Labels are int64 [N], or [N, T, C] with -1 at steps that do not count.
        """
        if id(side) not in self._labeled:
            features = self.read(side)
            if self.plan.benchmark.per == "clip":
                labels = side.clip_labels()
            else:
                labels = pad_steps(side.raw_labels(), features.mask.shape[1], -1)
                labels = labels.masked_fill(~features.mask.cpu()[..., None], -1.0)
            self._labeled[id(side)] = features, labels.to(self.plan.data.model.device)
        return self._labeled[id(side)]

    def _of_model(self, by: ReadBy) -> Callable[[Side], Readable]:
        data = self.plan.data
        return lambda side: data.features(side.name, side.modality, side.clips, by)
