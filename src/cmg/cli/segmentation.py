"""``cmg evaluate avs`` and ``cmg segment``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cmg.cli.boards import tensorboard as boards
from cmg.cli.output import (
    RunOption,
    WeightsOption,
    named,
    pairs,
    say_remarks,
    show,
    show_report,
    whole_numbers,
)
from cmg.cli.progress import progress_bar
from cmg.cli.tasks import DeviceOption
from cmg.errors import ConfigError

BackboneOption = Annotated[
    str, typer.Option(help="pvt_v2_b0 .. pvt_v2_b5, resnet18, resnet34 or resnet50.")
]


def avs(
    data: Annotated[
        Path,
        typer.Option(help="Folder with AVSBench-S4, or with clips.csv, frames and masks."),
    ],
    model: RunOption,
    out: Annotated[Path, typer.Option(help="Folder for models, results and report.")],
    train_only: Annotated[
        bool, typer.Option("--train-only", help="Train the models and stop.")
    ] = False,
    test_only: Annotated[
        bool, typer.Option("--test-only", help="Test what --checkpoint names.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A trained model, or an earlier OUT with several.")
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(help="Store with the features of the queries, by the ids of the clips."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="`clean`, or `published` with a random step mixer and dropout.")
    ] = "clean",
    modalities: Annotated[str, typer.Option(help="Of the queries.")] = "audio,text",
    seeds: Annotated[int, typer.Option(help="Models per modality.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the first model.")] = 0,
    salient: Annotated[
        bool, typer.Option(help="Train a model without query too, as a control.")
    ] = True,
    backbone: BackboneOption = "pvt_v2_b5",
    backbone_weights: Annotated[
        str | None,
        typer.Option(help="Folder in Hugging Face format, or a name on its hub; default random."),
    ] = None,
    freeze_backbone: Annotated[
        bool, typer.Option("--freeze-backbone", help="Keep the backbone as it is.")
    ] = False,
    cache_features: Annotated[
        bool, typer.Option("--cache-features", help="Keep a frozen backbone's maps in OUT.")
    ] = False,
    channels: Annotated[int, typer.Option(help="Of the maps after the heads.")] = 256,
    attention: Annotated[str, typer.Option(help="dot, embedded, gaussian or concatenate.")] = "dot",
    stages: Annotated[str, typer.Option(help="Stages with attention.")] = "0,1,2,3",
    self_attention: Annotated[
        bool, typer.Option("--self-attention", help="Let pixels attend to pixels too.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Default: 15, and 1 for the published protocol.")
    ] = None,
    lr: Annotated[float, typer.Option(help="Of Adam.")] = 1e-4,
    batch_size: Annotated[int, typer.Option(help="Clips per step.")] = 4,
    test_batch_size: Annotated[
        int, typer.Option(help="Clips per batch of the published metrics.")
    ] = 4,
    image_size: Annotated[int, typer.Option(help="Pixels per side, a multiple of 16.")] = 224,
    matching: Annotated[
        float, typer.Option(help="Weight of the masked-feature matching loss; published 0.5.")
    ] = 0.0,
    matching_pooling: Annotated[str, typer.Option(help="avg or max.")] = "avg",
    query_jitter: Annotated[
        float, typer.Option(help="Share of a training query's codes replaced by a neighbor's.")
    ] = 0.0,
    bf16: Annotated[bool, typer.Option("--bf16", help="Forward passes in bfloat16.")] = False,
    allow_empty_masks: Annotated[
        bool, typer.Option("--allow-empty-masks", help="Train on empty first masks too.")
    ] = False,
    pictures: Annotated[int, typer.Option(help="Test clips to show.")] = 6,
    lists: Annotated[str | None, typer.Option(help="Folder with further annotation files.")] = None,
    device: DeviceOption = "auto",
    tensorboard: Annotated[
        bool, typer.Option(help="Losses and validation under OUT/tensorboard.")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in OUT; finished models are kept.")
    ] = False,
) -> None:
    """Segment videos by sound or by words: train with one, use with the other, with controls."""
    given = locals()  # the flags, by their names
    from cmg.files import refuse_occupied
    from cmg.options import checked_options
    from cmg.recipes.segmentation import (
        PUBLISHED_EPOCHS,
        Segmentation,
        SegmentationPlan,
        found_models,
        planned_from,
        train_all,
    )
    from cmg.recipes.segmentation_scores import score_all
    from cmg.report.segmentation import segmentation_document, segmentation_files, told
    from cmg.report.write import HTML, replace_files
    from cmg.segmentation.clips import open_segmentation
    from cmg.segmentation.options import SegmentationTraining, SegmenterOptions
    from cmg.training.ranks import choose_device

    if train_only and test_only:
        raise ConfigError("--train-only and --test-only exclude each other")
    if test_only != (checkpoint is not None):
        raise ConfigError("--test-only and --checkpoint belong together")
    if protocol not in ("published", "clean"):
        raise ConfigError(f"--protocol {protocol}: say published or clean")
    published = protocol == "published"
    chosen = {"stages": whole_numbers(stages, "--stages")}
    trained = {
        "epochs": epochs or (PUBLISHED_EPOCHS if published else 15),
        "side": image_size,
        "matching_stages": chosen["stages"],
        "precision": "bfloat16" if bf16 else "float32",
    }
    plan = SegmentationPlan(
        encoder=model,
        model=checked_options(SegmenterOptions, **named(SegmenterOptions, given) | chosen),
        training=checked_options(
            SegmentationTraining, **named(SegmentationTraining, given) | trained
        ),
        protocol="published" if published else "clean",
        modalities=tuple(name.strip() for name in modalities.split(",") if name.strip()),
        seeds=seeds,
        salient=salient,
        backbone_weights=backbone_weights,
        allow_empty=allow_empty_masks,
        device=str(choose_device(device)),
    )
    folders = {}
    if checkpoint is not None:
        folders = found_models(checkpoint)
        plan = planned_from(plan, folders)
    if not resume:
        refuse_occupied(out, "go on with it by --resume, or choose another --out")
    segmentation = Segmentation(open_segmentation(data, queries, lists), plan)

    with progress_bar() as tell:
        if checkpoint is None:
            folders = train_all(segmentation, out, tell, partial(boards, out, tensorboard))
        if train_only:
            names = {name: str(folder) for name, folder in folders.items()}
            show({"models": names}, *(f"{name}: {folder}" for name, folder in names.items()))
            return
        results = score_all(segmentation, folders, pictures, tell)
    replace_files(out, segmentation_files(results))
    show_report(segmentation_document(results), told(results), f"Report: {out / HTML}")


def segment(
    clip: Annotated[Path, typer.Argument(help="A video, a picture, or a folder of pictures.")],
    model: Annotated[Path, typer.Option(help="Model of `cmg evaluate avs` (OUT/models/NAME).")],
    query: Annotated[str, typer.Option(help="What to ask by: audio, text, ...")],
    out: Annotated[Path, typer.Option(help="Folder for masks and pictures.")],
    text: Annotated[str | None, typer.Option(help="The words, for --query text.")] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="The frozen run, where it is not where it was in training.")
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(metavar="MODALITY=NAME", help="Extractor of the query; default: the run's."),
    ] = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier segmentation in OUT.")
    ] = False,
) -> None:
    """Segment a video, a frame per second, by its own sound or by words.

    OUT has a mask per second (masks/0000.png, white where the object is), the masks laid over the
    frames (overlay.png), and segmentation.json.
    """
    from cmg.extract.media_files import one_clip
    from cmg.recipes.segment_clip import segment_clip
    from cmg.report.segmented_clip import RECORD, segmented_files
    from cmg.report.write import write_folder
    from cmg.training.ranks import choose_device

    asked = one_clip(clip, text)
    found = write_folder(
        out,
        RECORD,
        lambda: segment_clip(
            asked,
            model,
            query,
            encoder,
            pairs(extractor, "--extractor"),
            pairs(weights, "--weights"),
            str(choose_device(device)),
        ),
        segmented_files,
        overwrite,
    )
    say_remarks(found.remarks)
    shares = [round(100 * float((p > 0.5).float().mean()), 1) for p in found.probabilities]
    show(
        {"out": str(out), "seconds": len(shares), "percent_of_pixels": shares},
        f"{len(shares)} seconds of {found.id} segmented by {query}: "
        f"{', '.join(f'{s:g} %' for s in shares)} of the pixels",
        f"  {out / 'overlay.png'}",
    )
