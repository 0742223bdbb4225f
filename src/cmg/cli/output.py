"""What is typed and what is printed: values of options; a table for people, or JSON on stdout."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmg.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from cmg.report.document import Block, Document


def fetched(given: Path) -> Path:
    """The folder that a model was named by, or that its address on a hub was fetched to."""
    from cmg.hub import local

    return local(given)


def in_folder(given: Path) -> Path:
    """The folder of a run that is written to, which a model on a hub has none of.

    Raises:
        ConfigError: an address on a hub.
    """
    from cmg.hub import is_hub

    if is_hub(given):
        raise ConfigError(
            f"{given} is on a hub, and this command writes beside the model; make a folder of it "
            f"with `cmg export {given} DIR` and give that"
        )
    return given


RunOption = Annotated[
    Path,
    typer.Option(
        "--model",
        help="Run folder, one of its checkpoints, folder of `cmg export`, or hub:OWNER/NAME.",
        callback=fetched,
    ),
]
ExtractorOption = Annotated[
    list[str] | None,
    typer.Option(metavar="MODALITY=NAME", help="Extractor of media; default: the run's."),
]
WeightsOption = Annotated[
    list[str] | None, typer.Option(metavar="MODALITY=PATH", help="Weights of an extractor.")
]
WorkersOption = Annotated[int | None, typer.Option(help="Processes; default: CPU cores.")]


@dataclass
class OutputState:
    """What holds for the command that runs.

    Attributes:
        json: Whether it prints JSON.
        go_on: Says the command that goes on with what is stopped now; None where it is the same
            command again, or there is none.
    """

    json: bool = False
    go_on: Callable[[], str] | None = None


STATE = OutputState()


def say_json(wanted: bool) -> bool:
    """Remember ``--json``, so that errors are JSON too."""
    STATE.json = wanted
    return wanted


def typed_again(*more: str) -> str:
    """The command line that was typed, as a shell takes it, and arguments that it lacks."""
    name, given = Path(sys.argv[0]), sys.argv[1:]
    program = ["python", "-m", "cmg"] if name.stem == "__main__" else [name.name]
    return shlex.join([*program, *given, *(word for word in more if word not in given)])


def show(told: Mapping[str, Any], *lines: str | Block) -> None:
    """Print `told` as JSON where ``--json`` was given, else `lines` and parts of documents."""
    if STATE.json:
        say(json.dumps(told))
        return
    from cmg.report.terminal import shown

    terminal = console()
    for line in shown(lines):
        terminal.print(line, soft_wrap=True)


def show_report(document: Document, told: Mapping[str, Any], *lines: str) -> None:
    """Print `told` as JSON where ``--json`` was given, with the report's remarks on stderr.

    Else what a terminal shows of the report, and `lines`.
    """
    if STATE.json:
        say_remarks(document.remarks)
        show(told)
        return
    show(told, *document.at_once, *lines)


def say_remarks(remarks: Iterable[str]) -> None:
    """On stderr, what has to be said beside the output, such as what is not as in training."""
    for remark in remarks:
        typer.echo(remark, err=True)


def console(stderr: bool = False) -> Console:
    """A terminal that shows text as it is: neither ``[text]`` nor ``:bug:`` is markup.

    Files and pipes are wide, so that tables do not wrap there.
    """
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not stderr and not made.is_terminal:
        made.width = 160
    return made


def say(line: str | None = None) -> None:
    """Print a line, and all that was printed before; ends the process where that cannot be.

    Where nobody reads it any more (``| head``), without a word.
    """
    try:
        print(line or "", end="" if line is None else "\n", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        print(f"error: cannot write to standard output: {error.strerror}", file=sys.stderr)
        sys.exit(2)


def facts(store: Any) -> dict[str, Any]:
    """What ``info`` tells of a store."""
    return {
        "store": str(store.path),
        "modalities": {
            m: {
                "kind": spec.kind.value,
                "shape": list(spec.shape),
                "dtype": spec.dtype,
                "encoding": spec.encoding,
                "step_seconds": spec.step_seconds,
            }
            for m, spec in store.manifest.modalities.items()
        },
        "splits": store.splits,
        "labels": {n: {"per": s.per, "classes": list(s.classes)} for n, s in store.labels.items()},
        "bytes": sum(shard.bytes for shard in store.manifest.shards),
        "content_hash": store.content_hash,
        "notes": store.manifest.notes,
    }


def show_store(store: Any) -> None:
    """Print `facts`, as JSON or as lines."""
    told = facts(store)
    show(told, *described(told))


def described(told: dict[str, Any]) -> list[str]:
    """`facts` as lines."""
    lines = [f"{told['store']}  {told['bytes'] / 1e6:.1f} MB  {told['content_hash'][:12]}"]
    for m, spec in told["modalities"].items():
        lines.append(f"  {m}: {spec['kind']} {spec['shape']} {spec['dtype']} {spec['encoding']}")
    splits = ", ".join(f"{name} {count}" for name, count in told["splits"].items())
    lines.append(f"  splits: {splits}")
    for name, label in told["labels"].items():
        lines.append(f"  label {name}: {len(label['classes'])} classes per {label['per']}")
    return lines if not told["notes"] else [*lines, f"  {told['notes']}"]


def named(group: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of all that a command was given, by its flags' names, what a group of options takes."""
    return {name: given[name] for name in signature(group).parameters if name in given}


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """``["text=tokens"]`` as a mapping; a value is the text itself, spaces and all.

    Raises:
        ConfigError: one is of another form, or a name is there twice.
    """
    found: dict[str, str] = {}
    for item in given or []:
        before, _, value = item.partition("=")
        name = before.strip()
        if not (name and value.strip()):
            raise ConfigError(f"{option} {item!r} must read NAME=VALUE")
        if name in found:
            raise ConfigError(f"{option} {item!r}: {name} is already {found[name]!r}; give it once")
        found[name] = value
    return found


def numbers(given: Iterable[str] | None, option: str) -> dict[str, float]:
    """``["video=0.5"]`` as a mapping; see :func:`number`.

    Raises:
        ConfigError: one is of another form, or its value is no finite number.
    """
    found = {}
    for name, text in pairs(given, option).items():
        value = number(text)
        if value is None:
            raise ConfigError(f"{option} {name}={text}: not a number")
        found[name] = float(value)
    return found


def commas(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole_numbers(given: str, option: str) -> tuple[int, ...]:
    """``"0,1"`` as numbers.

    Raises:
        ConfigError: one is none.
    """
    found = []
    for part in commas(given):
        value = number(part)
        if not isinstance(value, int):
            raise ConfigError(f"{option} takes whole numbers, e.g. 0,1,2, and {part!r} is none")
        found.append(value)
    return tuple(found)


def number(text: str) -> int | float | None:
    """A finite number, written as in a configuration; None for anything else."""
    from cmg.config.values import Plain

    value = Plain(text.strip()).core
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**63 else None


def typed_name(given: str) -> str:
    """A clip's id as it was typed, also where the locale says that UTF-8 is ASCII."""
    try:
        return os.fsencode(given).decode()
    except UnicodeError:
        return given
