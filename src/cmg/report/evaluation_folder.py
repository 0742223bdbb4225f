"""The folder of an evaluation: results, predictions and report, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from cmg.evaluation.scores import plain
from cmg.files import Staging, write_synced, writing
from cmg.recipes.evaluate_tasks import TaskResults
from cmg.report.benchmark_pages import benchmark_html, benchmark_markdown
from cmg.tasks.outcome import Outcome, Predictions

RESULTS, EVALUATION, PREDICTIONS = "results.json", "evaluation.json", "predictions"


def write_evaluation(
    out: Path, evaluate: Callable[[], TaskResults], overwrite: bool = False
) -> TaskResults:
    """Evaluate and write ``results.json``, ``evaluation.json``, predictions and both reports.

    Args:
        out: The folder.
        evaluate: Makes the results; called once `out` is known to be free.
        overwrite: Whether an earlier evaluation in `out` may be replaced.

    Raises:
        DataError: `out` is occupied, or cannot be written; nothing is left behind.
    """
    staging = Staging(out, overwrite, EVALUATION)
    try:
        results = evaluate()
        with writing(out):
            for name, content in contents(results):
                path = staging.folder / name
                path.parent.mkdir(exist_ok=True)
                write_synced(path, content.encode())
        staging.publish()
    finally:
        staging.discard()
    return results


def contents(results: TaskResults) -> Iterator[tuple[str, str]]:
    """(name, text) of every file."""
    yield RESULTS, json.dumps(plain(results.figures, "paper"), indent=1) + "\n"
    yield EVALUATION, json.dumps(evaluation_record(results), indent=1) + "\n"
    for outcome in results.outcomes:
        for direction, said in outcome.predictions.items():
            arrow = direction.replace("->", "-to-")
            name = f"{outcome.benchmark.name}-{outcome.protocol}-{arrow}.csv"
            yield f"{PREDICTIONS}/{name}", predictions_csv(outcome, said)
    yield "report.md", benchmark_markdown(results)
    yield "report.html", benchmark_html(results)


def evaluation_record(results: TaskResults) -> dict[str, Any]:
    """What ``evaluation.json`` says: everything beside the figures."""
    found: dict[str, Any] = {}
    for outcome in results.outcomes:
        found.setdefault(outcome.benchmark.name, {})[outcome.protocol] = outcome.told()
    return {"format": "cmg-evaluation", "version": 1, "about": results.about, "benchmarks": found}


def predictions_csv(outcome: Outcome, said: Predictions) -> str:
    """Every clip (and second) with truth, prediction and probability, for every seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    clip_rows = outcome.benchmark.per == "clip"
    second = [] if clip_rows else ["second"]
    writer.writerow(["seed", "id", *second, "truth", "prediction", "probability"])
    rows = _clip_rows if clip_rows else _step_rows
    for seed, probabilities in said.probabilities.items():
        for row in rows(outcome.classes, said, probabilities):
            writer.writerow([seed, *row])
    return text.getvalue()


def _clip_rows(
    classes: tuple[str, ...], said: Predictions, probabilities: Tensor
) -> Iterator[list[Any]]:
    best, which = probabilities.max(1)
    for row, true, guess, p in zip(
        said.rows, said.truth.tolist(), which.tolist(), best.tolist(), strict=True
    ):
        yield [row.id, classes[true], classes[guess], f"{p:.4f}"]


def _step_rows(
    classes: tuple[str, ...], said: Predictions, probabilities: Tensor
) -> Iterator[list[Any]]:
    for row, truth, found in zip(
        said.rows, said.truth.tolist(), probabilities.tolist(), strict=True
    ):
        for second, (true, p) in enumerate(zip(truth, found, strict=True)):
            if min(true) < 0:
                continue
            guess = [c for c, value in enumerate(p) if value > 0.5]
            yield [
                row.id,
                second,
                "|".join(classes[c] for c, value in enumerate(true) if value > 0),
                "|".join(classes[c] for c in guess),
                "|".join(f"{p[c]:.4f}" for c in guess),
            ]
