"""Entry point of ``cmg``. Nothing here or above a command's body may import torch."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO, TextIOWrapper
from pathlib import Path
from shutil import get_terminal_size
from types import FrameType
from typing import Annotated, Any

import typer

from cmg import __version__
from cmg.cli import (
    baselines,
    comparing,
    config,
    data,
    exploring,
    extract,
    presets,
    retrieval,
    segmentation,
    sharing,
    study,
    tasks,
    training,
    using,
)
from cmg.cli.faults import unforeseen
from cmg.cli.groups import PLUGIN, group
from cmg.cli.output import STATE, say
from cmg.errors import CmgError
from cmg.launching import under_launch
from cmg.registry import use
from cmg.workers import OWN_PROCESS

FORMAT = warnings.formatwarning
"""How Python shows warnings."""

NO_MEMORY = ("allocate memory", "out of memory", "size calculation overflowed")
"""What torch says, in errors of no class of their own, where memory does not suffice."""

USAGE_ERROR: Any = typer.BadParameter.__base__
"""click's, which typer takes from click or brings along, by its version."""

app = group(
    "Cross Modal Generalization: learn one codebook from unlabeled pairs of any modalities; "
    "a head trained on one modality then works on another.",
    name="cmg",
    epilog="Start with `cmg demo --out runs/demo`.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: tuple[Callable[..., None], ...] = (
    training.demo,
    training.pretrain,
    extract.extract,
    extract.extractors,
    using.probe,
    baselines.baselines,
    using.encode,
    using.report,
    exploring.explore,
    comparing.runs,
    comparing.compare,
    using.verify_golden,
    using.convert,
    config.config,
    sharing.export,
    tasks.select,
    segmentation.segment,
    retrieval.retrieve,
)
for command in COMMANDS:
    app.command()(command)
evaluate = group(
    "Evaluate a model: the paper's benchmarks, segmentation, retrieval.", cls=tasks.Evaluations
)
evaluate.command(tasks.ALL, help=tasks.ABOUT_ALL)(tasks.benchmark)
for command in (segmentation.avs, retrieval.retrieval, retrieval.two_stage, retrieval.open_set):
    evaluate.command()(command)
app.add_typer(evaluate, name="evaluate")
app.add_typer(data.app, name="data")
app.add_typer(presets.app, name="presets")
app.add_typer(study.app, name="study")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cmg {__version__}")
        raise typer.Exit


def _load_plugins(modules: list[str] | None) -> None:
    """Load plugins; they are found in the current folder as well, as by ``python -m``."""
    if modules:
        here = os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)
        use(*modules)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            PLUGIN,
            metavar="MODULE",
            callback=_load_plugins,
            is_eager=True,
            expose_value=False,
            help="Python module with objectives or other parts of your own; also after a command.",
        ),
    ] = None,
) -> None:
    """Read the options before any command."""


def width() -> int:
    """Characters of a line of help; click itself takes no terminal of below 52."""
    return min(get_terminal_size().columns, 120) - 2


class Stopped(BaseException):
    """Ctrl-C and the like. No KeyboardInterrupt, which typer would swallow without a word.

    Attributes:
        signal: Number of what was sent.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signal = signum


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stopped(signum)


@contextmanager
def stopping() -> Iterator[None]:
    """Raise :class:`Stopped` at Ctrl-C, at the end of a job, and where the terminal goes.

    What is ignored stays so (``nohup``). Of several ranks, which wait for each other in code that
    is not Python's, a signal to end ends the process.
    """
    numbers = {signal.SIGINT}
    if "RANK" not in os.environ and "SLURM_STEP_NODELIST" not in os.environ:
        numbers |= {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if number == signal.SIGINT or handler is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def told_of_stop() -> str:
    """What is kept of a command that is stopped, and how it goes on."""
    kept = "stopped; what was finished is kept"
    if STATE.go_on is None:
        return f"{kept} (a study or an import goes on with the same command)"
    return f"{kept}. To go on:\n  {STATE.go_on()}"


def main(commands: typer.Typer = app) -> None:
    """Run the command line; errors a user can cause print one message and exit with 2.

    An error that nobody foresaw exits with 70, see :func:`cmg.cli.faults.unforeseen`.

    Args:
        commands: Those of ``cmg``, or of a program of one's own.
    """
    try:
        run_commands(commands)
    except Exception as error:
        fail(*unforeseen(error))


def run_commands(commands: typer.Typer) -> None:
    """Run commands, and tell errors that a user can cause or mend; others are raised."""
    warnings.formatwarning = shown
    STATE.go_on = None
    own = OWN_PROCESS.set(True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # letters that the terminal lacks are spelled out
            stream.reconfigure(errors="backslashreplace")
    try:
        with stopping():
            sys.exit(commands(standalone_mode=False, terminal_width=width()))
    except USAGE_ERROR as error:
        usage = StringIO()
        error.show(file=usage)
        about = {"error": "UsageError", "message": error.format_message()}
        fail(about, usage.getvalue().rstrip("\n"), error.exit_code)
    except CmgError as error:
        fail({"error": type(error).__name__, "message": str(error)}, f"error: {error}", 2)
    except (MemoryError, RuntimeError) as error:
        told = str(error).partition("\n")[0]
        if not (isinstance(error, MemoryError) or any(sign in told for sign in NO_MEMORY)):
            raise
        text = (
            f"not enough memory: {told}; smaller sizes need less, e.g. model.width, "
            "model.codebook.size, data.batch_size or training.micro_batch"
        )
        fail({"error": "MemoryError", "message": text}, f"error: {text}", 2)
    except Stopped as stopped:
        if under_launch():  # which says it once for all ranks
            sys.exit(128 + stopped.signal)
        text = told_of_stop()
        fail({"error": "Interrupted", "message": text}, text, 128 + stopped.signal)
    except OSError as error:
        say("")  # ends here if it is standard output that cannot be written
        if error.filename is None:
            raise
        text = f"{error.filename}: {error.strerror}; give another file or folder"
        fail({"error": type(error).__name__, "message": text}, f"error: {text}", 2)
    finally:
        OWN_PROCESS.reset(own)
        say()


def shown(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """A warning of ours without its place in the code, which says nothing to a user."""
    if category is UserWarning and Path(filename).is_relative_to(Path(__file__).parents[1]):
        return f"warning: {message}\n"
    return FORMAT(message, category, filename, lineno, line)


def fail(told: dict[str, Any], text: str, code: int) -> None:
    """Say what went wrong, on stderr (and as JSON on stdout where that was asked for)."""
    print(text, file=sys.stderr)
    if STATE.json:
        say(json.dumps(told))
    sys.exit(code)
