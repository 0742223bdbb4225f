"""Train and evaluate several configurations, side by side in worker processes.

Small models gain nothing from more threads per process, so each worker takes one job at a time.
A job's numbers do not depend on how many workers there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cmg.config.schema import RunConfig
from cmg.errors import WorkerError
from cmg.evaluation.results import Results
from cmg.process import thread_count
from cmg.recipes.evaluate import evaluate
from cmg.recipes.pretrain import trained
from cmg.registry import loaded_plugins, use
from cmg.training.allocation import OWN_PROCESS
from cmg.training.checkpoint import Position

Report = Callable[[str, int, dict[str, float]], None]
"""Told (job name, clips trained on since the last call, log of the last step)."""


J = TypeVar("J")
T = TypeVar("T")


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


def run_job(job: Job, send: Report) -> Results:
    """Train and evaluate one model in this process."""
    with thread_count(job.config.training.threads):
        training = trained(job.config, job.run, observers=[Relay(job.name, send)])
        return evaluate(training.state.model, job.config, job.config.training.seed)


def run_jobs(jobs: Sequence[Job], report: Report, workers: int | None = None) -> list[Results]:
    """Train and evaluate all jobs; see :func:`run_all`."""
    return run_all(jobs, run_job, report, workers)


def run_all(
    jobs: Sequence[J],
    work: Callable[[J, Report], T],
    report: Report,
    workers: int | None = None,
    finished: Callable[[J, T], None] | None = None,
) -> list[T]:
    """Do some work for every job; the results are in the order of the jobs.

    Args:
        jobs: What to work on; picklable.
        work: Does one job and reports its steps; a function of a module, or picklable.
        report: Told of every step, in this process.
        workers: Processes; None takes one per CPU core, 1 runs in this process.
        finished: Given every result as soon as it is there, in this process.

    Raises:
        CmgError: whatever the first failing job raised; the others are stopped.
        WorkerError: a worker was killed from outside.
    """
    deliver: Callable[[J, T], None] = finished or (lambda job, result: None)
    workers = min(workers or usable_cores(), len(jobs))
    if workers <= 1:
        return [_delivered(job, work(job, report), deliver) for job in jobs]
    context = multiprocessing.get_context("spawn")
    channel = context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(channel, report), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (channel, loaded_plugins()))
    try:
        futures: dict[Future[T], int] = {
            pool.submit(_work, work, job): index for index, job in enumerate(jobs)
        }
        results = {
            futures[done]: _delivered(jobs[futures[done]], done.result(), deliver)
            for done in as_completed(futures)
        }
    except BrokenProcessPool as error:
        stop(pool)
        raise WorkerError(
            "a worker process was killed from outside, most likely for want of memory; "
            "try again with --workers 1"
        ) from error
    except BaseException:
        stop(pool)
        raise
    pool.shutdown()
    channel.put(None)
    listener.join()
    return [results[index] for index in range(len(jobs))]


def _delivered(job: J, result: T, deliver: Callable[[J, T], None]) -> T:
    deliver(job, result)
    return result


def stop(pool: ProcessPoolExecutor) -> None:
    """End the workers now, whatever they are doing."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


def usable_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_channel: Any = None


def _start_worker(channel: Any, plugins: tuple[str, ...]) -> None:
    global _channel  # noqa: PLW0603 - a worker process has one channel, given at its start
    _channel = channel
    OWN_PROCESS.set(True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    use(*plugins)


def _work(work: Callable[[J, Report], T], job: J) -> T:
    return work(job, lambda name, clips, log: _channel.put((name, clips, log)))


def _listen(channel: Any, report: Report) -> None:
    while (message := channel.get()) is not None:
        report(*message)
