"""``cmg export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.output import fetched, show


def export(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run folder, checkpoint, earlier export, or hub:OWNER/NAME.", callback=fetched
        ),
    ],
    where: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder to write, or hub:OWNER/NAME[@BRANCH].")
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also the encoder of each modality, to codes, as ONNX.")
    ] = False,
    notes: Annotated[
        str | None,
        typer.Option(help="Source and license of the data; default: what their store says."),
    ] = None,
    message: Annotated[str, typer.Option(help="Of the commit on a hub.")] = "Upload a model of cmg",
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository on a hub a private one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier export.")] = False,
) -> None:
    """Write a run as a folder for others, or upload it to a hub: weights, evaluation, model card.

    Every command takes the folder, or its address, as it takes a run. No path of this machine
    goes into it.
    """
    from cmg.sharing.export import export as run_export

    found = run_export(
        run,
        where,
        notes=notes,
        onnx=onnx,
        overwrite=overwrite,
        commit_message=message,
        private=private or None,
    )
    show(
        found.told(),
        f"{found.where}: {', '.join(found.files)} ({found.size / 1e6:.2f} MB)",
        f"Use it as a run: --model {found.where}, or cmg.load({found.where!r})",
    )
