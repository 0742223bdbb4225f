"""``cmg pretrain --devices`` and torchrun, as a user types them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree, rmtree

import pytest
import torch
from safetensors.torch import load_file

from cmg.runs.checkpoint import list_checkpoints

OFFICIAL = ["data.modalities=[audio, text]", "model.temporal.heads=4", "model.mask_tokens=false"]
OFFICIAL += ["model.temporal.kind=transformer", "model.temporal.skip=false"]
OFFICIAL += ["model.token_encoder=lstm"]
"""A model that files of the authors' release can hold."""

LONG = ["training.precision=float64", "training.epochs=10", "training.checkpoint_every_steps=2"]
LONG += ["training.keep_checkpoints=null"]


@pytest.fixture(scope="module")
def undisturbed(shell, overrides, tmp_path_factory):
    """A run of one process."""
    out = tmp_path_factory.mktemp("one") / "run"
    assert shell("pretrain", *overrides(*LONG), "--out", out).code == 0
    return out


def same_end(one, other):
    """Whether two runs end with the same weights and codes to rounding."""
    a, b = (load_file(list_checkpoints(run)[-1] / "model.safetensors") for run in (one, other))
    assert list_checkpoints(one)[-1].name == list_checkpoints(other)[-1].name
    keys = [n for n in a if not n.endswith("in_proj_bias")]
    return all(float((a[n] - b[n]).abs().max()) < 1e-11 for n in keys) and torch.equal(
        a["codebook.idle"], b["codebook.idle"]
    )


def ranks_below(parent):
    """Process numbers of the ranks that a launcher has started, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            own = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if own == parent:
            found |= {int(v[5:]): int(folder.name) for v in variables if v.startswith(b"RANK=")}
    return found


def start(*arguments):
    """`python -m cmg ARGUMENTS`, not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "cmg", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def with_a_rank_killed(run, *arguments):
    """Train as two ranks and kill one after the third checkpoint: exit code and stderr."""
    process = start("pretrain", *arguments, "--out", run, "--devices", 2)
    try:
        deadline = time.monotonic() + 120
        while len(list_checkpoints(run)) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        os.kill(ranks_below(process.pid)[1], signal.SIGKILL)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
def test_without_restarts_a_killed_rank_ends_the_run(overrides, tmp_path):
    run = tmp_path / "run"
    given = (*overrides(*LONG, *OFFICIAL), "--official-checkpoints", "--restarts", 0)
    code, said = with_a_rank_killed(run, *given)
    assert code == 2, said
    assert "a rank ended before its work, after 0 restart(s)" in said
    assert "--resume" in said
    assert len(list_checkpoints(run)) >= 3
    assert (run / "official" / "DCID-model-0.pt").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
@pytest.mark.slow
def test_a_killed_rank_comes_back_and_the_run_ends_the_same(overrides, undisturbed, tmp_path):
    run = tmp_path / "run"
    given = overrides(*LONG, "training.keep_checkpoints=3")
    code, said = with_a_rank_killed(run, *given)
    assert code == 0, said
    assert same_end(undisturbed, run)
    assert len(list_checkpoints(run)) == 3
    steps = [line.split(",")[1] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == [f' "step": {n}' for n in range(1, 41)]


@pytest.mark.slow
def test_a_run_of_one_process_goes_on_as_two(shell, overrides, undisturbed, tmp_path):
    run = tmp_path / "run"
    copytree(undisturbed, run)
    for later in list_checkpoints(run)[8:]:
        rmtree(later)
    said = shell("pretrain", "--resume", "--out", run, "--devices=2", "--json")
    assert said.code == 0, said.err
    assert said.json["steps"] == 40
    assert same_end(undisturbed, run)


@pytest.mark.slow
def test_what_is_wrong_on_the_ranks_is_said_once(shell, overrides, tmp_path):
    wrong = overrides("data.batch_size=5")  # 22 clips: the last batch has two
    said = shell("pretrain", *wrong, "--out", tmp_path / "r", "--devices", 3)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: split 'train'")
    assert "end with a batch of 2, too few for 3 ranks" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["training.epochs=no", "--devices", "2"], "training.epochs"),
        (["training.parallel=naive"], "needs several processes; give --devices"),
        (["training.parallel=naive", "training.micro_batch=2"], "leave out training.micro_batch"),
        *(
            (
                ["model.map_detail=normalized", more],
                "normalized is for one process and whole batches",
            )
            for more in ("training.micro_batch=2", "training.recompute_maps=true")
        ),
    ],
)
def test_bad_options_are_named_before_a_process_starts(cmg, overrides, tmp_path, more, text):
    said = cmg("pretrain", *overrides(), *more, "--out", tmp_path / "run")
    assert said.code == 2
    assert text in said.err


def test_devices_below_torchrun_are_refused(cmg, overrides, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = cmg("pretrain", *overrides(), "--devices", 2, "--out", tmp_path / "run")
    assert said.code == 2
    assert "use one of them" in said.err


def test_launch_options_are_not_passed_on():
    from cmg.cli.training import without_launch_options

    given = ["pretrain", "--devices", "2", "a=1", "--restarts=5", "--out", "x", "--devices=3"]
    assert without_launch_options(given) == ["pretrain", "a=1", "--out", "x"]
