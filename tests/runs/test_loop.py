"""The loop: what is logged, what stops it, and what it may not change."""

import json
import math
import threading

import numpy as np
import pytest
import torch

from cmg.config.load import load_config
from cmg.data import open_store, write_store
from cmg.data.pairs import check_pairs
from cmg.errors import ConfigError, DataError, ModalityError, NonFiniteError
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import list_checkpoints, load_model
from cmg.runs.folder import read_metrics


def test_every_step_logs_every_term_and_measure(tiny_config, tmp_path):
    pretrain(tiny_config("training.epochs=1"), tmp_path / "run")
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    for name in ("loss/total", "loss/cmcm", "club_nll/text", "code_usage", "agreement"):
        assert all(math.isfinite(line[name]) for line in lines), name
    assert any("loss/cross_cpc" in line for line in lines)
    assert any("loss/same_step_nce" in line for line in lines)


def test_run_folder_says_how_it_was_made(tiny_config, tmp_path, tiny_store):
    pretrain(tiny_config("training.epochs=1", "training.seed=3"), tmp_path / "run")
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    manifest = json.loads((tiny_store / "manifest.json").read_text())
    assert told["seed"] == 3
    assert told["store"] == str(tiny_store)
    assert len(told["data_hash"]) == 64
    assert [m["name"] for m in told["modalities"]] == list(manifest["modalities"])
    assert told["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_non_finite_loss_names_step_term_and_clips_and_keeps_the_checkpoint(tiny_config, tmp_path):
    run = tmp_path / "run"
    training = prepare(tiny_config(), run)
    training.train(stop_after=lambda position: position.step == 7)
    before = {n: x.clone() for n, x in training.state.model.state_dict().items()}
    real = training.batches.at

    def poisoned(epoch, index):
        batch = real(epoch, index)
        batch.features["video"][0] = float("nan")
        return batch

    training.batches.at = poisoned
    with pytest.raises(NonFiniteError) as caught:
        training.train()
    said = str(caught.value)
    assert "step 8 (epoch 2, batch 3" in said
    assert "loss/reconstruction/video = nan" in said
    assert real(1, 2).ids[0] in said
    assert "the last checkpoint, step-00000005, is intact" in said
    after = training.state.model.state_dict()
    assert all(torch.equal(before[n], x) for n, x in after.items())
    assert [p.name for p in list_checkpoints(run)] == ["step-00000005"]
    assert load_model(run).size == 9


def test_a_run_that_breaks_before_its_first_checkpoint_promises_none(tiny_config, tmp_path):
    training = prepare(tiny_config(), tmp_path / "run")
    training.state.model.semantic["audio"].temporal.input.weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteError, match="there is no checkpoint yet"):
        training.train()
    unkept = prepare(tiny_config())
    unkept.state.model.semantic["audio"].temporal.input.weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteError, match="nothing is kept on disk"):
        unkept.train()


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("data.modalities=[audio, vidoe]", ModalityError, "did you mean 'video'"),
        ("data.train_split=trian", DataError, "did you mean 'train'"),
        ("model.detail_width={vidoe: 4}", ModalityError, "model.detail_width: .*mean 'video'"),
        ("model.codebook.size=5000", ConfigError, "lower model.codebook.size"),
        ("training.device=gpu", ConfigError, "use cpu or cuda"),
        ("data.store=nowhere", DataError, "nowhere"),
    ],
)
def test_bad_input_is_named_before_the_first_step(tiny_config, tmp_path, override, error, said):
    with pytest.raises(error, match=said):
        pretrain(tiny_config(override), tmp_path / "run")
    assert not (tmp_path / "run").exists()


ROWS = {
    "no pair": ("a..", ".v.", "a..", ".v.", "..t"),
    "no text": ("av.", "a..", "av.", "a..", "av."),
    "lone text": ("av.", "av.", "av.", "..t", "..t"),
    "few pairs": ("avt", "avt", "a..", ".v.", "..t"),
    "half": ("avt", "a.t", ".vt", "a..", ".v."),
    "all": ("avt", "avt", "avt", "avt", "avt"),
}


@pytest.mark.parametrize(
    ("rows", "error", "remarks"),
    [
        ("no pair", "none of its 5 clips has two of the modalities a, v, t", []),
        ("no text", r"no clip has t; leave it out by 'data\.modalities=\[a, v\]'", []),
        ("lone text", None, ["no clip has t beside another modality"]),
        ("few pairs", None, ["only 2 of 5 clips have two modalities or more"]),
        ("half", None, []),
        ("all", None, []),
    ],
)
def test_clips_that_teach_nothing_of_what_modalities_share_are_told(tmp_path, rows, error, remarks):
    features = {
        m: [np.ones((2, 3), "f4") if m in row else None for row in (*ROWS[rows], "avt")]
        for m in "avt"
    }
    write_store(tmp_path / "s", features, split=["train"] * 5 + ["test"])
    split = open_store(tmp_path / "s").split("train")
    if error is not None:
        with pytest.raises(DataError, match=f"split 'train' of .*{error}"):
            check_pairs(split, list("avt"))
        return
    found = check_pairs(split, list("avt"))
    assert len(found) == len(remarks)
    for line, wanted in zip(found, remarks, strict=True):
        assert wanted in line


def test_a_run_on_clips_without_pairs_is_refused_before_anything_is_written(tmp_path):
    audio, video = np.ones((2, 3), "f4"), np.ones((2, 4), "f4")
    write_store(tmp_path / "s", {"audio": [audio, None] * 4, "video": [None, video] * 4})
    with pytest.raises(DataError, match="nothing can be learned of what they have in common"):
        prepare(load_config(None, [f"data.store={tmp_path / 's'}"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_batches_are_read_ahead_by_a_thread_that_ends_with_the_run(tiny_config):
    training = prepare(tiny_config("training.epochs=1"))
    real, readers = training.batches.at, []

    def watched(epoch, index):
        readers.append((epoch, index, threading.current_thread().name))
        return real(epoch, index)

    training.batches.at = watched
    training.train(stop_after=lambda position: position.step == 2)
    assert {name.partition("_")[0] for *_, name in readers} == {"cmg-prefetch"}
    assert [(e, i) for e, i, _ in readers][:4] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert not [t for t in threading.enumerate() if t.name.startswith("cmg-prefetch")]


def test_an_unreadable_batch_stops_the_run_at_its_own_step(tiny_config):
    training = prepare(tiny_config("training.epochs=1"))
    real = training.batches.at

    def broken(epoch, index):
        if index == 2:
            raise DataError("shard gone")
        return real(epoch, index)

    training.batches.at = broken
    with pytest.raises(DataError, match="shard gone"):
        training.train()
    assert training.position.step == 2
