"""``cmg voices`` and ``cmg data digits``: recorded voices and the features that read them."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmg.cli.groups import group
from cmg.cli.output import (
    OverridesArgument,
    RunOption,
    WorkersOption,
    in_terminal,
    show,
    show_store,
)
from cmg.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from cmg.voices.sources import Words

app = group("Recorded voices: what heads that never heard one read in them.")
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
    typer.Option(help="Packages to read, separated by commas, see `cmg voices sources`."),
]


def digits(
    out: Annotated[Path, typer.Option(help="Store folder.")],
    audio: Annotated[
        str, typer.Option(help="Features of the words: `log-mel` or `speech-embedding`.")
    ] = "speech-embedding",
    train_clips: Annotated[int, typer.Option(help="Clips of split train.")] = 1500,
    test_clips: Annotated[int, typer.Option(help="Clips of each test split.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a store at OUT.")] = False,
) -> None:
    """Build the embedded set with other audio features; all else stays as it is."""
    from cmg.data.digits import build_digits
    from cmg.voices.embedded import word_features

    words = word_features(audio)
    show_store(build_digits(out, train_clips, test_clips, seed, overwrite, words))


@app.command("sources")
def list_sources(recordings: Recordings = None) -> None:
    """List where recordings come from, and which are found here."""
    from cmg.voices.sources import SOURCES, find

    told: list[dict[str, Any]] = []
    lines = []
    for source in SOURCES:
        files = find(source, recordings or [])
        place = None if files is None else str(files[0].parent)
        known = {
            name: getattr(source, name) for name in ("name", "voice", "origin", "license", "get")
        }
        told.append(known | {"found": place})
        lines += [
            f"{source.name}: {source.voice}; origin {source.origin}; {source.license}",
            f"  {place}" if place else f"  not found; {source.get}",
        ]
    show({"sources": told}, *lines)


@app.command("read")
def read(
    model: RunOption,
    recordings: Recordings = None,
    own: Own = None,
    sources: Sources = None,
) -> None:
    """Read recorded words with a run on digits; heads are trained on its store's labels."""
    from cmg.recipes.voices import read_run
    from cmg.report.voices import voices_tables
    from cmg.runs.checkpoint import load_model, read_checkpoint

    words = chosen_words(recordings, own, sources)
    results = read_run(load_model(model), read_checkpoint(model).config, words)
    show(results.as_dict(), *(in_terminal(one) for one in voices_tables(results, short=True)))


@app.command("compare")
def compare(
    out: Annotated[Path, typer.Option(help="Folder for store, runs and results.")],
    overrides: OverridesArgument = None,
    recordings: Recordings = None,
    own: Own = None,
    sources: Sources = None,
    seeds: Annotated[int, typer.Option(help="Pre-trainings per variant.")] = 3,
    workers: WorkersOption = None,
    least: Annotated[
        float | None,
        typer.Option(help="Exit with 1 if fewer percent of `all recorded` words are read."),
    ] = None,
) -> None:
    """Train on synthetic voices, with speech embedding and log-mel, and read recorded ones.

    Beside them the controls: shuffled pairs, untrained encoders, and heads without a codebook.
    Fails where recordings are missing. Writes voices.json and voices.md to OUT.
    """
    from cmg.cli.progress import ProgressBar
    from cmg.files import replace_file
    from cmg.recipes.voices import plan_voices, run_voices
    from cmg.report.voices import voices_markdown, voices_tables

    words = chosen_words(recordings, own, sources)
    refuse_unknown_goal(least, words)
    plan = plan_voices(out, words, overrides or [], seeds)
    with ProgressBar(plan.clips) as bar:
        results = run_voices(plan, lambda name, n, log: bar.add(n, log, name), workers)
    results.save(out)
    replace_file(out / "voices.md", voices_markdown(results).encode())
    tables = [in_terminal(one) for one in voices_tables(results, short=True)]
    show(results.as_dict() | {"files": [str(out / "voices.md")]}, *tables, str(out / "voices.md"))
    if least is not None:
        reached = results.accuracy(results.row("speech-embedding"), "all recorded").mean
        if reached < least:
            typer.echo(f"read {reached:.1f} % of the recordings, less than {least:g} %", err=True)
            raise typer.Exit(1)


@app.command("pooling")
def pooling(
    takes: Annotated[int, typer.Option(help="Recordings simulated of each word.")] = 6,
    seed: Annotated[int, typer.Option(help="Of simulated recordings and heads.")] = 0,
) -> None:
    """Show how the pooling of the speech embedding was chosen: on synthetic voices alone."""
    from dataclasses import asdict

    from cmg.report.voices import poolings_table
    from cmg.voices.embedded import speech_embedding
    from cmg.voices.pooling import judge_poolings

    if takes < 1 or seed < 0:
        raise ConfigError(f"--takes {takes} must be at least 1 and --seed {seed} at least 0")
    judged = judge_poolings(speech_embedding(), takes, seed)
    show({"poolings": [asdict(one) for one in judged]}, in_terminal(poolings_table(judged)))


def chosen_words(folders: list[Path] | None, own: Path | None, sources: str | None) -> list[Words]:
    """The words of the sources that the options name."""
    from cmg.voices.sources import SOURCES, own_recordings, recordings

    known = {source.name: source for source in SOURCES}
    names = list(known) if own is None else []
    if sources is not None:
        names = [name.strip() for name in sources.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError(f"--sources: no source {name!r}{did_you_mean(name, known)}")
    found = recordings([known[name] for name in dict.fromkeys(names)], folders or [])
    return found if own is None else [*found, own_recordings(own)]


def refuse_unknown_goal(least: float | None, words: list[Words]) -> None:
    """Refuse ``--least`` that is no number, or where its recordings are not all read.

    Raises:
        ConfigError: it is none, or they are not.
    """
    from cmg.recipes.voices import TOGETHER

    missing = set(TOGETHER["all recorded"]) - {w.source for w in words}
    if least is not None and not isfinite(least):  # no figure is less than NaN
        raise ConfigError(f"--least {least:g} must be a number of percent")
    if least is not None and missing:
        raise ConfigError(f"--least needs all recorded sources; {sorted(missing)} are left out")
