"""``cmg evaluate`` and ``cmg select``."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmg.cli.groups import Group
from cmg.cli.output import RunOption, say_remarks, show, show_report
from cmg.cli.progress import progress_bar

if TYPE_CHECKING:
    from cmg.codebook.dimensions import DimensionOptions
    from cmg.evaluation.frozen import Protocol

DataOption = Annotated[
    str, typer.Option(help="Folder in the official layout, or what `cmg data import` made of it.")
]
ListsOption = Annotated[str | None, typer.Option(help="Folder with further annotation files.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU if any.")]
BaselinesOption = Annotated[
    bool,
    typer.Option("--baselines", help="Also ridge, CCA, ...; InfoNCE of `cmg baselines RUN`."),
]
DimensionsOption = Annotated[
    str | None,
    typer.Option(
        metavar="keep=K,...", help="Of code vectors: keep=224,largest=3,smallest=1 (docs: TOC)."
    ),
]
FeaturesOption = Annotated[
    Literal["codes", "posterior", "continuous"],
    typer.Option(metavar="KIND", help="What heads read: codes, posterior or continuous."),
]

ALL = "all"


class Evaluations(Group):
    """``cmg evaluate``: a command for every registered benchmark, beside those of other kinds."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All benchmarks first."""
        from cmg.tasks.benchmark import benchmarks

        others = [name for name in super().list_commands(ctx) if name != ALL]
        return [ALL, *(name for name in benchmarks if name not in others), *others]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command below; that of a benchmark is the one of all of them, under its name."""
        if cmd_name in self.commands:
            return super().get_command(ctx, cmd_name)
        from cmg.tasks.benchmark import benchmarks

        if cmd_name not in list(benchmarks):
            return super().get_command(ctx, cmd_name)
        command = copy(super().get_command(ctx, ALL))
        command.name = cmd_name
        command.help = f"{benchmarks[cmd_name].part.about} {benchmark.__doc__}"
        return command


def benchmark(
    context: typer.Context,
    data: DataOption,
    model: RunOption,
    out: Annotated[Path, typer.Option(help="Folder for results, predictions and report.")],
    protocol: Annotated[
        Literal["published", "clean", "both"],
        typer.Option(help="As published, quirks and all, or clean."),
    ] = "both",
    seeds: Annotated[int, typer.Option(help="Heads per direction.")] = 3,
    lists: ListsOption = None,
    device: DeviceOption = "auto",
    modalities: Annotated[
        str | None,
        typer.Option(help="To go between, e.g. audio,text; default: the benchmark's own."),
    ] = None,
    features: FeaturesOption = "codes",
    baselines: BaselinesOption = False,
    dimensions: DimensionsOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier evaluation in OUT.")
    ] = False,
) -> None:
    """Both directions, beside the paper's figures.

    Takes the checkpoint that `cmg select` has marked, else the newest. Writes results.json,
    evaluation.json (controls, leaks, notes), predictions/*.csv, report.html and report.md.
    """
    from cmg.baselines.benchmarks import COMPUTED
    from cmg.evaluation.scores import plain
    from cmg.official.collection import open_collection
    from cmg.recipes.evaluate_tasks import benchmark_names, evaluate_tasks
    from cmg.report.baselines import evaluation_note
    from cmg.report.evaluation import EVALUATION, benchmark_document, evaluation_files
    from cmg.report.write import HTML, write_folder
    from cmg.training.ranks import choose_device

    kept = dimensions_of(dimensions)
    names = benchmark_names([str(context.info_name)])
    protocols: list[Protocol] = ["published", "clean"] if protocol == "both" else [protocol]
    text = "auto" if modalities and "text" in modalities.split(",") else "none"
    collection = open_collection(data, lists, text=text)
    with progress_bar() as progress:
        results = write_folder(
            out,
            EVALUATION,
            lambda: evaluate_tasks(
                collection,
                model,
                names,
                protocols,
                seeds,
                choose_device(device),
                progress,
                modalities.split(",") if modalities else None,
                features,
                baselines,
                kept,
            ),
            evaluation_files,
            overwrite,
        )
    chosen = " (selected by `cmg select`)" if results.about["selected"] else ""
    say_remarks(evaluation_note(model, COMPUTED, baselines))
    show_report(
        benchmark_document(results),
        plain(results.figures, "paper"),
        f"Checkpoint: {results.about['checkpoint']}{chosen}",
        f"Report: {out / HTML}",
    )


def dimensions_of(given: str | None) -> DimensionOptions | None:
    """What ``--dimensions`` says, e.g. ``keep=224,largest=3,smallest=1,as_coded=true``.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    from cmg.codebook.dimensions import DimensionOptions
    from cmg.options import checked_options

    if given is None:
        return None
    parts = (part.partition("=") for part in given.split(","))
    return checked_options(DimensionOptions, **{key: value for key, _, value in parts})


ABOUT_ALL = f"All of the following benchmarks. {benchmark.__doc__}"


def select(
    run: Annotated[Path, typer.Argument(help="Run folder of `cmg pretrain`.")],
    data: DataOption,
    protocol: Annotated[Literal["published", "clean"], typer.Option(help="Its rules.")] = "clean",
    seeds: Annotated[int, typer.Option(help="Heads per direction and checkpoint.")] = 3,
    lists: ListsOption = None,
    device: DeviceOption = "auto",
    on: Annotated[str, typer.Option("--benchmark", help="To compare checkpoints on.")] = "ave",
) -> None:
    """Evaluate every checkpoint of a run on a benchmark and mark the best for `cmg evaluate`.

    Published: accuracy on AVE's training split, as the release chooses. Clean: accuracy on val.
    """
    from dataclasses import asdict

    from cmg.official.collection import open_collection
    from cmg.recipes.evaluate_tasks import select as run_select
    from cmg.report.evaluation import selection_table
    from cmg.runs.selection import SELECTED
    from cmg.training.ranks import choose_device

    collection = open_collection(data, lists, text="none")
    with progress_bar() as progress:
        found = run_select(run, collection, protocol, seeds, choose_device(device), progress, on)
    if found.missing:
        typer.echo(
            f"warning: {found.missing} of {found.epochs} epochs have no checkpoint in {run} and "
            "were not compared; training.keep_checkpoints=epochs keeps one of each in a new run",
            err=True,
        )
    show(
        asdict(found) | {"missing": found.missing, "marked": str(run / SELECTED)},
        selection_table(found),
        f"Selected: {found.best.checkpoint}, marked in {run / SELECTED}; `cmg evaluate` takes it",
    )
