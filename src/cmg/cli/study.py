"""``cmg study``: comparisons of several configurations with several seeds each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmg.cli.groups import group
from cmg.cli.output import WorkersOption, in_terminal, show

if TYPE_CHECKING:
    from cmg.studies.summary import StudySummary

app = group("Studies: ablations, sizes, recipes; list, run, table.")


@app.command("list")
def list_studies() -> None:
    """List the named studies."""
    from cmg.studies.definition import named_studies

    studies = named_studies()
    told = {
        name: {"title": s.title, "variants": [v.name for v in s.rows()], "needs": s.needs}
        for name, s in studies.items()
    }
    width = max(map(len, studies))
    lines = [f"{name:{width}}  {len(s.rows()):2}  {s.title}" for name, s in studies.items()]
    show({"studies": told}, *lines)


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="A named study (`cmg study list`) or YAML file.")],
    data: Annotated[
        str, typer.Option(help="Store with labels, an embedded set as `digits`, or a collection.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the study; the same one to go on.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="For all variants, e.g. training.epochs=5."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="What is varied: a preset, `published`, or FILE.yaml."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Pre-trainings per variant.")] = 3,
    only: Annotated[str | None, typer.Option(help="Variants, separated by commas.")] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option(help="Of a collection: ave, avvp, ave-avvp, ucf-vgg or all; default: ave."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Of the benchmarks: clean (default) or published.")
    ] = None,
    workers: WorkersOption = None,
    keep_runs: Annotated[
        bool, typer.Option("--keep-runs", help="Keep run folders with their checkpoints.")
    ] = False,
) -> None:
    """Train and score every variant with every seed; the same command goes on after a stop.

    Writes study.json, table.md, plot.svg and report.html to OUT, and a file per finished job.
    """
    from cmg.cli.progress import ProgressBar
    from cmg.studies.definition import load_study
    from cmg.studies.plan import plan_study
    from cmg.studies.run import prepare_study, run_study
    from cmg.studies.scorers import scorer_for

    chosen = None if only is None else [v.strip() for v in only.split(",") if v.strip()]
    study, scorer = load_study(name), scorer_for(data, benchmarks, protocol)
    plan = plan_study(study, data, base, overrides or [], seeds, chosen)
    prepared = prepare_study(plan, out, scorer, keep_runs)
    with ProgressBar(prepared.clips) as bar:
        summary = run_study(prepared, lambda job, n, log: bar.add(n, log, job), workers)
    told = {"trained": len(prepared.jobs), "finished_before": prepared.finished}
    show_study(out, summary, told)


@app.command("table")
def table(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of `cmg study run`.")],
) -> None:
    """Print what is finished so far, and write the tables, plot and page anew."""
    from cmg.studies.summary import summarized
    from cmg.studies.write import write_study

    summary = summarized(folder)
    write_study(folder, summary)
    show_study(folder, summary, {})


def show_study(out: Path, summary: StudySummary, more: dict[str, Any]) -> None:
    """Print the tables of a study, or its ``study.json``."""
    from cmg.studies.tables import headlines, study_tables
    from cmg.studies.write import PLOT, REPORT, TABLE

    shown = [in_terminal(one) for one in study_tables(summary, short=True)]
    files = [str(out / file) for file in (TABLE, PLOT, REPORT) if (out / file).is_file()]
    lines = [summary.study.title, *headlines(summary), *shown, *files]
    show(summary.as_dict() | more | {"files": files}, *lines)
