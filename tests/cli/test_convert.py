"""`cmg convert` and `--official-checkpoints` as a user types them."""

from pathlib import Path

import pytest
import torch

TINY = Path(__file__).parents[1] / "golden" / "cases" / "tiny_official_AVT.pt"


@pytest.fixture
def store(cmg, arrays, tmp_path):
    """Arrays at the widths of the recorded checkpoint."""
    modalities = {"audio": (6,), "video": (7, 7, 8), "text": (10,)}
    table = arrays(modalities)
    told = cmg(
        "data", "import", "--arrays", table, "--out", tmp_path / "s", "--kind", "text=tokens"
    )
    assert told.code == 0, told.err
    return tmp_path / "s"


def test_released_file_to_a_model_that_probes_and_encodes_and_back(cmg, store, tmp_path):
    run, back = tmp_path / "run", tmp_path / "back.pt"
    said = cmg("convert", TINY, "--out", run)
    assert said.code == 0, said.err
    assert "AVT checkpoint after epoch 3 (0-based), 266 tensors" in said.out
    assert "13 codes x 8" in said.out

    codes = tmp_path / "codes.jsonl"
    told = cmg("encode", store, "--model", run, "--out", codes, "--json")
    assert told.json["clips"] == 24, told.err
    probe = ("probe", "--model", run, "--train-on", "audio", "--test-on", "video", "--data", store)
    found = cmg(*probe, "--seeds", 1, "probe.epochs=2", "--json")
    assert found.code == 0, found.err
    assert found.json["transfer"]["n"] == 1

    told = cmg("convert", run, "--to-official", back, "--json").json
    assert told["kind"] == "AVT"
    assert told["epoch"] == 3
    assert told["fresh"] == []
    wanted, written = (torch.load(p, weights_only=True) for p in (TINY, back))
    assert wanted.keys() == written.keys()
    for section in [s for s in wanted if s.endswith("_parameters")]:
        assert all(torch.equal(written[section][n], t) for n, t in wanted[section].items())


def test_json_says_what_the_file_holds(cmg, tmp_path):
    told = cmg("convert", TINY, "--out", tmp_path / "run", "--dtype", "float32", "--json").json
    assert told["modalities"] == {"audio": [6], "video": [7, 7, 8], "text": [10]}
    assert told["dtype"] == "float32"
    assert told["codes"] == 13
    assert told["optimizers"][0] == "optimizer"


def test_data_of_other_widths_contradict_the_converted_model(cmg, arrays, tmp_path):
    cmg("convert", TINY, "--out", tmp_path / "run")
    table = arrays({"audio": (5,), "video": (7, 7, 8)})
    cmg("data", "import", "--arrays", table, "--out", tmp_path / "s")
    said = cmg("encode", tmp_path / "s", "--model", tmp_path / "run", "--out", tmp_path / "c.jsonl")
    assert said.code == 2
    assert "audio" in said.err
    assert "5" in said.err


def test_official_checkpoints_of_a_run(cmg, store, small, tmp_path):
    run = tmp_path / "run"
    widths = "model.detail_width={audio: 6, video: 6, text: 6}"
    args = ("pretrain", "audio-video-text", f"data={store}", *small, widths, "--out", run)
    args = (*args, "model.temporal.heads=4", "--official-checkpoints")
    said = cmg(*args)
    assert said.code == 0, said.err
    names = sorted(p.name for p in (run / "official").iterdir())
    assert names == ["DCID-model-0.pt", "DCID-model-1.pt"]
    said = cmg("convert", run / "official" / names[1], "--out", tmp_path / "again", "--json")
    assert said.json["epoch"] == 1
    said = cmg("convert", run, "--to-official", tmp_path / "file.pt")
    assert "made anew and untrained" in said.out
    assert "audio_semantic_decoder" in said.out


def test_model_without_an_official_form_fails_before_training(cmg, store, small, tmp_path):
    args = ("pretrain", f"data={store}", *small, "--out", tmp_path / "run")
    said = cmg(*args, "--official-checkpoints")
    assert said.code == 2
    assert "model.mask_tokens is True" in said.err
    assert "model.temporal.heads is 2" in said.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((TINY,), "either --out DIR"),
        ((TINY, "--out", "a", "--to-official", "b"), "either --out DIR"),
        ((TINY, "--out", "a", "--dtype", "float16"), "float32, float64"),
        ((TINY, "--to-official", "b", "--dtype", "float32"), "--dtype and --release go with --out"),
        ((TINY, "--to-official", "b", "--release", "micu"), "--dtype and --release go with --out"),
        ((TINY, "--to-official", "b"), "is no cmg run"),
        ((TINY.parent, "--out", "a"), "is a folder"),
    ],
)
def test_options_that_do_not_fit(cmg, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    told = cmg("convert", *args)
    assert told.code == 2
    assert said in told.err
    assert list(tmp_path.iterdir()) == []
