"""The release's rule: the checkpoint that is best on AVE, or another benchmark, is to be used."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cmg.errors import CheckpointError, ConfigError
from cmg.evaluation.frozen import FrozenData, Opened, Progress, Protocol, quiet
from cmg.evaluation.scores import Score
from cmg.files import StrPath
from cmg.official.collection import Collection
from cmg.runs.checkpoint import find_checkpoint, list_checkpoints, load_model, read_checkpoint
from cmg.runs.selection import mark_checkpoint
from cmg.tasks.benchmark import Benchmark, find_benchmark
from cmg.tasks.run import crossing_score


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
    known = [s for s in scores if s.accuracy is not None]
    if not known:
        raise CheckpointError(
            f"all {len(scores)} checkpoints of {run} are too late for the published protocol of "
            f"{one.name}, which would train no head; use --protocol clean"
        )
    best = max(known, key=_mean)  # the first of equals
    told: dict[str, Any] = {"benchmark": one.name, "protocol": protocol, "seeds": seeds}
    told |= {"scores": [asdict(s) for s in scores]}
    mark_checkpoint(run, folders[scores.index(best)], told)
    return Selection(one.name, protocol, scores, best, scores[-1].epoch)


def _mean(score: CheckpointScore) -> float:
    assert score.accuracy is not None
    return score.accuracy.mean


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
