"""Evaluate a trained model on its store: transfer, localization, codebook."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cmg.clips import open_clips, training_split
from cmg.codebook.measures import collapse
from cmg.config.schema import RunConfig
from cmg.evaluation.encoding import code_usage, pad_steps
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import Score, ScoreMap
from cmg.evaluation.transfer import Evaluation
from cmg.files import StrPath
from cmg.models.unified import UnifiedModel
from cmg.runs.checkpoint import load_model, read_checkpoint

RESULTS = "results.json"
ONE_SCAN = "test_one_scan"


def evaluate(model: UnifiedModel, config: RunConfig, seed: int) -> Results:
    """Every table of one model on its held-out split.

    Args:
        model: Left untouched.
        config: Its run's, for store, splits and probe options.
        seed: Of the heads.

    Returns:
        Scores with `config.probe.seeds` values per direction, and the controls ``continuous`` and
        ``chance``.

    Raises:
        DataError: no labels, a missing split, or labels of one class.
    """
    store = open_clips(config.data)
    data, probe = config.data, config.probe
    evaluation = Evaluation(model, store, training_split(data), data.test_split)
    clip, step = evaluation.default_label("clip"), evaluation.default_label("step")
    splits = [data.test_split] + [s for s in (ONE_SCAN,) if s in store.splits]
    tables: dict[str, ScoreMap] = {s: {} for s in splits}
    continuous, chance, localization = ScoreMap(), ScoreMap(), ScoreMap()
    if clip is not None:
        tables = evaluation.transfer(clip, probe, seed, splits=splits)
        plain = probe.model_copy(update={"features": "continuous"})
        continuous = evaluation.transfer(clip, plain, seed)[data.test_split]
        guess = 100.0 / len(store.labels[clip].classes)
        chance = {d: Score.fixed(guess, s.n) for d, s in tables[data.test_split].items()}
    if step is not None:
        localization = evaluation.transfer(step, probe, seed)[data.test_split]
    usage = code_usage(evaluation.encoded[data.test_split], model.size)
    return Results(
        tables.pop(data.test_split),
        localization,
        {"continuous": continuous, "chance": chance},
        codebook_stats(evaluation, step),
        tables,
        config.objectives.weights(),
        remarks=evaluation.remarks + collapse(usage, config.objectives.remedies),
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
    run = Path(run)
    checkpoint = read_checkpoint(run)
    config = checkpoint.config
    found = evaluate(load_model(run), config, config.training.seed)
    results = replace(found, seconds=seconds)
    if (run / "run.json").is_file():
        results.save(run / RESULTS)
    return results
