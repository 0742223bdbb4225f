"""``cmg demo`` and ``cmg pretrain``."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmg.cli.output import STATE, WorkersOption, say_remarks, show, show_report, typed_again
from cmg.errors import CmgError, ConfigError

if TYPE_CHECKING:
    from cmg.config.schema import RunConfig
    from cmg.runs.loop import Pretraining
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
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in OUT from its last checkpoint; training.epochs=N trains on.",
        ),
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

    With --devices N, or started by torchrun or srun, N processes train as one with the same
    batch would.
    """
    from cmg.training.ranks import Ranks

    STATE.go_on = partial(going_on, out)
    ranks = Ranks.of_environment()
    if devices is not None:
        if ranks is not None:
            raise ConfigError(
                "--devices starts processes, and so does torchrun or srun; use one of them"
            )
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


def going_on(out: Path) -> str:
    """The command that goes on with a run which is stopped now."""
    from cmg.runs.folder import CONFIG

    return typed_again("--resume") if (out / CONFIG).is_file() else typed_again()


def train_and_show(
    assignments: list[str],
    out: Path,
    resume: bool,
    official_checkpoints: bool,
    ranks: Ranks | None,
) -> None:
    """Train; only rank 0 shows anything."""
    from cmg.cli.boards import boards, show_codebook, wandb_package
    from cmg.cli.progress import ProgressBar
    from cmg.codebook.measures import collapse
    from cmg.config.load import collapse_remedies
    from cmg.files import bytes_below
    from cmg.recipes.pretrain import first_usage, prepare
    from cmg.runs.checkpoint import list_checkpoints

    asked = configuration(assignments, out, resume)
    config = asked.config
    if config.training.wandb is not None:
        wandb_package()  # its absence is said before anything is written
    training = prepare(config, out, resume, official_checkpoints, ranks)
    if ranks is not None and not ranks.first:
        training.train()
        ranks.barrier()
        return
    kept = training.config.training.keep_checkpoints
    rule = f"training.keep_checkpoints={'null' if kept is None else kept}"
    first_lines = [
        first_line(training, config.data.store, asked.method),
        *asked.remarks,
        f"checkpoints will take about {training.expected_bytes / 1e6:,.0f} MB ({rule})",
    ]
    if config.training.tensorboard:
        first_lines.append(f"curves: {shlex.join(['tensorboard', '--logdir', str(out)])}")
    say_remarks(first_lines)
    per_epoch = training.batches.count
    done = training.position.step * per_epoch // len(training.batches)
    begun = training.position.step
    epochs = config.training.epochs
    with boards(out, training.config, begun) as followed:
        with ProgressBar(per_epoch * epochs, done, epochs) as bar:
            training.observers += [bar, *followed]
            training.train()
        model, last = training.state.model, training.position.step
        usage = first_usage(model, training.batches)
        if last > begun:
            show_codebook(followed, model, usage, training.batches.split, last)
    if ranks is not None:
        ranks.barrier()
    checkpoints = list_checkpoints(out)
    remarks = collapse(usage, collapse_remedies(training.config))
    follow = next_commands(training, out)
    told = {
        "run": str(out),
        "checkpoint": str(checkpoints[-1]),
        "steps": training.position.step,
        "epochs": training.position.epoch,
        "checkpoints": len(checkpoints),
        "bytes": bytes_below(out),
        "remarks": remarks,
        "next": follow,
    }
    say_remarks(remarks)
    show(
        told,
        f"{training.position.step} steps; checkpoint: {told['checkpoint']}",
        f"{out}: {len(checkpoints)} checkpoints ({rule}), {bytes_below(out) / 1e6:,.0f} MB in all"
        + ("; older step-... folders may be deleted" * (len(checkpoints) > 2)),
        f"Next: {'  or  '.join(follow)}",
    )


def first_line(training: Pretraining, store: str, method: str) -> str:
    """What is trained on what, for how long, and where."""
    config, batches, position = training.config, training.batches, training.position
    shapes = [
        f"{m.name} ({m.kind.value} {'x'.join(map(str, m.shape))})"
        for m in training.state.model.modalities.values()
    ]
    codes = f"{training.state.model.size} codes ({config.model.codebook.kind})"
    where = str(training.state.device)
    if training.ranks is not None:
        where = f"{training.ranks.size} processes, the first on {where}"
    begun = f", of which {position.step} steps are done" if position.step else ""
    if position.step >= training.steps_in_all:
        begun = ", all of which are done: more of them, by training.epochs=N, train on"
    terms = " + ".join(config.objectives.terms)
    return (
        f"training {f'{method} ({terms})' if method else terms} on {store}: {batches.count} "
        f"clips ({config.data.train_split}) of {', '.join(shapes)}; "
        f"{codes if training.state.model.size else 'no codes'}; {config.training.epochs} "
        f"epoch{'s' * (config.training.epochs > 1)} of {len(batches)} steps{begun}; {where}"
    )


def next_commands(training: Pretraining, out: Path) -> list[str]:
    """What to type after a run: a head from one modality to another, and the whole table."""
    labels = training.batches.split.labels
    names = list(training.state.model.modalities)
    pair = ["--train-on", names[0], "--test-on", names[-1]]
    own = [] if labels else ["--labels", "LABELS.csv"]
    commands = [["cmg", "probe", "--model", str(out), *pair, *own]]
    return [
        shlex.join(words)
        for words in [*([["cmg", "report", str(out)]] if labels else []), *commands]
    ]


@dataclass(frozen=True)
class AskedRun:
    """What the arguments ask for.

    Attributes:
        config: The whole configuration.
        method: By name; empty where the run says by itself what it trains by.
        remarks: On what was chosen for the data.
    """

    config: RunConfig
    method: str = ""
    remarks: tuple[str, ...] = ()


def configuration(assignments: list[str], out: Path, resume: bool) -> AskedRun:
    """The configuration that the arguments name.

    A run that is resumed has its own: arguments are set in it, or, where they name a preset or
    method, are read as when it was begun, so that the line it was begun with can be typed again.
    What then differs is for whoever resumes to say; where the data are and how many epochs there
    are is the run's to say unless the arguments do.
    """
    from cmg.config.load import chosen_method, load_config, override_config
    from cmg.config.shorthands import OWN_DATA, written_out

    name, overrides = written_out(assignments)
    keys = {override.partition("=")[0] for override in overrides}
    named = name in assignments or "method" in keys or "recipe=published" in assignments
    if resume:
        from cmg.runs.folder import places_of, read_config, with_places

        own = read_config(out)
        if not named:
            return AskedRun(override_config(own, overrides))
        config = load_config(name, overrides)
        if keys.isdisjoint({"data", "data.store", "data.lists"}):
            config = with_places(config, places_of(own))
        if "training.epochs" not in keys:
            config = override_config(config, changes={"training.epochs": own.training.epochs})
        return AskedRun(config, chosen_method(name, overrides))
    config, method = load_config(name, overrides), chosen_method(name, overrides)
    if named or name != OWN_DATA:
        return AskedRun(config, method)
    from cmg.clips import configured_clips
    from cmg.recipes.own_data import sizes

    found = sizes(configured_clips(config.data), config)
    chosen = [f"{key}={value}" for key, value in found.items() if key not in keys]
    remarks = [f"chosen by the number of clips: {' '.join(chosen)}"] if chosen else []
    return AskedRun(override_config(config, chosen), method, tuple(remarks))
