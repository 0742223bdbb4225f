"""``cmg data``: feature stores, the data doctor, and simulated data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmg.cli import importing
from cmg.cli.groups import group
from cmg.cli.output import named, show, show_store
from cmg.cli.progress import progress_bar
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from cmg.official.doctor import Diagnosis, Finding


_STYLES = {"complete": "green", "warning": "yellow", "note": "dim"}
_FAULT = "bold red"
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
) -> None:
    """Say what is missing, truncated, duplicated or wrong, and what to do about it.

    Exits with 0 if nothing is missing or wrong (warnings allowed), else with 1.
    """
    from cmg.official.doctor import check_root

    diagnosis = check_root(root, lists, clips_to_read(deep))
    told = [findings_table(diagnosis.findings)] if all_ else problems_first(diagnosis)
    show(diagnosis.as_json(), summary(diagnosis), *told)
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


def problems_first(diagnosis: Diagnosis) -> list[Table | str]:
    """A table of what limits the folder, and a line for every set that nothing does."""
    from cmg.official.doctor import LIMITS, group_of

    problems = [f for f in diagnosis.findings if f.status in LIMITS]
    lines: list[Table | str] = [findings_table(problems)] if problems else []
    limited = {group_of(f.part) for f in problems}
    for heading, findings in groupby(diagnosis.findings, lambda f: group_of(f.part)):
        if heading not in limited:
            counts = Counter(f.status.value for f in findings)
            told = ", ".join(f"{n} {status}" for status, n in counts.items())
            lines.append(f"{heading}: {told}")
    return [*lines, "--all shows every part"]


def findings_table(found: Iterable[Finding]) -> Table:
    """One row per finding, under the headings of the parts."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from cmg.official.doctor import group_of

    table = Table(box=SIMPLE_HEAD)
    for column, ratio in (("part", 3), ("status", None), ("found / expected", 3), ("what", 6)):
        table.add_column(column, ratio=ratio, overflow="fold")
    table.columns[-1].header = "what to do"
    for heading, findings in groupby(found, lambda f: group_of(f.part)):
        table.add_row(Text(heading, style="bold"))
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
