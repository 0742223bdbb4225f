"""The report and the files of an evaluation on the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from cmg.evaluation.scores import plain as as_json
from cmg.recipes.evaluate_tasks import TaskResults
from cmg.report.benchmarks import (
    all_metrics_table,
    benchmark_table,
    counts_table,
    leak_table,
)
from cmg.report.document import Block, Box, Document, Figure, Fold, Items, Section, Text
from cmg.report.event_timelines import event_timelines, timeline_picture
from cmg.report.prose import SIMULATED
from cmg.report.tables import FACTS, Table, arrow, crossing, plain
from cmg.report.write import csv_text, report_files
from cmg.tasks.outcome import Outcome, Predictions

RESULTS, EVALUATION, PREDICTIONS = "results.json", "evaluation.json", "predictions"
TITLE, ABOUT = "Benchmarks", "What was evaluated"
WHAT = (
    "Heads are trained with the labels of one modality on the frozen codebook and read, unchanged, "
    "on the other. Published: the release's protocol with all its particulars. Clean: encoders in "
    "eval mode, training, selection and test apart."
)


def grouped(results: TaskResults) -> dict[str, list[Outcome]]:
    """Outcomes by benchmark."""
    found: dict[str, list[Outcome]] = {}
    for outcome in results.outcomes:
        found.setdefault(outcome.benchmark.name, []).append(outcome)
    return found


def remarks(results: TaskResults) -> list[str]:
    """What has to be said before the tables."""
    found = [SIMULATED] if results.about.get("simulated") else []
    return found + [
        f"{one.benchmark.name} ({one.protocol}): {remark}."
        for one in results.outcomes
        for remark in one.remarks
    ]


def about_table(results: TaskResults) -> Table:
    """Model, data and seeds."""
    about = results.about
    known = about["pretraining"] or "unknown"
    chosen = "selected by `cmg select`" if about["selected"] else "as given, or the newest"
    rows = [
        ("checkpoint", str(about["checkpoint"])),
        ("how it was chosen", chosen),
        ("pre-training epochs", str(about["epoch"])),
        ("modalities", ", ".join(about["modalities"])),
        ("pre-training list", known),
        ("data", str(about["data"])),
        ("seeds of the heads", ", ".join(map(str, about["seeds"]))),
    ]
    return plain(ABOUT, ("", ""), rows, cls=FACTS)


def benchmark_document(results: TaskResults) -> Document:
    """The whole report."""
    sections = {
        name: Section(outcomes[0].benchmark.title, benchmark_blocks(outcomes))
        for name, outcomes in grouped(results).items()
    }
    sections["about"] = Section(ABOUT, [about_table(results)])
    lead = [Text(WHAT, "headline")]
    return Document(TITLE, "cmg evaluate", lead, sections, remarks(results))


def benchmark_blocks(outcomes: list[Outcome]) -> list[Block]:
    """Tables and timelines of one benchmark."""
    notes = Items([f"{o.protocol}: {note}" for o in outcomes for note in o.notes])
    leaks = leak_table(outcomes)
    return [
        benchmark_table(outcomes),
        Fold("How the figures came about", [notes, counts_table(outcomes)]),
        Fold(leaks.title, [leaks]),
        Fold("All metrics", [all_metrics_table(outcome) for outcome in outcomes]),
        *(fold for o in outcomes if o.benchmark.per == "step" for fold in timelines(o)),
    ]


def timelines(outcome: Outcome) -> list[Fold]:
    """Timelines of the directions across modalities."""
    folds = []
    for direction in crossing(outcome.figures):
        shown = event_timelines(outcome, direction)
        seed = min(outcome.predictions[direction].probabilities)
        about = Text(
            f"Evenly spaced test clips; a column per second; head of seed {seed}. Upper half: true."
            " Lower half: predicted (probability above 0.5). Full height: both."
        )
        of = f"{outcome.protocol}, {arrow(direction)}"
        drawn = [Figure(f"{of}, {one.id}", timeline_picture(one)) for one in shown]
        cards = [Box([figure], "card timeline") for figure in drawn]
        folds.append(Fold(f"Timelines, {of}", [about, *cards]))
    return folds


def evaluation_files(results: TaskResults) -> dict[str, Any]:
    """``results.json``, ``evaluation.json``, predictions and both reports, by name."""
    files = {RESULTS: as_json(results.figures, "paper"), EVALUATION: evaluation_record(results)}
    for outcome in results.outcomes:
        for direction, said in outcome.predictions.items():
            arrow = direction.replace("->", "-to-")
            name = f"{outcome.benchmark.name}-{outcome.protocol}-{arrow}.csv"
            files[f"{PREDICTIONS}/{name}"] = predictions_csv(outcome, said)
    return files | report_files(benchmark_document(results))


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
