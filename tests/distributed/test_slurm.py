"""Tasks of ``srun`` are ranks: Slurm's variables are set by hand, as no Slurm is here."""

import json
import os
import socket
import stat
import subprocess
import sys

import pytest

from cmg.errors import ConfigError
from cmg.runs.folder import read_facts
from cmg.training.ranks import Ranks, first_host

STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[03-05,9],login",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}
SRUN = """#!{python}
import os, subprocess, sys
command = sys.argv[1:]
while command[0].startswith("-"):
    del command[0]
step = dict(SLURM_STEP_ID="0", SLURM_STEP_NODELIST="localhost", SLURM_STEP_NUM_TASKS="2")
tasks = [
    subprocess.Popen(command, env=os.environ | step | dict(SLURM_PROCID=n, SLURM_LOCALID=n))
    for n in "01"
]
sys.exit(max(task.wait() for task in tasks))
"""
CMG = """#!/bin/sh
exec {python} -m cmg "$@"
"""


def test_ranks_are_the_tasks_of_a_step():
    found = Ranks.of_environment(STEP)
    assert found == Ranks(5, 8, 1, 0, "slurm-4711", "tcp://gpu03:17977")
    again = STEP | {"SLURM_RESTART_COUNT": "2", "MASTER_ADDR": "ib0", "MASTER_PORT": "99"}
    assert Ranks.of_environment(again) == Ranks(5, 8, 1, 2, "slurm-4711", "tcp://ib0:99")
    batch = {name: value for name, value in STEP.items() if "STEP" not in name}
    assert Ranks.of_environment(batch) is None, "a batch script is no task of a step"
    assert Ranks.of_environment(STEP | {"SLURM_STEP_NUM_TASKS": "1"}) is None
    launched = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert Ranks.of_environment(STEP | launched).size == 2, "torchrun within a task comes first"
    with pytest.raises(ConfigError, match="SLURM_PROCID=8 must be from 0 to 7"):
        Ranks.of_environment(STEP | {"SLURM_PROCID": "8"})
    with pytest.raises(ConfigError, match="no number"):
        Ranks.of_environment(STEP | {"SLURM_LOCALID": "x"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("a-b.c,d", "a-b.c"),
        ("gpu[03-05,9],login", "gpu03"),
        ("r[1-2]n[07,9]", "r1n07"),
        ("gpu[7]-ib", "gpu7-ib"),
    ],
)
def test_the_first_machine_of_a_list(nodes, first):
    assert first_host(nodes) == first


@pytest.fixture
def sbatch(tmp_path, request):
    """Run the script of the docs as a job would, and what it printed."""
    for name, text in (("srun", SRUN), ("cmg", CMG)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    script = request.config.rootpath / "docs" / "slurm.sbatch"
    job = {"SLURM_JOB_ID": "4711", "SLURM_CPUS_PER_TASK": "1", "MASTER_PORT": port}
    path = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def run(*arguments):
        return subprocess.run(
            ["bash", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ | job | path,
            timeout=300,
            check=False,
        )

    return run


def test_the_launch_script_trains_as_ranks_and_goes_on(sbatch, overrides, tmp_path):
    run = tmp_path / "run"
    asked = overrides("training.epochs=1")
    done = sbatch(*asked, "--out", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 1, "rank 0 alone prints"
    assert (read_facts(run)["ranks"], read_facts(run)["launch"]) == (2, "slurm-4711")
    assert "2 processes, the first on cpu" in done.stderr
    assert not (run / ".lock").exists()
    again = sbatch(*asked, "training.epochs=2", "--out", run, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["epochs"] == 2
    assert sbatch("digits").returncode == 2
