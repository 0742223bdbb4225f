"""``cmg runs``: the named runs that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.groups import group
from cmg.cli.output import JsonFlag, say_json, show
from cmg.errors import ConfigError

app = group("Named runs: list, show, copy.")
Name = Annotated[str, typer.Argument(help="Of a named run.")]


@app.command("list")
def list_runs(json_: JsonFlag = False) -> None:
    """List the named runs."""
    say_json(json_)
    from cmg.config.load import named_runs

    about = {name: text.splitlines()[0].removeprefix("# ") for name, text in named_runs().items()}
    show({"runs": about}, *(f"{name:18} {line}" for name, line in about.items()))


@app.command("show")
def show_run(name: Name, json_: JsonFlag = False) -> None:
    """Print a named run's YAML (with --json: its resolved configuration)."""
    say_json(json_)
    from cmg.config.load import load_config, run_text

    _, text = run_text(name)
    show(load_config(name).model_dump(mode="json"), text.rstrip())


@app.command("copy")
def copy_run(
    name: Name,
    file: Annotated[Path, typer.Argument(help="YAML file to write.")],
    json_: JsonFlag = False,
) -> None:
    """Copy a named run to a file of your own, for `cmg pretrain FILE`."""
    say_json(json_)
    from cmg.config.load import run_text

    _, text = run_text(name)
    if file.exists():
        raise ConfigError(f"{file} exists; choose another name")
    if file.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"{file} must end in .yaml")
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error
    show({"file": str(file)}, f"{file}: edit it, then `cmg pretrain {file} --out RUN`")
