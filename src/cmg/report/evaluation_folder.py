"""The folder of an evaluation: results, predictions and report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from cmg.evaluation.scores import plain
from cmg.recipes.evaluate_tasks import TaskResults
from cmg.report.benchmark_pages import benchmark_document
from cmg.report.write import csv_text, pages
from cmg.tasks.outcome import Outcome, Predictions

RESULTS, EVALUATION, PREDICTIONS = "results.json", "evaluation.json", "predictions"


def evaluation_files(results: TaskResults) -> dict[str, str]:
    """``results.json``, ``evaluation.json``, predictions and both reports, by name."""
    files = {
        RESULTS: json.dumps(plain(results.figures, "paper"), indent=1) + "\n",
        EVALUATION: json.dumps(evaluation_record(results), indent=1) + "\n",
    }
    for outcome in results.outcomes:
        for direction, said in outcome.predictions.items():
            arrow = direction.replace("->", "-to-")
            name = f"{outcome.benchmark.name}-{outcome.protocol}-{arrow}.csv"
            files[f"{PREDICTIONS}/{name}"] = predictions_csv(outcome, said)
    return files | pages(benchmark_document(results))


def evaluation_record(results: TaskResults) -> dict[str, Any]:
    """What ``evaluation.json`` says: everything beside the figures."""
    found: dict[str, Any] = {}
    for outcome in results.outcomes:
        found.setdefault(outcome.benchmark.name, {})[outcome.protocol] = outcome.told()
    return {"format": "cmg-evaluation", "version": 1, "about": results.about, "benchmarks": found}


def predictions_csv(outcome: Outcome, said: Predictions) -> str:
    """Every clip (and second) with truth, prediction and probability, for every seed."""
    clip_rows = outcome.benchmark.per == "clip"
    second = [] if clip_rows else ["second"]
    of_seed = _clip_rows if clip_rows else _step_rows
    rows: list[list[Any]] = [["seed", "id", *second, "truth", "prediction", "probability"]]
    for seed, probabilities in said.probabilities.items():
        rows += [[seed, *row] for row in of_seed(outcome.classes, said, probabilities)]
    return csv_text(rows)


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
