"""Train and evaluate several configurations, side by side in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cmg.config.schema import RunConfig
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
