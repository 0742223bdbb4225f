"""What docs/own-loop.md shows runs as it stands, and what it saves is read by the commands."""

import re
from pathlib import Path

import pytest
import torch

import cmg as package
from cmg.errors import CheckpointError, ConfigError, NonFiniteError

PAGE = Path(__file__).parents[1] / "docs" / "own-loop.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_model_in_a_loop_of_ones_own(tmp_path, monkeypatch, capsys, cmg):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 25
    scope = {}
    exec(BLOCKS[0], scope)  # the page's own text
    mean = float(re.search(r"Score\(([0-9.]+)", capsys.readouterr().out)[1])
    assert mean > 30  # chance is 10
    again = package.load("mine")
    batch = scope["batch"]
    one, other = scope["model"].eval().encode(batch), again.encode(batch)
    assert all(torch.equal(one[m], other[m]) for m in one)
    said = cmg("encode", "digits", "--model", "mine", "--split", "test", "--out", "codes.jsonl")
    assert said.code == 0, said.err
    heads = ("--train-on", "audio", "--test-on", "video", "--seeds", 1, "--json")
    said = cmg("probe", "--model", "mine", *heads)
    assert said.code == 0, said.err
    assert said.json["transfer"]["mean"] > 30


def test_a_codebook_for_a_network_of_ones_own(capsys):
    exec(BLOCKS[1], {})  # the page's own text
    assert "size=64, width=16, modalities=image+text" in capsys.readouterr().out


def test_a_saved_model_is_not_overwritten_and_not_half_written(tmp_path):
    modality = package.Modality(name="audio", kind=package.Kind.VECTORS, shape=(4,))
    model = package.UnifiedModel([modality], package.ModelOptions(width=8))
    model.save(str(tmp_path / "m"))
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    with torch.no_grad():
        model.codebook.codes += 1
    with pytest.raises(CheckpointError, match="overwrite=True"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    model.save(tmp_path / "m", overwrite=True)
    assert torch.equal(package.load(tmp_path / "m").codebook.codes, model.codebook.codes)
    with torch.no_grad():
        model.codebook.codes[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"codebook\.codes"):
        model.save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_old_name_of_the_door_names_the_new_one():
    with pytest.raises(AttributeError, match=r"cmg\.open_clips\(...\) now"):
        print(package.FeatureStore)


def test_a_store_has_a_length_and_clips():
    store = package.open_clips("digits")
    clip = store[-1]
    assert len(store) == sum(store.splits.values())
    assert clip["id"] == store.rows[len(store) - 1].id
    assert {m: len(x) for m, x in clip["features"].items()} == {
        m: n for m, n in store.rows[len(store) - 1].lengths.items() if n
    }
    with pytest.raises(IndexError):
        store[len(store)]


def test_objectives_have_defaults():
    z, e = {"a": torch.randn(6, 4)}, {"a": torch.randn(6, 4)}
    assert package.Commitment()(z, e) == package.commitment_loss(z, e)
    assert package.CMCM().options == package.CMCMOptions()


def test_options_of_another_kind_of_codebook():
    with pytest.raises(ConfigError, match="TiedCodebook takes TiedOptions, got CodebookOptions"):
        package.TiedCodebook(["a"], 4, package.CodebookOptions())
