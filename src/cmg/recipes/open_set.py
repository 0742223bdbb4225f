"""Heads that know some classes of a store, read on clips of all (`cmg evaluate open-set`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from cmg.clips import training_split
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips
from cmg.decoders.heads import ProbeOptions
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.evaluation.encoding import code_distances
from cmg.evaluation.open_set import (
    H_SCORE,
    ORACLE,
    ClassSplit,
    Measured,
    ScoredClips,
    divided,
    part_of,
)
from cmg.evaluation.probe import Evaluation, Labeled, train_head
from cmg.evaluation.scores import Score, ScoreMap, plain
from cmg.files import StrPath
from cmg.inference.readers import other_extractors
from cmg.recipes.retrieval import clips_to_search, read_alike
from cmg.runs.checkpoint import Checkpoint, load_model


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
    rows: list[Measured] = []
    remarks: list[str] = []
    for checkpoint in checkpoints:
        remarks += other_extractors(checkpoint, store)
        config = checkpoint.config
        splits = (training_split(config.data), config.data.test_split, config.data.val_split)
        evaluation = Evaluation(load_model(checkpoint.path, device), store, *splits)
        rows += found(evaluation, config, name, classes)
        remarks += evaluation.remarks
    names = store.labels[name].classes
    about = {
        "checkpoints": [str(c.path) for c in checkpoints],
        "data": str(store.path),
        "label": name,
        "known": [names[i] for i in classes.known],
        "unknown": [names[i] for i in classes.unknown],
        "split": checkpoints[0].config.data.test_split,
    }
    return told_results(rows, about, remarks + without_threshold(rows))


def told_results(
    rows: Sequence[Measured], about: Mapping[str, Any], remarks: Sequence[str]
) -> OpenSetResults:
    """Figures of several heads and models as mean and spread.

    Args:
        rows: Of every head.
        about: See :class:`OpenSetResults`.
        remarks: What has to be said before the figures.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for metric, direction, value in rows:
        values.setdefault(metric, {}).setdefault(direction, []).append(100.0 * value)
    scores = {
        metric: {direction: Score.of(each) for direction, each in row.items()}
        for metric, row in values.items()
    }
    return OpenSetResults(scores, {**about, "remarks": list(dict.fromkeys(remarks))})


def without_threshold(rows: Sequence[Measured]) -> list[str]:
    """What to say where no threshold was chosen; nothing where one was."""
    if any(metric.startswith(f"{H_SCORE}, ") and metric != ORACLE for metric, _, _ in rows):
        return []
    return [
        f"no validation clips of both kinds of classes, so no threshold is chosen: no {H_SCORE}"
    ]


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
) -> Iterator[Measured]:
    """What every head of a model is worth."""
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
    one = evaluation.encoded[split.name][modality]
    far = code_distances(evaluation.model, modality, one.indices, one.semantic)
    return ScoredClips.of(logits, data.labels, classes.size, None if far is None else far[keep])
