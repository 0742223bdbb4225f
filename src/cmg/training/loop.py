"""The pre-training loop: epochs, logging, checkpoints, exact resumption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from cmg.config.schema import RunConfig
from cmg.data.batches import Batches
from cmg.data.prefetch import prefetch
from cmg.errors import NonFiniteError
from cmg.objectives.draws import Draws
from cmg.precision import no_autocast
from cmg.process import reseed, thread_count
from cmg.training.allocation import kept_memory
from cmg.training.checkpoint import Position, last_checkpoint, save_checkpoint
from cmg.training.keeping import thin
from cmg.training.naive_step import naive_step
from cmg.training.optimizer import learning_rate
from cmg.training.parts import Parts
from cmg.training.parts_step import codebook_parts_step, parts_step
from cmg.training.run_folder import MetricsLog
from cmg.training.seeding import derived_seed, step_generator
from cmg.training.state import TrainingState
from cmg.training.step import codebook_step, pretraining_step
from cmg.training.world import GradientSum, World
from cmg.types import Batch, Steps
from cmg.workers import OWN_PROCESS


class StepObserver(Protocol):
    """Who is told of every step: the progress bar, TensorBoard."""

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""


class EpochObserver(Protocol):
    """Who is told of every whole epoch that is about to be kept: writers of other formats."""

    def epoch(self, state: TrainingState, position: Position) -> None:
        """An epoch is done and its checkpoint is not yet written.

        A run that is killed in between goes on from an earlier checkpoint and comes here again, so
        nothing that is written here can be missing beside a checkpoint.
        """


@dataclass
class Pretraining:
    """A run: its state, its data, where it is and where it is kept.

    Attributes:
        config: Of the run.
        state: Model, objectives, optimizers.
        batches: The training clips.
        run: Run folder; None keeps nothing on disk (tests, controls).
        data_hash: Content hash of the store.
        position: Steps and epochs done.
        observers: Told of every step.
        world: The processes that train together; None if this one is alone. Only rank 0 has a
            `run`.
        keepers: Told of every whole epoch of a run that is kept on disk.
    """

    config: RunConfig
    state: TrainingState
    batches: Batches
    run: Path | None
    data_hash: str
    position: Position
    observers: list[StepObserver]
    world: World | None = None
    keepers: list[EpochObserver] = field(default_factory=list)

    def train(self, stop_after: Callable[[Position], bool] | None = None) -> None:
        """Train to the last epoch.

        Args:
            stop_after: Asked after every step; True ends early (tests of resumption).

        Raises:
            NonFiniteError: a term, or what was to be kept, became NaN or infinite; names step,
                term and clips.
            CheckpointError: a checkpoint could not be written.
        """
        options = self.config.training
        metrics = MetricsLog(self.run, self.position.step) if self.run else None
        # Dropout draws from the global generator: seed it per step, leave it as it was found.
        gpu = self.state.device.type == "cuda"
        steps = range(self.position.step, self.steps_in_all)
        addresses = (divmod(step, len(self.batches)) for step in steps)
        reading = closing(prefetch(self.batches, addresses, pin=gpu))
        fork = torch.random.fork_rng(devices=[self.state.device] if gpu else [])
        own = no_autocast(self.state.device.type)  # training.precision says what is cast
        keeping = kept_memory(options.keep_memory and not gpu and OWN_PROCESS.get())
        try:
            with own, thread_count(options.threads), fork, keeping, reading as read:
                for batch in read:
                    self._one_step(batch, metrics)
                    if stop_after is not None and stop_after(self.position):
                        return
        finally:
            if metrics is not None:
                metrics.close()

    def __post_init__(self) -> None:
        """Prepare the sums over ranks."""
        self._gradients: GradientSum | None = None
        if self.world is not None:
            naive = self.config.training.parallel == "naive"
            own = [p for _, p in self.state.named_parameters()]
            trained = own if naive else list(self.state.model.parameters())
            self._gradients = GradientSum(trained, self.world)

    @property
    def steps_in_all(self) -> int:
        """Steps of the whole run."""
        return self.config.training.epochs * len(self.batches)

    def _one_step(self, batch: Batch, metrics: MetricsLog | None) -> None:
        state, step = self.state, self.position.step
        epoch, index = divmod(step, len(self.batches))
        rate = learning_rate(self.config.optimizer, step, epoch, self.steps_in_all)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        moved = batch.to(state.device, state.model.dtype)
        state.model.train()
        try:
            log = self._train_on(moved, epoch, index)
        except NonFiniteError as error:
            raise self._diverged(step, batch.ids, error) from error
        log["learning_rate"] = rate
        done = step + 1
        self.position = Position(done, done // len(self.batches))
        if metrics is not None:
            metrics.add(epoch, done, log)
        for observer in self.observers:
            observer.step(self.position, self.batches.size_of(index), log)
        try:
            self._keep(metrics, whole_epoch=done % len(self.batches) == 0)
        except NonFiniteError as error:
            raise self._diverged(step, batch.ids, error) from error

    def _diverged(self, step: int, ids: Sequence[str], error: NonFiniteError) -> NonFiniteError:
        """What to say of a step with clips `ids` that gave NaN or infinite values."""
        epoch, index = divmod(step, len(self.batches))
        shown = ", ".join(ids[:4]) + (", ..." if len(ids) > 4 else "")
        kept = last_checkpoint(self.run) if self.run else "nothing is kept on disk"
        return NonFiniteError(
            f"step {step + 1} (epoch {epoch + 1}, batch {index + 1}, clips {shown}): {error}; "
            f"{kept}. Lower optimizer.lr or check these clips with `cmg data verify`"
        )

    def _train_on(self, own: Batch, epoch: int, index: int) -> dict[str, float]:
        """The step that the run's options and processes ask for."""
        options, world, gradients = self.config.training, self.world, self._gradients
        seed, step = options.seed, self.position.step
        naive = world is not None and options.parallel == "naive"
        suffix = f"/{world.rank}" if world is not None and naive and world.rank else ""
        steps = own.steps
        if world is not None and not naive:
            lengths = self.batches.whole_lengths(epoch, index)
            steps = Steps(self.batches.size_of(index), steps.length, lengths, self.state.device)
        generator = step_generator(seed, f"draws{suffix}", step)
        noise = self.config.model.codebook.reset.noise
        draws = Draws.from_generator(generator, own.modalities, steps, noise)
        dropout = derived_seed(seed, f"dropout{suffix}", step)
        reseed(dropout, self.state.device)
        if naive and world is not None and gradients is not None:
            return naive_step(self.state, own, draws, world, gradients)
        if world is not None or options.micro_batch is not None:
            parts = Parts(steps, dropout, world, options.micro_batch)
            if options.codebook_only:
                return codebook_parts_step(self.state, own, draws, parts)
            return parts_step(self.state, own, draws, parts, gradients)
        one_step = codebook_step if options.codebook_only else pretraining_step
        return one_step(self.state, own, draws)

    def _keep(self, metrics: MetricsLog | None, whole_epoch: bool) -> None:
        options = self.config.training
        every = options.checkpoint_every_steps
        due = whole_epoch or (every is not None and self.position.step % every == 0)
        if self.run is None or metrics is None or not due:
            return
        metrics.flush()
        for keeper in self.keepers if whole_epoch else ():
            keeper.epoch(self.state, self.position)
        save_checkpoint(self.run, self.state, self.config, self.position, self.data_hash)
        thin(self.run, self.config, len(self.batches))
