"""Runs to official files: the exact keys, the optimizers, a file per epoch, and refusals."""

import json

import pytest
import torch

from cmg.errors import CheckpointError, DataError
from cmg.interop import export as export_module
from cmg.interop.architecture import infer_architecture
from cmg.interop.layout import official_layout
from cmg.interop.official import read_official
from cmg.interop.optimizers import parameters_of
from cmg.recipes.convert import convert_to_official, convert_to_run
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import find_checkpoint, load_model
from cmg.runs.keeping import drop_training

from .files import load, same

KINDS = ["AVT", "AV", "AT"]


# ---- runs to files ----------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def exported(request, as_coded, tmp_path):
    """(kind, run, finished training, official file) of a tiny run."""
    run = tmp_path / "run"
    training = pretrain(as_coded(request.param), run)
    convert_to_official(run, tmp_path / "file.pt")
    return request.param, run, training, load(tmp_path / "file.pt")


def official_keys(kind, tiny):
    keys = json.loads((tiny.parent / "official_checkpoint_keys.json").read_text())[kind]
    return {
        s: [row[0] for row in listing["entries"]] if "entries" in listing else None
        for s, listing in keys.items()
    }


def test_run_exports_to_the_exact_official_keys(exported, tiny, tmp_path):
    kind, _, _, content = exported
    keys = official_keys(kind, tiny)
    assert list(content) == list(keys)
    for section, names in keys.items():
        if names is not None:
            assert list(content[section]) == names, section
            assert all(t.dtype is torch.float64 for t in content[section].values())
    checkpoint = read_official(tmp_path / "file.pt")  # refuses what contradicts itself
    layout = official_layout(infer_architecture(checkpoint.tensors, map_size=5))
    assert {n: tuple(t.shape) for n, t in checkpoint.tensors.items()} == layout
    assert (content["epoch"], content["total_step"]) == (1, 4)
    assert content["Decoder_parameters"]["audio_semantic_decoder.linear.bias"].shape == (8,)
    heads = content["Decoder_parameters"]["audio_semantic_decoder.event_classifier.weight"]
    assert heads.shape == (141, 8)
    if kind == "AT":
        assert content["Video_mi_net_parameters"]["p_mu.6.weight"].shape == (512, 4)
    if kind == "AV":
        assert content["Text_ar_lstm_parameters"]["weight_ih_l0"].shape == (512, 768)


def test_exported_run_comes_back_as_the_same_model(exported, tmp_path):
    _, run, _, _ = exported
    convert_to_run(tmp_path / "file.pt", tmp_path / "again", map_size=5)
    first, again = load_model(run), load_model(tmp_path / "again")
    assert first.modalities == again.modalities
    for name, tensor in first.state_dict().items():
        if name != "codebook.idle":
            assert torch.equal(tensor.double(), again.state_dict()[name]), name
    idle = first.codebook.idle.amin(0)
    assert all(torch.equal(row, idle) for row in again.codebook.idle)
    features = {m: torch.rand(2, 4, *s.shape) for m, s in first.modalities.items()}
    assert first.double().encode(features).keys() == again.encode(features).keys()
    for m, codes in first.encode(features).items():
        assert torch.equal(codes, again.encode(features)[m])


def test_optimizer_states_are_those_of_the_run(exported, tiny):
    kind, _, training, content = exported
    keys = json.loads((tiny.parent / "official_checkpoint_keys.json").read_text())[kind]
    tensors = [f"{s}/{n}" for s in content if s.endswith("_parameters") for n in content[s]]
    order = parameters_of(tensors)
    for optimizer, parameters in order.items():
        listed = [
            f"{module}_parameters/{name}" for module, name in keys[optimizer]["param_index_to_name"]
        ]
        assert parameters == listed
        group = content[optimizer]["param_groups"][0]
        assert group["params"] == list(range(len(parameters)))
        assert group["lr"] == keys[optimizer]["lr"]
        assert set(keys[optimizer]["param_group_keys"]) <= group.keys()
        own = [
            torch.nn.Parameter(content[s][n].clone())
            for s, _, n in (p.partition("/") for p in parameters)
        ]
        torch.optim.Adam(own, group["lr"]).load_state_dict(content[optimizer])
    bias = training.state.model.semantic["audio"].temporal.input.bias
    index = order["optimizer"].index("Encoder_parameters/audio_self_att.affine_matrix.bias")
    found, kept = content["optimizer"]["state"][index], training.state.optimizer.state[bias]
    assert torch.equal(found["exp_avg"], kept["exp_avg"].double())
    assert torch.equal(found["exp_avg_sq"], kept["exp_avg_sq"].double())
    assert found["step"].dtype is torch.float32
    assert found["step"] == 4
    assert content["optimizer_audio_mi_net"]["state"][0]["step"] == 20
    unused = order["optimizer"].index(
        "Encoder_parameters/audio_self_att.encoder_layer.linear1.bias"
    )
    assert unused not in content["optimizer"]["state"]
    if kind == "AV":
        assert content["optimizer_text_mi_net"]["state"] == {}


