"""Everything a report tells, collected from a run folder or a demo folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cmg.baselines.record import Baselines, read_baselines
from cmg.clips import configured_clips, training_split
from cmg.codebook.measures import CodeUsage, collapse
from cmg.config.load import collapse_remedies
from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.data.embedded import set_name
from cmg.data.labeled import read_labels
from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.encoding import EncodedModality, code_usage, encode_split
from cmg.evaluation.results import CodebookStats, Results
from cmg.files import StrPath
from cmg.models.unified import UnifiedModel
from cmg.places import lies_there, public_name, public_text
from cmg.recipes.demo import MARKER
from cmg.recipes.evaluate import RESULTS, evaluate, evaluate_checkpoint
from cmg.report.transfer import TransferTable, transfer_table
from cmg.runs.checkpoint import Checkpoint, list_checkpoints, load_model, read_checkpoint
from cmg.runs.folder import CONFIG, RUN, read_facts, read_metrics, with_places

ENCODED_AT_A_TIME = 256


@dataclass(frozen=True)
class RunLog:
    """What a run wrote while it trained.

    Attributes:
        folder: Its folder.
        facts: ``run.json``; empty where there is none.
        metrics: Lines of ``metrics.jsonl``.
    """

    folder: Path
    facts: dict[str, Any]
    metrics: list[dict[str, float]]


@dataclass(frozen=True)
class CodedSplit:
    """Clips and their codes: what cards of codes and timelines are made of.

    Attributes:
        model: In eval mode.
        split: The clips whose codes are shown, those that lack all modalities left out.
        encoded: Their codes.
        usage: How they use the codebook.
    """

    model: UnifiedModel
    split: Clips
    encoded: dict[str, EncodedModality]
    usage: CodeUsage

    @property
    def store(self) -> Clips:
        """Where the clips are from."""
        return self.split.whole

    @cached_property
    def read_labels(self) -> dict[str, Tensor]:
        """Labels of the clips that were asked for, each read once."""
        return {}

    def label(self, name: str) -> Tensor:
        """A label of the clips; see :meth:`cmg.data.clips.Clips.label`."""
        if name not in self.read_labels:
            self.read_labels[name] = self.split.label(name)
        return self.read_labels[name]

    @property
    def modalities(self) -> list[str]:
        """Modalities whose codes are known, in the model's order."""
        return list(self.encoded)


@dataclass(frozen=True)
class ReportData(CodedSplit):
    """Everything a report tells.

    Attributes:
        folder: Where it is.
        results: Tables, those of the baselines among the controls; None where the store has no
            labels to make them with.
        baselines: What they cost; None where a run has none.
        runs: The logs, that of the example run first.
        checkpoint: Of the example run, whose codes are shown.
        remarks: What a reader has to know beside the numbers.
        asked: Whether labels were asked for, rather than those of the run's own evaluation.
        further: Of all labels asked for but the first, which is in `results`.
    """

    folder: Path
    results: Results | None
    baselines: Baselines | None
    runs: list[RunLog]
    checkpoint: Checkpoint
    remarks: list[str]
    asked: bool = False
    further: tuple[TransferTable, ...] = ()

    @property
    def demo(self) -> bool:
        """Whether it is a demo of several seeds rather than one run."""
        return self.runs[0].folder != self.folder

    @property
    def stats(self) -> CodebookStats:
        """Use of the codebook, mean over seeds for a demo."""
        own = self.results
        return CodebookStats.of(self.usage, self.usage) if own is None else own.codebook

    @property
    def set_name(self) -> str:
        """Of the clips, in tables of several sets."""
        return public_name(set_name(self.checkpoint.config.data.store))


