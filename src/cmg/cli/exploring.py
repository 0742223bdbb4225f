"""``cmg explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.output import say_remarks, show


def explore(
    run: Annotated[Path, typer.Argument(help="Run folder of `cmg pretrain`, or a checkpoint.")],
    data: Annotated[str | None, typer.Option(help="Store; default: the run's.")] = None,
    media: Annotated[
        Path | None,
        typer.Option(help="Folder or manifest that the clips were extracted from."),
    ] = None,
    segmentation: Annotated[
        Path | None,
        typer.Option(help="Model of `cmg evaluate avs` (OUT/models/NAME), to segment by a query."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split; default: the run's test split.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; default: the first free one.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
) -> None:
    """Look into a run in the browser: codes, clips in time, search; the same as HTTP for programs.

    It listens on this machine alone, until Ctrl-C, and loads nothing from elsewhere.
    """
    import webbrowser

    from cmg.explore.serve import bound, needed, serve
    from cmg.explore.session import Session

    needed()
    listening = bound(host, port)
    session = Session.open(run, data, split, media, segmentation)
    say_remarks(session.remarks)

    def told(address: str) -> None:
        show({"address": address}, f"{len(session.split)} clips at {address} (Ctrl-C ends it)")
        if not no_browser:
            webbrowser.open(address)

    serve(session, listening, told)
