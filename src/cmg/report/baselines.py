"""Baselines beside a run: what they cost, and how to get those that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cmg.baselines.record import FOLDER, INFONCE, Baselines, absent
from cmg.evaluation.scores import plain as as_json
from cmg.files import StrPath
from cmg.report.prose import control_title
from cmg.report.tables import Table, plain, score_text
from cmg.runs.checkpoint import list_checkpoints
from cmg.runs.folder import CONFIG


def cost_table(found: Baselines) -> Table:
    """A row per finished baseline: settings tried, numbers fitted, steps, and time."""
    rows = []
    for name in found.scores:
        row = found.rows[name]
        counts = (f"{row.tries:,}", f"{row.parameters:,}", f"{row.steps:,}" if row.steps else "–")
        times = (f"{row.seconds:.1f}", f"{row.cpu_seconds:.1f}")
        rows.append((control_title(name), *counts, *times))
    columns = ("baseline", "settings tried", "parameters", "steps", "wall seconds", "CPU seconds")
    note = f"Penalties and dimensions chosen on {found.chosen_on}." if found.chosen_on else ""
    return plain("What the baselines cost", columns, rows, note)


def beside(run: Path, found: Baselines | None, direction: str) -> tuple[list[str], dict[str, Any]]:
    """What baselines reach in one direction: a line, and as JSON; or which command computes them.

    Args:
        run: Of the baselines.
        found: What there is of them; None where nothing is.
        direction: ``audio->video``.
    """
    tables = {} if found is None else found.scores
    scores = {n: table[direction] for n, table in tables.items() if direction in table}
    told = ", ".join(f"{control_title(n)} {score_text(s)} %" for n, s in scores.items())
    lines = [f"baselines: {told}"] if told else []
    return lines + missing_note(run, absent(tables)), as_json(scores)


def evaluation_note(run: Path, names: Iterable[str], computed: bool) -> list[str]:
    """How the baselines of a run are evaluated by the same command, as far as they are not.

    Args:
        run: That was evaluated.
        names: Of those that need no training.
        computed: Whether those that need no training were evaluated beside it.
    """
    if not (run / CONFIG).is_file():
        return []
    trained = bool(list_checkpoints(run / FOLDER / INFONCE))
    train = f"`cmg baselines {run} --only {INFONCE}` trains it"
    if computed:
        return [] if trained else [f"Without InfoNCE: {train}, then the same command has it."]
    told = ", ".join([INFONCE, *names] if trained else names)
    told = f"Baselines ({told}): the same command with --baselines."
    return [told if trained else f"{told} InfoNCE at equal budget: {train} before."]


def missing_note(run: StrPath, missing: Sequence[str]) -> list[str]:
    """Which command computes the baselines that a run lacks; nothing where it has all."""
    if not missing:
        return []
    return [f"Not computed yet: {', '.join(missing)}; `cmg baselines {run}` adds them."]
