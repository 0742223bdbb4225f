"""Which checkpoints of a run are kept, and whether whole; see ``training.keep_checkpoints``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError, DataError
from cmg.files import replace_file, sync_folder
from cmg.models.saving import DESCRIPTION
from cmg.runs.checkpoint import (
    FOLDER,
    TRAINING,
    Checkpoint,
    list_checkpoints,
    read_checkpoint,
    step_folders,
    step_of,
)
from cmg.writers import is_over

EPOCHS, WHOLE = "epochs", 2
"""One per epoch is kept, and so many of the newest checkpoints with what resuming needs."""


def resumable_checkpoint(run: Path) -> Checkpoint | None:
    """The newest checkpoint of a run, from which its training goes on; None before the first one.

    Raises:
        CheckpointError: it is damaged, or holds weights only; the message then names the newest
            one that training can go on from.
    """
    found = list_checkpoints(run)
    whole = [folder for folder in found if (folder / TRAINING).is_file()]
    if not found:
        return None
    if whole[-1:] == found[-1:]:
        return read_checkpoint(found[-1], None)
    remedy = f"none of the {len(found)} checkpoints can: use them with --model"
    if whole:
        remedy = (
            f"the newest that can is {whole[-1].name}: move the later ones out of {run / FOLDER}"
        )
    raise CheckpointError(
        f"{found[-1]} holds weights only (no {TRAINING}), so training cannot go on from it; "
        f"{remedy}"
    )


def thin(run: Path, config: RunConfig, steps_per_epoch: int) -> None:
    """Take away what a run need not keep, and what a killed process left half-written.

    The newest checkpoints are not touched, and every step leaves checkpoints that can be read and
    resumed from: whoever is killed here goes on from the newest, and the next call ends the work.

    Args:
        run: The run folder; its newest checkpoint is whole.
        config: Of the run.
        steps_per_epoch: Checkpoints of a multiple of it are of whole epochs.

    Raises:
        CheckpointError: a file cannot be removed or written.
    """
    keep = config.training.keep_checkpoints
    newest = list_checkpoints(run)[-(keep if isinstance(keep, int) else WHOLE) :]
    try:
        for cut_short in (run / FOLDER).glob(".step-*.partial-*"):
            shutil.rmtree(cut_short)
        for left in run.glob(".*.partial-*"):
            if left.is_file() and is_over(left.name):
                left.unlink()
        if keep is None or not newest:
            return
        for folder in step_folders(run):
            if step_of(folder) >= step_of(newest[0]):
                return
            whole_epoch = step_of(folder) % steps_per_epoch == 0
            if keep == EPOCHS and whole_epoch and (folder / DESCRIPTION).is_file():
                drop_training(folder)
            else:
                remove_checkpoint(folder)
    except (OSError, DataError) as error:
        raise CheckpointError(
            f"cannot thin out the checkpoints of {run}: {error}; the newest one is intact, mend "
            "this and go on with --resume"
        ) from error


def drop_training(folder: Path) -> None:
    """Reduce a checkpoint to its weights: first in its description, then on the disk."""
    if not (folder / TRAINING).is_file():
        return
    try:
        told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        listed = told["sha256"].pop(TRAINING, None) is not None
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # somebody edited it: nothing more is taken away
    if listed:
        replace_file(folder / DESCRIPTION, json.dumps(told, indent=1).encode())
        sync_folder(folder)  # a description never lists what is gone
    (folder / TRAINING).unlink()


def remove_checkpoint(folder: Path) -> None:
    """Delete a checkpoint, description first, so that a half-deleted one is never read."""
    (folder / DESCRIPTION).unlink(missing_ok=True)
    shutil.rmtree(folder)
