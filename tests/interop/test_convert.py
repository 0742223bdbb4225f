"""Files to run folders and back: what is kept, and what the converted model computes."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch

from cmg import saved
from cmg.codebook.measures import clip_agreement
from cmg.errors import CheckpointError, ConfigError
from cmg.objectives.cmcm import cmcm_loss
from cmg.objectives.commitment import commitment_loss
from cmg.objectives.reconstruction import reconstruction_loss
from cmg.recipes.convert import convert_to_official, convert_to_run
from cmg.runs.checkpoint import find_checkpoint, load_model, read_checkpoint
from cmg.types import Batch

from .files import load, same


def there_and_back(path, tmp_path, **options):
    told = convert_to_run(path, tmp_path / "run", **options)
    convert_to_official(tmp_path / "run", tmp_path / "back.pt")
    return told, load(tmp_path / "back.pt")


# ---- files there and back ---------------------------------------------------------------------


def test_recorded_file_comes_back_to_the_bit_with_its_optimizers(tiny, tmp_path):
    told, back = there_and_back(tiny, tmp_path)
    assert same(load(tiny), back)
    assert len(back["optimizer"]["state"]) == 166
    assert told["kind"] == "AVT"
    assert (told["epoch"], told["total_step"], told["tensors"]) == (3, 18, 266)
    assert told["modalities"] == {"audio": [6], "video": [7, 7, 8], "text": [10]}
    assert told["absent"] == []


def test_converted_model_computes_what_was_recorded(tiny, tmp_path):
    convert_to_run(tiny, tmp_path / "run")
    model = load_model(tmp_path / "run")
    assert model.dtype is torch.float64
    with np.load(tiny.with_name("tiny_official_AVT_expected.npz")) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file}
    features = {"audio": arrays["in/audio"], "video": arrays["in/video"]}
    with torch.no_grad():
        encoded = model.represent(Batch(features | {"text": arrays["in/text_words"]}))
        quantized = model.quantize(encoded)
        rebuilt = model.reconstruct(encoded, quantized)
    steps, semantic = encoded.steps, encoded.semantic
    found = {"text_feature": encoded.inputs["text"], "video_club": encoded.private["video"]}
    found["cmcm_loss"] = cmcm_loss(semantic, model.codebook.codes, steps)
    found["equal_num"] = clip_agreement(quantized.indices, steps)
    recon = reconstruction_loss(encoded.inputs, rebuilt, steps)
    commit = commitment_loss(semantic, quantized.codes, steps)
    for m in model.modalities:
        found |= {f"{m}_semantic": semantic[m], f"{m}_encoder": encoded.detail[m]}
        found |= {f"{m}_vq": quantized.vectors[m], f"{m}_recon_loss": recon[m]}
        found[f"{m}_commit_loss"] = commit[m]
        alone = model.codebook.lookup({m: semantic[m]}, steps).vectors[m]
        found[f"{m}_lookup"] = alone
    checked = {key for key in arrays if key.startswith("out/") and not key.endswith("_class")}
    assert {f"out/{key}" for key in found} == checked
    for key, value in found.items():
        wanted = arrays[f"out/{key}"]
        worst = (value.to(wanted.dtype) - wanted).abs().max()
        assert worst <= 1e-9 * wanted.abs().max() + 1e-12, key


def test_position_keeps_the_official_epoch(tiny, tmp_path):
    convert_to_run(tiny, tmp_path / "run")
    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.position.epoch == 4
    assert checkpoint.position.step == 18
    assert checkpoint.origin["epoch"] == 3
    assert json.loads((tmp_path / "run" / "run.json").read_text())["origin"]["file"] == tiny.name
    config = checkpoint.config
    assert config.model.spatial_pool == "sum"
    assert not config.model.mask_tokens
    assert config.model.codebook.ema.update == "sequential"
    assert config.probe.dropout_in_encoder
    assert config.training.precision == "float64"
    assert config.optimizer.clip == "per_part"


@pytest.mark.parametrize("kind", ["AV", "AT"])
def test_files_of_two_modalities_come_back_to_the_bit(kind, cut, saved, tmp_path):
    path = saved(cut(kind))
    told, back = there_and_back(path, tmp_path)
    assert told["kind"] == kind
    assert same(load(path), back)
    model = load_model(tmp_path / "run")
    assert list(model.modalities) == {"AV": ["audio", "video"], "AT": ["audio", "text"]}[kind]


def test_two_modalities_encode_as_they_do_among_three(tiny, cut, saved, tmp_path):
    convert_to_run(saved(cut("AV")), tmp_path / "two")
    convert_to_run(tiny, tmp_path / "three")
    two, three = load_model(tmp_path / "two"), load_model(tmp_path / "three")
    features = {"audio": torch.rand(2, 4, 6), "video": torch.rand(2, 4, 7, 7, 8)}
    one, other = two.encode(features), three.encode(features)
    assert all(torch.equal(one[m], other[m]) for m in features)


def test_inference_subset(content, saved, tiny, tmp_path):
    kept = ("Encoder_parameters", "Text_ar_lstm_parameters", "epoch")
    path = saved({name: content[name] for name in kept})
    told, back = there_and_back(path, tmp_path)
    assert told["absent"] == ["model.decoder"]
    assert told["total_step"] is None
    assert same(load(path), back)
    convert_to_run(tiny, tmp_path / "whole")
    features = {"text": torch.rand(2, 5, 10), "audio": torch.rand(2, 5, 6)}
    one, other = (load_model(tmp_path / n).encode(features) for n in ("run", "whole"))
    assert all(torch.equal(one[m], other[m]) for m in features)
    assert read_checkpoint(tmp_path / "run").config.objectives.cross_cpc is None


def test_audio_video_inference_needs_no_text_lstm(cut, saved, tmp_path):
    content = cut("AV")
    path = saved({name: content[name] for name in ("Encoder_parameters", "epoch")})
    _, back = there_and_back(path, tmp_path)
    assert same(load(path), back)


def test_float32_is_said_and_rounds(tiny, tmp_path):
    told, back = there_and_back(tiny, tmp_path, dtype="float32")
    assert told["dtype"] == "float32"
    assert load_model(tmp_path / "run").dtype is torch.float32
    name = "Cross_quantizer.embedding"
    wanted, found = (c["Encoder_parameters"][name] for c in (load(tiny), back))
    assert found.dtype is torch.float64
    assert torch.equal(found, wanted.float().double())
    assert convert_to_official(tmp_path / "run", tmp_path / "again.pt")["rounded"]


def test_float32_file_stays_float32(content, saved, tmp_path):
    for section in [s for s in content if s.endswith("_parameters")]:
        content[section] = {n: t.float() for n, t in content[section].items()}
    told, back = there_and_back(saved(content), tmp_path)
    assert told["dtype"] == "float32"
    assert back["Decoder_parameters"]["Audio_decoder.audio_rec.weight"].dtype is torch.float64


def test_file_in_another_order_comes_back_in_the_official_one(content, saved, tiny, tmp_path):
    for section in [s for s in content if s.endswith("_parameters")]:
        content[section] = dict(reversed(content[section].items()))
    _, back = there_and_back(saved(content), tmp_path)
    assert same(load(tiny), back)  # states of optimizers number parameters in the official order


def test_older_optimizer_states_count_steps_in_plain_numbers(content, saved, tmp_path):
    for moments in content["optimizer"]["state"].values():
        moments["step"] = int(moments["step"])
    path = saved(content)
    _, back = there_and_back(path, tmp_path)
    assert same(load(path), back)


def test_other_map_sizes(tiny, tmp_path):
    told = convert_to_run(tiny, tmp_path / "run", map_size=9)
    assert told["modalities"]["video"] == [9, 9, 8]
    codes = load_model(tmp_path / "run").encode({"video": torch.rand(1, 2, 9, 9, 8)})
    assert codes["video"].shape == (1, 2)
    with pytest.raises(ConfigError, match="at least 5 x 5"):
        convert_to_run(tiny, tmp_path / "small", map_size=4)
    assert not (tmp_path / "small").exists()


def test_nothing_is_written_over(tiny, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        convert_to_run(tiny, tmp_path / "out")
    convert_to_run(tiny, tmp_path / "run")
    (tmp_path / "there.pt").write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        convert_to_official(tmp_path / "run", tmp_path / "there.pt")
    assert (tmp_path / "there.pt").read_text() == "mine"


def test_edited_beside_file_is_noticed(tiny, tmp_path):
    convert_to_run(tiny, tmp_path / "run")
    (find_checkpoint(tmp_path / "run") / "official.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"official\.safetensors"):
        convert_to_official(tmp_path / "run", tmp_path / "back.pt")
    assert not (tmp_path / "back.pt").exists()
    assert load_model(tmp_path / "run").size == 13  # using the model takes its weights alone


def test_full_disk_leaves_nothing(tiny, tmp_path, monkeypatch):
    def full(tensors, path):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        convert_to_run(tiny, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_file_saved_under_a_wrapper_is_the_same_file(content, tiny, saved, tmp_path, prefix):
    for section in ("Encoder_parameters", "Decoder_parameters"):  # the others were not wrapped
        content[section] = OrderedDict((prefix + n, x) for n, x in content[section].items())
    _, back = there_and_back(saved(content), tmp_path)
    assert same(load(tiny), back)


def test_a_file_of_which_only_some_names_are_wrapped_is_refused(content, saved, tmp_path):
    encoder = content["Encoder_parameters"]
    first = next(iter(encoder))
    encoder["module." + first] = encoder.pop(first)
    with pytest.raises(CheckpointError, match=r"saved under a wrapper.*network\.module"):
        convert_to_run(saved(content), tmp_path / "run")
    assert not (tmp_path / "run").exists()
