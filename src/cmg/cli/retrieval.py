"""``cmg retrieve``, ``cmg evaluate retrieval``, ``two-stage`` and ``open-set``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmg.cli.output import (
    ExtractorOption,
    RunOption,
    WeightsOption,
    commas,
    named,
    pairs,
    say_remarks,
    show,
    show_report,
    typed_name,
)
from cmg.cli.progress import progress_bar
from cmg.cli.tasks import BaselinesOption, DeviceOption, FeaturesOption, ListsOption
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from cmg.retrieval.representation import By

SplitOption = Annotated[str | None, typer.Option(help="Split; default: the run's test split.")]
StoreOption = Annotated[
    str | None, typer.Option(help="Feature store; default: what the run was trained on.")
]
OutOption = Annotated[Path, typer.Option(help="Folder for results and report.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace earlier results in OUT.")
]


def representations(given: str) -> list[By]:
    """``mean,codes`` or ``all``.

    Raises:
        ConfigError: an unknown name, or none.
    """
    from cmg.errors import did_you_mean
    from cmg.retrieval.representation import ALL_BY

    names = list(ALL_BY) if given == "all" else commas(given)
    if not names:
        raise ConfigError(f"--by {given!r} names nothing; valid: {', '.join(ALL_BY)}, all")
    for name in names:
        if name not in ALL_BY:
            raise ConfigError(f"--by {name}: unknown{did_you_mean(name, [*ALL_BY, 'all'])}")
    return [by for by in ALL_BY if by in names]


def retrieval(
    model: Annotated[
        list[Path],
        typer.Option(help="Run folder or checkpoint; several are told as mean and spread."),
    ],
    out: OutOption,
    data: StoreOption = None,
    split: SplitOption = None,
    by: Annotated[
        str, typer.Option(help="mean, codes, continuous, sequence; several with commas; or all.")
    ] = "all",
    label: Annotated[str | None, typer.Option(help="Label per clip, for mAP.")] = None,
    device: DeviceOption = "auto",
    baselines: BaselinesOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Find the clips of a split by every other modality of them: R@k, median rank, mAP."""
    from cmg.recipes.retrieval import evaluate_retrieval
    from cmg.report.baselines import evaluation_note
    from cmg.report.retrieval import RESULTS, retrieval_document, retrieval_files
    from cmg.report.write import HTML, write_folder
    from cmg.retrieval.baselines import COMPUTED
    from cmg.training.ranks import choose_device

    wanted = representations(by)
    results = write_folder(
        out,
        RESULTS,
        lambda: evaluate_retrieval(
            model, data, split, wanted, label, choose_device(device), baselines
        ),
        retrieval_files,
        overwrite,
    )
    if data is None:
        say_remarks(evaluation_note(model[0], COMPUTED, baselines))
    show_report(retrieval_document(results), results.told(), f"Report: {out / HTML}")


