"""``cmg baselines``: what ridge, CCA, raw features and InfoNCE reach with a run's budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.output import in_folder, show_report


def baselines(
    run: Annotated[Path, typer.Argument(help="Run folder of `cmg pretrain`.", callback=in_folder)],
    only: Annotated[
        str | None,
        typer.Option(help="With commas between: infonce, ridge, cca, linear, majority."),
    ] = None,
) -> None:
    """Compute the baselines of a run: InfoNCE at equal budget, ridge, CCA, linear heads, majority.

    They see the run's clips and splits. InfoNCE is trained in RUN/baselines/infonce with the run's
    encoders, batches and epochs; the others are fitted to raw features in closed form. What is
    found and what it cost is kept in RUN/baselines.json, and what is there is not done again;
    `cmg report` and `cmg probe` show it.
    """
    from cmg.baselines.record import FILE, wanted
    from cmg.cli.progress import progress_bar
    from cmg.evaluation.results import Results
    from cmg.recipes.baselines import baselines as run_baselines
    from cmg.recipes.evaluate import RESULTS
    from cmg.report.baselines import cost_table
    from cmg.report.document import Document, of_tables
    from cmg.report.tables import control_rows, directions_table

    names = wanted(only)
    with progress_bar() as progress:
        found = run_baselines(run, names, progress)
    rows = found.scores
    if (run / RESULTS).is_file():
        rows = control_rows(Results.load(run / RESULTS).transfer, rows)
    tables = [directions_table(rows), cost_table(found)] if rows else []
    document = Document(f"Baselines of {run}", "", [], of_tables(tables), found.remarks)
    show_report(document, found.told() | {"run": str(run)}, f"Kept in {run / FILE}")
