"""The pre-training loop: epochs, logging, checkpoints, exact resumption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from cmg.allocation import kept_memory
from cmg.config.schema import RunConfig
from cmg.data.batches import Batches
from cmg.data.prefetch import prefetch
from cmg.errors import NonFiniteError
from cmg.locks import FolderLock, locked
from cmg.notebooks import Tell
from cmg.objectives.draws import Draws
from cmg.precision import no_autocast
from cmg.process import reseed, thread_count
from cmg.runs.checkpoint import Position, last_checkpoint, save_checkpoint
from cmg.runs.cost import CostMeter
from cmg.runs.folder import MetricsLog
from cmg.runs.keeping import WHOLE, thin
from cmg.training.optimizer import learning_rate
from cmg.training.ranks import GradientSum, Ranks
from cmg.training.seeding import derived_seed, step_generator
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.training.together import Alone, Averaged, Divided, Together
from cmg.types import Batch, Steps
from cmg.workers import OWN_PROCESS


class StepObserver(Protocol):
    """Who is told of every step: the progress bar, TensorBoard."""

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""


@dataclass
class StepLine:
    """An observer that tells every step and its loss in a line.

    Attributes:
        tell: What takes the line.
        steps: Of the whole run.
    """

    tell: Tell
    steps: int

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""
        loss = f", loss {log['loss/total']:.3g}" if "loss/total" in log else ""
        self.tell(position.step, self.steps, f"epoch {position.epoch + 1}{loss}")


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
        ranks: The processes that train together; None if this one is alone. Only rank 0 has a
            `run`.
        keepers: Told of every whole epoch of a run that is kept on disk.
        lock: On the run folder, held while it is trained.
    """

    config: RunConfig
    state: TrainingState
    batches: Batches
    run: Path | None
    data_hash: str
    position: Position
    observers: list[StepObserver]
    ranks: Ranks | None = None
    keepers: list[EpochObserver] = field(default_factory=list)
    lock: FolderLock | None = None

    def train(self, stop_after: Callable[[Position], bool] | None = None) -> None:
        """Train to the last epoch.

        Args:
            stop_after: Asked after every step; True ends early (tests of resumption).

        Raises:
            NonFiniteError: a term, or what was to be kept, became NaN or infinite; names step,
                term and clips.
            CheckpointError: a checkpoint could not be written.
            LockedError: another process writes the run folder.
        """
        with locked(self.lock):
            self._train(stop_after)

    def _train(self, stop_after: Callable[[Position], bool] | None) -> None:
        options = self.config.training
        metrics = MetricsLog(self.run, self.position.step) if self.run else None
        self._cost = CostMeter(self.run, self.position.step, self.state.device)
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
        if self.ranks is not None:
            trained = [p for _, p in self.state.named_parameters()]
            if not self._averages:  # terms that compare clips are computed whole on every rank
                terms = [t for _, t in self.state.objectives.terms() if t.scope == "clip"]
                divided = {p for part in (self.state.model, *terms) for p in part.parameters()}
                divided -= set(self.state.model.codebook.parameters())  # of such terms, too
                trained = [p for p in trained if p in divided]
            self._gradients = GradientSum(trained, self.ranks)

    @property
    def _averages(self) -> bool:
        """Whether ranks only average gradients, the control."""
        return self.ranks is not None and self.config.training.parallel == "naive"

    @property
    def steps_in_all(self) -> int:
        """Steps of the whole run."""
        return self.config.training.epochs * len(self.batches)

    @property
    def expected_bytes(self) -> int:
        """About how many bytes the checkpoints of the finished run will take."""
        state, options = self.state, self.config.training
        weights: int = sum(x.nbytes for x in state.model.state_dict().values())
        moments = 2 * sum(p.nbytes for *_, named in state.optimizers() for _, p in named)
        training: int = moments + sum(x.nbytes for x in state.objectives.state_dict().values())
        keep, every = options.keep_checkpoints, options.checkpoint_every_steps
        if isinstance(keep, str):
            return options.epochs * weights + WHOLE * training
        written = options.epochs + (self.steps_in_all // every if every else 0)
        return min(written, keep or written) * (weights + training)

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
        self._cost.cost.clips += self.batches.size_of(index)
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
        """A step, divided as the run's options and processes ask for."""
        options, ranks = self.config.training, self.ranks
        seed, step, steps, suffix = options.seed, self.position.step, own.steps, ""
        if ranks is not None and self._averages:
            suffix = f"/{ranks.rank}" if ranks.rank else ""
        elif ranks is not None:
            lengths = self.batches.whole_lengths(epoch, index)
            steps = Steps(self.batches.size_of(index), steps.length, lengths, self.state.device)
        draws = Draws.of_step(
            self.state.objectives,
            self.state.model.codebook,
            own.modalities,
            steps,
            lambda purpose: step_generator(seed, f"{purpose}{suffix}", step),
            options.private_steps,
        )
        dropout = derived_seed(seed, f"dropout{suffix}", step)
        reseed(dropout, self.state.device)
        together = self._together(steps, dropout)
        middle = (step + 0.5) / len(self.batches)  # so that a ramp's first step weighs something
        return pretraining_step(self.state, own, draws, together, middle)

    def _together(self, steps: Steps, dropout: int) -> Together:
        """How a step's batch is divided."""
        ranks, gradients, size = self.ranks, self._gradients, self.config.training.micro_batch
        if ranks is not None and gradients is not None and self._averages:
            return Averaged(dropout, ranks=ranks, gradients=gradients)
        if ranks is not None or size is not None:
            return Divided(steps, dropout, ranks, size, gradients)
        return Alone(dropout)

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
        self._cost.write()
        thin(self.run, self.config, len(self.batches))
