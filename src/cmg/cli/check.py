"""``cmg data check``: the data doctor."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmg.cli.output import JsonFlag, show
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from cmg.official.doctor import Diagnosis, Finding

_STYLES = {"complete": "green", "warning": "yellow", "note": "dim"}
_FAULT = "bold red"


def check(
    root: Annotated[Path, typer.Argument(help="Folder of the authors' data, or a simulated one.")],
    lists: Annotated[
        Path | None,
        typer.Option(help="Further folder of annotation files, which come before ROOT's."),
    ] = None,
    deep: Annotated[
        str, typer.Option(metavar="N|all", help="Clips read per folder of features.")
    ] = "32",
    json_: JsonFlag = False,
) -> None:
    """Say what is complete, missing, truncated, duplicated or wrong, and what to do about it.

    Exits with 0 if nothing is missing or wrong (warnings allowed), else with 1.
    """
    from cmg.official.doctor import check_root

    diagnosis = check_root(root, lists, clips_to_read(deep))
    show(diagnosis.as_json(), findings_table(diagnosis), summary(diagnosis))
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


def findings_table(diagnosis: Diagnosis) -> Table:
    """One row per finding, under the headings of the parts."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cmg.official.doctor import group_of

    table = Table(box=SIMPLE_HEAD, title=str(diagnosis.root), title_justify="left")
    for column, ratio in (("part", 3), ("status", None), ("found / expected", 3), ("what", 6)):
        table.add_column(column, ratio=ratio, overflow="fold")
    table.columns[-1].header = "what to do"
    for group, findings in groupby(diagnosis.findings, lambda f: group_of(f.part)):
        table.add_row(Text(group, style="bold"))
        before = ""
        for f in findings:
            compared = f"{f.found} / {f.expected}" if f.expected else f.found
            status = Text(f.status.value, style=_STYLES.get(f.status.value, _FAULT))
            part = Text("" if f.part == before else f"  {f.part}")
            table.add_row(part, status, Text(compared), _told(f))
            before = f.part
    return table


def _told(finding: Finding) -> Text:
    """Where a complete part is; of any other what is the matter, and what to do."""
    from rich.text import Text

    if finding.status.value == "complete":
        return Text(finding.detail, style="dim")
    if not finding.remedy:
        return Text(finding.detail)
    return Text.assemble(
        finding.detail, "\n" if finding.detail else "", ("-> " + finding.remedy, "bold")
    )


def summary(diagnosis: Diagnosis) -> str:
    """One line: the verdict, and how many findings of each status."""
    told = ", ".join(f"{n} {status}" for status, n in diagnosis.counts.items() if n)
    verdict = "sound" if diagnosis.sound else "not sound"
    return f"{diagnosis.root} is {verdict}: {told}"
