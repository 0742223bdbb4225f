"""Evaluate a trained model on a store: transfer, localization, codebook, or one probe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmg.clips import configured_clips, open_other, training_split
from cmg.codebook.measures import collapse
from cmg.config.load import collapse_remedies
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips
from cmg.data.options import DataOptions
from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError
from cmg.evaluation.encoding import code_usage, pad_steps
from cmg.evaluation.probe import Evaluation
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import Score, ScoreMap
from cmg.files import StrPath
from cmg.hub import local
from cmg.models.unified import UnifiedModel
from cmg.notebooks import Showing, shown_line
from cmg.process import torch_defaults
from cmg.runs.checkpoint import Checkpoint, load_model, read_checkpoint
from cmg.runs.folder import CONFIG

RESULTS = "results.json"
ONE_SCAN = "test_one_scan"


def evaluate(
    model: UnifiedModel, config: RunConfig, seed: int, store: Clips | None = None
) -> Results:
    """Every table of one model on its held-out split.

    Args:
        model: Left untouched.
        config: Its run's, for store, splits and probe options.
        seed: Of the heads.
        store: The run's clips with other labels; None is the run's as it is.

    Returns:
        Scores with `config.probe.seeds` values per direction, and the controls ``continuous`` and
        ``chance``.

    Raises:
        DataError: no labels, a missing split, or labels of one class.
    """
    return evaluate_reads(model, config, [config.probe], seed, store)[0]


def evaluate_reads(
    model: UnifiedModel,
    config: RunConfig,
    reads: Sequence[ProbeOptions],
    seed: int,
    store: Clips | None = None,
) -> list[Results]:
    """The tables of one model for several heads, which it encodes its clips for once.

    Args:
        model: Left untouched.
        config: Its run's, for store and splits.
        reads: What heads read, and how they are trained; the controls are those of the first.
        seed: Of the heads.
        store: See :func:`evaluate`.

    Raises:
        DataError: see :func:`evaluate`.
    """
    evaluation, data = evaluation_of(model, config, store), config.data
    store = evaluation.store
    clip, step = evaluation.default_label("clip"), evaluation.default_label("step")
    further = [ONE_SCAN] if data.test_split == "test" and ONE_SCAN in store.splits else []
    splits = [data.test_split, *further]
    distinct = [read for i, read in enumerate(reads) if read not in reads[:i]]
    tables = [
        dict.fromkeys(splits, ScoreMap())
        if clip is None
        else evaluation.transfer(clip, read, seed, splits=splits)
        for read in distinct
    ]
    chance = ScoreMap()
    if clip is not None:
        guess = 100.0 / len(store.labels[clip].classes)
        chance = {d: Score.fixed(guess, s.n) for d, s in tables[0][data.test_split].items()}
    plain = reads[0].model_copy(update={"features": "continuous", "dimensions": None})
    if plain in distinct:
        continuous = tables[distinct.index(plain)][data.test_split]
    else:
        continuous = evaluation.transfer(clip, plain, seed)[data.test_split] if clip else {}
    steps = [
        ScoreMap() if step is None else evaluation.transfer(step, read, seed)[data.test_split]
        for read in distinct
    ]
    usage = code_usage(evaluation.encoded[data.test_split], model.size)
    stats, remarks = codebook_stats(evaluation, step), collapse(usage, collapse_remedies(config))
    results = [
        Results(
            table.pop(data.test_split),
            localization,
            {"continuous": continuous, "chance": chance},
            stats,
            table,
            config.objectives.weights(),
            remarks=evaluation.remarks + remarks,
        )
        for table, localization in zip(tables, steps, strict=True)
    ]
    return [results[distinct.index(read)] for read in reads]


def evaluation_of(model: UnifiedModel, config: RunConfig, store: Clips | None = None) -> Evaluation:
    """A model on the parts of its run's store.

    Raises:
        DataError: no labels, a missing split, or parts that share what they must not.
    """
    data = config.data
    parts = (training_split(data), data.test_split, data.val_split)
    return Evaluation(model, store or configured_clips(data), *parts)


def evaluate_transfer(model: UnifiedModel, config: RunConfig, seed: int) -> ScoreMap:
    """Only the transfer table of :func:`evaluate`, which is all that is told of a control."""
    evaluation = evaluation_of(model, config)
    label = evaluation.default_label("clip")
    if label is None:
        return {}
    return evaluation.transfer(label, config.probe, seed)[config.data.test_split]


def codebook_stats(evaluation: Evaluation, step_label: str | None) -> CodebookStats:
    """Use of the codebook on the held-out split."""
    encoded = evaluation.encoded[evaluation.test.name]
    size = evaluation.model.size
    events = None
    if step_label is not None:
        classes = evaluation.store.labels[step_label].classes
        if "background" in classes:
            labels = evaluation.test.label(step_label)
            background = classes.index("background")
            events = {
                m: pad_steps(labels != background, encoded[m].indices.shape[1], False)
                for m in evaluation.modalities_for(step_label)
            }
    everywhere = code_usage(encoded, size)
    return CodebookStats.of(everywhere, code_usage(encoded, size, events))


def evaluate_run(run: StrPath, seconds: float = 0.0) -> Results:
    """Evaluate the newest checkpoint of a run and keep the results in its folder.

    Raises:
        CheckpointError: no checkpoint.
        DataError: no labels to evaluate with.
    """
    return evaluate_checkpoint(read_checkpoint(run), local(run), seconds)


def evaluate_checkpoint(checkpoint: Checkpoint, run: Path | None, seconds: float = 0.0) -> Results:
    """Evaluate a checkpoint on what its configuration names, and keep the results in its run.

    Raises:
        DataError: no labels to evaluate with.
    """
    config = checkpoint.config
    found = evaluate(load_model(checkpoint.path), config, config.training.seed)
    results = replace(found, seconds=seconds)
    # Not into what was exported, which may lie in a cache.
    if run is not None and (run / CONFIG).is_file():
        results.save(run / RESULTS)
    return results


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
    store: Clips | StrPath,
    train_on: str,
    test_on: str,
    label: str | None = None,
    options: ProbeOptions | None = None,
    train_split: str = "train",
    test_split: str = "test",
    seed: int = 0,
    val_split: str | None = None,
    progress: Showing = None,
) -> ProbeResult:
    """Train a head on `train_on`'s frozen features, read it unchanged on `test_on`.

    Args:
        model: Left untouched; or a run folder or checkpoint.
        store: With labels; or what :func:`~cmg.data.store.open_store` takes.
        train_on: Modality the head is trained on.
        test_on: Modality it is read on.
        label: Label of the store; None takes its first label per clip, else per step.
        options: Head training.
        train_split: Whose labels are used.
        test_split: Held-out clips.
        seed: Of the first head.
        val_split: Clips to choose a logistic head's penalty by, where the store has it; None is
            ``data.val_split`` of a run, and of a model held-out training clips.
        progress: Whether a line tells how far it is; None does in notebooks alone.

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
    val = val_split or data.val_split
    wanted = dict.fromkeys([train_on, test_on])
    with shown_line("probe", progress) as tell:
        evaluation = Evaluation(
            model, store, train_split, test_split, val if val in store.splits else None
        )
        label = label or evaluation.default_label("clip") or evaluation.default_label("step")
        if label is None:
            raise DataError(f"{store.path} has no labels; probing needs some")
        if tell is not None:
            tell(0, len(wanted), f"clips encoded, heads on {' and '.join(wanted)}")
        found = evaluation.transfer(label, options, seed, list(wanted), [test_on])[test_split]
        if tell is not None:
            tell(len(wanted), len(wanted), f"heads on {' and '.join(wanted)}")
    return ProbeResult(
        found[f"{train_on}->{test_on}"],
        found[f"{test_on}->{test_on}"],
        100.0 / len(store.labels[label].classes),
        label,
        evaluation.remarks,
    )
