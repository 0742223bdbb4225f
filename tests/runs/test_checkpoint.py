"""Checkpoints appear whole or not at all, and damaged or foreign ones are refused by name."""

import errno
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cmg import saved
from cmg.errors import CheckpointError, NonFiniteError
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs import checkpoint as module
from cmg.runs.checkpoint import find_checkpoint, list_checkpoints, load_model, read_checkpoint


@pytest.fixture(scope="module")
def trained(tiny_config, tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    pretrain(tiny_config("training.epochs=2"), run)
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_loaded_model_is_the_trained_one(tiny_config, tmp_path):
    training = pretrain(tiny_config("training.epochs=1"), tmp_path / "run")
    loaded = load_model(tmp_path / "run")
    own = training.state.model.state_dict()
    assert all(torch.equal(own[n], x) for n, x in loaded.state_dict().items())
    assert not loaded.training


def test_float64_run_loads_in_float64(tiny_config, tmp_path):
    pretrain(tiny_config("training.epochs=1", "training.precision=float64"), tmp_path / "run")
    assert load_model(tmp_path / "run").dtype == torch.float64


def test_run_folder_and_checkpoint_folder_both_load(run):
    newest = list_checkpoints(run)[-1]
    assert find_checkpoint(run) == find_checkpoint(newest) == newest
    assert read_checkpoint(run).position.step == 10


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_damaged_file_is_named(run, name, damage):
    file = find_checkpoint(run) / name
    data = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[-1] ^= 1
        file.write_bytes(data)
    else:
        file.unlink()
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(run, None)
    for use in (read_checkpoint, load_model):
        if name == "model.safetensors":
            with pytest.raises(CheckpointError, match=name):
                use(run)
        else:
            use(run)  # using a model needs its weights and codes alone


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"format": "other"}', "no cmg checkpoint"),
        ('{"format": "cmg-checkpoint"}', "damaged"),
        ('{"format": "cmg-checkpoint", "version": 99}', "version 99"),
    ],
)
def test_foreign_description_is_refused(run, text, said):
    (find_checkpoint(run) / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError, match=said):
        load_model(run)


def test_places_without_a_checkpoint_are_told_apart(tmp_path, tiny_config):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is no cmg run"):
        load_model(tmp_path)
    prepare(tiny_config(), tmp_path / "run")
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        load_model(tmp_path / "run")


def test_a_damaged_checkpoint_is_moved_away_to_resume(run, tiny_config):
    newest = find_checkpoint(run)
    (newest / "training.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"is missing.* move {newest.name} out of") as caught:
        pretrain(tiny_config("training.epochs=2"), run, resume=True)
    newest.rename(run / newest.name)
    assert f"out of {newest.parent}" in str(caught.value)
    assert pretrain(tiny_config("training.epochs=2"), run, resume=True).position.step == 10


@pytest.mark.parametrize("folder", ["/model", "/", "/checkpoints", "/checkpoints/step-00000005"])
def test_a_checkpoint_may_lie_where_no_run_can_be(tiny_config, folder):
    assert module.in_its_run(tiny_config(), Path(folder)) == tiny_config()


def vouch_for(file):
    """Tell the checksum of a file that was changed."""
    path = file.parent / "checkpoint.json"
    told = json.loads(path.read_text())
    told["sha256"][file.name] = module.file_sha256(file)
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("model.safetensors", "codebook.codes"),
        ("model.safetensors", "codebook.counts"),
        ("training.safetensors", "objectives.cross_cpc.context.audio.weight_ih_l0"),
        ("training.safetensors", "club_optimizer.exp_avg_sq.nets.audio.mean.0.weight"),
    ],
)
def test_values_that_are_no_numbers_are_neither_used_nor_resumed(run, tiny_config, name, tensor):
    file = find_checkpoint(run) / name
    tensors = load_file(file)
    tensors[tensor].view(-1)[0] = float("nan")
    save_file(tensors, file)
    vouch_for(file)
    said = rf"{name}: 1 of the {tensors[tensor].numel()} values of '{tensor}' are NaN"
    remedy = f"move {file.parent.name} out of {run / 'checkpoints'}"
    with pytest.raises(CheckpointError, match=rf"{said}.*; to go on .*{remedy}"):
        prepare(tiny_config("training.epochs=2"), run, resume=True)
    if name == "model.safetensors":
        with pytest.raises(CheckpointError, match=said):
            load_model(run)
    else:
        assert load_model(run).size == 9


@pytest.mark.parametrize(
    ("override", "step"), [("training.codebook_only=false", 5), ("training.codebook_only=true", 10)]
)
def test_a_model_with_values_that_are_no_numbers_is_not_kept(
    tiny_config, tmp_path, monkeypatch, override, step
):
    """What the last update of an epoch breaks, no loss has seen."""
    run = tmp_path / "run"
    training = prepare(tiny_config(override), run)
    codebook, real = training.state.model.codebook, training.state.model.codebook.update

    def update(*args):
        real(*args)
        if training.position.step == step - 1:
            codebook.counts[3] = float("inf")

    monkeypatch.setattr(codebook, "update", update)
    with pytest.raises(NonFiniteError) as caught:
        training.train()
    said = str(caught.value)
    assert f"step {step} (epoch {step // 5}, batch 5, clips " in said
    assert "1 of the 9 values of 'codebook.counts' are NaN or infinite" in said
    kept = [p.name for p in list_checkpoints(run)]
    assert kept == ([] if step == 5 else ["step-00000005"])
    wanted = "the last checkpoint, step-00000005, is intact" if kept else "there is no checkpoint"
    assert wanted in said
    assert list((run / "checkpoints").glob("*")) == list_checkpoints(run)


def test_pickle_in_the_place_of_weights_is_not_run(run, tmp_path):
    class Bait:
        def __reduce__(self):
            return (open, (str(tmp_path / "fired"), "w"))

    file = find_checkpoint(run) / "model.safetensors"
    file.write_bytes(pickle.dumps(Bait()))
    vouch_for(file)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model(run)
    assert not (tmp_path / "fired").exists()


@pytest.mark.parametrize(
    ("failing", "steps"),
    [("model.safetensors", 6), ("training.safetensors", 6), ("model.safetensors", 3)],
)
def test_full_disk_leaves_earlier_checkpoints_and_nothing_half_written(
    tiny_config, tmp_path, monkeypatch, failing, steps
):
    run = tmp_path / "run"
    training = prepare(tiny_config(), run)
    training.train(stop_after=lambda position: position.step == steps)
    before = [p.name for p in list_checkpoints(run)]
    real = saved.save_file

    def full(tensors, path):
        if path.name == failing:
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(saved, "save_file", full)
    with pytest.raises(CheckpointError, match=r"step-000000(05|10): .*No space left") as caught:
        training.train()
    wanted = f"the last checkpoint, {before[-1]}, is" if before else "there is no checkpoint yet"
    assert f"free space and resume ({wanted}" in str(caught.value)
    assert [p.name for p in (run / "checkpoints").iterdir()] == before
    monkeypatch.undo()
    assert pretrain(tiny_config(), run, resume=True).position.step == 15


def test_interrupted_save_leaves_nothing_half_written(tiny_config, tmp_path, monkeypatch):
    run = tmp_path / "run"
    training = prepare(tiny_config(), run)

    def interrupted(tensors, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(saved, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train()
    assert list((run / "checkpoints").iterdir()) == []
