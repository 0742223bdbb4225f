"""Cross-modal evaluation: a head trained on one modality's labels, read on every modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from cmg.data.source import ClipSource, Split
from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError, did_you_mean
from cmg.evaluation.encoding import EncodedModality, encode_split, pad_steps, read_by
from cmg.evaluation.probe import Labeled, accuracy, train_head, unseen_classes
from cmg.evaluation.scores import Score, ScoreMap
from cmg.models.unified import UnifiedModel
from cmg.process import seeded
from cmg.types import Kind


class Evaluation:
    """A frozen model on a labeled store; every clip is encoded once.

    Args:
        model: Left untouched.
        store: With labels.
        train_split: Whose labels heads are trained on.
        test_split: Held-out clips.

    Attributes:
        remarks: What has to be said beside the accuracies so far.

    Raises:
        DataError: the store has no labels, or lacks a split.
    """

    def __init__(
        self, model: UnifiedModel, store: ClipSource, train_split: str, test_split: str
    ) -> None:
        if not store.labels:
            raise DataError(f"{store.path} has no labels; probing needs a label per clip or step")
        self.model, self.store = model, store
        self.train, self.test = store.split(train_split), store.split(test_split)
        self.encoded = {
            train_split: encode_split(model, self.train),
            test_split: encode_split(model, self.test),
        }
        self.modalities = list(self.encoded[test_split])
        self.remarks: list[str] = []

    def default_label(self, per: str) -> str | None:
        """The store's first label per ``clip`` or per ``step``, if it has one."""
        return next((n for n, spec in self.store.labels.items() if spec.per == per), None)

    def modalities_for(self, label: str) -> list[str]:
        """Modalities a label speaks of: for labels per step, not tokens (words are no seconds)."""
        if self.store.labels[label].per == "clip":
            return self.modalities
        kinds = self.model.modalities
        return [m for m in self.modalities if kinds[m].kind is not Kind.TOKENS]

    def labeled(
        self,
        split: Split,
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
        if label not in self.store.labels:
            raise DataError(
                f"{self.store.path} has no label {label!r}{did_you_mean(label, self.store.labels)}"
            )
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
        if by != "codes":
            given = (self.model, modality, one.indices, one.semantic)
            vectors = read_by(*given, by, options.temperature)
        labels = step_labels(split.labels(label), one)
        return Labeled(vectors, one.mask, labels, len(self.store.labels[label].classes))

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
        for source in sources:
            for seed in range(first_seed, first_seed + options.seeds):
                noisy = None
                if options.dropout_in_encoder:
                    with seeded(seed, self.model.device):
                        noisy = encode_split(self.model, self.train, dropout=True)
                data = self.labeled(self.train, source, label, options, noisy)
                head = train_head(data, options, seed)
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
        if said is not None and (remark := f"label {label!r}: {said}") not in self.remarks:
            self.remarks.append(remark)


def step_labels(labels: Tensor, encoded: EncodedModality) -> Tensor:
    """Labels cut or padded (-1) to the encoded modality's steps; clip labels as they are."""
    return labels if labels.dim() == 1 else pad_steps(labels, encoded.indices.shape[1], -1)
