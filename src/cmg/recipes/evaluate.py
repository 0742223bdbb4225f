"""Evaluate a trained model on its store: transfer, localization, codebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cmg.clips import open_clips, training_split
from cmg.codebook.measures import collapse
from cmg.config.schema import RunConfig
from cmg.evaluation.encoding import code_usage
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.transfer import Evaluation, Score, Table, scores
from cmg.files import StrPath
from cmg.models.unified import UnifiedModel
from cmg.training.checkpoint import load_model, read_checkpoint

RESULTS = "results.json"
ONE_SCAN = "test_one_scan"


@dataclass
class Tables:
    """What one trained model scores; picklable, so that it can come from a worker process."""

    transfer: Table
    localization: Table
    continuous: Table
    extra_splits: dict[str, Table]
    codebook: CodebookStats
    remarks: list[str]


def evaluate(model: UnifiedModel, config: RunConfig, seed: int) -> Tables:
    """Every table of one model on its held-out split.

    Args:
        model: Left untouched.
        config: Its run's, for store, splits and probe options.
        seed: Of the heads.

    Returns:
        Tables with `config.probe.seeds` values per direction.

    Raises:
        DataError: no labels, a missing split, or labels of one class.
    """
    store = open_clips(config.data)
    data, probe = config.data, config.probe
    evaluation = Evaluation(model, store, training_split(data), data.test_split)
    clip, step = evaluation.default_label("clip"), evaluation.default_label("step")
    splits = [data.test_split] + [s for s in (ONE_SCAN,) if s in store.splits]
    clip_tables: dict[str, Table] = {s: {} for s in splits}
    continuous: Table = {}
    if clip is not None:
        clip_tables = evaluation.transfer(clip, probe, seed, splits=splits)
        plain = probe.model_copy(update={"features": "continuous"})
        continuous = evaluation.transfer(clip, plain, seed)[data.test_split]
    localization: Table = {}
    if step is not None:
        localization = evaluation.transfer(step, probe, seed)[data.test_split]
    usage = code_usage(evaluation.encoded[data.test_split], model.size)
    return Tables(
        clip_tables.pop(data.test_split),
        localization,
        continuous,
        clip_tables,
        codebook_stats(evaluation, step),
        evaluation.remarks + collapse(usage),
    )


def codebook_stats(evaluation: Evaluation, step_label: str | None) -> CodebookStats:
    """Use of the codebook on the held-out split."""
    encoded = evaluation.encoded[evaluation.test.name]
    size = evaluation.model.size
    events = None
    if step_label is not None:
        classes = evaluation.store.labels[step_label].classes
        if "background" in classes:
            labels = evaluation.test.labels(step_label)
            background = classes.index("background")
            events = {
                m: pad_events(labels != background, encoded[m].indices.shape[1])
                for m in evaluation.modalities_for(step_label)
            }
    everywhere = code_usage(encoded, size)
    return CodebookStats.of(everywhere, code_usage(encoded, size, events))


def pad_events(events: torch.Tensor, steps: int) -> torch.Tensor:
    """Bool [N, T] cut or padded (False) to `steps`."""
    return torch.nn.functional.pad(events[:, :steps], (0, max(0, steps - events.shape[1])))


def evaluate_run(run: StrPath, seconds: float = 0.0) -> Results:
    """Evaluate the newest checkpoint of a run and keep the results in its folder.

    Raises:
        CheckpointError: no checkpoint.
        DataError: no labels to evaluate with.
    """
    run = Path(run)
    checkpoint = read_checkpoint(run)
    config = checkpoint.config
    tables = evaluate(load_model(run), config, config.training.seed)
    results = Results(
        scores(tables.transfer),
        scores(tables.localization),
        {"continuous": scores(tables.continuous), "chance": chance_of(config, tables.transfer)},
        tables.codebook,
        {name: scores(table) for name, table in tables.extra_splits.items()},
        config.objectives.weights(),
        seconds,
        tables.remarks,
    )
    if (run / "run.json").is_file():
        results.save(run / RESULTS)
    return results


def chance_of(config: RunConfig, table: Table) -> dict[str, Score]:
    """Uniform guessing, in the shape of a transfer table."""
    store = open_clips(config.data)
    label = next((s for s in store.labels.values() if s.per == "clip"), None)
    if label is None:
        return {}
    return {d: Score(100.0 / len(label.classes), 0.0, len(v)) for d, v in table.items()}
