"""Baselines of a run, with its data and its budget: computed, trained, kept beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cmg.baselines.infonce import infonce_config, is_infonce
from cmg.baselines.raw import clip_label, raw_clips
from cmg.baselines.record import FILE, FOLDER, INFONCE, NAMES, Baselines, read_baselines
from cmg.baselines.rows import Baseline, computed
from cmg.clips import configured_clips
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips
from cmg.errors import ConfigError, DataError
from cmg.files import StrPath
from cmg.process import thread_count, torch_defaults
from cmg.recipes.evaluate import evaluate
from cmg.recipes.pretrain import prepare
from cmg.runs.checkpoint import Checkpoint, Position, load_model, read_checkpoint
from cmg.runs.folder import CONFIG
from cmg.runs.loop import Pretraining

Progress = Callable[[str, int, int], None]
"""Told what is done, how far, and of how much."""


@torch_defaults()
def baselines(
    run: StrPath, only: Sequence[str] = NAMES, progress: Progress = lambda what, done, of: None
) -> Baselines:
    """Compute and train the baselines of a run that are not finished, and keep them in its folder.

    The InfoNCE model lies in ``baselines/infonce``, a run like any other; one that was stopped goes
    on from its last checkpoint.

    Args:
        run: Run folder with a checkpoint.
        only: Of :data:`~cmg.baselines.record.NAMES`.
        progress: Told about every step of a training.

    Returns:
        All that the run has.

    Raises:
        CheckpointError: no run.
        ConfigError: the run is a control.
        DataError: its store changed, has no label per clip, or has a single modality.
    """
    run = Path(run)
    checkpoint = read_checkpoint(run)
    refuse_control(run, checkpoint.config)
    store = configured_clips(checkpoint.config.data)
    refuse_changed(run, checkpoint, store)
    found = read_baselines(run) or Baselines(store.content_hash)
    if found.data_hash != store.content_hash:
        raise DataError(
            f"{run} has baselines of a store with content hash {found.data_hash[:12]}, and was "
            f"trained on {store.content_hash[:12]}; remove {run / FOLDER} and {FILE} there"
        )
    left = [name for name in only if name in found.missing]
    wanted = [name for name in left if name != INFONCE]
    with thread_count(checkpoint.config.training.threads):
        if wanted:
            clips = raw_clips(store, checkpoint.config.data)
            found.label, found.chosen_on = clips.label, clips.chosen_on
            for name, row in computed(clips, wanted):
                found.rows[name] = row
                found.save(run)
        if INFONCE in left:
            add_infonce(found, run, checkpoint, store, progress)
    return found


def refuse_control(run: Path, config: RunConfig) -> None:
    """Refuse a run that is a control itself.

    Raises:
        ConfigError: it is one.
    """
    kinds = {
        "shuffled pairs": config.data.shuffled_pairs,
        "untrained encoders": config.training.codebook_only,
    }
    for kind, is_one in kinds.items():
        if is_one:
            raise ConfigError(
                f"{run} is a control ({kind}); baselines are for the run that it controls for"
            )


def refuse_changed(run: Path, checkpoint: Checkpoint, store: Clips) -> None:
    """Refuse clips that the run was not trained on.

    Raises:
        DataError: naming both content hashes.
    """
    if store.content_hash != checkpoint.data_hash:
        raise DataError(
            f"{store.path} has content hash {store.content_hash[:12]}, but {run} was trained on "
            f"{checkpoint.data_hash[:12] or 'unknown data'}: baselines need the same clips; put "
            "back the store, or train again on the new one"
        )


def add_infonce(
    found: Baselines, run: Path, checkpoint: Checkpoint, store: Clips, progress: Progress
) -> None:
    """Train InfoNCE at the run's budget, as far as it is not trained, and evaluate it."""
    config, row = checkpoint.config, found.rows.setdefault(INFONCE, Baseline(tries=1))
    if is_infonce(config):
        found.label = found.label or clip_label(store)
        row.steps = checkpoint.position.step
        row.scores = evaluate(load_model(run), config, config.training.seed).transfer
        found.remarks.append(f"{run} is symmetric InfoNCE itself: the row infonce is its own")
        found.save(run)
        return
    own, folder = infonce_config(config), run / FOLDER / INFONCE
    with counted(found, row, run):
        training = prepare(own, folder, resume=(folder / CONFIG).is_file())
        training.observers.append(Told(training, progress))
        training.train()
        row.steps = training.position.step
        row.parameters = sum(p.numel() for _, p in training.state.named_parameters())
        if any(spec.per == "clip" for spec in store.labels.values()):
            found.label = found.label or clip_label(store)
            row.scores = evaluate(training.state.model, own, own.training.seed).transfer


@contextmanager
def counted(found: Baselines, row: Baseline, run: Path) -> Iterator[None]:
    """Add to a row what it takes, and keep it, also where it is stopped."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        row.seconds += time.perf_counter() - wall
        row.cpu_seconds += time.process_time() - cpu
        found.save(run)


class Told:
    """Step observer that says how many clips of all epochs are done."""

    def __init__(self, training: Pretraining, progress: Progress) -> None:
        self.clips = training.batches.count * training.config.training.epochs
        self.steps, self.progress = training.steps_in_all, progress

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""
        self.progress(INFONCE, position.step * self.clips // self.steps, self.clips)
