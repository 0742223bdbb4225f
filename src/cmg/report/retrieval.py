"""Tables and pages of retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cmg.recipes.retrieval import RetrievalResults
from cmg.recipes.two_stage import TwoStageResults
from cmg.report.document import Document, Text, of_tables
from cmg.report.prose import control_title
from cmg.report.tables import Table, arrow, plain, score_text
from cmg.report.write import Files, report_files
from cmg.retrieval.evaluate import RANKS, Directions, chance_figures, over_seeds
from cmg.retrieval.representation import MEANINGS

RESULTS = "retrieval.json"
TITLE = "Retrieval across modalities"
WHAT = (
    "A clip of one modality finds, in a gallery of another, the clip it belongs to (R@k, percent) "
    "and clips of its class (mAP, percent). Chance: a random order. Class-perfect: a system that "
    "knows every clip's class and nothing more. Both are given for R@1, R@5 and R@10. Ties count "
    "against the query."
)
BASELINES = {
    "infonce": "By the mean of continuous features.",
    "ridge": "Raw features of the query mapped to the gallery's, by cosine.",
    "cca": "Raw features of both projected to a shared space, by cosine.",
}
"""What clips are compared by, of each."""
TWO_STAGE = "Retrieval of a modality that joined later"
TWO_STAGE_WHAT = (
    "Stage 1 trained the codebook without the new modality. Stage 2 froze it and fitted an encoder "
    "of the new modality to one of the others, by paired clips. What is marked zero-shot was never "
    "paired. Shuffled: stage 2 on wrong pairs. Untrained: an encoder at random."
)
COLUMNS = (
    "query → gallery",
    *(f"R@{k}" for k in RANKS),
    "chance",
    "class-perfect",
    "median rank",
    "mAP",
    "chance mAP",
    "gallery",
)


def _each(figures: Mapping[int, float], decimals: int) -> str:
    return " / ".join(f"{figures[k]:.{decimals}f}" for k in RANKS)


def _row(direction: str, seeds: Sequence[Directions]) -> list[str]:
    """One direction: figures over models, and what they would be without one."""
    told, first = over_seeds(seeds)[direction], seeds[0][direction]
    return [
        arrow(direction),
        *(score_text(told[f"R@{k}"]) for k in RANKS),
        _each(first.chance, 2),
        _each(first.ceiling, 1) if first.ceiling else "–",
        score_text(told["median rank"]),
        score_text(told.get("mAP")),
        "–" if first.map_chance is None else f"{first.map_chance:.1f}",
        f"{first.gallery:,}",
    ]


def retrieval_tables(results: RetrievalResults) -> list[Table]:
    """A table per representation."""
    tables = []
    for by, seeds in results.scores.items():
        rows = [_row(direction, seeds) for direction in seeds[0]]
        undefined = results.undefined.get(by, {})
        rows += [[arrow(d), "not defined", *[""] * (len(COLUMNS) - 2)] for d in undefined]
        split, clips = results.about["split"], results.about["clips"]
        note = f"Clips {split}, {clips:,} clips"
        note += f"; mean ± standard deviation of {len(seeds)} models." if len(seeds) > 1 else "."
        if undefined:
            note += f" Not defined: {next(iter(undefined.values()))}."
        tables.append(plain(f"By {MEANINGS[by]}", COLUMNS, rows, note))
    for name, found in results.baselines.items():
        rows = [_row(direction, found) for direction in found[0]]
        tables.append(plain(f"Baseline: {control_title(name)}", COLUMNS, rows, BASELINES[name]))
    return tables


def two_stage_tables(results: TwoStageResults) -> list[Table]:
    """Every direction with the new modality, mean and spread over seeds; a table per figure."""
    tables = []
    figures = {variant: over_seeds(seeds) for variant, seeds in results.scores.items()}
    directions = [d for d in figures["trained"] if results.new in d.split("->")]
    first = results.scores["trained"][0][directions[0]]
    for name, chance in chance_figures(first).items():
        rows = []
        for direction in directions:
            kind = "fitted" if results.pivot in direction.split("->") else "zero-shot"
            cells = [score_text(found[direction][name]) for found in figures.values()]
            rows.append([f"{arrow(direction)} ({kind})", *cells])
        columns = ("query → gallery", *(v.replace("_", " ") for v in figures))
        runs, seeds = len(results.about["stage1"]), results.about["seeds"]
        note = (
            f"Percent; {_count(runs, 'run')} of stage 1, {_count(seeds, 'fit')} of each; split "
            f"{results.about['split']}, gallery {first.gallery:,} clips; chance {chance:.2f}"
        )
        perfect = {f"R@{k}": value for k, value in first.ceiling.items()}.get(name)
        note += "." if perfect is None else f", class-perfect {perfect:.1f}."
        tables.append(plain(name, columns, rows, note))
    return tables


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def retrieval_document(results: RetrievalResults) -> Document:
    """The whole report."""
    return _document(
        TITLE, WHAT, "cmg evaluate retrieval", results.about, retrieval_tables(results)
    )


def two_stage_document(results: TwoStageResults) -> Document:
    """Likewise, of the two-stage setting."""
    command, tables = "cmg evaluate two-stage", two_stage_tables(results)
    return _document(TWO_STAGE, TWO_STAGE_WHAT, command, results.about, tables)


def _document(
    title: str, what: str, command: str, about: Mapping[str, Any], tables: Sequence[Table]
) -> Document:
    lead = [Text(what, "headline")]
    return Document(title, command, lead, of_tables(tables), about["remarks"])


def retrieval_files(results: RetrievalResults) -> Files:
    """``retrieval.json`` and the report."""
    return {RESULTS: results.told(), **report_files(retrieval_document(results))}


def two_stage_files(results: TwoStageResults) -> Files:
    """Likewise, of the two-stage setting."""
    return {RESULTS: results.told(), **report_files(two_stage_document(results))}
