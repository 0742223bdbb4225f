"""Baselines beside a run: what they cost, and how to get those that are not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmg.baselines.record import Baselines
from cmg.report.prose import CONTROLS
from cmg.report.tables import Table, plain


def cost_table(found: Baselines) -> Table:
    """A row per finished baseline: settings tried, numbers fitted, steps, and time."""
    rows = []
    for name in found.scores:
        row = found.rows[name]
        counts = (f"{row.tries:,}", f"{row.parameters:,}", f"{row.steps:,}" if row.steps else "–")
        times = (f"{row.seconds:.1f}", f"{row.cpu_seconds:.1f}")
        rows.append((CONTROLS[name][0], *counts, *times))
    columns = ("baseline", "settings tried", "parameters", "steps", "wall seconds", "CPU seconds")
    note = f"Penalties and dimensions chosen on {found.chosen_on}." if found.chosen_on else ""
    return plain("What the baselines cost", columns, rows, note)


def missing_note(run: Path, missing: Sequence[str]) -> list[str]:
    """Which command computes the baselines that a run lacks; nothing where it has all."""
    if not missing:
        return []
    return [f"Not computed yet: {', '.join(missing)}; `cmg baselines {run}` adds them."]
