"""``cmg presets``: the presets and methods that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.groups import group
from cmg.cli.output import STATE, show
from cmg.errors import ConfigError

app = group("Presets (data, with a method) and methods (the rest of a run): list, show, copy.")
Name = Annotated[str, typer.Argument(help="Of a preset or method.")]


@app.command("list")
def list_presets() -> None:
    """List the presets and the methods."""
    from cmg.config.named import FOLDERS, METHOD, PRESET, named

    uses = {PRESET: "`cmg pretrain NAME`", METHOD: "`cmg pretrain method=NAME`"}
    about = {
        kind: {name: text.splitlines()[0].removeprefix("# ") for name, text in named(kind).items()}
        for kind in uses
    }
    lines = [
        line
        for kind, use in uses.items()
        for line in (
            f"{FOLDERS[kind]} ({use}):",
            *(f"  {name:17} {told}" for name, told in about[kind].items()),
        )
    ]
    show({FOLDERS[PRESET]: about[PRESET], FOLDERS[METHOD]: about[METHOD]}, *lines)


@app.command("show")
def show_preset(name: Name) -> None:
    """Print the YAML of a preset or method (with --json: the resolved configuration)."""
    method, text = named_text(name)
    if not STATE.json:
        show({}, text.rstrip())
        return
    from cmg.config.load import load_config

    config = load_config(method=name) if method else load_config(name)
    show(config.model_dump(mode="json"))


@app.command("copy")
def copy_preset(
    name: Name,
    file: Annotated[Path, typer.Argument(help="YAML file to write.")],
) -> None:
    """Copy one to a file of your own, for `cmg pretrain FILE` or `cmg pretrain method=FILE`."""
    method, text = named_text(name)
    if file.exists():
        raise ConfigError(f"{file} exists; choose another name")
    if file.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"{file} must end in .yaml")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error
    use = f"method={file} data=STORE" if method else file
    show({"file": str(file)}, f"{file}: edit it, then `cmg pretrain {use} --out RUN`")


def named_text(name: str) -> tuple[bool, str]:
    """(whether it is a method, YAML text) of a name or file."""
    from cmg.config.named import METHOD, PRESET, named, text_of

    method = name in named(METHOD)
    return method, text_of(METHOD if method else PRESET, name)[1]
