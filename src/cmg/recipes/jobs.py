"""Train and evaluate several configurations, side by side in worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.config.load import override_config
from cmg.config.schema import RunConfig
from cmg.data.batches import Batches
from cmg.data.store import open_store
from cmg.evaluation.results import Results
from cmg.models.unified import UnifiedModel
from cmg.process import thread_count
from cmg.recipes.evaluate import evaluate
from cmg.recipes.pretrain import trained
from cmg.runs.checkpoint import Position
from cmg.workers import Report


@dataclass(frozen=True)
class Job:
    """One model to train and evaluate.

    Attributes:
        name: Of the variant, e.g. ``shuffled_pairs``.
        config: Whole configuration, seed included.
        run: Run folder; None keeps nothing.
    """

    name: str
    config: RunConfig
    run: Path | None = None


TRAINED = "trained"
VARIANTS: dict[str, dict[str, Any]] = {
    TRAINED: {},
    "shuffled_pairs": {"data.shuffled_pairs": True},
    "untrained_encoders": {"training.codebook_only": True},
}
"""What each variant changes in the configuration: the models in question, and controls."""


def variant_jobs(
    config: RunConfig,
    out: Path,
    seeds: int,
    variants: Mapping[str, Mapping[str, Any]] = VARIANTS,
    prefix: str = "",
) -> list[Job]:
    """Each variant with each seed; of those ``trained`` the runs are kept.

    Args:
        config: Which the variants change.
        out: Folder of the runs, ``seed-0`` and so on.
        seeds: Pre-trainings per variant.
        variants: Their changes, by name.
        prefix: First word of the names of jobs and runs.
    """
    jobs, first = [], [prefix] if prefix else []
    for name, changes in variants.items():
        for seed in range(seeds):
            own = override_config(config, changes={"training.seed": seed, **changes})
            run = out / "-".join([*first, f"seed-{seed}"]) if name == TRAINED else None
            told = " ".join([*first, name, str(seed)])
            jobs.append(Job(told, own, run))
    return jobs


def clips_to_train(jobs: Sequence[Job]) -> int:
    """Clips that some jobs train on, for a progress bar; they differ in what changes no number.

    Raises:
        DataError: their store cannot be opened, or lacks the split.
    """
    config = jobs[0].config
    split = open_store(config.data.store).split(config.data.train_split)
    return Batches(split, config.data.batch_size).count * config.training.epochs * len(jobs)


class Relay:
    """Step observer that passes steps on to whoever shows progress."""

    def __init__(self, name: str, send: Report) -> None:
        self.name, self.send = name, send

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""
        self.send(self.name, clips, log)


@contextmanager
def trained_model(job: Job, send: Report, resume: bool = False) -> Iterator[UnifiedModel]:
    """A model that is trained in this process, in the threads that it was trained with."""
    with thread_count(job.config.training.threads):
        yield trained(job.config, job.run, resume, [Relay(job.name, send)]).state.model


def run_job(job: Job, send: Report) -> Results:
    """Train and evaluate one model in this process."""
    with trained_model(job, send) as model:
        return evaluate(model, job.config, job.config.training.seed)
