"""``python -m projects.letters``: stores of recorded letters and of letters in fonts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.main import main
from cmg.errors import ConfigError
from projects.letters.recordings import FOLDS
from projects.letters.store import Letters, chosen_folds, read_letters, write_letters

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def commands() -> None:
    """Stores of recorded letters and of letters in fonts."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Store to be; a folder of stores with --fold all.")],
    source: Annotated[
        Path | None, typer.Option(help="Root of unpacked packages; default: this system.")
    ] = None,
    fold: Annotated[str, typer.Option(help=f"0 to {FOLDS - 1}, or all.")] = "all",
    audio: Annotated[str, typer.Option(help="An extractor of sound.")] = "speech-embedding",
    components: Annotated[
        int | None, typer.Option(min=0, help="Principal components of the sound; 0 is all numbers.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the fonts drawn for a recording.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace stores at OUT.")] = False,
) -> None:
    """Build the stores of one fold or of all: a clip per recording and font."""
    folds = chosen_folds(fold)
    places = {k: out if fold != "all" else out / f"fold-{k}" for k in folds}
    taken = [path for path in places.values() if path.exists()]
    if taken and not overwrite:
        raise ConfigError(f"{taken[0]} exists; name another --out, or say --overwrite")
    letters = read(source, audio, components)
    for k, path in places.items():
        store = write_letters(letters, path, k, seed, overwrite)
        typer.echo(f"{path}  clips {store.splits}, {store.content_hash}")


def read(source: Path | None, audio: str, components: int | None) -> Letters:
    """The letters that were asked for; progress and what was left out go to stderr."""
    letters = read_letters(source, audio, components, lambda what: typer.echo(what, err=True))
    for why in letters.skipped:
        typer.echo(f"left out: {why}", err=True)
    designs = len({font.design for font in letters.fonts})
    typer.echo(
        f"{len(letters.recordings)} recordings, {len(letters.fonts)} fonts of {designs} designs"
    )
    return letters


if __name__ == "__main__":
    main(app)
