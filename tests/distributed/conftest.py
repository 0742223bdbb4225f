"""Runs of several processes, and a store that is awkward to divide."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.paired import paired_store
from tests.tiny import THREE, TINY


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """22 clips of 2 to 6 steps, some without a modality; batches of 6, the last one of 4."""
    path = tmp_path_factory.mktemp("data") / "store"
    sizes = {"train": 22, "test": 12}
    paired_store(path, THREE, sizes, steps=6, classes=3, lengths=(2, 6), missing=0.15)
    return path


@pytest.fixture(scope="session")
def sparse(tmp_path_factory):
    """As many clips, most of which have one modality: a rank of three may have none of a kind."""
    path = tmp_path_factory.mktemp("data") / "sparse"
    paired_store(path, THREE, {"train": 22, "test": 12}, steps=6, classes=3, missing=0.6)
    return path


@pytest.fixture(scope="session")
def overrides(store, sparse):
    """Every term, attention, dropout and resets; 3 epochs of 4 steps."""

    def make(*more):
        return [
            f"data.store={store}",
            *TINY,
            "model.detail_width={audio: 6, video: 32, text: 6}",
            "model.token_hidden={text: 4}",
            "model.codebook.size=24",
            "model.codebook.reset={patience: 3, active: 3, source: codes}",
            "objectives.club={hidden: 8}",
            "optimizer.lr=0.001",
            "training.epochs=3",
            *(o.replace("SPARSE", str(sparse)) for o in more),
        ]

    return make


def with_torchrun(ranks, *arguments):
    """Start a Python script or module as several ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={ranks}", *map(str, arguments)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, env=variables, timeout=300, check=False
    )


@pytest.fixture(scope="session")
def train_ranks(tmp_path_factory):
    """Train jobs as several ranks: (job, rank) -> (tensors, log per step)."""

    def run(ranks, jobs):
        out = tmp_path_factory.mktemp(f"ranks{ranks}")
        (out / "jobs.json").write_text(json.dumps(jobs))
        script = Path(__file__).parent / "train_ranks.py"
        done = with_torchrun(ranks, script, out, out / "jobs.json")
        assert done.returncode == 0, done.stderr[-4000:]
        return {
            (job, rank): (
                load_file(out / f"{job}-{rank}.safetensors"),
                json.loads((out / f"{job}-{rank}.json").read_text()),
            )
            for job in jobs
            for rank in range(ranks)
        }

    return run