def test_same_run_gives_the_same_file_twice(as_coded, tmp_path):
    pretrain(as_coded("AV"), tmp_path / "run")
    for name in ("one.pt", "two.pt"):
        convert_to_official(tmp_path / "run", tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_nets_of_objectives_the_run_left_out_are_made_anew_and_said(as_coded, tmp_path):
    config = as_coded("AT", "objectives.club=null", "objectives.cross_cpc=null")
    pretrain(config, tmp_path / "run")
    told = convert_to_official(tmp_path / "run", tmp_path / "file.pt")
    assert {"CPC_parameters", "Audio_mi_net_parameters"} <= set(told["fresh"])
    assert "Encoder_parameters/audio_self_att.encoder_layer" in told["fresh"]
    assert "Text_ar_lstm_parameters" not in told["fresh"]
    assert read_official(tmp_path / "file.pt").epoch == 1


@pytest.mark.parametrize("kind", ["AVT", "AT"])
def test_a_checkpoint_of_weights_only_gives_a_file_for_inference(as_coded, tmp_path, kind):
    """The nets of its objectives are made anew and said, and no optimizer has a state."""
    pretrain(as_coded(kind), tmp_path / "run")
    folder = find_checkpoint(tmp_path / "run")
    convert_to_official(folder, tmp_path / "whole.pt")
    drop_training(folder)
    told = convert_to_official(folder, tmp_path / "file.pt")
    assert {"CPC_parameters", "Audio_mi_net_parameters"} <= set(told["fresh"])
    whole, content = load(tmp_path / "whole.pt"), load(tmp_path / "file.pt")
    assert list(content) == list(whole)
    for section in ("Encoder_parameters", "Decoder_parameters", "Text_ar_lstm_parameters"):
        assert same(content[section], whole[section]), section
    assert {s: list(content[s]) for s in content if s.endswith("_parameters")} == {
        s: list(whole[s]) for s in whole if s.endswith("_parameters")
    }
    assert content["optimizer"]["state"] == content["optimizer_audio_mi_net"]["state"] == {}
    convert_to_run(tmp_path / "file.pt", tmp_path / "again", map_size=5)


NO_FORM = [
    ("AV", "model.spatial_pool=attention", "model.spatial_pool is 'attention', there it is 'sum'"),
    ("AT", "model.mask_tokens=true", "model.mask_tokens is True"),
    ("AV", "model.temporal.kind=mlp", "model.temporal.kind is 'mlp'"),
    ("AV", "model.temporal.heads=2", "model.temporal.heads is 2, there it is 4"),
    ("AV", "data.modalities=[video, text]", "not video-text"),
]


@pytest.mark.parametrize(("kind", "override", "said"), NO_FORM)
def test_model_without_an_official_form_is_refused_before_training(
    as_coded, tmp_path, kind, override, said
):
    config = as_coded(kind, override)
    with pytest.raises(CheckpointError) as caught:
        prepare(config, tmp_path / "run", official_checkpoints=True)
    assert said in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("override", ["model.spatial_pool=attention", "model.mask_tokens=true"])
def test_options_of_absent_modalities_do_not_matter(as_coded, tmp_path, override):
    kind = "AT" if "spatial" in override else "AV"
    prepare(as_coded(kind, override), tmp_path / "run", official_checkpoints=True)


# ---- a file per epoch -------------------------------------------------------------------------


def test_every_epoch_is_written_zero_based(as_coded, tmp_path):
    training = prepare(as_coded("AT"), tmp_path / "run", official_checkpoints=True)
    training.train()
    folder = tmp_path / "run" / "official"
    assert sorted(p.name for p in folder.iterdir()) == ["DCID-model-0.pt", "DCID-model-1.pt"]
    assert load(folder / "DCID-model-0.pt")["epoch"] == 0
    convert_to_official(tmp_path / "run", tmp_path / "last.pt")
    assert same(load(folder / "DCID-model-1.pt"), load(tmp_path / "last.pt"))
    first, last = (load(folder / f"DCID-model-{e}.pt") for e in (0, 1))
    head = "audio_semantic_decoder.linear.weight"  # never trained, so the same in every epoch
    assert torch.equal(first["Decoder_parameters"][head], last["Decoder_parameters"][head])
    weight = "Audio_encoder.audio_linear.weight"
    assert not torch.equal(first["Encoder_parameters"][weight], last["Encoder_parameters"][weight])


def test_resumed_run_goes_on_writing_them(as_coded, tmp_path):
    whole = prepare(as_coded("AT"), tmp_path / "whole", official_checkpoints=True)
    whole.train()
    cut = prepare(as_coded("AT"), tmp_path / "cut", official_checkpoints=True)
    cut.train(stop_after=lambda position: position.step == 2)
    pretrain(as_coded("AT"), tmp_path / "cut", resume=True)
    one, other = (load(tmp_path / n / "official" / "DCID-model-1.pt") for n in ("whole", "cut"))
    assert same(one, other)


def test_steps_between_epochs_write_none_and_runs_without_the_option_neither(as_coded, tmp_path):
    config = as_coded("AT", "training.checkpoint_every_steps=1", "training.epochs=1")
    prepare(config, tmp_path / "run", official_checkpoints=True).train()
    names = [p.name for p in (tmp_path / "run" / "official").iterdir()]
    assert names == ["DCID-model-0.pt"]
    pretrain(config, tmp_path / "other")
    assert not (tmp_path / "other" / "official").exists()


@pytest.mark.parametrize(
    "failure", [RuntimeError("unexpected pos 64 vs 0"), OSError(28, "No space left on device")]
)
def test_full_disk_leaves_no_half_written_official_file(as_coded, tmp_path, monkeypatch, failure):
    training = prepare(as_coded("AT"), tmp_path / "run", official_checkpoints=True)

    def full(content, stream):
        stream.write(b"half of it")
        raise failure

    monkeypatch.setattr(export_module.torch, "save", full)
    with pytest.raises(DataError, match=r"DCID-model-0\.pt"):
        training.train()
    assert list((tmp_path / "run" / "official").iterdir()) == []
    monkeypatch.undo()
    finished = pretrain(as_coded("AT"), tmp_path / "run", resume=True)
    assert finished.position.epoch == 2
    assert (tmp_path / "run" / "official" / "DCID-model-0.pt").is_file()
