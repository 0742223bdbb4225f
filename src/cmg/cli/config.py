"""``cmg config``: every key of a configuration."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.output import show


def config(
    key: Annotated[
        str, typer.Argument(help="A key, or what keys begin with: training, model.codebook.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Write a Markdown page instead.")
    ] = None,
) -> None:
    """Tell every configuration key: values, range, default, meaning."""
    from cmg.config.reference import key_groups
    from cmg.files import replace_file
    from cmg.report.configuration import reference_document
    from cmg.report.markdown import markdown

    groups = key_groups(key)
    if out is not None:
        replace_file(out, markdown(reference_document(groups)).encode())
        show({"file": str(out)}, f"{sum(len(group.keys) for group in groups)} keys: {out}")
        return
    keys = [told for group in groups for told in group.keys]
    lines = [
        line
        for told in keys
        for line in (f"{told.name}={told.default}", f"  {told.kind}. {told.meaning}")
    ]
    show({"keys": [asdict(told) for told in keys]}, *lines)
