"""Heads on frozen features: trained on one modality, read on another (METHOD section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmg.codebook.dimensions import kept_dimensions
from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.parts import refuse_leak
from cmg.decoders.heads import ClipHead, ProbeOptions, StepHead
from cmg.errors import DataError, NonFiniteError, did_you_mean
from cmg.evaluation.encoding import EncodedModality, encode_split, pad_steps, read_by
from cmg.evaluation.logistic import LogisticHead, Samples, fit_logistic, vectors_of
from cmg.evaluation.metrics import top1_accuracy
from cmg.evaluation.scores import Score, ScoreMap
from cmg.evaluation.training import descend
from cmg.models.unified import UnifiedModel
from cmg.precision import full_precision
from cmg.process import seeded
from cmg.tensors import check_finite
from cmg.training.seeding import derived_seed
from cmg.types import Kind

Task = Literal["clip", "step"]
HELD_OUT = 5
"""One in so many clips, or groups of clips, is held out where there is no validation part."""
_groups: WeakKeyDictionary[Clips, Tensor | None] = WeakKeyDictionary()  # every head asks
NAMED = 4
"""Classes that a remark names before it counts the others."""


@dataclass(frozen=True)
class Labeled:
    """Features with labels.

    Attributes:
        features: [N, T, D].
        mask: Steps that exist, bool [N, T].
        labels: int64 [N] (clip) or [N, T] (step), -1 where unlabeled.
        classes: Number of classes.
        groups: Number of the subject, speaker, ... of each clip, int64 [N]; None if not known.
    """

    features: Tensor
    mask: Tensor
    labels: Tensor
    classes: int
    groups: Tensor | None = None

    @property
    def task(self) -> Task:
        """Whether clips or steps are labeled."""
        return "clip" if self.labels.dim() == 1 else "step"

    def usable(self) -> Labeled:
        """The clips that have the modality and a label; steps it lacks count as unlabeled.

        Raises:
            DataError: there is none.
        """
        labels = self.labels
        if self.task == "clip":
            keep = self.mask.any(1) & (labels >= 0)
        else:
            labels = labels.masked_fill(~self.mask, -1)
            keep = (labels >= 0).any(1)
        if not bool(keep.any()):
            raise DataError("no clip has both this modality and a label; label some clips first")
        return replace(self, labels=labels).subset(keep)

    def subset(self, keep: Tensor) -> Labeled:
        """Some of the clips, bool [N]."""
        groups = None if self.groups is None else self.groups[keep]
        return Labeled(
            self.features[keep], self.mask[keep], self.labels[keep], self.classes, groups
        )

    def parts(self) -> tuple[Labeled, Labeled]:
        """Four fifths of the clips, and the rest: whole groups where they are known."""
        held = held_out(self.groups, len(self.labels))
        return self.subset(~held), self.subset(held)


def held_out(groups: Tensor | None, clips: int) -> Tensor:
    """A fifth of some clips, whole groups where they are known: bool [N].

    Args:
        groups: Number of the group of each clip, int64 [N]; None if not known.
        clips: N.
    """
    if groups is None or len(torch.unique(groups)) < 2:
        groups = torch.arange(clips)
    names = torch.unique(groups)
    drawn = torch.from_numpy(permutation(len(names), 0))[: max(1, len(names) // HELD_OUT)]
    return torch.isin(groups, names[drawn])


@full_precision
def train_head(
    data: Labeled, options: ProbeOptions, seed: int, val: Labeled | None = None
) -> nn.Module:
    """Train a head by cross-entropy.

    Args:
        data: Labeled features of one modality.
        options: Which head, and how it is trained.
        seed: Of the initial weights and the order of the clips; a logistic head has neither.
        val: Others of the same modality, to choose the penalty of a logistic head by.

    Returns:
        A :class:`ClipHead` or :class:`StepHead`, or a
        :class:`~cmg.evaluation.logistic.LogisticHead`, in eval mode.

    Raises:
        DataError: no labeled clip, or labels of a single class.
        NonFiniteError: the head diverged; it would call everything the first class.
    """
    data = data.usable()
    seen = torch.unique(data.labels[data.labels >= 0])
    if len(seen) < 2:
        raise DataError(
            f"all labels are of one class (index {int(seen[0])}); a head needs two or more classes"
        )
    if options.head == "logistic":
        return logistic_head(data, options, val)
    with seeded(derived_seed(seed, "head")):
        head = build_head(data, options)

    def loss(chosen: Tensor) -> Tensor:
        logits, labels = head(data.features[chosen], data.mask[chosen]), data.labels[chosen]
        return functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=-1)

    # Modules and a fused Adam of their own, not a stack: the last bits of earlier results.
    adam = torch.optim.Adam(head.parameters(), lr=options.lr, fused=True)
    for epoch in range(options.epochs):
        order = torch.from_numpy(permutation(len(data.labels), seed, epoch))
        descend(adam, map(loss, torch.split(order, options.batch_size)))
    check_finite(head.state_dict(), "the head", "lower probe.lr", NonFiniteError)
    return head.eval()


def logistic_head(data: Labeled, options: ProbeOptions, val: Labeled | None) -> LogisticHead:
    """Fit a logistic head to usable clips; the penalty is chosen if it is not given.

    It is chosen on `val`, else on a fifth of the clips, after which all are fitted with it.

    Raises:
        DataError: too few clips to hold some out.
    """
    root = options.features == "posterior"
    l2 = options.l2
    if l2 is None:
        fitted, held = (data, val.usable()) if val is not None else data.parts()
        found = fit_logistic(
            *single_vectors(fitted, root), data.classes, held_out=single_vectors(held, root)
        )
        if val is not None:
            return LogisticHead(found.weight, found.bias, data.task == "clip", root).eval()
        l2 = found.l2
    found = fit_logistic(*single_vectors(data, root), data.classes, l2)
    return LogisticHead(found.weight, found.bias, data.task == "clip", root).eval()


def single_vectors(data: Labeled, root: bool) -> Samples:
    """What a logistic head is fitted to: labeled clips, or labeled steps, one by one."""
    x = vectors_of(data.features, data.mask, data.task == "clip", root)
    known = data.labels >= 0
    return Samples(x[known], data.labels[known])


def unseen_classes(train: Tensor, test: Tensor, classes: Sequence[str]) -> str | None:
    """What to say of test clips or steps whose class no head can know; None if there are none.

    Args:
        train: Class indices int64 [N] or [N, T], -1 where unknown; or of several classes per step,
            0 and 1, [N, T, C].
        test: Likewise.
        classes: Names.
    """
    what = "clips" if train.dim() == 1 else "steps"
    if train.dim() < 3:
        train, test = train[train >= 0], test[test >= 0]
        unseen = ~torch.bincount(train, minlength=len(classes)).bool()
        alone = unseen[test]
        missing = torch.unique(test[alone])
    else:
        unseen = ~(train > 0).flatten(0, 1).any(0)
        test = test[(test >= 0).all(2)]
        alone = (test[:, unseen] > 0).any(1)
        missing = ((test > 0).any(0) & unseen).nonzero()[:, 0]
    if not bool(alone.any()):
        return None
    named = ", ".join(repr(classes[i]) for i in missing[:NAMED].tolist())
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return (
        f"{int(alone.sum())} of {len(alone)} test {what} have classes without a training "
        f"{what[:-1]} ({named}{more}), which no head can name"
    )


def build_head(data: Labeled, options: ProbeOptions) -> nn.Module:
    """An untrained head that fits the data's task."""
    width = data.features.shape[-1]
    head: nn.Module
    if data.task == "clip":
        head = ClipHead(width, data.classes, options.pooling)
    else:
        head = StepHead(width, data.classes)
    return head.to(data.features.dtype)


