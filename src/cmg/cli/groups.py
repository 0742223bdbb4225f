"""Commands that have commands below them: help in whole sentences, words that begin with a dash."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cmg.cli.examples import EXAMPLES, PANELS, panel_of
from cmg.cli.output import say_json
from cmg.errors import ConfigError, did_you_mean

WHOLE = 1000
"""Characters of a command's first sentence in a list of commands: all of them."""

PLUGIN = "--plugin"
"""Option of ``cmg`` that every command takes as well."""

MOVED = {
    "tuxpaint": "python -m projects.tuxpaint compare",
    "data tuxpaint": "python -m projects.tuxpaint build",
    "voices": "python -m projects.voices",
    "data digits": "python -m projects.voices build",
}
"""Commands that are experiments, and what stands for them in a checkout; not listed."""

_flags = typer.Typer()


@_flags.command()
def _json(
    json_: Annotated[
        bool,
        typer.Option(
            "--json",
            callback=say_json,
            expose_value=False,
            help="Print JSON on stdout and nothing else.",
        ),
    ] = False,
) -> None:
    """Nothing; its option is what counts."""


JSON: Any = typer.main.get_command(_flags).params[0]
"""Option of every command that has no other of this name; :func:`show` knows what it says."""

CONTEXT: Any = TyperGroup.context_class
"""click's, which typer takes from click or brings along, by its version."""


def group(help_: str, cls: type[Group] | None = None, **more: Any) -> typer.Typer:
    """A group of commands.

    Help and errors are plain text, so that brackets are no markup, paragraphs are wrapped as wholes
    and the terminal needs no letters for frames.
    """
    kind = cls or Group
    return typer.Typer(cls=kind, help=help_, no_args_is_help=True, rich_markup_mode=None, **more)


class Formatter(CONTEXT.formatter_class):  # type: ignore[misc]
    """Help whose second column has room in a narrow terminal as well."""

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write two columns."""
        super().write_dl(rows, min(col_max, self.width // 2), col_spacing)


class Context(CONTEXT):  # type: ignore[misc]
    """Of every command."""

    formatter_class = Formatter


class Group(TyperGroup):
    """A command with commands below it.

    Their names are answered by the nearest known one if unknown, and their words may begin with a
    dash, as 1 of 64 YouTube ids does: only what names an option is one.
    """

    context_class = Context

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command below.

        Raises:
            ConfigError: there is none of that name, or it is a project by now.
        """
        found = super().get_command(ctx, cmd_name)
        path = cmd_name if ctx.parent is None else f"{ctx.info_name} {cmd_name}"
        if path in MOVED:
            raise ConfigError(
                f"`cmg {path}` is no part of the package any more: in a checkout of cmg, type "
                f"`{MOVED[path]}` (projects/README.md)"
            )
        if found is None and not ctx.resilient_parsing:
            hint = did_you_mean(cmd_name, self.list_commands(ctx))
            raise ConfigError(f"{ctx.command_path} has no command {cmd_name!r}{hint}")
        if found is not None:
            found.context_class = Context
            if path in EXAMPLES:
                found.epilog = f"Example: {EXAMPLES[path]}"
            take_common(found, ctx.find_root().command)
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command below, its name and its arguments."""
        asked = "--json" in args  # so that what is wrong with the arguments is JSON as well
        say_json(asked)
        name, command, rest = super().resolve_command(ctx, args)
        own: Any = next((p for p in getattr(command, "params", ()) if "--json" in p.opts), None)
        say_json(asked and (own is None or own.is_flag))  # the demo's takes a file
        if not (ctx.resilient_parsing or isinstance(command, TyperGroup)):
            rest = words_last(command, ctx, rest)
        return name, command, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with their whole first sentences, those of ``cmg`` in groups."""
        sections: dict[str, list[tuple[str, str]]] = {}
        told = [name for names in PANELS.values() for name in names]
        names = self.list_commands(ctx)
        for name in names if ctx.parent else sorted(names, key=[*told, *names].index):
            command = self.get_command(ctx, name)
            section = "Commands" if ctx.parent else panel_of(name)
            row = (name, command.get_short_help_str(WHOLE))
            sections.setdefault(section, []).append(row)
        order = [*PANELS, *(section for section in sections if section not in PANELS)]
        for section in filter(sections.get, order):
            with formatter.section(section):
                formatter.write_dl(sections[section])


def take_common(command: Any, root: Any) -> None:
    """Let a command take ``--json``, and ``--plugin``, which only the help of ``cmg`` tells."""
    plugin = copy(next(p for p in root.params if PLUGIN in p.opts))
    plugin.hidden, plugin.help = True, None
    for option in (plugin,) if isinstance(command, TyperGroup) else (JSON, plugin):
        if not any(set(option.opts) & set(p.opts) for p in command.params):
            command.params.append(option)


def words_last(command: Any, ctx: Any, args: list[str]) -> list[str]:
    """Arguments with the options first, then ``--``, then the words, whatever they begin with.

    Raises:
        ConfigError: two dashes before a name that is no option's.
    """
    options = [p for p in command.params if p.param_type_name == "option"]
    takes_value = {name: not p.is_flag for p in options for name in (*p.opts, *p.secondary_opts)}
    takes_value |= dict.fromkeys(ctx.help_option_names, False)
    first: list[str] = []
    words: list[str] = []
    rest = iter(args)
    for arg in rest:
        name = arg.partition("=")[0]
        if arg == "--":
            words += rest
        elif arg in takes_value:
            first.append(arg)
            if takes_value[arg]:
                value = next(rest, None)
                if value is None:
                    return args  # which says that the value is missing
                first.append(value)
        elif name in takes_value and arg.startswith("--"):
            first.append(arg)
        elif arg.startswith("--") or f"-{name}" in takes_value:
            raise ConfigError(
                f"{ctx.command_path} {command.name} has no option {name}"
                f"{did_you_mean(name, takes_value)}. If it is a word, such as a clip's id, put it "
                f"last, after a -- of its own: -- {arg}"
            )
        else:
            words.append(arg)
    return [*first, "--", *words]
