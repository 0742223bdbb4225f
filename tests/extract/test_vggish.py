"""VGGish on random weights under the published names, against NumPy."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cmg.errors import ConfigError, DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.logmel import log_mel
from cmg.extract.registry import load_extractor

from .numpy_vgg import VGGISH, vggish_last, vggish_maps


@pytest.fixture(scope="module")
def weights():
    """Random tensors; scaled so that what comes out neither dies nor explodes."""
    rng = np.random.default_rng(0)
    found = {}
    for name, shape in VGGISH.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5
        found[f"{name}.weight"] = (scale * rng.standard_normal(shape, np.float32)).astype("f4")
        found[f"{name}.bias"] = (0.1 * rng.standard_normal(shape[0], np.float32)).astype("f4")
    return found


@pytest.fixture(scope="module")
def path(weights, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "vggish-10086976.pth"
    torch.save({name: torch.from_numpy(x) for name, x in weights.items()}, file)
    return file


@pytest.fixture(scope="module")
def vggish(path):
    return load_extractor("vggish", LoadOptions(weights=path))


def noise(seconds):
    drawn = np.random.default_rng(1).uniform(-1, 1, round(seconds * 16000))
    return drawn.astype(np.float32)


def test_the_network_is_the_one_of_the_definition(vggish, weights):
    wave = noise(2.1)
    found = vggish.extract(wave)
    assert found.shape == (2, 128)
    frames = log_mel(wave)
    for step in range(2):
        maps = vggish_maps(frames[96 * step : 96 * step + 96], weights)
        wanted = vggish_last(maps.reshape(-1), weights)  # time, frequency, channel
        assert (wanted < 0).any()  # so that the last ReLU shows
        np.testing.assert_allclose(found[step], np.maximum(wanted, 0), rtol=1e-3, atol=1e-4)
        other = vggish_last(maps.transpose(2, 0, 1).reshape(-1), weights)
        assert np.abs(np.maximum(other, 0) - found[step]).max() > 0.05  # channels first is another


def test_the_step_is_said_and_can_be_another(vggish, path):
    assert vggish.step_seconds == pytest.approx(0.96)
    other = load_extractor("vggish", LoadOptions(weights=path, step_seconds=0.5))
    assert other.identity != vggish.identity
    wave = noise(1.5)
    found = other.extract(wave)
    assert len(found) == 2
    np.testing.assert_allclose(found[0], vggish.extract(wave)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="whole hundredths"):
        load_extractor("vggish", LoadOptions(weights=path, step_seconds=0.333))


def test_sound_that_is_too_short_or_no_wave_is_refused(vggish):
    with pytest.raises(DataError, match=r"lasts 0\.500 s"):
        vggish.extract(noise(0.5))
    with pytest.raises(DataError, match="mono waveform"):
        vggish.extract(np.zeros((2, 16000), np.float32))
    with pytest.raises(DataError, match="not finite"):
        vggish.extract(np.full(16000, np.nan, np.float32))


def test_without_weights_the_message_says_what_to_get_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CMG_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError) as error:
        load_extractor("vggish")
    said = str(error.value)
    assert "https://github.com/harritaylor/torchvggish/releases" in said
    assert f"$CMG_WEIGHTS/{'vggish-10086976.pth'}" in said
    assert "--weights audio=FILE" in said


def test_the_file_is_found_where_the_message_says(path, monkeypatch):
    monkeypatch.setenv("CMG_WEIGHTS", str(path.parent))
    found = load_extractor("vggish")
    assert "not the published file" in found.notes


def test_other_files_are_refused_by_name(weights, tmp_path):
    tensors = {name: torch.from_numpy(x) for name, x in weights.items()}

    def refused(change, said, name="bad.safetensors"):
        file = tmp_path / name
        save_file(change, file)
        with pytest.raises(ConfigError, match=said):
            load_extractor("vggish", LoadOptions(weights=file))

    small = {name: x for name, x in tensors.items() if name.startswith("features")}
    refused(small, r"lacks embeddings\.0\.weight")
    wrong = small | {name: torch.zeros(1) for name in tensors if name.startswith("embeddings")}
    refused(wrong, r"embeddings\.0\.weight \[1\], not \[4096, 12288\]")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ConfigError, match=r"cannot read the weights .*cut\.pth"):
        load_extractor("vggish", LoadOptions(weights=tmp_path / "cut.pth"))


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ConfigError, match="nothing in them is executed"):
        load_extractor("vggish", LoadOptions(weights=tmp_path / "evil.pth"))