def gather(
    folder: Path,
    labels: StrPath | None = None,
    label: str | None = None,
    data: StrPath | None = None,
) -> ReportData:
    """Collect a report; evaluate the run first if that has not been done.

    Args:
        folder: A run folder of ``cmg pretrain`` or the folder of ``cmg demo``.
        labels: File of labels to read instead of the store's.
        label: Names of the labels to read, with commas between; None is the first.
        data: Where the data of a run are; None is where it says. Kept results of other data are
            left aside, and it is evaluated on these.

    Raises:
        ConfigError: data of a demo.
        CheckpointError: the folder is no run and no demo, or a checkpoint is damaged.
        ConfigError: labels of a demo, or `label` names none.
        DataError: the store or the results are missing or damaged; no such labels.
    """
    folder = Path(folder)
    runs = example_runs(folder)
    checkpoint = read_checkpoint(runs[0])
    demo = runs[0] != folder
    if data is not None:
        if demo:
            raise ConfigError(f"{folder} is a demo, which brings its data; leave --data out")
        config = with_places(checkpoint.config, {"store": os.fspath(data)})
        checkpoint = replace(checkpoint, config=config)
    own, asked = trained_on(checkpoint, folder), labels is not None or label is not None
    if asked and demo:
        raise ConfigError(f"{folder} has several runs; give one of its seed-* folders for labels")
    remarks: list[str] = []
    names = None if label is None else label_names(label)
    store = labeled(own, labels, names, remarks)
    split = shown_split(store, checkpoint, remarks)
    model = load_model(runs[0])
    split, encoded = encode(model, split)
    usage = code_usage(encoded, model.size)
    other = data is not None and own.content_hash != checkpoint.data_hash
    results: Results | None
    further: list[TransferTable] = []
    if asked:
        results, further = read_labeled(model, checkpoint, store, names or ())
    else:
        results = find_results(folder, demo, checkpoint, store, remarks, other)
    baselines = None if other else read_baselines(folder)
    known = labels is None and baselines and baselines.label == store.about.first_label("clip")
    if asked and baselines and not known:
        remarks.append("The baselines of the run are of another label, and not in this report.")
        baselines = None
    if results is not None and baselines is not None:
        results = replace(results, controls=results.controls | baselines.scores)
        remarks += baselines.remarks
    collapsed = collapse(usage, collapse_remedies(checkpoint.config))
    remarks += collapsed if results is None else results.remarks
    remarks += control_remarks(checkpoint, own)
    told = (folder, results, baselines, [run_log(run) for run in runs], checkpoint, remarks)
    return ReportData(model, split, encoded, usage, *told, asked, tuple(further))


def label_names(label: str) -> list[str]:
    """Names of labels with commas between.

    Raises:
        ConfigError: there is none.
    """
    names = [name.strip() for name in label.split(",") if name.strip()]
    if not names:
        raise ConfigError("--label names no label")
    return list(dict.fromkeys(names))


def labeled(
    store: Clips, labels: StrPath | None, names: Sequence[str] | None, remarks: list[str]
) -> Clips:
    """A store with the labels of a file, and of these or its own those that are asked for.

    Raises:
        ConfigError: `labels` is no file but a label.
        DataError: the file cannot be read or labels no clip; no such label.
    """
    if labels is not None:
        if os.fspath(labels) in store.labels and not Path(labels).exists():
            raise ConfigError(f"--labels is a file; --label {labels} is a label of the store")
        file = read_labels(labels)
        store = store.labelled(replace(file, path=Path(file.path.name)))
        remarks += store.about.remarks
    if names is None:
        return store
    return replace(store, about=store.about.of_labels(names))


def read_labeled(
    model: UnifiedModel, checkpoint: Checkpoint, store: Clips, names: Sequence[str]
) -> tuple[Results, list[TransferTable]]:
    """The evaluation of a run on labels that were asked for: of the first of each kind, the others.

    Raises:
        DataError: no held-out split, or labels of one class.
    """
    config, data, about = checkpoint.config, checkpoint.config.data, store.about
    seed, first = config.training.seed, {about.first_label("clip"), about.first_label("step")}
    results = evaluate(model, config, seed, store)
    splits = (training_split(data), data.test_split, seed)
    others = [name for name in names if name not in first]
    return results, [transfer_table(model, store, n, config.probe, *splits) for n in others]


def run_log(run: Path) -> RunLog:
    """What a run wrote; nothing of a checkpoint that is alone."""
    return RunLog(run, read_facts(run) if (run / RUN).is_file() else {}, read_metrics(run))


def sets_of(folder: Path) -> list[Path]:
    """A folder to report on, and those below it that a demo keeps its further sets in."""
    if not (folder / MARKER).is_file():
        return [folder]
    further = (path.parent for path in folder.glob(f"*/{RESULTS}"))
    return [folder, *sorted(path for path in further if runs_of(path))]


def runs_of(folder: Path) -> list[Path]:
    """The runs of a demo on one set, by seed."""
    seeds = [path for path in folder.glob("seed-*") if list_checkpoints(path)]
    return sorted(seeds, key=lambda path: (len(path.name), path.name))


