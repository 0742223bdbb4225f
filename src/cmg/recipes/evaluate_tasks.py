"""Evaluate a model on the benchmarks, as published and clean; choose a run's best checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cmg.baselines.record import Baselines
from cmg.clips import TRAINING_LISTS
from cmg.codebook.dimensions import DimensionOptions
from cmg.config.schema import RunConfig
from cmg.decoders.heads import ReadBy
from cmg.errors import CheckpointError, ConfigError
from cmg.evaluation.frozen import FrozenData, Opened, Progress, Protocol, quiet
from cmg.evaluation.scores import Score
from cmg.evaluation.training import HeadOptions
from cmg.files import StrPath
from cmg.official.collection import Collection
from cmg.official.layout import SIMULATION
from cmg.recipes.benchmark_baselines import BenchmarkBaselines
from cmg.runs.checkpoint import (
    Checkpoint,
    find_checkpoint,
    list_checkpoints,
    load_model,
    read_checkpoint,
)
from cmg.runs.folder import versions
from cmg.runs.selection import mark_checkpoint, marked_checkpoint
from cmg.tasks.benchmark import Benchmark, Plan, benchmarks, find_benchmark
from cmg.tasks.outcome import Figures, Outcome
from cmg.tasks.paper import unlike_training
from cmg.tasks.run import crossing_score, leak_report, run_plan, youtube_id
from cmg.tasks.sides import VideoIds

ALL = "all"


@dataclass
class TaskResults:
    """What an evaluation found.

    Attributes:
        outcomes: One per benchmark and protocol.
        about: Model, data, seeds and versions, JSON.
        baselines: What the baselines of a benchmark found by its headline, and cost, where they
            were asked for; the clean outcome's controls have all of their figures.
    """

    outcomes: list[Outcome]
    about: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, Baselines] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, dict[str, Figures]]:
        """Figures by benchmark and protocol."""
        found: dict[str, dict[str, Figures]] = {}
        for outcome in self.outcomes:
            found.setdefault(outcome.benchmark.name, {})[outcome.protocol] = outcome.figures
        return found


def evaluate_tasks(
    collection: Collection,
    model: StrPath,
    names: Sequence[str] = (ALL,),
    protocols: Sequence[Protocol] = ("published", "clean"),
    seeds: int = 3,
    device: torch.device | str = "cpu",
    progress: Progress = quiet,
    modalities: Sequence[str] | None = None,
    by: ReadBy = "codes",
    baselines: bool = False,
    dimensions: DimensionOptions | None = None,
) -> TaskResults:
    """Evaluate a model on benchmarks.

    Args:
        collection: The data sets.
        model: A run folder (its selected checkpoint, else its newest) or a checkpoint folder.
        names: Of benchmarks, or ``all``.
        protocols: ``published`` and ``clean``, of those that a benchmark has.
        seeds: Heads per direction.
        device: Where to compute.
        progress: Told about clips that are encoded.
        modalities: To go between; None leaves it to each benchmark and the model.
        by: What heads read.
        baselines: Whether ridge, CCA, heads on raw features, and InfoNCE where the run has it, are
            evaluated beside the model, by the clean protocol.
        dimensions: Of code vectors, which heads read instead of all of them.

    Raises:
        ConfigError: an unknown benchmark, one without the protocol, or fewer than one seed;
            baselines without the clean protocol, or of a model that is no run.
        CheckpointError: no checkpoint, or a mark of one that is gone.
        ModalityError: the model lacks the modalities, or was trained on other features.
        DataError: the collection lacks a data set, a split, a label or a class.
    """
    chosen = [find_benchmark(name) for name in benchmark_names(names)]
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}; give at least one")
    marked = marked_checkpoint(model)
    checkpoint = read_checkpoint(marked or model, [])
    loaded = load_model(checkpoint.path, device)
    done = checkpoint.position.epoch
    options = {
        (one.name, p): one.head_options(p, done, checkpoint.path)
        for p in protocols
        for one in chosen
        if p in one.protocols or len(protocols) == 1
    }
    pretraining = pretraining_list(checkpoint)
    opened = Opened(collection)
    lists = pretraining_ids(opened, pretraining)
    outcomes: dict[tuple[str, Protocol], Outcome] = {}
    rivals = BenchmarkBaselines(Path(model), checkpoint, protocols, seeds) if baselines else None
    for protocol in protocols:
        data = FrozenData(opened, loaded, protocol, modalities, by, progress, dimensions)
        for one in chosen:
            if given := options.get((one.name, protocol)):
                plan = one.plan(data)
                outcomes[one.name, protocol] = run_task(
                    plan, given, range(seeds), lists, pretraining, checkpoint.config
                )
                if rivals is not None and protocol == "clean":
                    rivals.join(outcomes[one.name, protocol], plan, given)
    about = {
        "checkpoint": str(checkpoint.path),
        "selected": marked is not None,
        "epoch": checkpoint.position.epoch,
        "modalities": list(loaded.modalities),
        "pretraining": pretraining,
        "data": str(collection.path),
        "simulated": (Path(collection.path) / SIMULATION).is_file(),
        "seeds": list(range(seeds)),
        **({} if dimensions is None else {"dimensions": dimensions.model_dump()}),
        "versions": versions(),
    }
    order = [(one.name, p) for one in chosen for p in protocols]
    found = [outcomes[key] for key in order if key in outcomes]
    return TaskResults(found, about, {} if rivals is None else rivals.found)


def run_task(
    plan: Plan,
    options: HeadOptions,
    seeds: Sequence[int],
    lists: dict[str, VideoIds],
    pretraining: str | None,
    config: RunConfig,
) -> Outcome:
    """One benchmark under one protocol, with its leaks, and the paper's figures if they fit."""
    one = plan.benchmark
    plan = replace(plan, marks=one.marks(plan, lists, pretraining))
    unlike = one.unlike(plan.data.collection) or unlike_training(config)
    paper = one.paper_table(list(plan.data.model.modalities), pretraining)
    if not paper:
        unlike = unlike or "the paper has no such model"
    found = run_plan(plan, options, seeds, {} if unlike else paper, leak_report(plan, lists))
    return replace(found, unlike=unlike)


