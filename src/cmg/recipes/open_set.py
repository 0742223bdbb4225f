"""Heads that know some classes of a store, read on clips of all (`cmg evaluate open-set`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from cmg.clips import training_split
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips
from cmg.decoders.heads import ProbeOptions
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.evaluation.open_set import (
    ClassSplit,
    Rejections,
    auroc,
    divided,
    evenly_spaced,
    every_threshold,
    false_positive_rate,
    part_of,
    rejections,
    scores_of,
)
from cmg.evaluation.probe import Evaluation, Labeled, train_head
from cmg.evaluation.scores import Score, ScoreMap, plain
from cmg.files import StrPath
from cmg.inference.readers import other_extractors
from cmg.masking import mean_over_time
from cmg.recipes.retrieval import clips_to_search, read_alike
from cmg.runs.checkpoint import Checkpoint, load_model

CLOSED, AUROC, FALSE_POSITIVES = "accuracy", "AUROC", "FPR95"
H_SCORE, ORACLE = "H", "H, oracle"
"""Of a threshold chosen on validation clips; of the authors', on the clips that are reported."""


@dataclass(frozen=True)
class OpenSetResults:
    """What was found.

    Attributes:
        scores: Percent, by metric and direction. ``accuracy`` is of clips of known classes without
            rejection; the others end with how sure a head is, such as ``AUROC, entropy``.
        about: Models, data, classes.
    """

    scores: dict[str, ScoreMap]
    about: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return {"about": self.about, "scores": plain(self.scores, "values")}


def evaluate_open_set(
    runs: Sequence[StrPath],
    known: str,
    unknown: str | None = None,
    data: StrPath | None = None,
    label: str | None = None,
    device: torch.device | str = "cpu",
) -> OpenSetResults:
    """Train heads on clips of known classes in one modality, read them on clips of all in others.

    Args:
        runs: Run folders or checkpoints, of models that were trained alike on the same data.
        known: How many of the label's first classes heads learn, or names with commas between.
        unknown: Names likewise; None is all others.
        data: Store; None is what the first was trained on.
        label: Per clip; None takes the store's first label per clip.
        device: Where to encode.

    Raises:
        ConfigError: classes that do not exist or are in both parts, or runs that are not alike.
        DataError: no label per clip, or no clip of a part.
        CheckpointError: no checkpoint.
    """
    checkpoints = read_alike(runs)
    store = clips_to_search(checkpoints[0], data)
    name = label or store.about.first_label("clip")
    if name is None or name not in store.labels:
        lacking = "no label per clip" if name is None else f"no label {name!r}"
        more = "" if name is None else did_you_mean(name, store.labels)
        raise DataError(f"{store.path} has {lacking}, which an open set is made of{more}")
    if store.labels[name].per != "clip":
        raise DataError(f"label {name!r} of {store.path} is per step; an open set is of clips")
    classes = divided(store.labels[name].classes, known, unknown)
    refuse_unlike(checkpoints, data)
    values: dict[str, dict[str, list[float]]] = {}
    remarks: list[str] = []
    for checkpoint in checkpoints:
        remarks += other_extractors(checkpoint, store)
        config = checkpoint.config
        splits = (training_split(config.data), config.data.test_split, config.data.val_split)
        evaluation = Evaluation(load_model(checkpoint.path, device), store, *splits)
        for metric, direction, value in found(evaluation, config, name, classes):
            values.setdefault(metric, {}).setdefault(direction, []).append(100.0 * value)
        remarks += evaluation.remarks
        if not any(metric.startswith(f"{H_SCORE}, ") and metric != ORACLE for metric in values):
            remarks.append(
                f"no validation clips of both kinds of classes, so no threshold is chosen: no "
                f"{H_SCORE}"
            )
    names = store.labels[name].classes
    about = {
        "checkpoints": [str(c.path) for c in checkpoints],
        "data": str(store.path),
        "label": name,
        "known": [names[i] for i in classes.known],
        "unknown": [names[i] for i in classes.unknown],
        "split": checkpoints[0].config.data.test_split,
        "remarks": list(dict.fromkeys(remarks)),
    }
    scores = {
        metric: {direction: Score.of(each) for direction, each in row.items()}
        for metric, row in values.items()
    }
    return OpenSetResults(scores, about)


def refuse_unlike(checkpoints: Sequence[Checkpoint], data: StrPath | None) -> None:
    """Refuse runs whose figures are no mean: of other parts, heads or clips.

    Raises:
        ConfigError: names what differs.
    """
    first = checkpoints[0]
    for other in checkpoints[1:]:
        one, two = first.config, other.config
        for what in ("train_split", "test_split", "val_split"):
            a, b = getattr(one.data, what), getattr(two.data, what)
            if a != b:
                raise ConfigError(f"{first.path} and {other.path} differ in data.{what}: {a}, {b}")
        if one.probe != two.probe:
            raise ConfigError(f"{first.path} and {other.path} differ in probe; evaluate them apart")
        if data is None and (
            clips_to_search(first, None).content_hash != clips_to_search(other, None).content_hash
        ):
            raise ConfigError(
                f"{first.path} and {other.path} were trained on other clips; evaluate them apart, "
                "or name the store with --data"
            )