def example_runs(folder: Path) -> list[Path]:
    """The runs of a folder, the one whose codes are shown first: `folder` itself, or its seeds.

    Raises:
        CheckpointError: neither.
    """
    if list_checkpoints(folder) or (folder / "checkpoint.json").is_file():
        return [folder]
    if seeds := runs_of(folder):
        return seeds
    state = "does not exist" if not folder.exists() else "holds no cmg run and no cmg demo"
    if (folder / CONFIG).is_file():
        state = "has no checkpoint yet"
    remedy = (
        "give a run folder of `cmg pretrain --out` that has finished an epoch, or the folder of a "
        "finished `cmg demo --out`"
    )
    there = "" if (folder / CONFIG).is_file() else lies_there(folder)
    raise CheckpointError(f"{folder} {state}; {there or remedy}")


def trained_on(checkpoint: Checkpoint, folder: Path) -> Clips:
    """The store a run was trained on.

    Raises:
        DataError: it is not where the configuration says.
    """
    try:
        return configured_clips(checkpoint.config.data)
    except DataError as error:
        raise DataError(
            f"the report of {folder} needs the store it was trained on: {error}"
        ) from error


def shown_split(store: Clips, checkpoint: Checkpoint, remarks: list[str]) -> Clips:
    """The held-out split, or the training split of a store that has no other."""
    data = checkpoint.config.data
    if data.test_split in store.splits:
        return store.split(data.test_split)
    split = store.split(data.train_split)
    remarks.append(
        f"The store has no split {data.test_split!r}: codes are shown on the clips of "
        f"{data.train_split!r}, which the model was trained on."
    )
    return split


def encode(model: UnifiedModel, split: Clips) -> tuple[Clips, dict[str, EncodedModality]]:
    """Codes of a split; clips that have none of the model's modalities are left out.

    Returns:
        The clips that are left, and their codes in the same order.

    Raises:
        DataError: fewer than two clips are left.
        ModalityError: the store has a modality in another shape than the model.
    """
    names = [m for m in model.modalities if m in split.modalities]
    kept = split.only(Batches(split, ENCODED_AT_A_TIME, names, shuffle=False).clips)
    return kept, encode_split(model, kept, ENCODED_AT_A_TIME)


def find_results(
    folder: Path,
    demo: bool,
    checkpoint: Checkpoint,
    store: Clips,
    remarks: list[str],
    other: bool = False,
) -> Results | None:
    """The results in the folder, or of an evaluation made now; None without labels.

    Those in the folder are not taken, and none are kept in it, where the store is of `other` data.

    Raises:
        DataError: a demo without results, or damaged results.
    """
    if (folder / RESULTS).is_file() and not other:
        return Results.load(folder / RESULTS)
    if demo:
        raise DataError(
            f"{folder} has runs but no {RESULTS}: the demo did not finish; run it again with "
            f"`cmg demo --out {folder} --overwrite`, or give one of its seed-* folders"
        )
    if not store.labels:
        remarks.append(
            "The store has no labels, so there are no transfer tables: they need a label per "
            "clip or step of the training and the held-out split. Codes and curves need none."
        )
        return None
    if checkpoint.config.data.test_split not in store.splits:
        remarks.append("Without held-out clips there are no transfer tables.")
        return None
    try:
        return evaluate_checkpoint(checkpoint, None if other else folder)
    except DataError as error:
        told = public_text(str(error).replace(str(store.path), store.path.name))
        remarks.append(f"There are no transfer tables, the evaluation failed: {told}.")
        return None


def control_remarks(checkpoint: Checkpoint, store: Clips) -> list[str]:
    """What makes a run a control, or its numbers doubtful."""
    config, said = checkpoint.config, []
    if config.data.shuffled_pairs:
        said.append("This run is a control: it was trained on shuffled pairs.")
    if config.training.codebook_only:
        said.append("This run is a control: its encoders stayed as they were initialized.")
    if checkpoint.data_hash != store.content_hash:
        said.append(
            f"The store has changed since training: its content hash is "
            f"{store.content_hash[:12]}, the run was trained on {checkpoint.data_hash[:12]}."
        )
    return said


def evenly(count: int, wanted: int) -> list[int]:
    """Up to `wanted` positions, evenly spaced over ``range(count)``: no picking of pretty ones."""
    if count <= wanted:
        return list(range(count))
    return [int(i) for i in (np.arange(wanted) + 0.5) * count / wanted]
