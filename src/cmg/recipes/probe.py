"""Probe a trained model: a head on one modality's labels, read on another."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cmg.clips import open_other
from cmg.data.options import DataOptions
from cmg.data.source import ClipSource
from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError
from cmg.evaluation.scores import Score
from cmg.evaluation.transfer import Evaluation
from cmg.files import StrPath
from cmg.models.unified import UnifiedModel
from cmg.process import torch_defaults
from cmg.runs.checkpoint import load_model, read_checkpoint


@dataclass(frozen=True)
class ProbeResult:
    """Accuracies in percent on held-out clips.

    Attributes:
        transfer: Trained on one modality, read on the other.
        upper_bound: Trained and read on the target modality.
        chance: Uniform guessing.
        label: The label probed.
        remarks: What has to be said beside the accuracies.
    """

    transfer: Score
    upper_bound: Score
    chance: float
    label: str
    remarks: list[str]


@torch_defaults()
def probe(
    model: UnifiedModel | StrPath,
    store: ClipSource | StrPath,
    train_on: str,
    test_on: str,
    label: str | None = None,
    options: ProbeOptions | None = None,
    train_split: str = "train",
    test_split: str = "test",
    seed: int = 0,
) -> ProbeResult:
    """Train a head on `train_on`'s frozen features, read it unchanged on `test_on`.

    Args:
        model: Left untouched; or a run folder or checkpoint.
        store: With labels; or what :meth:`~cmg.data.store.FeatureStore.open` takes.
        train_on: Modality the head is trained on.
        test_on: Modality it is read on.
        label: Label of the store; None takes its first label per clip, else per step.
        options: Head training.
        train_split: Whose labels are used.
        test_split: Held-out clips.
        seed: Of the first head.

    Returns:
        Transfer, the same-modality upper bound, and chance.

    Raises:
        DataError: no such store, label, split or modality, or labels of one class.
        CheckpointError: no such run.
    """
    data = DataOptions()
    if not isinstance(model, UnifiedModel):
        data, model = read_checkpoint(model).config.data, load_model(model)
    if isinstance(store, str | os.PathLike):
        store = open_other(data, store)
    options = options or ProbeOptions()
    evaluation = Evaluation(model, store, train_split, test_split)
    label = label or evaluation.default_label("clip") or evaluation.default_label("step")
    if label is None:
        raise DataError(f"{store.path} has no labels; probing needs some")
    wanted = dict.fromkeys([train_on, test_on])
    found = evaluation.transfer(label, options, seed, list(wanted), [test_on])[test_split]
    return ProbeResult(
        found[f"{train_on}->{test_on}"],
        found[f"{test_on}->{test_on}"],
        100.0 / len(store.labels[label].classes),
        label,
        evaluation.remarks,
    )
