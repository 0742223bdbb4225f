"""The report, the tables and the files of an evaluation on the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from cmg.baselines.record import NAMES, Baselines
from cmg.evaluation.scores import plain as as_json
from cmg.recipes.evaluate_tasks import Selection, TaskResults
from cmg.report.baselines import cost_table
from cmg.report.document import Block, Box, Document, Figure, Fold, Items, Section, Text
from cmg.report.event_timelines import event_timelines, timeline_picture
from cmg.report.prose import SIMULATED, control_title
from cmg.report.tables import FACTS, Cell, Table, arrow, crossing, ends, plain, score_text
from cmg.report.write import csv_text, report_files
from cmg.tasks.benchmark import find_benchmark
from cmg.tasks.outcome import Outcome, Predictions

RESULTS, EVALUATION, PREDICTIONS = "results.json", "evaluation.json", "predictions"
TITLE, ABOUT = "Benchmarks", "What was evaluated"
WHAT = (
    "Heads are trained with the labels of one modality on the frozen codebook and read, unchanged, "
    "on the other. Published: the release's protocol with all its particulars. Clean: encoders in "
    "eval mode, training, selection and test apart."
)
COLUMNS = {
    "clip": ("accuracy", "macro_f1", "map"),
    "step": ("precision", "recall", "f1", "foreground_f1", "segment_f1", "event_f1", "map"),
}
METRICS = {
    "map": "mAP",
    "f1": "F1",
    "macro_f1": "macro F1",
    "foreground_f1": "foreground F1",
    "segment_f1": "segment F1",
    "event_f1": "event F1",
}
"""How metrics are called in tables, where not by their key."""
CONTROLS = {
    "continuous": "no codebook",
    "majority": "majority",
    "chance": "chance",
}
STEP_CONTROLS = {"background": "background alone", "oracle_classes": "oracle: the clip's classes"}
"""Those that only seconds have."""
"""Titles of the controls, in the order of the table."""
PRETRAINING = "in_pretraining"


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
        name: Section(
            outcomes[0].benchmark.title,
            benchmark_blocks(outcomes, results.baselines.get(name)),
        )
        for name, outcomes in grouped(results).items()
    }
    sections["about"] = Section(ABOUT, [about_table(results)])
    lead = [Text(WHAT, "headline")]
    return Document(TITLE, "cmg evaluate", lead, sections, remarks(results))


def benchmark_blocks(outcomes: list[Outcome], baselines: Baselines | None) -> list[Block]:
    """Tables and timelines of one benchmark."""
    notes = Items([f"{o.protocol}: {note}" for o in outcomes for note in o.notes])
    leaks = leak_table([(o.protocol, row) for o in outcomes for row in o.leaks])
    costs = [] if baselines is None else [cost_table(baselines)]
    return [
        benchmark_table(outcomes),
        Fold("How the figures came about", [notes, counts_table(outcomes), *costs]),
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
    for name, baselines in results.baselines.items():
        found[name]["baselines"] = baselines.told()
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


def metric_name(metric: str) -> str:
    """How a metric is called in tables."""
    return METRICS.get(metric, metric.replace("_", " "))


def benchmark_table(outcomes: Sequence[Outcome]) -> Table:
    """One benchmark: a row per protocol and direction.

    Args:
        outcomes: Of the benchmark, one per protocol.
    """
    one = outcomes[0].benchmark
    names = [metric_name(metric) for metric in COLUMNS[one.per]]
    controls = (
        CONTROLS
        | (STEP_CONTROLS if one.per == "step" else {})
        | {name: control_title(name) for name in NAMES if any(name in o.controls for o in outcomes)}
    )
    columns = ("protocol, direction", *names, "paper", *controls.values(), "remark")
    rows = [row for outcome in outcomes for row in _rows(outcome, list(controls))]
    return plain(one.title, columns, rows, _note(outcomes)).filled()


def _rows(outcome: Outcome, shown: Sequence[str]) -> Iterator[list[Cell]]:
    compared = outcome.benchmark.headline
    for direction, figures in outcome.figures.items():
        source, target = ends(direction)
        known = outcome.paper.get(direction, {}).get(compared)
        paper = "–" if known is None else f"{known:.1f}"
        if known is not None and outcome.protocol != "published":
            paper = f"({paper})"
        controls = {
            n: found[direction][compared]
            for n, found in outcome.controls.items()
            if direction in found
        }
        texts = [
            f"{outcome.protocol} {arrow(direction)}",
            *(score_text(figures[metric]) for metric in COLUMNS[outcome.benchmark.per]),
            paper,
            *(score_text(controls.get(name)) for name in shown),
            outcome.marks.get(direction, ""),
        ]
        yield [Cell(text, marked=source == target) for text in texts]


def _note(outcomes: Sequence[Outcome]) -> str:
    sizes = {f.n for o in outcomes for d in o.figures.values() for f in d.values()}
    heads = (
        f"mean ± sample standard deviation of {max(sizes)} heads" if max(sizes) > 1 else "1 head"
    )
    compared = metric_name(outcomes[0].benchmark.headline)
    text = (
        f"Percent, {heads}. Directions within one modality are upper bounds. "
        f"{'Paper and controls' if any(o.paper for o in outcomes) else 'Controls'}: {compared}."
    )
    if outcomes[0].unlike:
        text += f" Without the paper's figures: {outcomes[0].unlike}."
    if any(o.paper for o in outcomes) and any(o.protocol != "published" for o in outcomes):
        text += " In parentheses: the paper's figure, made by the published protocol."
    return text


def all_metrics_table(outcome: Outcome) -> Table:
    """Every metric of every direction of one outcome."""
    directions = list(outcome.figures)
    metrics = list(next(iter(outcome.figures.values())))
    rows = [
        [metric_name(m), *(score_text(outcome.figures[d][m]) for d in directions)] for m in metrics
    ]
    columns = ("metric", *map(arrow, directions))
    return plain(f"All metrics, {outcome.protocol}", columns, rows)


def counts_table(outcomes: Sequence[Outcome]) -> Table:
    """Clips per protocol, part and modality."""
    modalities = list(dict.fromkeys(m for o in outcomes for c in o.counts.values() for m in c))
    rows = [
        [f"{o.protocol} {part}", *(str(counts.get(m, 0)) for m in modalities)]
        for o in outcomes
        for part, counts in o.counts.items()
        if counts
    ]
    return plain("Clips", ("protocol, part", *modalities), rows)


def leak_table(leaks: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Test clips of videos that were seen before, by protocol; see :func:`leak_report`."""
    lists = list(dict.fromkeys(name for _, row in leaks for name in row[PRETRAINING]))
    rows = [
        [
            f"{protocol} {arrow(row['direction'])}",
            str(row["clips"]),
            str(row["in_training"]),
            *(str(row[PRETRAINING].get(name, "–")) for name in lists),
        ]
        for protocol, row in leaks
    ]
    columns = (
        "protocol, direction",
        "test clips",
        "of a video the head was trained on",
        *(f"of a video in the list {name}" for name in lists),
    )
    note = "" if lists else "Without VGGSound's lists in the data, pre-training was not compared."
    return plain("Videos seen before", columns, rows, note)


def selection_table(found: Selection) -> Table:
    """The checkpoints of a run, a row each."""
    rows = []
    for score in found.scores:
        accuracy = "too late" if score.accuracy is None else score_text(score.accuracy)
        mark = "selected" if score is found.best else ""
        rows.append((score.checkpoint, str(score.epoch), accuracy, mark))
    what = f"{found.benchmark.upper()} {find_benchmark(found.benchmark).headline}"
    title = f"{what} across modalities, {found.protocol} protocol"
    return plain(title, ("checkpoint", "epochs", "mean of both directions, %", ""), rows)
