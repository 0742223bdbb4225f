"""``cmg demo`` and ``cmg pretrain``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmg.cli.output import WorkersOption, say_remarks, show, show_report
from cmg.errors import CmgError, ConfigError

if TYPE_CHECKING:
    from cmg.config.schema import RunConfig
    from cmg.training.ranks import Ranks

Assignments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME] [KEY=VALUE]...",
        help="A preset or YAML file (see `cmg presets list`), method=NAME|FILE.yaml, then "
        "overrides, e.g. training.seed=1. Short forms: data=STORE|ROOT, list=24k|40k|81k, "
        "modalities=avt|av|at|vt, recipe=published|default.",
    ),
]


def demo(
    out: Annotated[Path, typer.Option(help="Folder for runs, results and report.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write results as JSON.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="`default`, or `published`: as coded.")] = "default",
    seeds: Annotated[
        int | None,
        typer.Option(help="Pre-trainings per variant but controls; default: 3, and 2 on watch."),
    ] = None,
    workers: WorkersOption = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier demo in OUT.")] = False,
) -> None:
    """Learn a codebook from unlabeled pairs and show where it transfers, with controls.

    Trains on two embedded sets: handwriting, voices and sentences (three seeds), where codes do
    well, and two sensors of a watch (two seeds), tested on a person unseen in training, where they
    can lose. Beside them stand the controls: shuffled pairs and untrained encoders; and the
    baselines: InfoNCE at equal budget, ridge, CCA and linear heads on raw features. Prints the
    transfer tables and, at the end, the mean of every row on both sets; writes a report with sounds
    and pictures.
    """
    from cmg.cli.progress import ProgressBar
    from cmg.files import replace_file
    from cmg.recipes.demo import plan_demo, prepare_out, run_demo
    from cmg.report.results import demo_document, demo_record
    from cmg.report.run import write_report

    if json_file is not None and json_file.is_dir():
        raise ConfigError(f"--json {json_file} is a folder; give a file")
    plan = plan_demo(out, recipe, seeds)
    if json_file is not None:
        replace_file(json_file, b"{}\n")  # a path that cannot be written fails now, not at the end
    prepare_out(out, overwrite)
    with ProgressBar(plan.clips) as bar:
        found = run_demo(plan, lambda name, n, log: bar.add(n, log, name), workers)
    written = write_report(out)
    told = demo_record(found)
    if json_file is not None:
        replace_file(json_file, (json.dumps(told, indent=1) + "\n").encode())
    shown = [f"Report: {path}" for path in written]
    show_report(demo_document(found), told, *shown, f"{told['seconds']:.0f} s")


def pretrain(
    out: Annotated[Path, typer.Option(help="Run folder.")],
    assignments: Assignments = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT from its last checkpoint.")
    ] = False,
    official_checkpoints: Annotated[
        bool,
        typer.Option(
            "--official-checkpoints",
            help="Also write OUT/official/DCID-model-<epoch>.pt, which the authors' scripts load.",
        ),
    ] = False,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Train as this many processes: one per GPU, or on CPU cores."),
    ] = None,
    restarts: Annotated[
        int, typer.Option(min=0, help="How often to start anew when a process of --devices dies.")
    ] = 3,
) -> None:
    """Learn a shared codebook from unlabeled pairs.

    With --devices N, or started by torchrun, N processes train as one with the same batch would.
    """
    from cmg.training.ranks import Ranks

    ranks = Ranks.of_environment()
    if devices is not None:
        if ranks is not None:
            raise ConfigError("--devices starts processes, and so does torchrun; use one of them")
        launch_pretraining(assignments or [], out, resume, devices, restarts)
        return
    if ranks is None:
        train_and_show(assignments or [], out, resume, official_checkpoints, None)
        return
    from cmg.launching import already_failed, leave_error, under_launch
    from cmg.training.ranks import RankError

    if already_failed():
        raise typer.Exit(2)
    try:
        train_and_show(assignments or [], out, resume, official_checkpoints, ranks)
    except RankError as error:
        if not under_launch():
            typer.echo(f"rank {ranks.rank} stops: {error}", err=True)
        raise typer.Exit(3) from error
    except CmgError as error:
        if leave_error(error):
            raise typer.Exit(2) from error
        raise
    finally:
        ranks.leave()


def launch_pretraining(
    assignments: list[str], out: Path, resume: bool, devices: int, restarts: int
) -> None:
    """Start this command again, once per device."""
    from cmg.files import refuse_occupied
    from cmg.launching import launch
    from cmg.runs.folder import RESUME

    configuration(assignments, out, resume)  # what is wrong with it is said before any start
    if not resume:
        refuse_occupied(out, RESUME)
    launch(without_launch_options(sys.argv[1:]), devices, restarts)


def without_launch_options(arguments: list[str]) -> list[str]:
    """The command line without ``--devices`` and ``--restarts``."""
    kept, skip = [], False
    for argument in arguments:
        name = argument.partition("=")[0]
        if skip or name in ("--devices", "--restarts"):
            skip = not skip and "=" not in argument
            continue
        kept.append(argument)
    return kept


def train_and_show(
    assignments: list[str],
    out: Path,
    resume: bool,
    official_checkpoints: bool,
    ranks: Ranks | None,
) -> None:
    """Train; only rank 0 shows anything."""
    from cmg.cli.progress import ProgressBar, tensorboard
    from cmg.files import bytes_below
    from cmg.recipes.pretrain import collapsed, prepare
    from cmg.runs.checkpoint import list_checkpoints

    config = configuration(assignments, out, resume)
    training = prepare(config, out, resume, official_checkpoints, ranks)
    if ranks is not None and not ranks.first:
        training.train()
        ranks.barrier()
        return
    kept = training.config.training.keep_checkpoints
    rule = f"training.keep_checkpoints={'null' if kept is None else kept}"
    typer.echo(
        f"checkpoints will take about {training.expected_bytes / 1e6:,.0f} MB ({rule})", err=True
    )
    per_epoch = training.batches.count
    done = training.position.step * per_epoch // len(training.batches)
    board = tensorboard(out, config.training.tensorboard, training.position.step)
    epochs = config.training.epochs
    with board as boards, ProgressBar(per_epoch * epochs, done, epochs) as bar:
        training.observers += [bar, *boards]
        training.train()
    if ranks is not None:
        ranks.barrier()
    checkpoints = list_checkpoints(out)
    remarks = collapsed(training)
    told = {
        "run": str(out),
        "checkpoint": str(checkpoints[-1]),
        "steps": training.position.step,
        "epochs": training.position.epoch,
        "checkpoints": len(checkpoints),
        "bytes": bytes_below(out),
        "remarks": remarks,
    }
    say_remarks(remarks)
    show(
        told,
        f"{training.position.step} steps; checkpoint: {told['checkpoint']}",
        f"{out}: {len(checkpoints)} checkpoints ({rule}), {bytes_below(out) / 1e6:,.0f} MB in all"
        + ("; older step-... folders may be deleted" * (len(checkpoints) > 2)),
    )


def configuration(assignments: list[str], out: Path, resume: bool) -> RunConfig:
    """The configuration that the arguments name."""
    from cmg.config.load import CHOICE, load_config, override_config

    if resume:
        if not {a.partition("=")[0] for a in assignments} <= {"data", "data.store", "data.lists"}:
            raise ConfigError(
                "--resume takes the run's own configuration; leave out the rest, but data=STORE "
                "where the store was moved"
            )
        from cmg.runs.folder import read_config

        return override_config(read_config(out), assignments)
    from cmg.config.shorthands import OWN_DATA, written_out

    name, overrides = written_out(assignments)
    config = load_config(name, overrides)
    if name != OWN_DATA or name in assignments or any(o.startswith(CHOICE) for o in overrides):
        return config
    from cmg.clips import configured_clips
    from cmg.recipes.own_data import sizes

    asked = {override.partition("=")[0] for override in overrides}
    found = sizes(configured_clips(config.data), config)
    chosen = [f"{key}={value}" for key, value in found.items() if key not in asked]
    if chosen:
        typer.echo(f"chosen by the number of clips: {' '.join(chosen)}", err=True)
    return override_config(config, chosen)
