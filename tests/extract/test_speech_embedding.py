"""Windows of the speech embedding, and steps of windows."""

import importlib.util
import sys

import numpy as np
import pytest

from cmg.errors import ConfigError
from cmg.extract import speech_embedding
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor


class FakeMel:
    """The mean of the 512 samples of each frame, in all of 32 bands, shaped as the real one."""

    def run(self, outputs, given):
        x = given["input"][0]
        views = np.lib.stride_tricks.sliding_window_view(x, 512)[::160]
        bands = np.repeat(views.mean(axis=1)[:, None], 32, axis=1)
        return [bands[None, None].astype(np.float32)]


class FakeEmbedding:
    """The mean of the frames of each window, shaped as the real one."""

    def run(self, outputs, given):
        x = given["input_1"]
        assert x.shape[1:] == (76, 32, 1)
        assert x.dtype == np.float32
        return [np.repeat(x.mean(axis=(1, 2))[:, None, None], 96, axis=3)]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Load with networks whose numbers can be computed by hand."""
    made = {"melspectrogram.onnx": FakeMel(), "embedding_model.onnx": FakeEmbedding()}
    for name in made:
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(speech_embedding, "_session", lambda file: made[file.name])
    return lambda step=None: load_extractor(
        "speech-embedding", LoadOptions(weights=tmp_path, step_seconds=step)
    )


def window_by_hand(wave, begin):
    """The fakes' number for the window from sample `begin`, zeros around the wave."""
    padded = np.concatenate([np.zeros(20000), wave, np.zeros(20000)])
    frames = [padded[20000 + begin + 160 * i :][:512].mean() * 32768 for i in range(76)]
    return np.mean(frames) / 10 + 2


def ramp(seconds):
    return np.linspace(0, 0.9, round(16000 * seconds)).astype(np.float32)


def test_steps_of_80_ms_are_the_windows_that_lie_in_the_wave(fake):
    wave = ramp(1.3)
    extractor = fake(0.08)
    found = extractor.extract(wave)
    assert found.shape == (7, 96)  # (20800 - 12512) // 1280 + 1
    expected = [window_by_hand(wave, 1280 * i) for i in range(7)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)
    for hops in (0, 1, 4):  # as many as words ask for
        assert len(extractor.extract(ramp(0.79 + 2 * hops * 0.08))) == 2 * hops + 1


def test_a_step_is_the_mean_of_the_windows_whose_middle_lies_in_it(fake):
    wave = ramp(1.0)
    found = fake(0.4).extract(wave)
    middles = 640 + 1280 * np.arange(15)
    windows = np.array([window_by_hand(wave, int(m) - 6256) for m in middles])
    expected = [windows[middles // 6400 == t].mean() for t in range(3)]
    assert found.shape == (3, 96)  # a last step that is half full counts
    np.testing.assert_allclose(found[:, 7], expected, rtol=1e-4)


@pytest.mark.parametrize("step", [0.08, 0.16, 0.5, 1.0])
def test_short_and_empty_waves(fake, step):
    extractor = fake(step)
    assert extractor.extract(ramp(0)).shape == (0, 96)
    for samples in (1, 200, 1280):
        assert extractor.extract(np.ones(samples, np.float32)).shape == (1, 96)


def test_samples_are_those_of_16_bits(fake, monkeypatch):
    given = []

    def run(mel, outputs, said):
        given.append(said["input"])
        return [np.zeros((1, 1, 76, 32), np.float32)]

    monkeypatch.setattr(FakeMel, "run", run)
    fake(0.08).extract(np.full(12512, 0.5, np.float32))
    fake(0.08).extract(np.full(12512, -3.0, np.float32))
    assert given[0].shape == (1, 12512)
    assert given[0].dtype == np.float32
    assert (given[0] == 16384).all()
    assert (given[1] == -32768).all()


def test_the_identity_is_of_both_files_and_the_step(fake, tmp_path):
    identities = [fake().identity, fake(0.5).identity, fake(0.08).identity]
    (tmp_path / "embedding_model.onnx").write_bytes(b"another")
    identities.append(fake().identity)
    assert len(set(identities)) == 4


def test_what_is_missing_is_named_with_the_remedy(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"no melspectrogram\.onnx and no embedding_model"):
        load_extractor("speech-embedding", LoadOptions(weights=tmp_path))
    for name in speech_embedding.FILES:
        (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(ConfigError, match="steps must last at least that"):
        load_extractor("speech-embedding", LoadOptions(weights=tmp_path, step_seconds=0.05))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"cmg-torch\[voices\]"):
        load_extractor("speech-embedding", LoadOptions(weights=tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--no-deps openwakeword==0\.4\.0"):
        load_extractor("speech-embedding")


def test_a_damaged_network_is_named(tmp_path):
    pytest.importorskip("onnxruntime")
    for name in speech_embedding.FILES:
        (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(ConfigError, match=r"cannot read .*melspectrogram\.onnx"):
        load_extractor("speech-embedding", LoadOptions(weights=tmp_path))


@pytest.mark.skipif(
    importlib.util.find_spec("openwakeword") is None
    or importlib.util.find_spec("onnxruntime") is None,
    reason="the package of the speech embedding: see docs/extractors.md",
)
def test_windows_are_those_of_the_package_and_one_hop_moves_them_by_one():
    extractor = load_extractor("speech-embedding", LoadOptions(step_seconds=0.08))
    generator = np.random.default_rng(0)
    wave = (0.1 * generator.standard_normal(24000)).astype(np.float32)
    found = extractor.extract(wave)
    assert found.shape == (9, 96)
    pcm = np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.float32)
    mel = extractor._mel.run(None, {"input": pcm[None]})[0].squeeze() / 10 + 2
    for index in (0, 4, 8):
        window = mel[None, 8 * index : 8 * index + 76, :, None].astype(np.float32)
        one = extractor._embedding.run(None, {"input_1": window})[0].squeeze()
        np.testing.assert_allclose(found[index], one, rtol=1e-4, atol=1e-4)
    moved = extractor.extract(wave[1280:])
    np.testing.assert_allclose(moved, found[1:], rtol=1e-3, atol=1e-2)
    pytest.importorskip("tqdm")
    utils = pytest.importorskip("openwakeword.utils", exc_type=ImportError)
    theirs = utils.AudioFeatures()._get_embeddings(pcm.astype(np.int16))
    np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-5)
