"""``cmg data simulate``: a folder in the official layout, with generated features."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cmg.cli.output import JsonFlag, show
from cmg.cli.progress import progress_bar
from cmg.errors import ConfigError


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
    json_: JsonFlag = False,
) -> None:
    """Write the official layout with generated features; its numbers are not the paper's."""
    from cmg.simulate import SimulateOptions
    from cmg.simulate import simulate as write

    options = SimulateOptions(
        fraction=fraction,
        widths=channels(widths),
        map_size=map_,
        lists=lists,
        seed=seed,
        frame_size=frame_size,
        avs_fraction=avs_fraction,
        workers=workers,
        weak_train=weak_train,
        overwrite=overwrite,
    )
    with progress_bar() as tell:
        told = write(out, options, partial(tell, "clips")).to_json()
    show(told, *described(told))


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


def described(told: dict[str, Any]) -> list[str]:
    """A summary as lines."""
    facts = told["facts"]
    size, seconds = told["bytes"] / 1e6, told["seconds"]
    lines = [f"{told['path']}  {told['clips']} clips, {size:.0f} MB, {seconds:.0f} s"]
    for name, counts in facts["counts"].items():
        if isinstance(counts, dict):
            lines.append(f"  {name}: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    return [*lines, "Generated features: numbers measured on them are not the paper's."]