@torch.no_grad()
@full_precision
def accuracy(head: nn.Module, data: Labeled) -> float:
    """Top-1 accuracy in percent over the labeled clips or steps.

    Raises:
        DataError: no labeled clip.
    """
    data = data.usable()
    known = data.labels >= 0
    return 100.0 * top1_accuracy(head(data.features, data.mask)[known], data.labels[known])


class Evaluation:
    """A frozen model on a labeled store; every clip is encoded once.

    Args:
        model: Left untouched.
        store: With labels.
        train_split: Whose labels heads are trained on.
        test_split: Held-out clips.
        val_split: Clips to choose by; None if there are none.

    Attributes:
        remarks: What has to be said beside the accuracies so far.

    Raises:
        DataError: the store has no labels, lacks a split, or its validation clips share a group
            with those for training or test.
    """

    def __init__(
        self,
        model: UnifiedModel,
        store: Clips,
        train_split: str,
        test_split: str,
        val_split: str | None = None,
    ) -> None:
        if not store.labels:
            raise DataError(f"{store.path} has no labels; probing needs a label per clip or step")
        self.model, self.store = model, store
        self.train, self.test = store.split(train_split), store.split(test_split)
        self.val: Clips | None = None
        if val_split is not None and val_split != test_split:
            refuse_leak(store, val_split, test_split)
            refuse_leak(store, train_split, val_split)
            self.val = store.split(val_split)
        self.encoded = {
            train_split: encode_split(model, self.train),
            test_split: encode_split(model, self.test),
        }
        self.modalities = list(self.encoded[test_split])
        self.remarks: list[str] = []

    def default_label(self, per: str) -> str | None:
        """The store's first label per ``clip`` or per ``step``, if it has one."""
        return self.store.about.first_label(per)

    def modalities_for(self, label: str) -> list[str]:
        """Modalities a label speaks of: for labels per step, not tokens (words are no seconds)."""
        if self.store.labels[label].per == "clip":
            return self.modalities
        kinds = self.model.modalities
        return [m for m in self.modalities if kinds[m].kind is not Kind.TOKENS]

    def labeled(
        self,
        split: Clips,
        modality: str,
        label: str,
        options: ProbeOptions,
        encoded: Mapping[str, EncodedModality] | None = None,
    ) -> Labeled:
        """What heads read of one modality of a split, with labels.

        Args:
            split: Of the store.
            modality: Of the split.
            label: Of the store.
            options: What heads read.
            encoded: The split, if it is not to be that of every other call.

        Raises:
            DataError: an unknown label or a modality the split lacks.
        """
        classes = len(self.store.about.need_label(label).classes)
        if encoded is None:
            if split.name not in self.encoded:
                self.encoded[split.name] = encode_split(self.model, split)
            encoded = self.encoded[split.name]
        if modality not in encoded:
            raise DataError(
                f"no modality {modality!r} in the model or {self.store.path}"
                f"{did_you_mean(modality, encoded)}"
            )
        one, by = encoded[modality], options.features
        vectors = one.codes
        if options.dimensions is not None:
            vectors = vectors[..., kept_dimensions(self.model.codebook, options.dimensions).cpu()]
            self._say(options.dimensions.remark)
        if by != "codes":
            given = (self.model, modality, one.indices, one.semantic)
            vectors = read_by(*given, by, options.temperature)
        labels = step_labels(split.label(label), one)
        return Labeled(vectors, one.mask, labels, classes, groups_of(split))

    def transfer(
        self,
        label: str,
        options: ProbeOptions,
        first_seed: int = 0,
        sources: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
    ) -> dict[str, ScoreMap]:
        """Train a head on every source modality, read it unchanged on every target.

        Args:
            label: Of the store.
            options: Head training, seeds, and what heads read.
            first_seed: Seeds are first_seed .. first_seed + options.seeds - 1.
            sources: Modalities to train on; None for all the label speaks of.
            targets: Modalities to read on; None likewise.
            splits: Splits to read on; None for the test split.

        Returns:
            Accuracies in percent per split and direction; the same-modality directions are the
            upper bound.
        """
        sources = sources or self.modalities_for(label)
        targets = targets or self.modalities_for(label)
        where = [self.test] if splits is None else [self.store.split(s) for s in splits]
        values: dict[str, dict[str, list[float]]] = {split.name: {} for split in where}
        chance = options.head == "linear" or options.dropout_in_encoder
        for source in sources:
            val = None
            if options.head == "logistic" and self.val is not None:
                val = self.labeled(self.val, source, label, options)
            for seed in range(first_seed, first_seed + (options.seeds if chance else 1)):
                noisy = None
                if options.dropout_in_encoder:
                    with seeded(seed, self.model.device):
                        noisy = encode_split(self.model, self.train, dropout=True)
                data = self.labeled(self.train, source, label, options, noisy)
                head = train_head(data, options, seed, val)
                for split in where:
                    for target in targets:
                        held_out = self.labeled(split, target, label, options)
                        row = values[split.name].setdefault(f"{source}->{target}", [])
                        row.append(accuracy(head, held_out))
                        if seed == first_seed:
                            self._remark(label, data, held_out)
        return {s: {d: Score.of(v) for d, v in row.items()} for s, row in values.items()}

    def _remark(self, label: str, train: Labeled, test: Labeled) -> None:
        classes = self.store.labels[label].classes
        said = unseen_classes(train.usable().labels, test.usable().labels, classes)
        self._say(said and f"label {label!r}: {said}")

    def _say(self, remark: str | None) -> None:
        if remark is not None and remark not in self.remarks:
            self.remarks.append(remark)


def groups_of(split: Clips) -> Tensor | None:
    """Numbers of the groups that clips name in their ``meta``, int64 [N]; None if some do not."""
    if split not in _groups:
        names = [row.meta.get("group") for row in split.rows]
        known = {name: i for i, name in enumerate(dict.fromkeys(map(str, names)))}
        _groups[split] = None if None in names else torch.tensor([known[str(n)] for n in names])
    return _groups[split]


def step_labels(labels: Tensor, encoded: EncodedModality) -> Tensor:
    """Labels cut or padded (-1) to the encoded modality's steps; clip labels as they are."""
    return labels if labels.dim() == 1 else pad_steps(labels, encoded.indices.shape[1], -1)
