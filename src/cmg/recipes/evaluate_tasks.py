"""Evaluate a trained model on the benchmarks, as published and clean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cmg.clips import TRAINING_LISTS
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError, did_you_mean
from cmg.files import StrPath
from cmg.official.collection import Collection
from cmg.official.layout import SIMULATION
from cmg.tasks.classification import ave_plan, ucf_vgg_plan
from cmg.tasks.frozen import Progress, quiet
from cmg.tasks.leaks import VideoIds, leak_report, seen_marks, youtube_id
from cmg.tasks.localization import ave_avvp_plan, avvp_plan
from cmg.tasks.outcome import Figures, Outcome
from cmg.tasks.paper import paper_table, unlike_paper, unlike_training
from cmg.tasks.plan import Plan, Protocol
from cmg.tasks.run import run_plan
from cmg.tasks.training import HeadOptions
from cmg.tasks.world import Opened, World
from cmg.training.checkpoint import Checkpoint, load_model, read_checkpoint
from cmg.training.run_folder import versions
from cmg.training.selection import marked_checkpoint

PLANS = {
    "ave": ave_plan,
    "avvp": avvp_plan,
    "ave-avvp": ave_avvp_plan,
    "ucf-vgg": ucf_vgg_plan,
}
EPOCHS = {"ave": 30, "avvp": 50, "ave-avvp": 50, "ucf-vgg": 30}
"""Epochs of the heads in the release, per benchmark."""
LEAST_STEPS = 1260
"""Of a clean head: what 30 epochs over AVE's 3,339 training clips make."""
ALL = "all"


@dataclass
class TaskResults:
    """What an evaluation found.

    Attributes:
        outcomes: One per benchmark and protocol.
        about: Model, data, seeds and versions, JSON.
    """

    outcomes: list[Outcome]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, dict[str, Figures]]:
        """Figures by benchmark and protocol."""
        found: dict[str, dict[str, Figures]] = {}
        for outcome in self.outcomes:
            found.setdefault(outcome.benchmark, {})[outcome.protocol] = outcome.figures
        return found


def evaluate_tasks(
    collection: Collection,
    model: StrPath,
    benchmarks: Sequence[str] = (ALL,),
    protocols: Sequence[Protocol] = ("published", "clean"),
    seeds: int = 3,
    device: torch.device | str = "cpu",
    progress: Progress = quiet,
) -> TaskResults:
    """Evaluate a model on benchmarks.

    Args:
        collection: The data sets.
        model: A run folder (its selected checkpoint, else its newest) or a checkpoint folder.
        benchmarks: ``ave``, ``avvp``, ``ave-avvp``, ``ucf-vgg`` or ``all``.
        protocols: ``published`` and ``clean``.
        seeds: Heads per direction.
        device: Where to compute.
        progress: Told about clips that are encoded.

    Raises:
        ConfigError: an unknown benchmark, or fewer than one seed.
        CheckpointError: no checkpoint, or a mark of one that is gone.
        ModalityError: the model lacks audio or video, or was trained on other features.
        DataError: the collection lacks a data set, a split, a label or a class.
    """
    names = benchmark_names(benchmarks)
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}; give at least one")
    marked = marked_checkpoint(model)
    checkpoint = read_checkpoint(marked or model, [])
    loaded = load_model(checkpoint.path, device)
    done = checkpoint.position.epoch
    options = {(n, p): head_options(n, p, done, checkpoint.path) for p in protocols for n in names}
    pretraining = pretraining_list(checkpoint)
    opened = Opened(collection)
    lists = pretraining_ids(opened, pretraining)
    outcomes: dict[tuple[str, Protocol], Outcome] = {}
    for protocol in protocols:
        world = World(opened, loaded, protocol, progress)
        for name in names:
            plan = PLANS[name](world, options[name, protocol])
            outcomes[name, protocol] = run_task(
                plan, world, range(seeds), lists, pretraining, checkpoint.config
            )
    about = {
        "checkpoint": str(checkpoint.path),
        "selected": marked is not None,
        "epoch": checkpoint.position.epoch,
        "modalities": list(loaded.modalities),
        "pretraining": pretraining,
        "data": str(collection.path),
        "simulated": (Path(collection.path) / SIMULATION).is_file(),
        "seeds": list(range(seeds)),
        "versions": versions(),
    }
    return TaskResults([outcomes[n, p] for n in names for p in protocols], about)


