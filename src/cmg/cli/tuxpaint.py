"""``cmg data tuxpaint`` and ``cmg tuxpaint``: real pictures, voices and captions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmg.cli.groups import group
from cmg.cli.output import (
    OverridesArgument,
    WorkersOption,
    described,
    facts,
    in_terminal,
    say_remarks,
    show,
)
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from cmg.tuxpaint.store import ReadStamps

app = group("The Tux Paint stamps: transfer between pictures, voices and captions.")
Part = Annotated[int | None, typer.Option(help="Read only so many stamps, for a quick look.")]


class Written(StrEnum):
    """What stands for the text of a stamp."""

    CAPTIONS = "captions"
    PROMPTS = "prompts"


def build(
    out: Annotated[Path, typer.Option(help="Store folder.")],
    source: Annotated[
        Path | None,
        typer.Argument(help="Unpacked package tuxpaint-stamps-default; default: the installed."),
    ] = None,
    text: Annotated[
        Written, typer.Option(help="Written captions, or prompts of the nouns (they leak it).")
    ] = Written.CAPTIONS,
    languages: Annotated[
        str | None, typer.Option(help="Of the recordings, separated by commas.")
    ] = None,
    stamps: Part = None,
    seed: Annotated[int, typer.Option(min=0, help="Of splits and views.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a store at OUT.")] = False,
) -> None:
    """Build a store of the Tux Paint stamps: a clip per stamp and language."""
    from cmg.files import refuse_occupied
    from cmg.tuxpaint.store import write_stamps

    if not overwrite:
        refuse_occupied(out)
    found = read_with_progress(source, languages, stamps)
    store = write_stamps(found, out, text.value, seed, overwrite)
    told = facts(store) | {"stamps": len(found.stamps), "skipped": found.skipped}
    show(told, *described(facts(store)))


@app.command("compare")
def compare(
    out: Annotated[Path, typer.Option(help="Folder for stores, runs and results.")],
    overrides: OverridesArgument = None,
    source: Annotated[
        Path | None,
        typer.Option(help="Unpacked package tuxpaint-stamps-default; default: the installed."),
    ] = None,
    stamps: Part = None,
    seeds: Annotated[int, typer.Option(help="Pre-trainings per variant.")] = 3,
    workers: WorkersOption = None,
    strict: Annotated[
        bool,
        typer.Option(help="Exit with 1 unless all directions beat majority and shuffled pairs."),
    ] = False,
) -> None:
    """Train on stamps and read unseen ones, with captions and prompts, and all controls.

    Fails where the package is missing. Writes tuxpaint.json and tuxpaint.md to OUT.
    """
    from cmg.cli.progress import ProgressBar
    from cmg.files import refuse_occupied, replace_file
    from cmg.recipes.tuxpaint import as_dict, plan_tuxpaint, run_tuxpaint
    from cmg.report.markdown import markdown
    from cmg.report.tuxpaint import tuxpaint_document, tuxpaint_tables
    from cmg.tuxpaint.store import write_stamps

    refuse_occupied(out)
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} must be at least 1")
    found = read_with_progress(source, None, stamps)
    stores = {text.value: out / text.value for text in Written}
    for text in Written:
        write_stamps(found, stores[text.value], text.value)
    plan = plan_tuxpaint(out, stores, overrides or [], seeds)
    with ProgressBar(plan.clips) as bar:
        results = run_tuxpaint(plan, lambda name, n, log: bar.add(n, log, name), workers)
    results.save(out)
    replace_file(out / "tuxpaint.md", markdown(tuxpaint_document(results)).encode())
    tables = [in_terminal(one) for one in tuxpaint_tables(results)]
    show(as_dict(results) | {"files": [str(out / "tuxpaint.md")]}, *tables)
    failing = results.failing()
    if strict and failing:
        typer.echo(f"not above majority and shuffled pairs: {', '.join(failing)}", err=True)
        raise typer.Exit(1)


def read_with_progress(
    source: Path | None, languages: str | None, stamps: int | None
) -> ReadStamps:
    """Read stamps under a bar, and name what was skipped."""
    from cmg.cli.progress import ClipBar
    from cmg.tuxpaint.stamps import LANGUAGES
    from cmg.tuxpaint.store import chosen_stamps, read_stamps

    spoken: tuple[str, ...] = LANGUAGES
    if languages is not None:
        spoken = tuple(name.strip() for name in languages.split(",") if name.strip())
    chosen = chosen_stamps(source, spoken, stamps)
    with ClipBar(len(chosen)) as bar:
        found = read_stamps(chosen, told=lambda: bar.advance(1, "stamps"))
    say_remarks(f"skipped: {why}" for why in found.skipped)
    return found
