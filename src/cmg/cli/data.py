"""``cmg data``: feature stores, the data doctor, and simulated data."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cmg.cli import importing
from cmg.cli.groups import group
from cmg.cli.output import named, show, show_report, show_store
from cmg.cli.progress import progress_bar
from cmg.errors import ConfigError

app = group("Feature stores and the authors' data: import, check, simulate.")
app.command("import")(importing.import_)
Store = Annotated[
    str,
    typer.Argument(help="Store folder, its address (s3://...), or the name of an embedded set."),
]


@app.command()
def info(store: Store) -> None:
    """Modalities, splits, labels and content hash of a store."""
    from cmg.data import open_store

    show_store(open_store(store))


@app.command()
def verify(store: Store) -> None:
    """Recompute checksums, shapes and finiteness; exits with 1 if something is wrong."""
    from cmg.data import store as stores

    problems = stores.verify(store)
    show({"store": store, "problems": problems}, *(problems or [f"{store} is sound"]))
    if problems:
        raise typer.Exit(1)


@app.command()
def check(
    root: Annotated[Path, typer.Argument(help="Folder of the authors' data, or a simulated one.")],
    lists: Annotated[
        Path | None,
        typer.Option(help="Further folder of annotation files, which come before ROOT's."),
    ] = None,
    deep: Annotated[
        str, typer.Option(metavar="N|all", help="Clips read per folder of features.")
    ] = "32",
    all_: Annotated[
        bool, typer.Option("--all", help="Show every part, not only problems.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for page, text and tables.")] = None,
) -> None:
    """Say what is missing, truncated, duplicated or wrong, and what to do about it.

    Exits with 0 if nothing is missing or wrong (warnings allowed), else with 1.
    """
    from cmg.official.doctor import check_root
    from cmg.report.diagnosis import DIAGNOSIS, diagnosis_document, diagnosis_files
    from cmg.report.write import HTML, write_folder

    diagnosis = check_root(root, lists, clips_to_read(deep))
    if out is not None:
        write_folder(out, DIAGNOSIS, lambda: diagnosis, diagnosis_files, overwrite=True)
    written = [] if out is None else [f"Report: {out / HTML}"]
    show_report(diagnosis_document(diagnosis, all_), diagnosis.as_json(), *written)
    if not diagnosis.sound:
        raise typer.Exit(1)


def clips_to_read(text: str) -> int | None:
    """``32`` as a number, ``all`` as None.

    Raises:
        ConfigError: neither.
    """
    if text == "all":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise ConfigError(f"--deep {text!r} must be a number of clips, or all")
    return int(text)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    fraction: Annotated[
        float, typer.Option(help="Share of the official number of clips, above 0, at most 1.")
    ],
    widths: Annotated[
        str, typer.Option(help="Channels: video=64,audio=128,text=96; official where not given.")
    ] = "",
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder with the real annotation files; made-up lists without."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the world.")] = 0,
    map_: Annotated[int, typer.Option("--map", help="Positions per side of the video maps.")] = 7,
    frame_size: Annotated[
        int, typer.Option("--frame-size", help="Side of AVSBench's frames in pixels.")
    ] = 224,
    avs_fraction: Annotated[
        float | None,
        typer.Option("--avs-fraction", help="Share of AVSBench's clips; 0 leaves the set out."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; one per CPU core by default.")
    ] = None,
    weak_train: Annotated[
        bool, typer.Option("--weak-train", help="Features of AVVP's 10,000 weak clips too.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a simulation in OUT.")
    ] = False,
) -> None:
    """Write the official layout with generated features; its numbers are not the paper's."""
    from cmg.simulate import SimulateOptions
    from cmg.simulate import simulate as write

    chosen = {"widths": channels(widths), "map_size": map_}
    options = SimulateOptions(**named(SimulateOptions, locals()) | chosen)
    with progress_bar() as tell:
        told = asdict(write(out, options, partial(tell, "clips")))
    show(told, *simulation_lines(told))


def channels(text: str) -> dict[str, int]:
    """``video=64,audio=128`` as a mapping.

    Raises:
        ConfigError: another form, a modality twice, or a width that is no number.
    """
    found: dict[str, int] = {}
    for item in text.split(",") if text else ():
        name, _, width = item.partition("=")
        if not width.isdecimal() or len(width) > 9 or name in found:
            raise ConfigError(
                f"--widths {item!r} must read MODALITY=CHANNELS, each modality once, "
                "for example video=64,audio=128,text=96"
            )
        found[name] = int(width)
    return found


def simulation_lines(told: dict[str, Any]) -> list[str]:
    """A summary as lines."""
    facts = told["facts"]
    size, seconds = told["bytes"] / 1e6, told["seconds"]
    lines = [f"{told['path']}  {told['clips']} clips, {size:.0f} MB, {seconds:.0f} s"]
    for name, counts in facts["counts"].items():
        if isinstance(counts, dict):
            lines.append(f"  {name}: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    return [*lines, "Generated features: numbers measured on them are not the paper's."]


for command in (importing.prompts, importing.embed_prompts):
    app.command()(command)
