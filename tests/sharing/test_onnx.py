"""Encoders as ONNX, run by onnxruntime: the codes are the model's."""

import onnxruntime
import pytest
import torch
from tests.tiny import THREE

import cmg
from cmg.errors import ConfigError
from cmg.types import Batch


def model_of(modalities, **options):
    """A model whose weights are large enough for many codes."""
    sizes = {"width": 8, "codebook": {"size": 16}}
    return cmg.UnifiedModel(modalities, cmg.ModelOptions(**sizes, **options)).eval()


def run(folder, name, **given):
    """What onnxruntime makes of an encoder's inputs."""
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    return torch.from_numpy(session.run(None, {k: x.numpy() for k, x in given.items()})[0])


def test_vectors_maps_and_tokens_have_the_codes_of_the_model(tmp_path):
    model = model_of(THREE, temporal={"kind": "mlp", "hidden": 8}, token_encoder="none")
    cmg.export(model, tmp_path / "out", onnx=True)
    chance = torch.Generator().manual_seed(1)
    for batch, steps in ((1, 1), (5, 9)):
        for name, one in model.modalities.items():
            x = torch.randn(batch, steps, *one.shape, generator=chance)
            found = run(tmp_path / "out", name, features=x)
            assert torch.equal(found, model.encode({name: x})[name])


@pytest.mark.slow  # attention takes the exporter ten seconds
def test_attention_reads_lengths(tmp_path):
    model = model_of(THREE[:2], temporal={"kind": "transformer", "heads": 2, "hidden": 8})
    cmg.export(model, tmp_path / "out", onnx=True)
    lengths = torch.tensor([3, 0, 6])
    for name, one in model.modalities.items():
        x = torch.randn(3, 6, *one.shape, generator=torch.Generator().manual_seed(1))
        found = run(tmp_path / "out", name, features=x, lengths=lengths)
        assert torch.equal(found, model.encode(Batch({name: x}, {name: lengths}))[name])
        assert found[0].tolist()[3:] == [-1, -1, -1]


def test_what_has_no_onnx_form_is_refused_by_name_and_nothing_is_written(tmp_path):
    model = model_of(THREE, temporal={"kind": "mlp", "hidden": 8}, token_encoder="lstm")
    with pytest.raises(ConfigError, match=r"model\.token_encoder=lstm has no ONNX form here"):
        cmg.export(model, tmp_path / "out", onnx=True)
    assert not list(tmp_path.iterdir())
