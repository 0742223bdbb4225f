"""``cmg study``: comparisons of several configurations with several seeds and folds each."""

from __future__ import annotations

from math import inf
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmg.cli.groups import group
from cmg.cli.output import (
    WorkersOption,
    commas,
    say_remarks,
    show,
    show_report,
    typed_again,
    whole_numbers,
)

if TYPE_CHECKING:
    from cmg.studies.plan import StudyPlan
    from cmg.studies.summary import StudySummary

LEFT = "Stopped after {:g} hours; jobs left: {}. Go on with: {}"
CHOOSING = (
    "The choice in {} is not finished, jobs left: {}; `cmg study merge` joins the parts of several "
    "machines. Go on with: {}"
)

app = group("Studies: ablations, sizes, recipes; list, run, table, merge, best.")


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
    seeds: Annotated[int, typer.Option(help="Pre-trainings per variant, and per fold.")] = 3,
    only: Annotated[str | None, typer.Option(help="Variants, separated by commas.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=1, help="Folds of the data: of an embedded set, or a name with {fold}."),
    ] = None,
    only_folds: Annotated[
        str | None, typer.Option(help="Folds to run here, e.g. 0,1,2; `merge` joins the parts.")
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.0, help="After these, begin no further job.", show_default=False)
    ] = inf,
    part: Annotated[
        str, typer.Option(metavar="I/N", help="Of all jobs, this share; `merge` joins the parts.")
    ] = "1/1",
    choose: Annotated[
        bool, typer.Option("--choose", help="Score on the split val; test is never opened.")
    ] = False,
    uneven: Annotated[
        bool, typer.Option("--uneven", help="Groups may have unequal numbers of tries.")
    ] = False,
    untuned: Annotated[
        bool, typer.Option("--untuned", help="No choices: every method as its own file says.")
    ] = False,
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
    """Train and score every variant with every seed and fold; the same command goes on.

    Writes study.json, table.md, plot.svg and report.html to OUT, and a file per finished job.
    """
    from cmg.cli.progress import ProgressBar
    from cmg.studies.campaign import Asked, chosen, fitted, hours_of, part_of
    from cmg.studies.definition import load_study
    from cmg.studies.ledger import CHOICE, read_identity, unfinished_jobs
    from cmg.studies.run import prepare_study, run_study
    from cmg.studies.scorers import scorer_for

    asked = Asked(
        data,
        base,
        overrides or [],
        seeds,
        None if only is None else commas(only),
        folds,
        None if only_folds is None else whole_numbers(only_folds, "--only-folds"),
        choose,
        uneven,
    )
    share, until = part_of(part), time() + 3600 * hours
    named = load_study(name)
    study, costs = fitted(named.untuned() if untuned else named, asked, out)

    def run_plan(plan: StudyPlan, folder: Path) -> tuple[StudySummary, dict[str, int]]:
        scorer = scorer_for(next(iter(plan.configs.values())).data.store, benchmarks, protocol)
        prepared, done = prepare_study(plan, folder, scorer, keep_runs, share), list[Any]()
        if costs:
            about = f"about {hours_of(plan, costs):.2f} hours of a core, heads aside"
            say_remarks([f"{folder}: {len(prepared.jobs)} jobs are left; all of them: {about}"])
        with ProgressBar(prepared.clips) as bar:
            summary = run_study(
                prepared,
                lambda job, n, log: bar.add(n, log, job),
                workers,
                done.append,
                max(0.0, until - time()) / 3600,
            )
        left = len(prepared.jobs) - len(done)
        return summary, {"trained": len(done), "finished_before": prepared.finished, "left": left}

    again = typed_again()
    ready = chosen(study, asked, out, run_plan)
    if ready is None:
        left = len(unfinished_jobs(out / CHOICE, read_identity(out / CHOICE)))
        waiting = CHOOSING.format(out / CHOICE, left, again)
        show({"choice": str(out / CHOICE), "finished": False, "left": left}, waiting)
        return
    summary, told = run_plan(asked.plan(ready), out)
    left = told["left"]
    show_study(out, summary, told, *([LEFT.format(hours, left, again)] if left else []))


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


@app.command("merge")
def merge(
    out: Annotated[Path, typer.Argument(help="Folder to merge into, new or of the same study.")],
    parts: Annotated[list[Path], typer.Argument(metavar="PART...", help="Folders to merge.")],
) -> None:
    """Make one study of parts that were run apart; a job that two have must be equal.

    Parts of a choice are merged in OUT/choice; OUT then goes on with the command that ran them.
    """
    from cmg.studies.ledger import CHOICE, STUDY, unfinished_jobs
    from cmg.studies.merge import merge_studies

    summary = merge_studies(out, parts)
    written = out if (out / STUDY).is_file() else out / CHOICE
    left = len(unfinished_jobs(written, summary.identity))
    show_study(written, summary, {"left": left}, *([f"Jobs left: {left}."] if left else []))


@app.command("best")
def best(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study that was run to choose.")],
    metric: Annotated[str | None, typer.Option(help="To choose by; default: the first.")] = None,
) -> None:
    """Name the best row of a choice, of each group, and what makes it of the base.

    Its whole configuration, to be read on the test split, is written to DIR/best-GROUP.yaml.
    """
    from cmg.report.tables import interval_text, score_text
    from cmg.studies.choice import best_of, write_choice

    told, lines = {}, []
    for one in best_of(folder, metric):
        file = str(write_choice(folder, one))
        told[one.group] = one.as_dict() | {"file": file}
        number = f"{score_text(one.score)}, 95 % interval {interval_text(one.score, '.1f')}"
        lines += [f"{one.group}: {one.title} ({one.row}), the best of {one.tries} tries: {number}"]
        lines += [f"  {assignment}" for assignment in one.assignments] + [f"  {file}"]
    show({"best": told}, *lines)


def show_study(out: Path, summary: StudySummary, more: dict[str, Any], *last: str) -> None:
    """Print the tables of a study, or its ``study.json``."""
    from cmg.studies.write import PLOT, REPORT, TABLE, study_document

    files = [str(out / file) for file in (TABLE, PLOT, REPORT) if (out / file).is_file()]
    told = summary.as_dict() | more | {"files": files}
    show_report(study_document(summary, short=True), told, *files, *last)