def benchmark_names(asked: Sequence[str]) -> list[str]:
    """The benchmarks that are meant, ``all`` written out.

    Raises:
        ConfigError: an unknown name.
    """
    if ALL in asked:
        return list(benchmarks)
    return list(dict.fromkeys(find_benchmark(name).name for name in asked))


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


@dataclass(frozen=True)
class CheckpointScore:
    """One checkpoint on a benchmark.

    Attributes:
        checkpoint: Name of its folder.
        epoch: Whole epochs of pre-training.
        step: Steps of pre-training.
        accuracy: The benchmark's headline, mean of the directions across modalities, in percent;
            None where the published protocol trains no head because the checkpoint is too late.
    """

    checkpoint: str
    epoch: int
    step: int
    accuracy: Score | None


@dataclass(frozen=True)
class Selection:
    """Every checkpoint of a run, and the best.

    Attributes:
        benchmark: Compared on.
        protocol: Of the benchmark.
        scores: By age of the checkpoints.
        best: The first of the best.
        epochs: Whole epochs of the newest checkpoint.
    """

    benchmark: str
    protocol: Protocol
    scores: list[CheckpointScore]
    best: CheckpointScore
    epochs: int

    @property
    def missing(self) -> int:
        """Epochs without a checkpoint, which could not be compared."""
        return self.epochs - len({s.epoch for s in self.scores} - {0})


def select(
    run: StrPath,
    collection: Collection,
    protocol: Protocol = "clean",
    seeds: int = 3,
    device: torch.device | str = "cpu",
    progress: Progress = quiet,
    benchmark: str = "ave",
) -> Selection:
    """Evaluate every checkpoint of a run on a benchmark and mark the best in ``selected.json``.

    Published: on what is tested, of AVE the training split. Clean: heads learn on the training
    clips, and checkpoints are compared on those that epochs are selected by, of AVE val, in the
    modality that the head was not trained on; test is left for the evaluation.

    Args:
        run: Run folder.
        collection: With the benchmark's data sets.
        protocol: See above.
        seeds: Heads per direction and checkpoint.
        device: Where to compute.
        progress: Told about clips that are encoded and epochs of heads.
        benchmark: Its name.

    Raises:
        CheckpointError: no run, no checkpoint, or none that the protocol can evaluate.
        ConfigError: fewer than one seed, an unknown benchmark, or one without the protocol.
        DataError: the collection lacks a data set, a split or a label.
    """
    run = Path(run)
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}; give at least one")
    folders = list_checkpoints(run)
    if not folders:
        find_checkpoint(run)
        raise CheckpointError(f"{run} is one checkpoint; give the run folder to choose from")
    one, opened = find_benchmark(benchmark), Opened(collection)
    one.head_options(protocol, 0, run)
    scores = [_score(folder, one, opened, protocol, seeds, device, progress) for folder in folders]
    known = {place: s.accuracy.mean for place, s in enumerate(scores) if s.accuracy is not None}
    if not known:
        raise CheckpointError(
            f"all {len(scores)} checkpoints of {run} are too late for the published protocol of "
            f"{one.name}, which would train no head; use --protocol clean"
        )
    best = max(known, key=lambda place: known[place])  # the first of equals
    told: dict[str, Any] = {"benchmark": one.name, "protocol": protocol, "seeds": seeds}
    told |= {"scores": [asdict(s) for s in scores]}
    mark_checkpoint(run, folders[best], told)
    return Selection(one.name, protocol, scores, scores[best], scores[-1].epoch)


def _score(
    folder: Path,
    benchmark: Benchmark,
    collection: Opened,
    protocol: Protocol,
    seeds: int,
    device: torch.device | str,
    progress: Progress,
) -> CheckpointScore:
    checkpoint = read_checkpoint(folder, [])
    position = checkpoint.position
    try:
        options = benchmark.head_options(protocol, position.epoch, checkpoint.path)
    except ConfigError:
        return CheckpointScore(folder.name, position.epoch, position.step, None)
    data = FrozenData(collection, load_model(folder, device), protocol, progress=progress)
    plan = benchmark.plan(data)
    plan = replace(plan, test=plan.select or plan.test)
    accuracy = crossing_score(plan, options, range(seeds))
    return CheckpointScore(folder.name, position.epoch, position.step, accuracy)