def found(
    evaluation: Evaluation, config: RunConfig, label: str, classes: ClassSplit
) -> Iterator[tuple[str, str, float]]:
    """Metric, direction and value, 0 to 1, of every head of a model."""
    probe, first = config.probe, config.training.seed
    names, val = evaluation.modalities_for(label), evaluation.val
    for source in names:
        data = of_known(evaluation.labeled(evaluation.train, source, label, probe), classes)
        refuse_unlearned(evaluation, data, source, label, classes)
        held = None if val is None else evaluation.labeled(val, source, label, probe)
        chosen_by = None if held is None else of_known(held, classes)
        for seed in range(first, first + (probe.seeds if probe.head == "linear" else 1)):
            head = train_head(data, probe, seed, chosen_by)
            for target in names:
                read = scored(evaluation, evaluation.test, target, label, probe, head, classes)
                choice = None
                if val is not None:
                    choice = scored(evaluation, val, target, label, probe, head, classes)
                part_of(read.targets, classes.size, f"{evaluation.test.name} with {target}")
                if choice is not None and not choice.both_kinds:
                    choice = None
                for metric, value in read.figures(choice):
                    yield metric, f"{source}->{target}", value


def refuse_unlearned(
    evaluation: Evaluation, data: Labeled, modality: str, label: str, classes: ClassSplit
) -> None:
    """Refuse known classes that no training clip with the modality has.

    Raises:
        DataError: names them.
    """
    seen = set(data.labels[data.mask.any(1)].tolist())
    names = evaluation.store.labels[label].classes
    missing = [repr(names[c]) for i, c in enumerate(classes.known) if i not in seen]
    if missing:
        raise DataError(
            f"no training clip with {modality} is of {', '.join(missing[:3])}, so that no head can "
            "know it; leave it out of --known"
        )


def of_known(data: Labeled, classes: ClassSplit) -> Labeled:
    """Clips as heads learn them: those of other classes have no label."""
    return replace(data, labels=classes.alone(data.labels), classes=classes.size)


@dataclass(frozen=True)
class ScoredClips:
    """Clips of known and unknown classes, as a head sees them.

    Attributes:
        scores: See :func:`cmg.evaluation.open_set.scores_of`.
        predicted: Known classes, int64 [N].
        targets: See :meth:`cmg.evaluation.open_set.ClassSplit.targets`; none is -1.
        known: K.
    """

    scores: dict[str, Tensor]
    predicted: Tensor
    targets: Tensor
    known: int

    def figures(self, choice: ScoredClips | None) -> Iterator[tuple[str, float]]:
        """Metrics and their values, 0 to 1.

        Args:
            choice: Other clips, which thresholds are chosen on; None chooses none.
        """
        of_known = self.targets < self.known
        yield CLOSED, float((self.predicted == self.targets)[of_known].double().mean())
        for name, scores in self.scores.items():
            yield f"{AUROC}, {name}", auroc(scores, self.targets, self.known)
            yield (
                f"{FALSE_POSITIVES}, {name}",
                false_positive_rate(scores, self.targets, self.known),
            )
            if choice is not None:
                tried = choice.at(name, every_threshold(choice.scores[name]))
                yield (
                    f"{H_SCORE}, {name}",
                    float(self.at(name, tried.thresholds[[tried.best]]).h_scores),
                )
        name, scores = next(iter(self.scores.items()))
        tried = self.at(name, evenly_spaced(scores))
        yield ORACLE, float(tried.h_scores[tried.best])

    @property
    def both_kinds(self) -> bool:
        """Whether there are clips of known and of unknown classes."""
        of_known = self.targets < self.known
        return bool(of_known.any()) and not bool(of_known.all())

    def at(self, name: str, thresholds: Tensor) -> Rejections:
        """What becomes of the clips at some thresholds of a score."""
        given = (self.scores[name], self.predicted, self.targets)
        return rejections(*given, thresholds, self.known)


@torch.no_grad()
def scored(
    evaluation: Evaluation,
    split: Clips,
    modality: str,
    label: str,
    probe: ProbeOptions,
    head: nn.Module,
    classes: ClassSplit,
) -> ScoredClips:
    """The clips of a split that have the modality and are of a class in either part."""
    data = evaluation.labeled(split, modality, label, probe)
    data = replace(data, labels=classes.targets(data.labels), classes=classes.size + 1)
    keep = data.mask.any(1) & (data.labels >= 0)
    data = data.subset(keep)
    logits = head(data.features, data.mask)
    far = code_distances(evaluation, split, modality)
    scores = scores_of(logits, None if far is None else far[keep])
    return ScoredClips(scores, logits.argmax(-1), data.labels, classes.size)


def code_distances(evaluation: Evaluation, split: Clips, modality: str) -> Tensor | None:
    """Mean square distance of a clip's steps to their codes, [N]; None without codes."""
    book, one = evaluation.model.codebook, evaluation.encoded[split.name][modality]
    if book.levels == 0:
        return None
    indices = one.indices.clamp_min(0).to(evaluation.model.device)
    codes = book.codes_of(modality, indices).to(one.semantic)
    far = (one.semantic - codes).square().mean(-1)
    return mean_over_time(far[..., None], one.mask)[..., 0]
