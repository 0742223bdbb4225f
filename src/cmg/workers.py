"""Work in several processes of this machine: started, told what they share, ended in any case.

What a job computes does not depend on how many processes there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from cmg.errors import WorkerError
from cmg.registry import loaded_plugins, use

Report = Callable[[str, int, dict[str, float]], None]
"""Told (job name, clips trained on since the last call, log of the last step)."""
Submit = Callable[[Callable[[Any, Any], Any], Any], "Future[Any]"]
"""Has ``work(given, item)`` done by one of the processes; `work` is a function of a module."""

OWN_PROCESS: ContextVar[bool] = ContextVar("OWN_PROCESS", default=False)
"""Whether this process is a command's or one of its workers, and no program of somebody else."""
SPAWN = multiprocessing.get_context("spawn")
"""Makes processes, and queues and values that they share; forks would inherit torch's threads."""

J = TypeVar("J")
T = TypeVar("T")


def usable_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_processes(
    count: int, given: Any, remedy: str = "try again with --workers 1"
) -> Iterator[Submit]:
    """Worker processes for the block; at its end, however it comes, none of them is left.

    Args:
        count: How many.
        given: What all work shares, sent once to each; picklable, or of :data:`SPAWN`.
        remedy: What to do where one is killed.

    Raises:
        WorkerError: a worker was killed from outside, or cannot be started.
    """
    pool = ProcessPoolExecutor(count, SPAWN, start_worker, (given, loaded_plugins()))

    def submit(work: Callable[[Any, Any], Any], item: Any) -> Future[Any]:
        try:
            return pool.submit(_call, work, item)
        except OSError as error:  # the pool starts workers here, and may find its pipes closed
            if pool._broken:
                raise BrokenProcessPool(str(pool._broken)) from error
            raise WorkerError(f"cannot start a worker process: {error}; {remedy}") from error

    try:
        yield submit
    except BrokenProcessPool as error:
        raise WorkerError(
            f"a worker process was killed from outside, most likely for want of memory; {remedy}"
        ) from error
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)


def run_all(
    jobs: Sequence[J],
    work: Callable[[J, Report], T],
    report: Report,
    workers: int | None = None,
    finished: Callable[[J, T], None] | None = None,
) -> list[T]:
    """Do some work for every job; the results are in the order of the jobs.

    Small models gain nothing from more threads per process, so each worker takes one job at a time.

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
    channel = SPAWN.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(channel, report), daemon=True)
    listener.start()
    with worker_processes(workers, channel) as submit:
        futures = {submit(_reporting, (work, job)): index for index, job in enumerate(jobs)}
        results = {
            futures[done]: _delivered(jobs[futures[done]], done.result(), deliver)
            for done in as_completed(futures)
        }
    channel.put(None)
    listener.join()
    return [results[index] for index in range(len(jobs))]


def _delivered(job: J, result: T, deliver: Callable[[J, T], None]) -> T:
    deliver(job, result)
    return result


def _listen(channel: Any, report: Report) -> None:
    while (message := channel.get()) is not None:
        report(*message)


# --- in a worker process ---------------------------------------------------------------------

_given: Any = None


def start_worker(given: Any, plugins: tuple[str, ...]) -> None:
    """Make this process a worker, with the plugins of the one that started it."""
    global _given  # noqa: PLW0603 - a worker process is given one thing, at its start
    _given = given
    OWN_PROCESS.set(True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    use(*plugins)


def _call(work: Callable[[Any, Any], T], item: Any) -> T:
    return work(_given, item)


def _reporting(channel: Any, task: tuple[Callable[[J, Report], T], J]) -> T:
    work, job = task
    return work(job, lambda name, clips, log: channel.put((name, clips, log)))
