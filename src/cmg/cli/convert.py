"""``cmg convert``: checkpoints of the authors' release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmg.cli.output import JsonFlag, show
from cmg.errors import ConfigError


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR", help="DCID-model-<epoch>.pt of the authors, or a run folder."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run folder to write FILE to.")
    ] = None,
    to_official: Annotated[
        Path | None,
        typer.Option("--to-official", metavar="FILE", help="Official file to write DIR to."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float64 or float32; default: what FILE holds.")
    ] = None,
    map_size: Annotated[
        int, typer.Option(help="Height and width of video maps, which no tensor tells.")
    ] = 7,
    json_: JsonFlag = False,
) -> None:
    """Turn a checkpoint of the authors into a run folder, or a run into such a checkpoint.

    `cmg convert FILE --out DIR`: AVT, AV and AT files, whole or cut down to what inference needs;
    as-coded options are set, and DIR serves every command as --model DIR.

    `cmg convert DIR --to-official FILE`: a file that the authors' scripts load.
    """
    if (out is None) == (to_official is None):
        raise ConfigError("say either --out DIR (from an official file) or --to-official FILE")
    if to_official is not None:
        if dtype is not None:
            raise ConfigError("--dtype goes with --out: official files are float64")
        from cmg.recipes.convert import convert_to_official

        told = convert_to_official(source, to_official)
        show(told, *official_lines(told))
    elif out is not None:
        from cmg.recipes.convert import convert_to_run

        told = convert_to_run(source, out, dtype, map_size)
        show(told, *run_lines(told, source))


def run_lines(told: dict[str, Any], source: Path) -> list[str]:
    """What was read, for people."""
    shapes = ", ".join(f"{m} {shape}" for m, shape in told["modalities"].items())
    lines = [
        f"{source}: {told['kind']} checkpoint after epoch {told['epoch']} (0-based), "
        f"{told['tensors']} tensors",
        f"  {told['codes']} codes x {told['width']}; {shapes}; "
        f"{told['parameters']:,} parameters in the model",
    ]
    if told["absent"]:
        lines.append(f"  not in the file, so untrained: {', '.join(told['absent'])}")
    model = told["run"]
    lines.append(f"{model} ({told['dtype']}); use it with --model {model}")
    return lines


def official_lines(told: dict[str, Any]) -> list[str]:
    """What was written, for people."""
    lines = [
        f"{told['file']}: {told['kind']} checkpoint after epoch {told['epoch']} (0-based), "
        f"{told['tensors']} tensors"
    ]
    if told["fresh"]:
        lines.append(f"  not in the run, so made anew and untrained: {', '.join(told['fresh'])}")
    if told["rounded"]:
        lines.append("  values were rounded to float32 when the file was converted")
    return lines
