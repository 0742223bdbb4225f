"""Tables of the benchmarks: ours by protocol, the paper's figures, and the controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cmg.recipes.evaluate_tasks import Selection
from cmg.report.tables import Cell, Table, arrow, ends, plain, score_text
from cmg.tasks.benchmark import find_benchmark
from cmg.tasks.outcome import Outcome

COLUMNS = {
    "clip": ("accuracy", "macro_f1", "map"),
    "step": ("precision", "recall", "f1", "foreground_f1", "map"),
}
NAMES = {"map": "mAP", "f1": "F1", "macro_f1": "macro F1", "foreground_f1": "foreground F1"}
"""How metrics are called in tables, where not by their key."""
CONTROLS = {
    "continuous": "no codebook",
    "majority": "majority",
    "chance": "chance",
}
"""Titles of the controls, in the order of the table."""


PRETRAINING = "in_pretraining"


def metric_name(metric: str) -> str:
    """How a metric is called in tables."""
    return NAMES.get(metric, metric.replace("_", " "))


def benchmark_table(outcomes: Sequence[Outcome]) -> Table:
    """One benchmark: a row per protocol and direction.

    Args:
        outcomes: Of the benchmark, one per protocol.
    """
    first = outcomes[0]
    compared = first.benchmark.headline
    metrics = COLUMNS[first.benchmark.per]
    marked, beside = any(o.marks for o in outcomes), any(o.paper for o in outcomes)
    columns = [
        "protocol, direction",
        *map(metric_name, metrics),
        *(["paper"] if beside else []),
        *CONTROLS.values(),
        *(["remark"] if marked else []),
    ]
    rows = [
        row for outcome in outcomes for row in _rows(outcome, metrics, compared, marked, beside)
    ]
    return plain(first.benchmark.title, columns, rows, _note(outcomes))


def _rows(
    outcome: Outcome, metrics: Sequence[str], compared: str, marked: bool, beside: bool
) -> Iterator[list[Cell]]:
    for direction, figures in outcome.figures.items():
        source, target = ends(direction)
        known = outcome.paper.get(direction, {}).get(compared)
        paper = "–" if known is None else f"{known:.1f}"
        if known is not None and outcome.protocol != "published":
            paper = f"({paper})"
        controls = {n: found[direction][compared] for n, found in outcome.controls.items()}
        texts = [
            f"{outcome.protocol} {arrow(direction)}",
            *(score_text(figures[m]) for m in metrics),
            *([paper] if beside else []),
            *(score_text(controls.get(name)) for name in CONTROLS),
            *([outcome.marks.get(direction, "")] if marked else []),
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


def leak_table(outcomes: Sequence[Outcome]) -> Table:
    """Test clips of videos that were seen before."""
    lists = list(dict.fromkeys(name for o in outcomes for r in o.leaks for name in r[PRETRAINING]))
    rows = [
        [
            f"{o.protocol} {arrow(row['direction'])}",
            str(row["clips"]),
            str(row["in_training"]),
            *(str(row[PRETRAINING].get(name, "–")) for name in lists),
        ]
        for o in outcomes
        for row in o.leaks
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
