"""Quantizers of the library as a user types them: trained, resumed, read again, refused."""

import sys

import pytest
import torch
from safetensors.torch import load_file

import cmg
from cmg.config.load import load_config
from cmg.config.schema import refuse_unfit_parts
from cmg.data.store import open_store
from cmg.errors import ConfigError
from cmg.evaluation.encoding import encode_split
from cmg.recipes.own_data import sizes
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import load_model, training_tensors
from cmg.runs.folder import read_metrics
from cmg.saved import flat

LOSS = "objectives.quantizer_loss.weight=0.5"
KINDS = {
    "fsq": ["model.codebook.levels=[4, 3]"],
    "lfq": ["model.codebook.bits=4", LOSS],
    "simvq": ["model.codebook.size=12", LOSS],
    "residual-vq": ["model.codebook.size=12", LOSS],
}
TRAINED = [k if k in ("fsq", "simvq") else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
"""A lookup of the others takes a tenth of a second."""
BRIEF = ["method=light", "training.epochs=2", "data.fraction=0.1", "data.batch_size=20"]
BRIEF += ["training.tensorboard=false", "probe.epochs=2", "training.checkpoint_every_steps=2"]


def told(kind):
    return [*BRIEF, f"model.codebook.kind={kind}", *KINDS[kind]]


@pytest.mark.parametrize("kind", TRAINED)
def test_a_run_is_trained_read_and_reported(cmg, tmp_path, kind):
    run = tmp_path / "run"
    said = cmg("pretrain", "digits", *told(kind), "--out", run)
    assert said.code == 0, said.err
    log = read_metrics(run)
    assert ("loss/quantizer_loss" in log[-1]) is (kind != "fsq")
    said = cmg("encode", "digits", "--model", run, "--out", tmp_path / "codes.safetensors")
    assert said.code == 0, said.err
    kept, model, store = (
        load_file(tmp_path / "codes.safetensors"),
        load_model(run),
        open_store("digits"),
    )
    places = [i for i, row in enumerate(store.rows) if row.split == "test"]
    for m, one in encode_split(model, store.split("test")).items():
        assert torch.equal(kept[m][places], one.indices)
        torch.testing.assert_close(model.decode({m: one.indices})[m], one.codes)
    assert len(torch.cat([x.flatten() for x in kept.values()]).unique()) > 3
    if kind in ("lfq", "residual-vq"):
        said = cmg("report", run)
        assert said.code == 0, said.err
        assert "loss of the quantizer" in (run / "report.md").read_text()
        said = cmg("probe", "--model", run, "--train-on", "audio", "--test-on", "video")
        assert said.code == 0, said.err


@pytest.mark.parametrize("kind", TRAINED)
def test_a_run_resumes_and_is_loaded_to_the_bit(tmp_path, kind):
    config = load_config("digits", told(kind))
    start = flat(prepare(config).state.model)
    whole, run = pretrain(config, tmp_path / "whole"), tmp_path / "run"
    prepare(config, run).train(lambda position: position.step == 3)
    resumed = pretrain(config, run, resume=True)
    one, other = (flat(x.state.model) | training_tensors(x.state) for x in (whole, resumed))
    assert one.keys() == other.keys()
    assert all(torch.equal(x, other[n]) for n, x in one.items())
    read = cmg.load(tmp_path / "whole").state_dict()
    assert all(torch.equal(x, one[n]) for n, x in read.items())
    moved = {n for n in start if n.startswith("codebook.") and not torch.equal(start[n], one[n])}
    projections = {f"codebook.module.project_in.{x}" for x in ("weight", "bias")}  # by CMCM
    assert (
        moved
        >= {
            "fsq": projections,
            "lfq": projections,
            "simvq": {"codebook.module.code_transform.weight"},
            "residual-vq": {f"codebook.module.layers.{i}._codebook.embed" for i in (0, 1)},
        }[kind]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_several_processes_are_refused(kind):
    config = load_config("digits", told(kind))
    refuse_unfit_parts(config, several=False)
    with pytest.raises(ConfigError, match=rf"kind={kind} learns in one process.*--devices"):
        refuse_unfit_parts(config, several=True)


@pytest.mark.parametrize("kind", ["shared", "fsq"])
def test_a_loss_that_the_kind_has_not_is_refused_before_anything_is_trained(cmg, tmp_path, kind):
    said = cmg("pretrain", "digits", f"model.codebook.kind={kind}", LOSS, "--out", tmp_path / "run")
    assert said.code == 2
    assert f"model.codebook.kind={kind} has none; set objectives.quantizer_loss=null" in said.err
    assert "(lfq, simvq, residual-vq)" in said.err


def test_without_the_package_the_remedy_is_named(cmg, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    said = cmg("pretrain", "digits", "model.codebook.kind=simvq", "--out", tmp_path / "run")
    assert said.code == 2
    assert "pip install 'cmg-torch[quantizers]'" in said.err
    said = cmg("study", "run", "quantizers", "--data", "digits", "--out", tmp_path / "study")
    assert said.code == 2
    assert "kind=fsq needs vector-quantize-pytorch: pip install" in said.err
    assert not (tmp_path / "study").exists()


def test_a_term_that_compares_features_with_codes_names_the_kind(tmp_path):
    teacher = ["model.teacher=0.9", "objectives.assignment.weight=1"]
    with pytest.raises(
        ConfigError, match=r"assignment compares .*kind=fsq are compared in 2 dimensions"
    ):
        pretrain(load_config("digits", [*told("fsq"), *teacher]), tmp_path / "run")


def test_a_store_sets_the_size_of_those_that_have_one():
    store = open_store("digits")
    for kind, sized in {"shared": True, "simvq": True, "fsq": False, "lfq": False}.items():
        config = load_config("own-data", [f"model.codebook.kind={kind}"])
        assert ("model.codebook.size" in sizes(store, config)) is sized
