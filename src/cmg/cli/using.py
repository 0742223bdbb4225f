"""``cmg probe``, ``encode``, ``report``, ``verify-golden`` and ``convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmg.cli.output import (
    ExtractorOption,
    RunOption,
    WeightsOption,
    pairs,
    say_remarks,
    show,
)
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from cmg.golden import CaseResult
    from cmg.recipes.media_codes import EncodedMedia

LabelsOption = Annotated[
    Path | None,
    typer.Option(help="csv or jsonl with id and label, instead of the store's labels."),
]


def probe(
    model: RunOption,
    train_on: Annotated[str, typer.Option(help="Modality whose labels the head learns.")],
    test_on: Annotated[str, typer.Option(help="Modality the head is read on.")],
    label: Annotated[str | None, typer.Option(help="Label; default: the store's first.")] = None,
    data: Annotated[str | None, typer.Option(help="Store; default: the run's.")] = None,
    labels: LabelsOption = None,
    seeds: Annotated[int, typer.Option(help="Heads to train.")] = 3,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. probe.epochs=50")
    ] = None,
) -> None:
    """Train a head on one modality of the frozen codebook, read it on another."""
    from dataclasses import asdict

    from cmg.baselines.record import read_baselines
    from cmg.clips import configured_clips, open_other, training_split
    from cmg.config.load import override_config
    from cmg.evaluation.scores import plain
    from cmg.inference.readers import other_extractors
    from cmg.recipes.evaluate import probe as run_probe
    from cmg.report.baselines import beside
    from cmg.report.tables import score_text
    from cmg.runs.checkpoint import load_model, read_checkpoint
    from cmg.runs.folder import CONFIG

    checkpoint = read_checkpoint(model)
    config = override_config(checkpoint.config, [f"probe.seeds={seeds}", *(overrides or [])])
    store = open_other(config.data, data) if data else configured_clips(config.data)
    remarks = other_extractors(checkpoint, store)
    if labels is not None:
        store = store.labelled(labels)
        remarks += store.about.remarks
    say_remarks(remarks)
    given = (load_model(model), store, train_on, test_on, label, config.probe)
    splits = (training_split(config.data), config.data.test_split)
    found = run_probe(*given, *splits, val_split=config.data.val_split)
    say_remarks(found.remarks)
    scores = plain({"transfer": found.transfer, "upper_bound": found.upper_bound})
    lines: list[str] = []
    scores["baselines"] = {}
    known = read_baselines(model)
    same_label = known is None or known.label in ("", found.label)
    if (model / CONFIG).is_file() and data is None and labels is None and same_label:
        lines, scores["baselines"] = beside(model, known, f"{train_on}->{test_on}")
    show(
        asdict(found) | scores | {"train_on": train_on, "test_on": test_on},
        f"{train_on} -> {test_on}, label {found.label!r}: {score_text(found.transfer)} %",
        f"upper bound {test_on} -> {test_on}: {score_text(found.upper_bound)} %, "
        f"chance {found.chance:.1f} %, {found.transfer.n} heads",
        *lines,
    )


def encode(
    data: Annotated[
        list[str],
        typer.Argument(help="A store; or media: files, a folder, a csv or jsonl manifest."),
    ],
    model: RunOption,
    out: Annotated[
        Path, typer.Option(help="Of a store: FILE.jsonl or FILE.safetensors. Of media: a folder.")
    ],
    split: Annotated[str | None, typer.Option(help="Of a store: only this split.")] = None,
    text: Annotated[str | None, typer.Option(help="Words of the one clip of media.")] = None,
    extractor: ExtractorOption = None,
    weights: WeightsOption = None,
    known: Annotated[
        str | None,
        typer.Option(help="Store whose clips are compared with the codes; default: the run's."),
    ] = None,
    no_known: Annotated[
        bool, typer.Option("--no-known", help="Do not look for the nearest known clips.")
    ] = False,
    on_error: Annotated[
        Literal["fail", "skip"], typer.Option(help="When a clip of media cannot be read.")
    ] = "fail",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier folder of codes.")] = False,
) -> None:
    """Encode a store, or media files, to codes per clip, modality and step.

    Of media, OUT has the codes as a table (csv) and as JSON, and a timeline of frames, waveform
    and words with the code under each.
    """
    from cmg.clips import is_one_store
    from cmg.data.remote import is_remote

    media = [text, extractor, weights, known, no_known, on_error != "fail", overwrite]
    if len(data) == 1 and (is_remote(data[0]) or is_one_store(data[0])):
        if any(media):
            raise ConfigError(
                f"{data[0]} is a store, which holds features: only --split and --out are for it"
            )
        encode_store(data[0], model, out, split)
        return
    if split is not None:
        raise ConfigError("--split is for stores; name the files of media themselves")
    if known is not None and no_known:
        raise ConfigError("--known and --no-known exclude each other")
    from cmg.extract.media_files import named_clips
    from cmg.recipes.encode_media import encode_media
    from cmg.report.code_pages import JSON, encoded_files, written
    from cmg.report.write import write_folder

    encoded = write_folder(
        out,
        JSON,
        lambda: encode_media(
            named_clips(data, text),
            model,
            pairs(extractor, "--extractor"),
            pairs(weights, "--weights"),
            False if no_known else known,
            on_error,
        ),
        encoded_files,
        overwrite,
    )
    show_encoded(encoded, written(encoded, out), out)


def encode_store(data: str, model: Path, out: Path, split: str | None) -> None:
    """Encode a store to a file of codes."""
    from cmg.clips import open_other
    from cmg.inference.readers import other_extractors
    from cmg.recipes.encode_media import write_codes
    from cmg.runs.checkpoint import load_model, read_checkpoint

    checkpoint = read_checkpoint(model)
    store = open_other(checkpoint.config.data, data)
    say_remarks(other_extractors(checkpoint, store))
    clips = write_codes(load_model(model), store, out, split)
    show({"out": str(out), "clips": clips}, f"{clips} clips encoded to {out}")


def show_encoded(encoded: EncodedMedia, written: list[Path], out: Path) -> None:
    """Say what was encoded; on stderr what was not, or not as in training."""
    say_remarks(encoded.remarks)
    say_remarks(f"{id_}: {why}" for id_, why in encoded.failed.items())
    told = {
        "out": str(out),
        "clips": len(encoded.clips),
        "failed": dict(encoded.failed),
        "remarks": list(encoded.remarks),
        "written": [str(path) for path in written],
    }
    lines = [f"{len(encoded.clips)} clips encoded to {out}"]
    show(told, *lines, *(f"  {path.relative_to(out)}" for path in written[:4]))


def report(
    run: Annotated[Path, typer.Argument(help="Run folder, or folder of `cmg demo`.")],
    out: Annotated[Path | None, typer.Option(help="Folder; default: the run's.")] = None,
    media: Annotated[
        Path | None,
        typer.Option(help="Folder or manifest that the clips were extracted from."),
    ] = None,
    media_mb: Annotated[
        float | None,
        typer.Option(help="Megabytes of frames and sounds in the page; default: 5."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Labels, with commas between; default: the store's first."),
    ] = None,
    labels: LabelsOption = None,
    data: Annotated[str | None, typer.Option(help="Store; default: the run's.")] = None,
) -> None:
    """Write report.html (self-contained) and report.md; evaluates the run if that is not done.

    With --media the page holds frames, players and words of your own clips. With --label or
    --labels transfer is evaluated anew, and the run's own evaluation stays as it is.
    """
    from cmg.cli.boards import show_transfer
    from cmg.report.run import MEDIA_MB, write_report

    if media_mb is not None and media is None:
        raise ConfigError("--media-mb goes with --media FOLDER")
    room = MEDIA_MB if media_mb is None else media_mb
    written = write_report(run, out, media, room, labels, label, data)
    show_transfer(run)
    show({"written": [str(p) for p in written]}, *(f"Report: {p}" for p in written))


def measured(result: CaseResult) -> str:
    """Worst relative error beside its tolerance, where the case has been run."""
    if result.error is None or result.tolerance is None:
        return ""
    return f"error {result.error:.1e}  tolerance {result.tolerance:.0e}"


def verify_golden(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="cases.json, npz and pt files.")],
) -> None:
    """Compare this implementation with recorded numbers, a line per case."""
    from collections import Counter
    from dataclasses import asdict

    from cmg.golden import all_verified, verify_golden

    results = verify_golden(folder)
    lines = [f"{r.name:32} {r.status:11} {measured(r)}  {r.detail}".rstrip() for r in results]
    counts = Counter(str(r.status) for r in results)
    lines.append(", ".join(f"{n} {status}" for status, n in counts.items()))
    show({"cases": [asdict(r) for r in results]}, *lines)
    if not all_verified(results):
        raise typer.Exit(1)


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="DCID-model-<epoch>.pt of the authors, a file of a successor, or a run folder.",
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
    release: Annotated[
        str | None,
        typer.Option(help="Whose FILE is, where tensors do not tell: micu (as Uni-Code's)."),
    ] = None,
) -> None:
    """Turn a checkpoint of the authors into a run folder, or a run into such a checkpoint.

    `cmg convert FILE --out DIR`: AVT, AV and AT files, whole or cut down to what inference needs;
    as-coded options are set, and DIR serves every command as --model DIR. Files of successors
    (CoDAAR, SRCID, FCID; MICU with --release micu) likewise.

    `cmg convert DIR --to-official FILE`: a file that the authors' scripts load.
    """
    if (out is None) == (to_official is None):
        raise ConfigError("say either --out DIR (from an official file) or --to-official FILE")
    if to_official is not None:
        if dtype is not None or release is not None:
            raise ConfigError("--dtype and --release go with --out")
        from cmg.recipes.convert import convert_to_official

        told = convert_to_official(source, to_official)
        show(told, *official_lines(told))
    elif out is not None:
        from cmg.recipes.convert import convert_to_run

        told = convert_to_run(source, out, dtype, map_size, release)
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
