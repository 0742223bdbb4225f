"""``cmg extract`` and ``cmg extractors``: from media files to a feature store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmg.cli.output import named, numbers, pairs, show
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from cmg.recipes.extract import Extraction

NAMED = 20
"""Clips that were left out and are named on the terminal; all are in the store's extract.json."""


def extractors() -> None:
    """What `cmg extract` can read clips with: shapes, steps, licenses, how to get them."""
    from cmg.extract.registry import COLUMNS, cards_table
    from cmg.report.tables import plain

    rows = cards_table()
    told = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    listed = plain("", COLUMNS[:-1], [row[:-1] for row in rows])
    show({"extractors": told}, listed, *(f"{name}: {get}" for name, *_, get in rows))


def extract(
    folder: Annotated[
        Path, typer.Argument(help="Folder of media, or a csv or jsonl manifest of clips.")
    ],
    out: Annotated[Path, typer.Option(help="Store to write.")],
    video: Annotated[str | None, typer.Option(help="Extractor of what is seen.")] = None,
    audio: Annotated[str | None, typer.Option(help="Extractor of what is heard.")] = None,
    text: Annotated[str | None, typer.Option(help="Extractor of what is written.")] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=NAME",
            help="Extractor of a modality of any name; it reads the manifest's column of that "
            "name, or what --video, --audio or --text would.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=PATH", help="File or folder of weights."),
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=SECONDS", help="Duration of a step; else the extractor's."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="csv or jsonl with a row per clip; its paths start from FOLDER."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Columns of the manifest that are labels: a,b.")
    ] = None,
    folder_label: Annotated[
        str | None, typer.Option(help="Name of a label that the folders' names are classes of.")
    ] = None,
    text_from_names: Annotated[
        bool, typer.Option("--text-from-names", help="File names are texts without a caption.")
    ] = False,
    picture_folders: Annotated[
        bool, typer.Option("--picture-folders", help="A folder of pictures is one clip.")
    ] = False,
    picture_fps: Annotated[
        float | None, typer.Option(help="Pictures per second of such a folder; else one per step.")
    ] = None,
    split: Annotated[
        Literal["auto", "folders", "shares"],
        typer.Option(help="By folders named train, val, test; by shares; auto: whichever fits."),
    ] = "auto",
    shares: Annotated[
        str, typer.Option(help="Shares of the splits, by a hash of the id.")
    ] = "train=0.8,test=0.2",
    frames: Annotated[
        Literal["time", "count"],
        typer.Option(help="Frames of a step: by time, or by their count as published."),
    ] = "time",
    segments: Annotated[int, typer.Option(min=1, help="Steps per clip of --frames count.")] = 10,
    on_error: Annotated[
        Literal["skip", "fail"], typer.Option(help="What to do about a clip that cannot be read.")
    ] = "skip",
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Of the stored features.")
    ] = "float32",
    device: Annotated[str, typer.Option(help="Of the networks: cpu, cuda, cuda:1.")] = "cpu",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: cores.")] = None,
    chunk: Annotated[
        int, typer.Option(help="Clips per shard; what a killed process loses at most.")
    ] = 16,
    engine: Annotated[
        Literal["local", "torchrun", "ray"] | None,
        typer.Option(help="Default: torchrun where it, or srun, has started this; else local."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a store of something else.")] = False,
) -> None:
    """Make a feature store of media files; run again, it goes on where it was interrupted."""
    usual = {"video": video, "audio": audio, "text": text}
    asked = {m: name for m, name in usual.items() if name is not None}
    asked |= pairs(extractor, "--extractor")
    if not asked:
        raise ConfigError(
            "say which extractors to use, e.g. --video efficientnet-lite0 --audio vggish --text "
            "minilm; `cmg extractors` lists them"
        )
    from cmg.cli.progress import Bars
    from cmg.extract.reading import FrameRule
    from cmg.extract.scan_options import ScanOptions
    from cmg.options import checked_options
    from cmg.recipes.extract import ExtractOptions
    from cmg.recipes.extract import extract as run

    chosen = {
        "labels": tuple(name.strip() for name in labels.split(",")) if labels else (),
        "shares": numbers(shares.split(","), "--shares"),
    }
    scan = checked_options(ScanOptions, **named(ScanOptions, locals()) | chosen)
    own = {
        "extractors": asked,
        "weights": {m: Path(path) for m, path in pairs(weights, "--weights").items()},
        "step_seconds": numbers(step, "--step"),
        "rule": FrameRule(frames, segments),
    }
    options = ExtractOptions(**named(ExtractOptions, locals()) | own)
    with Bars() as bars:

        def told(clips: int, resumed: int, total: int) -> None:
            bars.told("clips", total, clips, resumed)

        found = run(folder, out, options, told)
    if found is None:
        waiting = {"store": str(out), "waiting": True}
        show(waiting, "this rank's share is done; the last rank joins the store")
        return
    show(found.as_dict(), *lines(found))


def lines(found: Extraction) -> list[Any]:
    """An extraction for a terminal."""
    from cmg.extract.source import TRACKS
    from cmg.report.tables import plain

    told = found.as_dict()
    rows = []
    for name, m in told["modalities"].items():
        step = "a word" if m["step_seconds"] is None else f"{m['step_seconds']:g} s"
        shape = " x ".join(map(str, m["shape"]))
        counts = (str(m["clips"]), str(m["steps"]), f"{m['bytes'] / 1e6:.1f}")
        rows.append((name, m["extractor"] or "", step, shape, *counts))
    splits = ", ".join(f"{name} {count}" for name, count in told["splits"].items())
    rate = (told["clips"] + len(found.skipped) - found.resumed) / max(found.seconds, 1e-9)
    done = (
        "already there, nothing to do"
        if found.already
        else f"{found.seconds:.1f} s, {rate:.1f} clips/s"
        + (f", {found.resumed} clips were done before" if found.resumed else "")
    )
    columns = ("modality", "extractor", "step", "shape", "clips", "steps", "MB")
    listed = plain(told["store"], columns, rows)
    shown: list[Any] = [listed, f"{told['clips']} clips ({splits}); {done}"]
    shown += [f"left out {clip.id}: {clip.reason}" for clip in found.skipped[:NAMED]]
    if found.skipped:
        shown.append(f"{len(found.skipped)} clips left out, see {told['store']}/extract.json")
    if several := sum(TRACKS in row.meta for row in found.store.rows):
        where = f"{TRACKS!r} in the meta of these clips"
        shown.append(f"clips with several tracks: {several}, which was read is {where}")
    if found.others:
        others = ", ".join(f"{count} {name}" for name, count in sorted(found.others.items()))
        shown.append(f"not read: {others}")
    return shown
