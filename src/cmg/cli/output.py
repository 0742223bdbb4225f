"""What a command prints: a table for people, or JSON on stdout and nothing else there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from cmg.evaluation.results import Results
    from cmg.report.tables import Table as ReportTable

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
RunOption = Annotated[
    Path, typer.Option("--model", help="Run folder of `cmg pretrain`, or one of its checkpoints.")
]


@dataclass
class OutputState:
    """Whether this process prints JSON."""

    json: bool = False


STATE = OutputState()


def say_json(wanted: bool) -> None:
    """Remember ``--json``, so that errors are JSON too."""
    STATE.json = wanted


def show(told: Mapping[str, Any], *lines: Any) -> None:
    """Print `told` as JSON where ``--json`` was given, else `lines` (text or rich tables)."""
    if STATE.json:
        print(json.dumps(told))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=160)  # files and pipes do not wrap
    for line in lines:
        console.print(line, markup=False) if isinstance(line, str) else console.print(line)


def results_tables(results: Results) -> list[Any]:
    """An evaluation for a terminal: the tables of the report."""
    from cmg.report.tables import control_rows, directions_table, transfer_matrix

    matrices = {"Classification of held-out clips": results.transfer}
    for split, scores in results.extra_splits.items():
        matrices[f"Classification, split {split}"] = scores
    if results.localization:
        matrices["Localization (per-step classes with background)"] = results.localization
    shown = [in_terminal(transfer_matrix(title, table)) for title, table in matrices.items()]
    if results.controls:
        rows = control_rows(results.transfer, results.controls)
        shown.append(in_terminal(directions_table(rows)))
    used = results.codebook
    weights = ", ".join(
        f"{name} {'off' if weight is None else f'{weight:g}'}"
        for name, weight in results.weights.items()
    )
    return [
        *shown,
        f"Codebook: {used.size} codes, {used.used:.1f} used, perplexity {used.perplexity:.1f} "
        f"over event steps, {100 * used.shared_share:.0f} % of the used codes shared",
        f"Objective weights: {weights}",
        *(f"Remark: {remark}" for remark in results.remarks),
    ]


def in_terminal(table: ReportTable) -> Table:
    """A table of the report as one of rich's."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=table.title, title_justify="left", caption=table.note or None)
    for index, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if index else "left")
    for row in table.rows:
        shown.add_row(*(Text(cell.text, style="dim" if cell.marked else "") for cell in row))
    return shown