def run_task(
    plan: Plan,
    world: World,
    seeds: Sequence[int],
    lists: dict[str, VideoIds],
    pretraining: str | None,
    config: RunConfig,
) -> Outcome:
    """One benchmark under one protocol, with its leaks, and the paper's figures if they fit."""
    plan = replace(plan, marks=seen_marks(plan, lists, pretraining))
    unlike = unlike_paper(plan.benchmark, world.collection) or unlike_training(config)
    paper = paper_table(plan.benchmark, list(world.model.modalities), pretraining)
    if not paper:
        unlike = unlike or "the paper has no such model"
    found = run_plan(plan, world, seeds, {} if unlike else paper, leak_report(plan, lists))
    return replace(found, unlike=unlike)


def benchmark_names(asked: Sequence[str]) -> list[str]:
    """The benchmarks that are meant, ``all`` written out.

    Raises:
        ConfigError: an unknown name.
    """
    for name in asked:
        if name != ALL and name not in PLANS:
            raise ConfigError(f"unknown benchmark {name!r}{did_you_mean(name, [*PLANS, ALL])}")
    return list(PLANS) if ALL in asked else list(dict.fromkeys(asked))


def head_options(
    benchmark: str, protocol: Protocol, epochs_done: int, model: StrPath
) -> HeadOptions:
    """How heads are trained.

    Args:
        benchmark: Its name.
        protocol: Whose rules.
        epochs_done: Epochs of pre-training. The release stores epoch e (from 0) after e + 1 of
            them, and its heads begin with e + 1.
        model: Which model, for messages.

    Raises:
        ConfigError: as coded, a checkpoint this late trains no head at all.
    """
    epochs, clip_alpha = EPOCHS[benchmark], benchmark == "ave-avvp"
    if protocol == "clean":
        return HeadOptions(epochs=epochs, clip_alpha=clip_alpha, least_steps=LEAST_STEPS)
    if epochs_done >= epochs:
        raise ConfigError(
            f"{model} is of pre-training epoch {epochs_done - 1} (from 0). The published "
            f"protocol of {benchmark} counts on from there and stops before epoch {epochs}, so no "
            "head would be trained; take an earlier checkpoint, or use --protocol clean"
        )
    return HeadOptions(epochs=epochs, first_epoch=epochs_done, clip_alpha=clip_alpha)


def pretraining_list(checkpoint: Checkpoint) -> str | None:
    """The VGGSound list that a model was trained on; None if nothing says."""
    data = checkpoint.config.data
    if checkpoint.origin:
        return None
    if data.list is not None:
        return data.list
    trained = Path(data.store).name, set(data.train_split.split("+"))
    for name, one in TRAINING_LISTS.items():
        if trained == (one.source, set(one.split.split("+"))):
            return name
    return None


def pretraining_ids(collection: Opened, pretraining: str | None) -> dict[str, VideoIds]:
    """Video ids of the lists 24k, 40k and the model's own, as far as the collection has them."""
    found: dict[str, VideoIds] = {}
    for name, one in TRAINING_LISTS.items():
        wanted = name in ("24k", "40k") or name == pretraining
        if not wanted or one.source not in collection.names:
            continue
        splits = set(one.split.split("+"))
        rows = collection.open(one.source).rows
        found[name] = frozenset(youtube_id(row) for row in rows if row.split in splits)
    return found