def open_set(
    context: typer.Context,
    model: Annotated[
        list[Path],
        typer.Option(help="Run folder or checkpoint; several are told as mean and spread."),
    ],
    out: OutOption,
    known: Annotated[
        str | None,
        typer.Option(help="How many of the label's first classes heads learn, or their names."),
    ] = None,
    unknown: Annotated[
        str | None, typer.Option(help="Names of classes to reject; default: all others.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Label per clip; default: the store's first.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Feature store; default: what the run was trained on. With --plan the authors' "
            "data, or what `cmg data import` made of it."
        ),
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="NAME-K",
            help="Instead of --known, of the authors' data: ave-14, ave-21, ucf-17, ucf-34, "
            "ucf-vgg-8, ucf-vgg-12, or another K.",
        ),
    ] = None,
    protocol: Annotated[
        Literal["published", "clean"], typer.Option(help="Of a plan: as published, or clean.")
    ] = "clean",
    seeds: Annotated[int, typer.Option(help="Of a plan: heads per modality and model.")] = 3,
    features: FeaturesOption = "codes",
    lists: ListsOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Train heads on known classes, read them on clips of all: AUROC, FPR95, H-score.

    Of a store and one of its labels (--known), or of the authors' data (--plan).
    """
    from cmg.official.collection import open_collection
    from cmg.recipes.open_set import OpenSetResults, evaluate_open_set
    from cmg.recipes.open_set_plans import evaluate_plan
    from cmg.report.open_set import RESULTS, open_set_document, open_set_files
    from cmg.report.write import HTML, write_folder
    from cmg.training.ranks import choose_device

    chosen = choose_device(device)
    if plan is None:
        of_probe = "goes with --plan; heads on a store are those of the run's probe options"
        refuse_given(context, ("protocol", "seeds", "features", "lists"), of_probe)
    else:
        refuse_given(context, ("known", "unknown", "label"), "goes with a store, not with --plan")

    def evaluated() -> OpenSetResults:
        if plan is None and known is not None:
            return evaluate_open_set(model, known, unknown, data, label, chosen)
        if plan is None or data is None:
            raise ConfigError(
                "say --known N or NAMES, of a store, or --plan ave-14 --data ROOT, of the authors' "
                "data"
            )
        collection = open_collection(data, lists, text="none")
        given = protocol, seeds, features, chosen
        return evaluate_plan(model, collection, plan, *given, progress)

    with progress_bar() as progress:
        results = write_folder(out, RESULTS, evaluated, open_set_files, overwrite)
    show_report(open_set_document(results), results.told(), f"Report: {out / HTML}")


def refuse_given(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options that were typed, whatever their values.

    Raises:
        ConfigError: names the first.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ConfigError(f"--{name} {why}; leave one of them out")


def two_stage(
    model: Annotated[
        list[Path],
        typer.Option(
            help="Stage 1: run that was pre-trained without the new modality; several are told as "
            "mean and spread."
        ),
    ],
    new: Annotated[str, typer.Option(help="Modality that joins.")],
    pivot: Annotated[str, typer.Option(help="Modality of the run that it is fitted to.")],
    out: OutOption,
    data: StoreOption = None,
    split: SplitOption = None,
    seeds: Annotated[int, typer.Option(help="Fits per run and variant.")] = 3,
    epochs: Annotated[int, typer.Option(help="Of a fit.")] = 20,
    lr: Annotated[float, typer.Option(help="Of Adam.")] = 2e-3,
    batch_size: Annotated[int, typer.Option(help="Clips per step.")] = 64,
    temperature: Annotated[float, typer.Option(help="Of the contrast.")] = 0.07,
    commitment: Annotated[float, typer.Option(help="Weight of the distance to the codes.")] = 0.25,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Let a modality join a frozen codebook, and find it by one it was never paired with.

    The setting of the paper's Table 5, whose code is lost; with the controls shuffled pairs and
    untrained.
    """
    from cmg.options import checked_options
    from cmg.recipes.two_stage import JoinOptions
    from cmg.recipes.two_stage import two_stage as run_two_stage
    from cmg.report.retrieval import RESULTS, two_stage_document, two_stage_files
    from cmg.report.write import HTML, write_folder
    from cmg.training.ranks import choose_device

    options = checked_options(JoinOptions, **named(JoinOptions, locals()))
    with progress_bar() as tell:
        results = write_folder(
            out,
            RESULTS,
            lambda: run_two_stage(
                model,
                new,
                pivot,
                data,
                split,
                options,
                seeds,
                device=choose_device(device),
                progress=tell,
            ),
            two_stage_files,
            overwrite,
        )
    show_report(two_stage_document(results), results.told(), f"Report: {out / HTML}")


def retrieve(
    query: Annotated[
        str, typer.Argument(help="Clip id of a store, a file of media, or with --text words.")
    ],
    model: RunOption,
    source: Annotated[str, typer.Option("--from", help="Modality of the query.")],
    target: Annotated[str, typer.Option("--to", help="Modality of the gallery.")],
    gallery: Annotated[
        str | None,
        typer.Option(help="Store, or a file of --save-index; default: the run's store."),
    ] = None,
    split: SplitOption = None,
    queries: Annotated[
        str | None, typer.Option(help="Store that has the query's clip; default: the gallery's.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="QUERY is words.")] = False,
    by: Annotated[str, typer.Option(help="mean, codes, continuous or sequence.")] = "mean",
    top: Annotated[int, typer.Option(help="How many clips.")] = 10,
    engine: Annotated[
        str,
        typer.Option(help="exact; faiss (approximate) or faiss-flat for very large galleries."),
    ] = "exact",
    save_index: Annotated[
        Path | None, typer.Option(help="Keep the gallery in this file (.safetensors).")
    ] = None,
    extractor: ExtractorOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find the clips of a gallery that are nearest to a clip of another modality."""
    from cmg.recipes.retrieve import INDEX, Wanted
    from cmg.recipes.retrieve import retrieve as run_retrieve
    from cmg.retrieval.index import ENGINES
    from cmg.training.ranks import choose_device

    chosen = next((one for one in ENGINES if one == engine), None)
    if chosen is None:
        raise ConfigError(f"--engine {engine}: say {', '.join(ENGINES)}")
    if save_index is not None and save_index.suffix != INDEX:
        raise ConfigError(f"--save-index {save_index} must end in {INDEX}")
    kinds = representations(by)
    if len(kinds) != 1:
        raise ConfigError(f"--by {by}: one of them")
    asked = query if os.path.exists(query) else typed_name(query)
    found = run_retrieve(
        Wanted(asked, source, target, kinds[0], top, text),
        model,
        gallery,
        split,
        queries,
        pairs(extractor, "--extractor"),
        pairs(weights, "--weights"),
        chosen,
        str(choose_device(device)),
        save_index,
    )
    say_remarks(found.remarks)
    stored = found.gallery
    told = {
        "query": asked,
        "gallery": {
            "store": stored.store,
            "split": stored.split,
            "modality": stored.modality,
            "clips": len(stored.gallery),
        },
        "by": stored.gallery.by,
        "hits": [{"id": clip, "cosine": score} for clip, score in found.hits],
    }
    lines = [f"{i:3}  {score:7.4f}  {clip}" for i, (clip, score) in enumerate(found.hits, 1)]
    where = f"{len(stored.gallery):,} clips of {stored.store}, split {stored.split}"
    show(told, *lines, f"{target} by {source}, among {where}")
