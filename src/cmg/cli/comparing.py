"""``cmg runs`` and ``cmg compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.output import show, show_report
from cmg.errors import ConfigError

PRESETS = ("list", "show", "copy")
"""Commands of ``cmg presets``, which was once called ``cmg runs``."""


def runs(
    folders: Annotated[
        list[str] | None, typer.Argument(metavar="[FOLDER]...", help="Default: runs.")
    ] = None,
) -> None:
    """List my runs: method, data, where each stands, transfer, date and size.

    Looks through FOLDER and the folders in it; `cmg compare RUN RUN` puts runs side by side.
    """
    from cmg.report.tables import plain
    from cmg.runs.listing import list_runs

    given = folders or ["runs"]
    if given[0] in PRESETS and not Path(given[0]).exists():
        words = " ".join(given)
        raise ConfigError(
            f"`cmg runs` lists runs; presets and methods are told by `cmg presets {words}`"
        )
    found = [run for folder in given for run in list_runs(folder)]
    rows = [
        (
            run.name if len(given) == 1 else run.path,
            run.method,
            run.data,
            run.stands,
            "–" if run.transfer is None else f"{run.transfer:.1f}",
            run.started[:16].replace("T", " ") or "–",
            f"{run.bytes / 1e6:,.1f}",
        )
        for run in found
    ]
    heads = ("run", "method", "data", "epochs", "transfer, %", "started (UTC)", "MB")
    plural = "s" if len(found) > 1 else ""
    show(
        {"runs": [run.told() for run in found]},
        plain(f"{len(found)} run{plural} in {', '.join(given)}", heads, rows),
        "Transfer: mean over the directions between modalities; – where it was not evaluated "
        "(`cmg report RUN` does).",
    )


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs or exports.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, report.md, CSV, LaTeX, SVG and compare.json."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier comparison in OUT.")
    ] = False,
) -> None:
    """Put runs side by side: what differs, transfer, codebook, cost and curves.

    Differences are to the first RUN. Runs that differ in training.seed alone are one row. Evaluates
    the runs if that is not done.
    """
    from cmg.report.compared_runs import compared
    from cmg.report.comparison import COMPARED, compare_document, compare_files, compare_told
    from cmg.report.write import HTML, write_folder

    if out is None:
        found = compared(runs)
        last = "`--out DIR` writes the page with the curves, Markdown, CSV and LaTeX."
    else:
        found = write_folder(out, COMPARED, lambda: compared(runs), compare_files, overwrite)
        last = f"Report: {out / HTML}"
    show_report(compare_document(found), compare_told(found), last)
