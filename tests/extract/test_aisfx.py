"""aiSFX: the front end against essentia, the network against NumPy and against the package."""

import importlib.util
import pickle

import numpy as np
import pytest
import torch
from tests.hostile import Evil

from cmg.errors import ConfigError
from cmg.extract import aisfx
from cmg.extract.extractor import LoadOptions
from cmg.extract.packages import package_file
from cmg.extract.registry import card_of, load_extractor

ESSENTIA = {
    0: [7.218628, 5.508671, 3.726657, 3.150477, 2.651090, 0.023604],
    10: [0.079030, 0.810605, 2.484880, 0.078885, 0.002652, 0.0],
    30: [0.000063, 0.000329, 0.011980, 0.331176, 7.826732, 0.0],
    43: [4.035555, 4.055099, 4.176933, 4.331349, 4.657449, 0.816984],
}
"""Frames of the sweep below in bands 5, 10, 20, 25, 30 and 90, computed by the package's own
front end with essentia 2.1b6.dev1389."""
installed = pytest.mark.skipif(
    importlib.util.find_spec("aisfx") is None, reason="the package aisfx: see docs/extractors.md"
)


def sweep():
    t = np.arange(44100) / 44100
    return (0.3 * np.sin(2 * np.pi * (200 + 900 * t) * t)).astype(np.float32)


def checkpoint(path, seed=0):
    """A random checkpoint in the form of the package's: tensors by name, and data sets."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = aisfx.EmbeddingNet()
        for name, x in network.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                x.normal_(0, 0.1)
            elif x.dim() == 1:
                x.uniform_(0.5, 1.5)
    tensors = {f"embedding_net.{name}": x for name, x in network.state_dict().items()}
    tensors["fc.0.0.weight"] = torch.zeros(3)
    torch.save((tensors, {"some": (np.int64(0), 78)}), path)
    return path


def numpy_forward(tensors, x):
    """The network by windows and sums: [M, 96] to [512]."""
    x = x[None]
    for block in range(1, 5):
        for part in (1, 2):
            weight = tensors[f"embedding_net.conv_block{block}.conv{part}.weight"].numpy()
            norm = {
                name: tensors[f"embedding_net.conv_block{block}.bn{part}.{name}"].numpy()
                for name in ("weight", "bias", "running_mean", "running_var")
            }
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
            x = np.einsum("chwij,ocij->ohw", views, weight, optimize=True)
            scale = norm["weight"] / np.sqrt(norm["running_var"] + 1e-5)
            x = (x - norm["running_mean"][:, None, None]) * scale[:, None, None]
            x = np.maximum(0, x + norm["bias"][:, None, None])
        if block < 4:
            height, width = x.shape[1] // 2, x.shape[2] // 2
            x = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2).max((2, 4))
    return x.mean(axis=2).max(axis=1)


def test_the_front_end_gives_the_numbers_of_essentia():
    found = aisfx.log_mel(sweep(), aisfx.mel_filters())
    assert found.shape == (45, 96)
    for frame, expected in ESSENTIA.items():
        bands = found[frame, [5, 10, 20, 25, 30, 90]]
        np.testing.assert_allclose(bands, expected, rtol=0, atol=1e-4)


def test_the_network_is_the_one_written_down_in_numpy(tmp_path):
    path = checkpoint(tmp_path / "c.pth")
    extractor = load_extractor("aisfx", LoadOptions(weights=path))
    x = np.random.default_rng(0).random((2, 20, 96), dtype=np.float32)
    with torch.serialization.safe_globals(aisfx.NUMBERS):
        tensors, _ = torch.load(path, weights_only=True)
    with torch.inference_mode():
        found = extractor._network(torch.from_numpy(x)).numpy()
    for one, expected in zip(found, x, strict=True):
        np.testing.assert_allclose(one, numpy_forward(tensors, expected), rtol=1e-3, atol=1e-4)


def test_a_step_hears_the_hundred_frames_around_its_middle(tmp_path):
    extractor = load_extractor(
        "aisfx", LoadOptions(weights=checkpoint(tmp_path / "c.pth"), step_seconds=0.5)
    )
    wave = np.tile(sweep(), 4)
    found = extractor.extract(wave)
    assert found.shape == (8, 512)
    mel = aisfx.log_mel(wave, aisfx.mel_filters()) / aisfx.LOUDEST
    padded = np.pad(mel, ((100, 100), (0, 0)))
    with torch.inference_mode():
        for step in (0, 3, 7):
            middle = round((step + 0.5) * 0.5 * 44100 / 1024)
            block = padded[middle + 50 : middle + 150].astype(np.float32)
            expected = extractor._network(torch.from_numpy(block)[None])[0]
            np.testing.assert_allclose(found[step], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("step", [0.03, 2.3])
def test_short_and_empty_waves(tmp_path, step):
    options = LoadOptions(weights=checkpoint(tmp_path / "c.pth"), step_seconds=step)
    extractor = load_extractor("aisfx", options)
    assert extractor.extract(sweep()[:0]).shape == (0, 512)
    assert extractor.extract(sweep()[:1]).shape == (1, 512)
    assert extractor.extract(sweep()[:1323]).shape == (1, 512)


def test_what_does_not_fit_is_refused_and_nothing_runs(tmp_path, monkeypatch):
    path = checkpoint(tmp_path / "c.pth")
    for step in (0.01, 3.0):
        with pytest.raises(ConfigError, match=r"steps must last 0\.023 to 2\.32 s"):
            load_extractor("aisfx", LoadOptions(weights=path, step_seconds=step))
    torch.save(({"embedding_net.a": torch.zeros(1)}, {}), tmp_path / "other.pth")
    torch.save({"a": Evil(tmp_path / "pwned")}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(tmp_path / "pwned"), protocol=2))
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:1000])
    torch.save(torch.zeros(2), tmp_path / "tensor.pth")
    for name, says in {
        "other": r"other\.pth is no checkpoint of aiSFX: .*Missing key",
        "tensor": "is no checkpoint of aiSFX; pip install",
        "evil": r"evil\.pth: it asks for [a-z_.]*exec; .* nothing in them is executed",
        "plain": r"plain\.pth: it asks for [a-z_.]*exec",
        "cut": r"cannot read the weights .*cut\.pth",
        "none": r"cannot read the weights .*none\.pth",
    }.items():
        with pytest.raises(ConfigError, match=says):
            load_extractor("aisfx", LoadOptions(weights=tmp_path / f"{name}.pth"))
    assert not (tmp_path / "pwned").exists()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=card_of("aisfx").get):
        load_extractor("aisfx")


@installed
def test_the_packages_checkpoint_gives_what_its_own_network_gives():
    path = package_file("aisfx", "models/cnn2d.py", "")
    spec = importlib.util.spec_from_file_location("cnn2d", path)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    with torch.serialization.safe_globals(aisfx.NUMBERS):
        tensors, sets = torch.load(path.parent / "checkpoint.pth", weights_only=True)
    whole = theirs.CrossNet(theirs.EmbeddingNet("max", 3, 1, 64), sets, "cpu")
    whole.load_state_dict(tensors)
    extractor = load_extractor("aisfx")
    x = torch.rand(1, 100, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = whole.eval().get_embedding(x)
        np.testing.assert_allclose(extractor._network(x), expected, rtol=1e-5, atol=1e-5)
    found = extractor.extract(np.tile(sweep(), 2))
    assert found.shape == (2, 512)
    assert np.isfinite(found).all()
