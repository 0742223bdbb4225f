"""The release's rule: the checkpoint that is best on AVE is the one to use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cmg.errors import CheckpointError, ConfigError
from cmg.evaluation.scores import Score
from cmg.files import StrPath
from cmg.official.collection import Collection
from cmg.recipes.evaluate_tasks import head_options
from cmg.tasks.classification import ave_plan
from cmg.tasks.plan import Protocol
from cmg.tasks.run import crossing_score
from cmg.tasks.world import Opened, World
from cmg.training.checkpoint import find_checkpoint, list_checkpoints, load_model, read_checkpoint
from cmg.training.selection import mark_checkpoint


@dataclass(frozen=True)
class CheckpointScore:
    """One checkpoint on AVE.

    Attributes:
        checkpoint: Name of its folder.
        epoch: Whole epochs of pre-training.
        step: Steps of pre-training.
        accuracy: Mean of both directions across modalities, in percent; None where the published
            protocol trains no head because the checkpoint is too late.
    """

    checkpoint: str
    epoch: int
    step: int
    accuracy: Score | None


@dataclass(frozen=True)
class Selection:
    """Every checkpoint of a run, and the best.

    Attributes:
        protocol: Of AVE.
        scores: By age of the checkpoints.
        best: The first of the best.
        epochs: Whole epochs of the newest checkpoint.
    """

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
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Selection:
    """Evaluate every checkpoint of a run on AVE and mark the best in ``selected.json``.

    Published: accuracy on the training split. Clean: heads learn on the training split, and
    checkpoints are compared on val, in the modality that the head was not trained on; test is left
    for the evaluation.

    Args:
        run: Run folder.
        collection: With the data set ``ave``.
        protocol: See above.
        seeds: Heads per direction and checkpoint.
        device: Where to compute.
        progress: Told about clips that are encoded and epochs of heads.

    Raises:
        CheckpointError: no run, no checkpoint, or none that the protocol can evaluate.
        ConfigError: fewer than one seed.
        DataError: the collection lacks AVE, a split or a label.
    """
    run = Path(run)
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}; give at least one")
    folders = list_checkpoints(run)
    if not folders:
        find_checkpoint(run)
        raise CheckpointError(f"{run} is one checkpoint; give the run folder to choose from")
    opened = Opened(collection)
    scores = [_score(folder, opened, protocol, seeds, device, progress) for folder in folders]
    known = [s for s in scores if s.accuracy is not None]
    if not known:
        raise CheckpointError(
            f"all {len(scores)} checkpoints of {run} are too late for the published protocol of "
            "AVE, which would train no head; use --protocol clean"
        )
    best = max(known, key=_mean)  # the first of equals
    told = {"protocol": protocol, "seeds": seeds, "scores": [asdict(s) for s in scores]}
    mark_checkpoint(run, folders[scores.index(best)], told)
    return Selection(protocol, scores, best, scores[-1].epoch)


def _mean(score: CheckpointScore) -> float:
    assert score.accuracy is not None
    return score.accuracy.mean


def _score(
    folder: Path,
    collection: Opened,
    protocol: Protocol,
    seeds: int,
    device: torch.device | str,
    progress: Callable[[str, int, int], None],
) -> CheckpointScore:
    checkpoint = read_checkpoint(folder, [])
    position = checkpoint.position
    try:
        options = head_options("ave", protocol, checkpoint.position.epoch, checkpoint.path)
    except ConfigError:
        return CheckpointScore(folder.name, position.epoch, position.step, None)
    world = World(collection, load_model(folder, device), protocol, progress)
    accuracy = crossing_score(ave_plan(world, options, test="val"), world, range(seeds))
    return CheckpointScore(folder.name, position.epoch, position.step, accuracy)
