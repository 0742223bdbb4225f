"""The report on runs side by side: configuration, transfer, codebook, cost, curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from cmg.evaluation.scores import Score
from cmg.evaluation.scores import plain as as_json
from cmg.report.colors import modality_colors
from cmg.report.compared_runs import FEWEST, MEAN, SEED, ComparedRow, SideBySide
from cmg.report.curves import IN_NUMBERS, chart, compared_curves, curves_table
from cmg.report.document import Block, Box, Document, Fold, Section, Text
from cmg.report.prose import count_text
from cmg.report.tables import (
    Table,
    arrow,
    crossing,
    ends,
    in_text,
    interval_text,
    plain,
    score_text,
)
from cmg.report.write import report_files

COMPARED = "compare.json"


def compare_document(found: SideBySide) -> Document:
    """Everything that a comparison tells."""
    sections = {"configuration": Section("What differs", [changes_table(found)])}
    if scored := [row for row in found.rows if row.evaluated]:
        sections["transfer"] = Section("Transfer", transfer(found, scored))
        sections["codebook"] = Section("Use of the codebook", [codebook_table(scored)])
    sections["cost"] = Section("Cost", [cost_table(found)])
    if curves := curve_blocks(found):
        sections["curves"] = Section("Training", curves)
    count = sum(len(row.runs) for row in found.rows)
    lead = [Text(f"{count} runs; differences are to {found.rows[0].name}.")]
    title = " and ".join(row.name for row in found.rows)
    return Document(title, "cmg compare", lead, sections, found.remarks)


def changes_table(found: SideBySide) -> Table:
    """A row per key that differs, a column per row of the others."""
    names = [row.name for row in found.rows]
    rows = [
        (key, *(value_text(key, value) for value in values))
        for key, values in found.changes().items()
    ]
    note = "Keys that differ; – is null or has no place in that run." if rows else ""
    if not rows:
        note = "No key of the configuration differs."
    return plain("What differs", ("key", *names), rows, note)


def value_text(key: str, value: Any) -> str:
    """A value as a configuration has it."""
    if value is None:
        return "–"
    if key == SEED and isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def transfer(found: SideBySide, scored: Sequence[ComparedRow]) -> list[Block]:
    """Scores, and differences pair by pair."""
    blocks: list[Block] = [scores_table(scored)]
    within = scores_table(scored, within=True)
    if len(within.columns) > 1:
        blocks.append(within)
    if any(found.differences().values()):
        blocks += [paired_table(found), directions_apart(found)]
    return blocks


def scores_table(scored: Sequence[ComparedRow], within: bool = False) -> Table:
    """A row per row: the mean across, and every direction."""
    tables = {row.name: row.scores() for row in scored}
    keys = list(dict.fromkeys(d for scores in tables.values() for d in scores))
    kept = [k for k in keys if (k != MEAN and len(set(ends(k))) == 1) == within]
    rows: list[tuple[str, ...]] = [
        (name, *(score_text(scores.get(key)) for key in kept)) for name, scores in tables.items()
    ]
    chances = {
        f"{score.mean:.1f}"
        for row in scored
        for results in row.evaluated
        for score in results.controls.get("chance", {}).values()
    }
    if chances and not within:
        shared = chances.pop() if len(chances) == 1 else "–"
        rows.append(("chance", *(shared for _ in kept)))
    heads = ["mean across" if k == MEAN else ends(k)[0] if within else arrow(k) for k in kept]
    title = "Transfer within a modality" if within else "Transfer"
    return plain(title, ("", *heads), rows, "" if within else spread_note(scored))


def spread_note(scored: Sequence[ComparedRow]) -> str:
    """What the numbers are, and what ± is over."""
    said = "Accuracy on held-out clips in percent."
    told = []
    for row in scored:
        n = max((s.n for s in row.scores().values()), default=0)
        what = "training seeds" if len(row.runs) > 1 else "heads of one training"
        if n > 1:
            told.append(f"{row.name}: mean ± standard deviation over {n} {what}")
    return " ".join([said, *("; ".join(told) + "." for _ in told[:1])])


def paired_table(found: SideBySide) -> Table:
    """The mean across modalities less that of the first row, and how many directions agree."""
    first, rows = found.rows[0], []
    for row in found.rows[1:]:
        apart = found.differences()[row.name]
        if MEAN not in apart:
            rows.append((row.name, "–", "–", "–", "–", "no direction in common"))
            continue
        score, across = apart[MEAN], crossing({k: v for k, v in apart.items() if k != MEAN})
        ahead = sum(one.mean > 0 for one in across.values())
        rows.append(
            (
                row.name,
                in_text(score.mean),
                interval(score),
                str(score.n),
                f"{ahead} of {len(across)}",
                unit_of(row, first, score.n),
            )
        )
    heads = ("", "difference", "95 % interval", "n", "directions above", "pairs")
    note = (
        f"Points of the mean across modalities, pair by pair; a t-interval from {FEWEST} pairs "
        "on. Heads on one training say nothing of other training seeds: train both with several "
        f"({SEED}=0, 1, 2) for that."
    )
    return plain(f"Mean across, less that of “{first.name}”", heads, rows, note)


def interval(score: Score) -> str:
    """Of a difference; none of too few pairs."""
    return interval_text(score) if score.n >= FEWEST else "–"


def unit_of(row: ComparedRow, first: ComparedRow, n: int) -> str:
    """What was paired."""
    both = row.units().keys() & first.units().keys()
    if not both:
        return "means (no seed in common)"
    several = {len(one.runs) > 1 for one in (row, first)}
    if several == {True}:
        return f"training seeds {', '.join(map(str, sorted(both)))}"
    return "one training each" if n == 1 else "seeds of heads, one training each"


def directions_apart(found: SideBySide) -> Table:
    """Every direction less that of the first row."""
    apart = found.differences()
    keys = list(dict.fromkeys(d for scores in apart.values() for d in scores if d != MEAN))
    rows = []
    for key in keys:
        cells = [
            "–" if key not in scores else in_text(scores[key].mean) + in_brackets(scores[key])
            for scores in apart.values()
        ]
        rows.append((arrow(key), *cells))
    note = f"Points, less “{found.rows[0].name}”; in brackets the interval from {FEWEST} pairs on."
    return plain("Every direction, paired", ("direction", *apart), rows, note)


def in_brackets(score: Score) -> str:
    """The interval behind a difference, where there is one."""
    return f" ({interval_text(score)})" if score.n >= FEWEST else ""


def codebook_table(scored: Sequence[ComparedRow]) -> Table:
    """Use of the codebook on held-out clips, mean over the runs of a row."""
    rows = []
    for row in scored:
        stats = row.codebook
        if stats is None or not stats.size:
            rows.append((row.name, "–", "–", "–", "–"))
            continue
        used, shared = count_text(stats.used), f"{100 * stats.shared_share:.0f}"
        rows.append((row.name, str(stats.size), used, f"{stats.perplexity:.1f}", shared))
    heads = ("", "codes", "codes used", "perplexity", "% of used codes shared")
    return plain("Use of the codebook", heads, rows)


def cost_table(found: SideBySide) -> Table:
    """What the training of a run of each row cost: the mean over its runs."""
    rows = []
    for row in found.rows:
        costs = [run.cost for run in row.runs]
        whole = [one for one in costs if one is not None and not one.from_step]
        known = len(whole) == len(costs)
        position = row.runs[0].checkpoint.position
        memory, gpu = ([], [])
        if known:
            memory = [one.memory for one in whole]
            gpu = [one.gpu_memory for one in whole if one.gpu_memory is not None]
        rows.append(
            (
                row.name,
                f"{fmean(one.seconds for one in whole):,.1f}" if known else "–",
                f"{position.epoch:,}",
                f"{position.step:,}",
                f"{fmean(one.clips for one in whole):,.0f}" if known else "–",
                f"{row.runs[0].parameters:,}",
                f"{max(memory) / 1e6:,.0f}" if memory else "–",
                f"{max(gpu) / 1e6:,.0f}" if gpu else "–",
            )
        )
    heads = ("", "seconds", "epochs", "steps", "clips", "parameters", "memory, MB", "GPU, MB")
    note = (
        "Of one training, mean over the seeds of a row; codes that no gradient moves are no "
        "parameters; memory: the most of its process. – was not recorded, as in runs that an "
        "earlier cmg began."
    )
    return plain("Cost", heads, rows, note)


def curve_blocks(found: SideBySide) -> list[Block]:
    """All runs on one axis: a panel per measure, a color per row."""
    logs = {row.name: [run.log for run in row.runs] for row in found.rows}
    modalities = [
        m for row in found.rows for m in (n.name for n in row.runs[0].checkpoint.modalities)
    ]
    panels = compared_curves(logs, modality_colors(list(logs)), list(dict.fromkeys(modalities)))
    if not panels:
        return []
    told = "A color per row and a thin line per seed, over the steps of pre-training."
    drawn = Box([chart(panel) for panel in panels], "panels")
    return [Text(told), drawn, Fold(IN_NUMBERS, [curves_table(panels)])]


def compare_told(found: SideBySide) -> dict[str, Any]:
    """As JSON values."""
    return {
        "reference": found.rows[0].name,
        "rows": [row_told(row) for row in found.rows],
        "configuration": found.changes(),
        "differences": {
            name: as_json(scores, "values") for name, scores in found.differences().items()
        },
        "remarks": list(found.remarks),
    }


def row_told(row: ComparedRow) -> dict[str, Any]:
    """A row as JSON values."""
    book = row.codebook
    return {
        "name": row.name,
        "runs": [run.log.folder.name for run in row.runs],
        "seeds": row.seeds,
        "transfer": as_json(row.scores(), "values"),
        "codebook": None if book is None else vars(book),
        "cost": [None if run.cost is None else vars(run.cost) for run in row.runs],
        "parameters": row.runs[0].parameters,
        "steps": row.runs[0].checkpoint.position.step,
        "epochs": row.runs[0].checkpoint.position.epoch,
    }


def compare_files(found: SideBySide) -> dict[str, Any]:
    """The report as files, and all of it as JSON."""
    return {COMPARED: compare_told(found), **report_files(compare_document(found))}
