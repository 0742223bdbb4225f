"""Raw features of labeled clips: the mean over a clip's steps, and over the places of maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from cmg.clips import training_part, training_split
from cmg.data.clips import Clips
from cmg.data.options import DataOptions
from cmg.data.parts import refuse_leak
from cmg.errors import DataError
from cmg.evaluation.probe import groups_of, held_out

AT_ONCE = 256
"""Clips whose steps are in memory together."""


@dataclass(frozen=True)
class RawPart:
    """Clips by their raw features.

    Attributes:
        features: float64 [N, F] per modality, zero where a clip lacks it.
        present: Clips that have the modality, bool [N].
        labels: Class indices, int64 [N], -1 where unlabeled.
        paired: Clips that were trained on without their labels, bool [N].
    """

    features: dict[str, Tensor]
    present: dict[str, Tensor]
    labels: Tensor
    paired: Tensor

    def at(self, rows: Tensor) -> RawPart:
        """Some clips, by a bool mask [N]."""
        return RawPart(
            {m: x[rows] for m, x in self.features.items()},
            {m: p[rows] for m, p in self.present.items()},
            self.labels[rows],
            self.paired[rows],
        )

    def labeled(self, modality: str) -> tuple[Tensor, Tensor]:
        """Features [n, F] and labels [n] of the clips that have both."""
        rows = self.present[modality] & (self.labels >= 0)
        return self.features[modality][rows], self.labels[rows]

    def pairs(self, first: str, second: str) -> tuple[Tensor, Tensor]:
        """Features of the clips that have both modalities and were trained on."""
        rows = self.present[first] & self.present[second] & self.paired
        return self.features[first][rows], self.features[second][rows]


@dataclass(frozen=True)
class RawClips:
    """Labeled clips in the parts that baselines need.

    Attributes:
        label: Of the store, one per clip.
        classes: How many it has.
        train: Whose pairs and labels are learned from; every feature has mean 0 and deviation 1.
        test: Held-out clips.
        fit: What is learned from where something is chosen.
        held: Whereby it is chosen; apart from `fit` and `test`.
        chosen_on: What `held` is, in words.
    """

    label: str
    classes: int
    train: RawPart
    test: RawPart
    fit: RawPart
    held: RawPart
    chosen_on: str

    @property
    def directions(self) -> list[tuple[str, str]]:
        """Every (source, target) between modalities of which training clips have both."""
        names = permutations(self.train.features, 2)
        return [(a, b) for a, b in names if len(self.train.pairs(a, b)[0]) > 1]


def raw_clips(store: Clips, data: DataOptions, label: str | None = None) -> RawClips:
    """What baselines of a run on some data learn from, choose by and are judged on.

    Choices are made on `data.val_split`, or on the split ``val`` where it has labels and shares no
    group with training or test clips, else on a fifth of the training clips, whole groups of them.

    Args:
        store: With a label per clip.
        data: Splits, modalities, and the share whose pairs are trained on.
        label: Of the store; None takes its first per clip.

    Raises:
        DataError: no label per clip, fewer than two modalities that clips have together, labels of
            a single class, a missing split, or a `data.val_split` that is not apart.
    """
    names = list(data.modalities or store.modalities)
    if len(names) < 2:
        raise DataError(
            f"{store.path} has one modality here ({', '.join(names)}); baselines go between two or "
            "more: add one to the store, or leave data.modalities out"
        )
    label = label or clip_label(store)
    train_split, test_split = store.split(training_split(data)), store.split(data.test_split)
    train, test = (raw_part(s, names, label) for s in (train_split, test_split))
    paired = np.isin(train_split.positions, training_part(store, data).positions)
    train = replace(train, paired=torch.from_numpy(paired))
    if len(torch.unique(train.labels[train.labels >= 0])) < 2:
        raise DataError(
            f"{store.path}: the training clips' labels {label!r} are of fewer than two classes, so "
            "there is nothing to tell apart; label clips of two or more"
        )
    val = validation(store, data, label)
    held = train if val is None else raw_part(val, names, label)
    train, test, held = scaled([train, test, held], names)
    fit, told = train, f"split {val.name!r}" if val else "a fifth of the training clips"
    if val is None:
        out = apart(train_split)
        fit, held = train.at(~out), train.at(out)
    found = RawClips(label, len(store.labels[label].classes), train, test, fit, held, told)
    if not found.directions:
        raise DataError(
            f"{store.path}: no two training clips have the same two of {', '.join(names)}; "
            "baselines learn from pairs"
        )
    return found


def clip_label(store: Clips) -> str:
    """The first label per clip.

    Raises:
        DataError: there is none.
    """
    found = store.about.first_label("clip")
    if found is None:
        has = "only labels per step" if store.labels else "no labels"
        raise DataError(
            f"{store.path} has {has}; the baselines ridge, cca, linear and majority need a label "
            "per clip: import the store with one, or take --only infonce"
        )
    return found


def apart(split: Clips) -> Tensor:
    """A fifth of some clips, whole groups of them, to choose by: bool [N]."""
    return held_out(groups_of(split), len(split))


def raw_part(split: Clips, names: Sequence[str], label: str | None) -> RawPart:
    """The clips of a split, AT_ONCE at a time; of no label all are unlabeled."""
    features, present = {}, {}
    for name in names:
        parts, there = [], []
        for start in range(0, len(split), AT_ONCE):
            chosen = np.arange(start, min(start + AT_ONCE, len(split)))
            steps, lengths = split.features(name, chosen)
            parts.append(means(steps, lengths))
            there.append(lengths > 0)
        features[name], present[name] = torch.cat(parts), torch.cat(there)
        refuse_non_finite(features[name], name, f"{split.path}: split {split.name!r}")
    labels = torch.full((len(split),), -1) if label is None else split.label(label)
    return RawPart(features, present, labels, torch.ones(len(labels), dtype=torch.bool))


def refuse_non_finite(features: Tensor, modality: str, where: str) -> None:
    """Refuse features that are no numbers.

    Raises:
        DataError: naming the modality.
    """
    if not bool(torch.isfinite(features).all()):
        raise DataError(
            f"{where} has NaN or infinite features of {modality!r}; `cmg data verify` names the "
            "clips, extract them again"
        )


def pooled(steps: Tensor) -> Tensor:
    """Means over the places of maps: [N, T, C] or [N, T, H, W, C] to float64 [N, T, C]."""
    return steps.double().flatten(2, -2).mean(2) if steps.dim() > 3 else steps.double()


def means(steps: Tensor, lengths: Tensor) -> Tensor:
    """Means over the steps that exist, and over the places of maps.

    Args:
        steps: [N, T, C] or [N, T, H, W, C], zero after each clip's end.
        lengths: int64 [N].

    Returns:
        float64 [N, C], zero where a clip has no step.
    """
    return pooled(steps).sum(1) / lengths.clamp_min(1)[:, None]


@dataclass(frozen=True)
class FeatureScale:
    """x -> (x - mean) / unit.

    Attributes:
        mean: [F].
        unit: [F], 1 for features that are constant but for rounding, so that they stay small
            instead of being blown up.
    """

    mean: Tensor
    unit: Tensor

    @classmethod
    def of(cls, x: Tensor) -> FeatureScale:
        """What gives features [N, F] mean 0 and deviation 1."""
        deviation = x.std(0, correction=0)
        flat = deviation <= 1e-12 * x.abs().amax(0)
        return cls(x.mean(0), deviation.masked_fill(flat, 1.0))

    def __call__(self, x: Tensor) -> Tensor:
        """[..., F] -> [..., F]."""
        return (x - self.mean) / self.unit


def scaled(parts: Sequence[RawPart], names: Sequence[str]) -> list[RawPart]:
    """Parts with every feature at mean 0 and deviation 1 over the clips of the first one.

    Features that are constant there become 0 there.
    """
    first, made = parts[0], [dict[str, Tensor]() for _ in parts]
    for name in names:
        scale = FeatureScale.of(first.features[name][first.present[name]])
        for part, features in zip(parts, made, strict=True):
            features[name] = scale(part.features[name]) * part.present[name][:, None]
    return [replace(part, features=x) for part, x in zip(parts, made, strict=True)]


def validation(store: Clips, data: DataOptions, label: str | None) -> Clips | None:
    """The split to choose by, if it has labels and shares no group with those for other ends.

    Without a `label` none is needed.
    """
    name = data.val_split or "val"
    if name == data.test_split or (name not in store.splits and data.val_split is None):
        return None  # where choices themselves are judged on `val`, they are made elsewhere
    split = store.split(name)
    labeled = label is None or bool((split.label(label) >= 0).any())
    try:
        refuse_leak(store, name, f"{training_split(data)}+{data.test_split}")
    except DataError:
        if data.val_split is not None:
            raise
        return None
    if data.val_split is not None and not labeled:
        raise DataError(
            f"{store.path}: data.val_split={name}: no clip has a label {label!r}, so nothing can "
            "be chosen there; label some, or say null for held-out training clips"
        )
    return split if labeled else None
