"""Going on with a run: what may differ from how it was begun, and where it goes on from."""

from __future__ import annotations

from pathlib import Path

from cmg.config.compare import as_typed, changed_keys
from cmg.config.load import override_config
from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError, ConfigError
from cmg.runs.checkpoint import Checkpoint, restore_training
from cmg.runs.folder import RUN, places_of, read_config, read_facts, update_run, with_places
from cmg.runs.keeping import resumable_checkpoint, thin
from cmg.runs.loop import Pretraining

EPOCHS, KEEP = "training.epochs", "training.keep_checkpoints"


def refuse_converted(run: Path | None) -> None:
    """Refuse to resume what `cmg convert` wrote, or nothing.

    Raises:
        CheckpointError: it did write the run.
        ConfigError: there is no run.
    """
    if run is None:
        raise ConfigError("nothing to resume: give the run folder")
    if (run / RUN).is_file() and "origin" in read_facts(run):
        raise CheckpointError(
            f"{run} was converted from a checkpoint of the authors, so neither its data nor its "
            "place in them is known: it can be used (--model), not resumed"
        )


def resume_from(training: Pretraining, run: Path) -> bool:
    """Put a run's newest checkpoint into `training`; whether there is one.

    The configuration must be the run's, apart from where the data are and how many epochs it has;
    the checkpoints that the run was started to keep are kept.

    Raises:
        CheckpointError: no run there, another configuration, other data, fewer epochs than were
            trained, or damaged files.
    """
    own = read_config(run)
    training.config = override_config(
        training.config, changes={KEEP: own.training.keep_checkpoints}
    )
    refuse_another(own, training.config, run)
    checkpoint = resumable_checkpoint(run)
    if checkpoint is not None:
        refuse_another_kind(checkpoint, own)
    trained_on = read_facts(run)["data_hash"] if checkpoint is None else checkpoint.data_hash
    if trained_on != training.data_hash:
        raise CheckpointError(
            f"{run} was started on a store with content hash {trained_on[:12]}, but "
            f"{training.config.data.store} has {training.data_hash[:12]}; give it the same data"
        )
    if checkpoint is not None:
        refuse_fewer(checkpoint, training)
    if training.run is not None and own != training.config:
        update_run(run, own, training.config)
    if checkpoint is None:
        return False
    restore_training(training.state, checkpoint)
    training.position = checkpoint.position
    if training.run is not None:
        thin(training.run, own, len(training.batches))  # what a killed process left to do
    if training.run is not None and training.position.step < training.steps_in_all:
        for outdated in ("results.json", "report.html", "report.md"):
            (run / outdated).unlink(missing_ok=True)  # of the model of an earlier step
    return True


def refuse_another(own: RunConfig, given: RunConfig, run: Path) -> None:
    """Refuse to resume with another configuration than the run's.

    Raises:
        CheckpointError: naming the keys that differ, and both values.
    """
    wanted = override_config(
        with_places(own, places_of(given)), changes={EPOCHS: given.training.epochs}
    )
    told = [
        f"{key} is {as_typed(in_run)} in the run, {as_typed(here)} here"
        for key, (in_run, here) in changed_keys(wanted, given).items()
    ]
    if told:
        raise CheckpointError(
            f"{run} was started with another configuration: {'; '.join(told)}. Leave out what "
            f"differs (--resume needs no more than --out), or begin another run; {EPOCHS} may be "
            "more, and data=STORE another place of the same data"
        )


def refuse_another_kind(checkpoint: Checkpoint, own: RunConfig) -> None:
    """Refuse a checkpoint whose codebook is not what the run's configuration says.

    Raises:
        CheckpointError: naming the kinds, or that options differ.
    """
    there, here = checkpoint.config.model.codebook, own.model.codebook
    if there != here:
        raise CheckpointError(
            f"{checkpoint.path} has a codebook of kind {there.kind}, and the run's config.yaml "
            f"says {here.kind}{', with other options' * (there.kind == here.kind)}; put back "
            "model.codebook as checkpoint.json has it, or begin another run"
        )


def refuse_fewer(checkpoint: Checkpoint, training: Pretraining) -> None:
    """Refuse to go on to where a run has been already.

    Raises:
        CheckpointError: the run is beyond the last epoch that is asked for.
    """
    if checkpoint.position.step > training.steps_in_all:
        raise CheckpointError(
            f"{checkpoint.path} is after step {checkpoint.position.step}, and {EPOCHS}="
            f"{training.config.training.epochs} ends at step {training.steps_in_all}; ask for more "
            "epochs, or use an earlier checkpoint of the run with --model"
        )
