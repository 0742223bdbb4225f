"""Resuming is exact: killed anywhere, the finished run has the same bits."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tests.paired import paired_store
from tests.tiny import THREE

from cmg.config.load import load_config, to_yaml
from cmg.encoders.detail import MapLayers
from cmg.errors import CheckpointError, ConfigError
from cmg.files import file_sha256
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    load_model,
    training_tensors,
)
from cmg.runs.folder import read_config, read_metrics
from cmg.types import Kind, Modality


def bits(training):
    """Weights, codebook, objectives and moments."""
    named = {f"model.{n}": x for n, x in training.state.model.state_dict().items()}
    return named | training_tensors(training.state)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    different = [n for n in one if not torch.equal(one[n], other[n])]
    assert different == []


@pytest.fixture(scope="module", params=[None, 2])
def whole(request, tiny_config, tmp_path_factory):
    """A run that nobody stopped, where its files are, and after which steps others are."""
    many = request.param or "null"
    keys = ("checkpoint_every_steps", "private_steps")  # of steps of training, and of a clip
    config = tiny_config(*(f"training.{key}={many}" for key in keys))
    run = tmp_path_factory.mktemp("whole") / "run"
    return pretrain(config, run), run, (1, 7) if request.param else (5, 14)


@pytest.mark.parametrize("which", [0, 1])
def test_stopped_and_resumed_run_has_the_bits_of_an_uninterrupted_one(whole, tmp_path, which):
    whole, run, stops = whole
    assert whole.position.step == 15
    config = read_config(run)

    stopped = prepare(config, tmp_path / "stopped")
    stopped.train(stop_after=lambda position: position.step == stops[which])
    torch.manual_seed(99)  # the resumed process finds another generator state
    resumed = pretrain(config, tmp_path / "stopped", resume=True)

    assert_same_bits(bits(whole), bits(resumed))
    assert read_metrics(run) == read_metrics(tmp_path / "stopped")


def test_a_finished_run_trains_longer_at_the_rates_of_the_longer_one(tiny_config, tmp_path):
    """With a constant rate it is the longer run, to the bit; a falling rate rises once."""
    for kind in ("constant", "cosine"):
        short, longer = (
            tiny_config(f"training.epochs={n}", f"optimizer.schedule.kind={kind}") for n in (1, 2)
        )
        run, whole = tmp_path / kind, pretrain(longer)
        pretrain(short, run)
        (run / "results.json").write_text("{}")
        found = pretrain(longer, run, resume=True)
        assert (found.position.step, read_config(run).training.epochs) == (10, 2)
        assert not (run / "results.json").exists(), "they were of the shorter run"
        assert json.loads((run / "run.json").read_text())["epochs_asked"] == [1, 2]
        rates = [line["learning_rate"] for line in read_metrics(run)]
        if kind == "constant":
            assert_same_bits(bits(whole), bits(found))
            continue
        first, second = (np.cos(np.pi * np.arange(5 * n)[-5:] / (5 * n)) for n in (1, 2))
        assert rates == pytest.approx([*0.005 * (1 + first), *0.005 * (1 + second)], rel=1e-5)
    with pytest.raises(
        CheckpointError, match=r"after step 10, and training.epochs=1 ends at step 5"
    ):
        prepare(short, run, resume=True)
    assert read_config(run) == found.config, "nothing was changed"


def test_teachers_queues_and_learned_codes_are_resumed(tiny_config, tmp_path):
    config = tiny_config(
        "model.teacher=0.9",
        "model.temporal.shared=true",
        "model.codebook={kind: learned, size: 9}",
        "objectives.assignment.weight=1",
        "objectives.teacher_info_nce.queue=7",
    )
    whole = pretrain(config, tmp_path / "whole")
    stopped = prepare(config, tmp_path / "stopped")
    stopped.train(stop_after=lambda position: position.step == 7)
    resumed = pretrain(config, tmp_path / "stopped", resume=True)
    assert_same_bits(bits(whole), bits(resumed))
    assert resumed.state.objectives["teacher_info_nce"].written.min() > 30


def test_same_seed_same_bits_other_seed_other_bits(tiny_config):
    one, two = (bits(pretrain(tiny_config("training.epochs=1"))) for _ in range(2))
    assert_same_bits(one, two)
    other = bits(pretrain(tiny_config("training.epochs=1", "training.seed=1")))
    assert not torch.equal(one["model.codebook.codes"], other["model.codebook.codes"])


def test_process_killed_at_a_random_step_resumes_to_the_same_files(tiny_config, tmp_path):
    epochs, wanted = 8, random.Random().randrange(1, 5)
    config = tmp_path / "config.yaml"
    config.write_text(to_yaml(tiny_config(f"training.epochs={epochs}")))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "cmg", "pretrain", str(config), "--out", str(killed)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list_checkpoints(killed)) < wanted and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wanted <= len(list_checkpoints(killed)) < epochs, "it was to be killed half-way"

    pretrain(read_config(killed), killed, resume=True)
    pretrain(read_config(killed), whole)
    for name in ("model.safetensors", "training.safetensors"):
        one = file_sha256(find_checkpoint(killed) / name)
        assert one == file_sha256(find_checkpoint(whole) / name)
    assert read_metrics(killed) == read_metrics(whole)


@pytest.mark.skipif(os.name == "nt", reason="signals to a child need POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_keeps_whole_checkpoints_and_says_how_to_go_on(
    tiny_config, tmp_path, number
):
    config = tmp_path / "config.yaml"
    config.write_text(to_yaml(tiny_config("training.epochs=400")))
    run = tmp_path / "run"
    command = [sys.executable, "-m", "cmg", "pretrain", str(config), "--out", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(list_checkpoints(run)) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    typed = shlex.join(["python", *command[1:], "--resume"])
    assert said.splitlines()[-1] == f"  {typed}"
    assert "Traceback" not in said
    assert not [p for p in (run / "checkpoints").iterdir() if p.name.startswith(".")]


def test_resume_refuses_other_configuration_other_data_and_no_run(
    tiny_config, tmp_path, tiny_store
):
    run = tmp_path / "run"
    pretrain(tiny_config("training.epochs=1"), run)
    other = tiny_config("training.epochs=1", "training.seed=2", "objectives.club=null")
    told = r"training\.seed is 0 in the run, 2 here"
    with pytest.raises(CheckpointError, match=rf"another configuration: objectives.club.*; {told}"):
        prepare(other, run, resume=True)
    written = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(written.replace("kind: shared", "kind: tied"))
    with pytest.raises(
        CheckpointError, match=r"of kind shared, and the run's config.yaml says tied;"
    ):
        prepare(read_config(run), run, resume=True)
    (run / "config.yaml").write_text(written)
    with pytest.raises(CheckpointError, match="no cmg run"):
        prepare(tiny_config(), tmp_path / "none", resume=True)
    with pytest.raises(ConfigError, match="not empty"):
        prepare(tiny_config(), run)
    for description in (run / "checkpoints").glob("*/checkpoint.json"):
        text = description.read_text()
        description.write_text(text.replace('"data_hash": "', '"data_hash": "0'))
    with pytest.raises(CheckpointError, match="content hash"):
        prepare(tiny_config("training.epochs=1"), run, resume=True)


def forget(run, *keys):
    """Let a run be from before there were some keys."""
    path = run / "config.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x for x in lines if x.split(":")[0].strip() not in keys))
    for description in (run / "checkpoints").glob("*/checkpoint.json"):
        told = json.loads(description.read_text())
        for part in ("model", "training"):
            for key in keys:
                told["config"][part].pop(key, None)
        description.write_text(json.dumps(told))


def test_a_run_from_before_maps_had_a_lean_path_goes_on_as_published(tiny_config, tmp_path):
    """Keys that did not exist then are missing from its files; the default of one has changed."""
    config = tiny_config("model.map_detail=published")
    whole = pretrain(config, tmp_path / "whole")
    run = tmp_path / "old"
    prepare(config, run).train(stop_after=lambda position: position.step == 6)
    newer = (
        "map_detail",
        "toom_cook_from",
        "micro_batch",
        "recompute_maps",
        "keep_memory",
        "compile",
        "parallel",
    )
    forget(run, *newer)
    # What it would be as a new run:
    assert load_config(str(run / "config.yaml")).model.map_detail == "lean"
    resumed = pretrain(read_config(run), run, resume=True)
    assert_same_bits(bits(whole), bits(resumed))


@pytest.mark.parametrize(
    ("override", "before", "wanted"),
    [
        ([], False, 128),
        (["model.toom_cook_from=7"], False, 7),
        ([], True, 64),
        (["model.map_detail=published"], True, 64),
    ],
)
def test_a_run_keeps_the_width_from_which_its_convolutions_are_toom_cook(
    tiny_config, tmp_path, override, before, wanted
):
    run = tmp_path / "run"
    pretrain(tiny_config("training.epochs=1", *override), run)
    if before:
        forget(run, "toom_cook_from")
    else:
        assert f"  toom_cook_from: {wanted}\n" in (run / "config.yaml").read_text()
    resumed = prepare(read_config(run), run, resume=True)
    for model in (resumed.state.model, load_model(run)):
        maps = [part for part in model.modules() if isinstance(part, MapLayers)]
        assert [part.toom_cook_from for part in maps] == [wanted] * 2  # of encoder and decoder


@pytest.mark.parametrize(("before", "tail"), [(False, 16), (True, 40)])
def test_a_run_keeps_the_tail_of_its_decoder(tiny_config, tmp_path, before, tail):
    """Runs from before a lean decoder had a narrow one have it as wide as the maps."""
    store = tmp_path / "store"
    wide = Modality(name="video", kind=Kind.MAPS, shape=(2, 3, 40))
    paired_store(store, [THREE[0], wide, THREE[2]], {"train": 6, "test": 2}, steps=3, classes=2)
    more = (f"data.store={store}", "data.batch_size=6", "training.epochs=2")
    run = tmp_path / "run"
    config = tiny_config(*more, f"model.map_tail={'full' if before else 'narrow'}")
    prepare(config, run).train(stop_after=lambda position: position.epoch == 1)
    if before:
        forget(run, "map_tail")
    resumed = pretrain(read_config(run), run, resume=True)
    whole = pretrain(config)
    assert_same_bits(bits(whole), bits(resumed))
    for model in (resumed.state.model, load_model(run)):
        assert model.decoder["video"].convolutions[2].out_channels == tail


def test_resume_before_the_first_checkpoint_checks_the_data_too(tiny_config, tmp_path):
    run = tmp_path / "run"
    prepare(tiny_config(), run)
    facts = run / "run.json"
    facts.write_text(facts.read_text().replace('"data_hash": "', '"data_hash": "0'))
    with pytest.raises(CheckpointError, match="content hash"):
        prepare(tiny_config(), run, resume=True)


def test_results_go_with_the_model_they_describe(tiny_config, tmp_path):
    run = tmp_path / "run"
    prepare(tiny_config(), run).train(stop_after=lambda position: position.step == 6)
    (run / "results.json").write_text("{}")
    pretrain(tiny_config(), run, resume=True)
    assert not (run / "results.json").exists()
    (run / "results.json").write_text("{}")
    pretrain(tiny_config(), run, resume=True)  # it is finished: nothing changes
    assert (run / "results.json").exists()
