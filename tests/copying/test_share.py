"""A store written by several ranks: the bytes of a copy by one process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cmg.copying import clips as module
from cmg.copying.clips import copy_clips
from cmg.copying.share import Rank, copy_share, rank_of
from cmg.copying.workspace import Workspace
from cmg.data import verify_store
from cmg.errors import ConfigError, DataError


def bytes_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def alone(store, tmp_path):
    copy_clips(store, tmp_path / "alone", workers=1, chunk=2)
    return bytes_of(tmp_path / "alone")


def share(store, out, rank, world=2, **options):
    return copy_share(store, out, Rank(rank, world, world), workers=1, chunk=2, **options)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_last_rank_joins_whatever_the_order(store, tmp_path, alone, order):
    out = tmp_path / "shared"
    for rank in order[:-1]:
        assert share(store, out, rank, 3) is None
        assert not out.exists()
    assert share(store, out, order[-1], 3).clips == 12
    assert bytes_of(out) == alone
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone", "shared", "store"]


def test_more_ranks_than_chunks_are_fine(store, tmp_path, alone):
    out = tmp_path / "shared"
    done = [share(store, out, rank, 9) for rank in (8, 7, 6, 0, 1, 2, 3, 4, 5)]
    assert [found is not None for found in done] == [False] * 8 + [True]
    assert bytes_of(out) == alone


def test_a_rank_that_was_interrupted_goes_on_and_leaves_the_others_work(
    store, tmp_path, alone, monkeypatch
):
    out = tmp_path / "shared"
    assert share(store, out, 0) is None
    write, calls = module.write_chunk, []

    def failing(*args):
        calls.append(args[3])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_chunk", failing)
        with pytest.raises(KeyboardInterrupt):
            share(store, out, 1)
    kept = {p.name for p in (tmp_path / ".shared.partial-import" / "chunks").glob("*.json")}
    assert kept == {"00000.json", "00002.json", "00004.json", "00001.json"}
    copied = share(store, out, 1)
    assert copied.resumed == 2
    assert bytes_of(out) == alone


def test_a_rank_cleans_up_only_after_itself(store, tmp_path):
    chunks = Workspace(tmp_path / "shared", False).chunks
    chunks.mkdir()
    (chunks / ".00001.partial-abcd").mkdir()
    (chunks / ".00000.partial-abcd").mkdir()
    assert share(store, tmp_path / "shared", 0) is None
    assert (chunks / ".00001.partial-abcd").exists()
    assert not (chunks / ".00000.partial-abcd").exists()


def test_two_processes_of_one_rank_or_of_two_worlds_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr("cmg.copying.workspace.PATIENCE", 0.1)
    workspace = Workspace(tmp_path / "shared", False)
    with workspace.shared({}, 0, 2):
        other = Workspace(tmp_path / "shared", False)
        with pytest.raises(DataError, match="is rank 0 of"), other.shared({}, 0, 2):
            pass
        with pytest.raises(DataError, match="2 processes are writing"), other.shared({}, 1, 3):
            pass
        with pytest.raises(DataError, match="another process is writing"), other.locked({}):
            pass
        with other.shared({}, 1, 2):
            pass
    with workspace.locked({}), pytest.raises(DataError, match="another process is writing"):
        share(store, tmp_path / "shared", 0)


def test_ranks_of_different_clips_are_refused(store, tmp_path):
    assert share(store, tmp_path / "shared", 0) is None
    with pytest.raises(DataError, match=r"with another modalities"):
        share(store, tmp_path / "shared", 1, dtype="float64")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}, Rank(1, 4, 2)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # a batch script is one process
        (
            {
                "SLURM_PROCID": "5",
                "SLURM_STEP_ID": "0",
                "SLURM_STEP_NUM_TASKS": "6",
                "SLURM_STEP_TASKS_PER_NODE": "2(x3)",
            },
            Rank(5, 6, 2),
        ),
    ],
)
def test_the_rank_is_read_from_the_launcher(variables, wanted):
    assert rank_of(variables) == wanted


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WORLD_SIZE": "2"}, "RANK=None"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, "RANK='x'"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "count from 0"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(variables, said):
    with pytest.raises(ConfigError, match=said):
        rank_of(variables)


SLOW_RANK = """
import sys, time
from cmg.data import open_store, verify_store
from cmg.copying import clips as module
from cmg.copying.share import copy_share, rank_of

write = module.write_chunk
def slow(*args):
    time.sleep(float(sys.argv[3]))
    return write(*args)
module.write_chunk = slow
copy_share(open_store(sys.argv[1]), sys.argv[2], rank_of(), workers=int(sys.argv[4]), chunk=2)
"""


@pytest.mark.slow
def test_two_processes_one_killed_and_started_again_with_workers_give_the_same_bytes(
    store, tmp_path, alone
):
    out = tmp_path / "shared"

    def start(rank, seconds, workers=1):
        variables = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        given = map(str, (store.path, out, seconds, workers))
        command = [sys.executable, "-c", SLOW_RANK, *given]
        return subprocess.Popen(command, env=os.environ | variables)

    first, second = start(0, 0.0), start(1, 2.0)
    assert first.wait(60) == 0
    record = tmp_path / ".shared.partial-import" / "chunks" / "00001.json"
    give_up = time.monotonic() + 60
    while not record.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    second.wait(60)
    assert not out.exists()
    assert record.exists()
    assert start(1, 0.0, workers=2).wait(60) == 0
    assert bytes_of(out) == alone
    assert verify_store(out) == []
