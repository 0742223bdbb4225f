"""``python -m projects.tuxpaint``: stores of the Tux Paint stamps, and what transfers on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import cmg
from cmg.cli.main import main
from cmg.errors import ConfigError, DataError
from cmg.report.document import Document, Text, of_tables
from cmg.report.markdown import markdown
from cmg.studies.tables import study_tables
from projects.tuxpaint.compare import failing, majority, run_comparison
from projects.tuxpaint.stamps import LANGUAGES
from projects.tuxpaint.store import ReadStamps, Written, chosen_stamps, read_stamps, write_stamps

STUDY = "study"
"""Folder of the comparison, beside its two stores."""
app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, rich_markup_mode=None)
Out = Annotated[Path, typer.Option(help="Folder to be.")]
Source = Annotated[
    Path | None,
    typer.Option(help="Unpacked package tuxpaint-stamps-default; default: the installed one."),
]
Part = Annotated[int | None, typer.Option(help="Read only so many stamps, for a quick look.")]


@app.command()
def build(
    out: Out,
    source: Source = None,
    text: Annotated[
        Written, typer.Option(help="Written captions, or prompts of the nouns (they leak it).")
    ] = Written.CAPTIONS,
    languages: Annotated[
        str, typer.Option(help="Of the recordings, separated by commas.")
    ] = ",".join(LANGUAGES),
    stamps: Part = None,
    seed: Annotated[int, typer.Option(min=0, help="Of splits and views.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store at OUT.")] = False,
) -> None:
    """Build a store of the stamps: a clip per stamp and language."""
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists; name another --out, or say --overwrite")
    spoken = [name.strip() for name in languages.split(",") if name.strip()]
    found = read(source, spoken, stamps)
    store = write_stamps(found, out, text, seed, overwrite)
    typer.echo(f"{out}  {len(found.stamps)} stamps, clips {store.splits}, {store.content_hash}")


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="Folder of stores and study; the same to go on.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Of the preset tuxpaint."),
    ] = None,
    source: Source = None,
    stamps: Part = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pre-trainings per variant.")] = 3,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 unless all beat majority and controls.")
    ] = False,
) -> None:
    """Train on stamps and read unseen ones, with captions and prompts, and all controls."""
    study = out / STUDY
    if out.exists() and not (out / Written.CAPTIONS).exists():
        raise DataError(f"{out} exists and is no comparison; name another --out")
    cmg.load_config("tuxpaint", overrides or [])  # refuses a wrong one before anything is read
    found = read(source, LANGUAGES, stamps)
    captions, prompts = (kept(found, out / text, text) for text in Written)
    summary = run_comparison(captions, prompts, study, overrides or [], seeds, workers)
    tables = of_tables(study_tables(summary, short=True))
    typer.echo(markdown(Document(summary.study.title, "", [Text(summary.study.about)], tables)))
    typer.echo(f"More in {study / 'report.html'}")
    bad = failing(summary, majority(captions))
    if bad:
        typer.echo(f"not above majority and shuffled pairs: {', '.join(bad)}", err=True)
        raise typer.Exit(1 if strict else 0)


def kept(found: ReadStamps, path: Path, text: Written) -> cmg.Clips:
    """The store of a comparison: written, or that of the same stamps that is there already."""
    if not path.exists():
        return write_stamps(found, path, text)
    store = cmg.open_clips(path)
    wanted = {f"{one.stamp.id}.{name}" for one in found.stamps for name in one.spoken}
    if {row.id for row in store.rows} != wanted:
        raise ConfigError(
            f"{path} holds other stamps than were asked for; name another --out, or give --source "
            "and --stamps as before"
        )
    return store


def read(
    source: Path | None, languages: tuple[str, ...] | list[str], stamps: int | None
) -> ReadStamps:
    """The stamps that were asked for; progress and what was skipped go to stderr."""
    chosen = chosen_stamps(source, languages, stamps)

    def tell(count: int) -> None:
        if count % 50 == 0 or count == len(chosen):
            typer.echo(f"{count} of {len(chosen)} stamps read", err=True)

    found = read_stamps(chosen, told=tell)
    for why in found.skipped:
        typer.echo(f"skipped: {why}", err=True)
    return found


if __name__ == "__main__":
    main(app)
