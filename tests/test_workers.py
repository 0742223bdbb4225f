"""Jobs in worker processes: the same numbers, and a clear end when something goes wrong."""

import os
import signal
import threading
import time

import pytest
from tests.paired import paired_store
from tests.tiny import QUICK

from cmg import workers as module
from cmg.config.load import load_config
from cmg.errors import DataError, WorkerError
from cmg.recipes.jobs import Job, run_job
from cmg.types import Modality
from cmg.workers import run_all


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("workers") / "store"
    modalities = [Modality(name=name, kind="vectors", shape=(6,)) for name in ("audio", "video")]
    paired_store(path, modalities, {"train": 24, "test": 12}, steps=4, classes=3)
    return lambda *more: load_config(
        None, [*QUICK, "training.epochs=2", f"data.store={path}", *more]
    )


@pytest.fixture
def jobs(config):
    return [Job(f"seed {s}", config(f"training.seed={s}")) for s in (0, 1)]


def test_numbers_do_not_depend_on_the_number_of_workers(jobs):
    seen = {1: 0, 2: 0}

    def count(workers):
        def report(name, clips, log):
            seen[workers] += clips

        return report

    assert run_all(jobs, run_job, count(1), 1) == run_all(jobs, run_job, count(2), 2)
    assert seen == {1: 2 * 2 * 24, 2: 2 * 2 * 24}


def test_a_failing_job_raises_its_own_error(jobs, config):
    broken = [jobs[0], Job("bad", config("data.train_split=trian"))]
    with pytest.raises(DataError, match="did you mean 'train'"):
        run_all(broken, run_job, lambda *_: None, 2)


def test_a_killed_worker_is_told_apart(jobs, monkeypatch):
    pools = []
    real = module.ProcessPoolExecutor

    def kept(*args):
        pools.append(real(*args))
        return pools[0]

    def kill():
        while not (pools and pools[0]._processes):
            time.sleep(0.01)
        os.kill(next(iter(pools[0]._processes)), signal.SIGKILL)

    monkeypatch.setattr(module, "ProcessPoolExecutor", kept)
    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(WorkerError, match="workers 1"):
        run_all(jobs, run_job, lambda *_: None, 2)


@pytest.mark.parametrize(
    ("broken", "said"),
    [("a child died", "killed from outside"), (False, "cannot start a worker process: closed")],
)
def test_a_worker_that_dies_while_another_starts_is_told_the_same(monkeypatch, broken, said):
    def submit(pool, *_):
        pool._broken = broken
        raise OSError("closed")

    monkeypatch.setattr(module.ProcessPoolExecutor, "submit", submit)
    with pytest.raises(WorkerError, match=said), module.worker_processes(2, None) as work:
        work(len, "abc")
