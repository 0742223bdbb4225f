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

    from cmg.evaluation.results import Results, ScoreMap

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
    for line in lines:
        console.print(line, markup=False) if isinstance(line, str) else console.print(line)


def results_tables(results: Results) -> list[Any]:
    """An evaluation as tables for a terminal."""
    tables: list[Any] = [
        matrix("Classification of held-out clips, % (rows: trained on)", results.transfer)
    ]
    for name, scores in results.extra_splits.items():
        tables.append(matrix(f"The same on split {name}, %", scores))
    if results.localization:
        title = "Localization: per-step classes with background, %"
        tables.append(matrix(title, results.localization))
    if results.controls:
        tables.append(controls_table(results))
    used = results.codebook
    tables.append(
        f"Codebook: {used.size} codes, {used.used:.1f} used, perplexity "
        f"{used.perplexity:.1f} over event steps, {100 * used.shared_share:.0f} % of the used "
        "codes shared by two or more modalities"
    )
    weights = ", ".join(
        f"{name} {'off' if weight is None else f'{weight:g}'}"
        for name, weight in results.weights.items()
    )
    tables.append(f"Objective weights: {weights}")
    return tables


def cell(score: Any) -> str:
    """Mean and spread."""
    return f"{score.mean:.1f} ± {score.std:.1f}" if score.n > 1 else f"{score.mean:.1f}"


def matrix(title: str, scores: ScoreMap) -> Table:
    """A transfer table: rows are what heads are trained on, columns what they are read on."""
    from rich.table import Table

    sources = list(dict.fromkeys(d.split("->")[0] for d in scores))
    targets = list(dict.fromkeys(d.split("->")[1] for d in scores))
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for target in targets:
        table.add_column(f"-> {target}", justify="right")
    for source in sources:
        row = [scores.get(f"{source}->{target}") for target in targets]
        table.add_row(source, *("" if score is None else cell(score) for score in row))
    return table


def controls_table(results: Results) -> Table:
    """The trained codebook's cross-modal directions beside every control."""
    from rich.table import Table

    table = Table(title="Controls, classification, %", title_justify="left")
    table.add_column("direction")
    columns = {"trained": results.transfer} | results.controls
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for direction in results.transfer:
        scores = (column.get(direction) for column in columns.values())
        table.add_row(direction, *("" if score is None else cell(score) for score in scores))
    return table
