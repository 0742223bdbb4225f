"""One process at a time writes a folder, and whoever was killed is not waited for."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from cmg import writers
from cmg.errors import DataError
from cmg.files import is_occupied
from cmg.locks import FolderLock, Holder, LockedError, locked, read_holder, set_aside

HOLD = """
import sys
from pathlib import Path
from cmg.locks import FolderLock
FolderLock(Path(sys.argv[1])).take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.communicate()


def left_by(folder, **changes):
    """Write the lock of a process like this one."""
    folder.mkdir(exist_ok=True)
    holder = replace(Holder.this(), **changes)
    (folder / ".lock").write_text(json.dumps(asdict(holder)))
    return holder


def test_a_second_process_is_refused_until_the_first_is_gone(other, tmp_path, cmg):
    run = tmp_path / "run"
    told = cmg("pretrain", "digits", "training.epochs=1", "data.fraction=0.1", "--out", run)
    assert told.code == 2
    assert f"{run} is being written by another process: {other.pid} on " in told.err
    assert f"since {read_holder(run / '.lock').since} (-c {run})" in told.err
    assert [path.name for path in run.iterdir()] == [".lock"]
    assert not is_occupied(run)
    other.kill()
    other.wait()
    with locked(FolderLock(run)):
        assert read_holder(run / ".lock").pid == os.getpid()
    assert list(run.iterdir()) == []


def test_a_process_takes_its_own_lock_again_and_the_last_gives_it_back(tmp_path):
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.take()
    second.take()
    first.give_back()
    assert read_holder(tmp_path / ".lock") == second.own
    second.give_back()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({"began": "1"}, True),  # its number is another process's by now
        ({"machine": "another-boot pid:[1]"}, True),
        ({"machine": "another-boot pid:[1]", "host": "node7"}, False),
        ({"machine": "another-boot pid:[1]", "host": "node7", "job": "12 0"}, True),
        ({"machine": "another-boot pid:[1]", "host": "node7", "job": "12 1"}, False),
        ({"machine": "another-boot pid:[1]", "host": "node7", "job": "13 0"}, False),
        ({"machine": f"{writers.boot(writers.machine())} pid:[1]"}, False),  # of another container
    ],
)
def test_what_is_known_to_be_gone_is_taken_over(tmp_path, monkeypatch, changes, free):
    holder = left_by(tmp_path, **changes)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    lock = FolderLock(tmp_path)
    if free:
        lock.take()
        assert read_holder(tmp_path / ".lock") == lock.own
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        return
    with pytest.raises(LockedError, match=rf"{holder.pid} on {holder.host}.*remove {tmp_path}"):
        lock.take()
    assert read_holder(tmp_path / ".lock") == holder
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_lock_that_was_written_meanwhile_is_put_back(tmp_path):
    gone = left_by(tmp_path, began="1")
    fresh = left_by(tmp_path, began="2")
    set_aside(tmp_path / ".lock", gone)
    assert read_holder(tmp_path / ".lock") == fresh
    set_aside(tmp_path / ".lock", fresh)
    set_aside(tmp_path / ".lock", fresh)
    assert list(tmp_path.iterdir()) == []


def test_without_links_a_file_is_made_that_was_not_there(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    lock = FolderLock(tmp_path).take()
    assert read_holder(tmp_path / ".lock") == lock.own
    lock.give_back()
    left_by(tmp_path, host="node7", machine="another")
    with pytest.raises(LockedError, match="node7"):
        FolderLock(tmp_path).take()


@pytest.mark.parametrize("told", ["", "[]", '{"pid": 1}', "\xff"])
def test_what_is_no_lock_is_named(tmp_path, told):
    (tmp_path / ".lock").write_bytes(told.encode("latin-1"))
    with pytest.raises(DataError, match=r"\.lock is no lock of cmg .*remove it"):
        FolderLock(tmp_path).take()
