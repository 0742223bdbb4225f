"""``cmg evaluate`` and ``cmg select``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmg.cli.output import JsonFlag, RunOption, in_terminal, say_json, show
from cmg.cli.progress import progress_bar

if TYPE_CHECKING:
    from cmg.recipes.select import Selection
    from cmg.report.tables import Table
    from cmg.tasks.plan import Protocol

DataOption = Annotated[
    str, typer.Option(help="Folder in the official layout, or what `cmg data import` made of it.")
]
ListsOption = Annotated[str | None, typer.Option(help="Folder with further annotation files.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU if any.")]


class Protocols(StrEnum):
    """What to evaluate by."""

    PUBLISHED = "published"
    CLEAN = "clean"
    BOTH = "both"


class OneProtocol(StrEnum):
    """What to compare checkpoints by."""

    PUBLISHED = "published"
    CLEAN = "clean"


BENCHMARKS = {
    "all": "All of the following four.",
    "ave": "AVE: classify the event of a clip, by sound or by picture.",
    "avvp": "AVVP: find the events of every second.",
    "ave-avvp": "Train on AVE, find the events of AVVP.",
    "ucf-vgg": "UCF101 by picture, VGGSound by sound.",
}


def register(app: typer.Typer, evaluate: typer.Typer) -> None:
    """Add the commands of this file."""
    for name, what in BENCHMARKS.items():
        evaluate.command(name, help=f"{what} {benchmark.__doc__}")(benchmark)
    app.command()(select)


def benchmark(
    context: typer.Context,
    data: DataOption,
    model: RunOption,
    out: Annotated[Path, typer.Option(help="Folder for results, predictions and report.")],
    protocol: Annotated[
        Protocols, typer.Option(help="As published, quirks and all, or clean.")
    ] = Protocols.BOTH,
    seeds: Annotated[int, typer.Option(help="Heads per direction.")] = 3,
    lists: ListsOption = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier evaluation in OUT.")
    ] = False,
    json_: JsonFlag = False,
) -> None:
    """Both directions, beside the paper's figures.

    Takes the checkpoint that `cmg select` has marked, else the newest. Writes results.json,
    evaluation.json (controls, leaks, notes), predictions/*.csv, report.html and report.md.
    """
    say_json(json_)
    from cmg.evaluation.scores import plain
    from cmg.official.collection import open_collection
    from cmg.recipes.evaluate_tasks import benchmark_names, evaluate_tasks
    from cmg.recipes.pretrain import choose_device
    from cmg.report.benchmark_pages import grouped, remarks
    from cmg.report.benchmarks import benchmark_table
    from cmg.report.evaluation_folder import write_evaluation

    names = benchmark_names([str(context.info_name)])
    protocols: list[Protocol] = ["published", "clean"]
    if protocol is not Protocols.BOTH:
        protocols = ["published" if protocol is Protocols.PUBLISHED else "clean"]
    collection = open_collection(data, lists, text="none")
    with progress_bar() as progress:
        results = write_evaluation(
            out,
            lambda: evaluate_tasks(
                collection, model, names, protocols, seeds, choose_device(device), progress
            ),
            overwrite,
        )
    tables = [in_terminal(benchmark_table(found)) for found in grouped(results).values()]
    chosen = " (selected by `cmg select`)" if results.about["selected"] else ""
    show(
        plain(results.figures),
        *remarks(results),
        *tables,
        f"Checkpoint: {results.about['checkpoint']}{chosen}",
        f"Report: {out / 'report.html'}",
    )


def select(
    run: Annotated[Path, typer.Argument(help="Run folder of `cmg pretrain`.")],
    data: DataOption,
    protocol: Annotated[OneProtocol, typer.Option(help="Of AVE.")] = OneProtocol.CLEAN,
    seeds: Annotated[int, typer.Option(help="Heads per direction and checkpoint.")] = 3,
    lists: ListsOption = None,
    device: DeviceOption = "auto",
    json_: JsonFlag = False,
) -> None:
    """Evaluate every checkpoint of a run on AVE and mark the best for `cmg evaluate`.

    Published: accuracy on AVE's training split, as the release chooses. Clean: accuracy on val.
    """
    say_json(json_)
    from dataclasses import asdict

    from cmg.official.collection import open_collection
    from cmg.recipes.pretrain import choose_device
    from cmg.recipes.select import select as run_select
    from cmg.training.selection import SELECTED

    collection = open_collection(data, lists, text="none")
    by: Protocol = "published" if protocol is OneProtocol.PUBLISHED else "clean"
    with progress_bar() as progress:
        found = run_select(run, collection, by, seeds, choose_device(device), progress)
    if found.missing:
        typer.echo(
            f"warning: {found.missing} of {found.epochs} epochs have no checkpoint in {run} and "
            "were not compared; training.keep_checkpoints=epochs keeps one of each in a new run",
            err=True,
        )
    show(
        asdict(found) | {"missing": found.missing, "marked": str(run / SELECTED)},
        in_terminal(selection_table(found)),
        f"Selected: {found.best.checkpoint}, marked in {run / SELECTED}; `cmg evaluate` takes it",
    )


def selection_table(found: Selection) -> Table:
    """A row per checkpoint."""
    from cmg.report.tables import plain, score_text

    rows = []
    for score in found.scores:
        accuracy = "too late" if score.accuracy is None else score_text(score.accuracy)
        mark = "selected" if score is found.best else ""
        rows.append((score.checkpoint, str(score.epoch), accuracy, mark))
    title = f"AVE accuracy across modalities, {found.protocol} protocol"
    return plain(title, ("checkpoint", "epochs", "mean of both directions, %", ""), rows)
