"""``python -m projects.voices``: recorded voices, and what heads that never heard one read."""

from __future__ import annotations

import tempfile
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

import cmg
from cmg.cli.main import main
from cmg.data.digits import build_digits
from cmg.errors import ConfigError
from cmg.report.document import Document, Text, of_tables
from cmg.report.markdown import markdown
from cmg.report.tables import Table, plain
from cmg.studies.tables import study_tables
from projects.voices.compare import (
    ALL_RECORDED,
    READ,
    TOGETHER,
    WordScorer,
    features_for,
    intervals_table,
    run_comparison,
    write_words,
)
from projects.voices.embedded import AUDIO, speech_embedding, word_features
from projects.voices.pooling import judge_poolings, poolings_table
from projects.voices.sources import SOURCES, chosen_words, find

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, rich_markup_mode=None)
Recordings = Annotated[
    list[Path] | None,
    typer.Option(
        "--recordings",
        metavar="FOLDER",
        help="Where packages of recordings are unpacked, if they are not installed; repeatable.",
    ),
]
Own = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Your recordings, one word each, named by their digit: 7_anna.wav. Read instead of "
        "the packages, unless --sources names those too.",
    ),
]
Sources = Annotated[
    str | None,
    typer.Option(help="Packages to read, separated by commas; `sources` lists them."),
]


@app.command("sources")
def list_sources(recordings: Recordings = None) -> None:
    """List where recordings come from, and which are found here."""
    for source in SOURCES:
        files = find(source, recordings or [])
        typer.echo(f"{source.name}: {source.voice}; origin {source.origin}; {source.license}")
        typer.echo(f"  {files[0].parent}" if files else f"  not found; {source.get}")


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Store folder.")],
    audio: Annotated[str, typer.Option(help=f"Features of the words: {' or '.join(AUDIO)}.")] = (
        AUDIO[0]
    ),
    train_clips: Annotated[int, typer.Option(help="Clips of split train.")] = 1500,
    test_clips: Annotated[int, typer.Option(help="Clips of each test split.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a store at OUT.")] = False,
) -> None:
    """Build the embedded set `digits` with other audio features; all else stays as it is."""
    words = word_features(audio)
    store = build_digits(out, train_clips, test_clips, seed, overwrite, words)
    typer.echo(f"{out}  clips {store.splits}, {store.content_hash}")


@app.command()
def read(
    model: Annotated[Path, typer.Option(help="Run folder of a model of digits.")],
    recordings: Recordings = None,
    own: Own = None,
    sources: Sources = None,
) -> None:
    """Read recorded words with a run on digits; heads are trained on its store's labels."""
    words, trained = chosen_words(sources, recordings or [], own), cmg.load(model)
    config = cmg.load_config(str(model / "config.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        write_words(Path(folder) / "words", features_for(trained), words)
        scorer = WordScorer(words=(f"{folder}/words",))
        (found,) = scorer.score(trained, config, [config.probe], config.training.seed)
    rows = [(*key.split("/"), f"{value:.1f}") for key, value in found.items()]
    tell("Words read rightly", str(model), [plain("", ("", "source", "percent"), rows)])


@app.command()
def compare(
    out: Annotated[Path, typer.Option(help="Folder of stores and study; the same to go on.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Of the preset digits with method=light."),
    ] = None,
    recordings: Recordings = None,
    own: Own = None,
    sources: Sources = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pre-trainings per variant.")] = 3,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    least: Annotated[
        float | None,
        typer.Option(help="Exit with 1 if fewer percent of `all recorded` words are read."),
    ] = None,
) -> None:
    """Train on synthetic voices, with speech embedding and log-mel, and read recorded ones.

    Beside them the controls: shuffled pairs, untrained encoders, and heads without a codebook.
    Fails where recordings are missing.
    """
    words = chosen_words(sources, recordings or [], own)
    missing = set(TOGETHER[ALL_RECORDED]) - {one.source for one in words}
    if least is not None and not isfinite(least):  # no figure is less than NaN
        raise ConfigError(f"--least {least:g} must be a number of percent")
    if least is not None and missing:
        raise ConfigError(f"--least needs all recorded sources; {sorted(missing)} are left out")
    summary, counts = run_comparison(out, words, overrides or [], seeds, workers)
    tables = [*study_tables(summary, short=True), intervals_table(summary, counts)]
    tell(summary.study.title, summary.study.about, tables)
    if least is not None:
        reached = summary.rows[0].scores[f"{READ}/{ALL_RECORDED}"].mean
        if reached < least:
            typer.echo(f"read {reached:.1f} % of the recordings, less than {least:g} %", err=True)
            raise typer.Exit(1)


@app.command()
def pooling(
    takes: Annotated[int, typer.Option(min=1, help="Recordings simulated of each word.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Of simulated recordings and heads.")] = 0,
) -> None:
    """Show how the pooling of the speech embedding was chosen: on synthetic voices alone."""
    judged = judge_poolings(speech_embedding(), takes, seed)
    tell("The choice of a pooling", "", [poolings_table(judged)])


def tell(title: str, about: str, tables: list[Table]) -> None:
    """Print tables as Markdown."""
    typer.echo(markdown(Document(title, "", [Text(about)], of_tables(tables))))


if __name__ == "__main__":
    main(app)
