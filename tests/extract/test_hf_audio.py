"""Steps of small random audio networks, against calling transformers directly."""

import numpy as np
import pytest
import torch

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor

from . import networks

pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder per network; not to be changed."""
    made = {}
    for name in ("wav2vec2", "ast", "clap"):
        made[name] = getattr(networks, name)(tmp_path_factory.mktemp(name))
    made["hubert"] = networks.wav2vec2(tmp_path_factory.mktemp("h"), "Hubert", normalize=False)
    made["fused"] = networks.clap(tmp_path_factory.mktemp("fused"), fusion=True)
    return made


def noise(seconds, rate=16000):
    generator = np.random.default_rng(3)
    return (0.2 * generator.standard_normal(round(seconds * rate)) + 0.05).astype(np.float32)


def last_hidden(folder, part=None, **given):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    model = model if part is None else getattr(model, part)
    with torch.inference_mode():
        return model(**given).last_hidden_state[0].numpy()


def front(folder):
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(folder)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert"])
def test_a_step_is_the_mean_of_the_20_ms_frames_whose_middle_lies_in_it(folders, name):
    extractor = load_extractor(
        f"transformers-audio:{folders[name]}", LoadOptions(step_seconds=0.25)
    )
    assert (extractor.shape, extractor.rate) == ((16,), 16000)
    wave = noise(1.0)
    given = front(folders[name])(wave, sampling_rate=16000, return_tensors="pt")
    frames = last_hidden(folders[name], input_values=given["input_values"])
    assert len(frames) == 49
    middles = 0.0125 + 0.02 * np.arange(49)
    expected = [
        frames[(middles >= t / 4) & (middles < (t + 1) / 4)].astype(np.float64).mean(0)
        for t in range(4)
    ]
    np.testing.assert_allclose(extractor.extract(wave), expected, rtol=1e-4, atol=1e-5)


def test_the_shortest_step_is_a_frame_and_a_long_wave_is_heard_in_pieces(folders, monkeypatch):
    from cmg.extract import hf_audio

    monkeypatch.setattr(hf_audio._Waves, "longest_seconds", 0.5)
    name = f"transformers-audio:{folders['hubert']}"
    extractor = load_extractor(name, LoadOptions(step_seconds=0.1))
    wave = noise(1.24)
    found = extractor.extract(wave)
    assert found.shape == (12, 16)
    pieces = [wave[0:8000], wave[8000:16000], wave[16000:19200]]
    alone = np.concatenate([extractor.extract(piece) for piece in pieces])
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)
    assert load_extractor(name, LoadOptions(step_seconds=0.02)).extract(wave).shape == (62, 16)
    with pytest.raises(ConfigError, match=r"a vector every 0\.02 s and hears 0\.5 s at once"):
        load_extractor(name, LoadOptions(step_seconds=0.01))
    with pytest.raises(ConfigError, match="a step of 1 s"):
        load_extractor(name)


@pytest.mark.parametrize("name", ["wav2vec2", "ast", "clap"])
def test_short_and_empty_waves_are_heard_too(folders, name):
    family = "clap" if name == "clap" else "transformers-audio"
    extractor = load_extractor(f"{family}:{folders[name]}", LoadOptions(step_seconds=0.5))
    wave = noise(0.51, extractor.rate)
    assert extractor.extract(wave[:0]).shape == (0, 16)
    for short in (wave[:1], wave[:50], wave):
        found = extractor.extract(short)
        assert found.shape == (1, 16)
        assert np.isfinite(found).all()
    assert np.array_equal(extractor.extract(wave), extractor.extract(wave))


def test_a_step_of_ast_is_the_mean_of_its_patches_over_frequency_and_time(folders):
    name = f"transformers-audio:{folders['ast']}"
    extractor = load_extractor(name, LoadOptions(step_seconds=0.3))
    wave = noise(1.2)  # all that it hears at once
    bank = front(folders["ast"])(wave, sampling_rate=16000, return_tensors="pt")
    tokens = last_hidden(folders["ast"], input_values=bank["input_values"])[2:]
    grid = tokens.reshape(4, 29, 16)  # 4 rows of 8 bands, a patch of 8 frames every 4
    begins = np.arange(29) * 0.04
    middles = begins + (7 * 0.01 + 0.025) / 2
    expected = [
        grid[:, (middles >= 0.3 * t) & (middles < 0.3 * (t + 1))].astype(np.float64).mean((0, 1))
        for t in range(4)
    ]
    np.testing.assert_allclose(extractor.extract(wave), expected, rtol=1e-4, atol=1e-5)
    twice = extractor.extract(np.concatenate([wave, wave]))
    np.testing.assert_allclose(twice, np.tile(expected, (2, 1)), rtol=1e-4, atol=1e-5)
    assert ("torchaudio" in extractor.notes) != ("numpy" in extractor.notes)


@pytest.mark.parametrize("name", ["clap", "fused"])
def test_a_step_of_clap_is_the_mean_of_its_map_over_frequency_and_time(folders, name):
    extractor = load_extractor(f"clap:{folders[name]}", LoadOptions(step_seconds=0.25))
    wave = noise(0.75, 8000)
    padded = np.pad(wave, (0, 2000))
    given = front(folders[name])(padded, sampling_rate=8000, return_tensors="pt")
    found = last_hidden(
        folders[name],
        "audio_model",
        input_features=given["input_features"].float(),
        is_longer=torch.tensor([[False]]),  # it is not longer than what the network hears
    )
    assert found.shape == (16, 2, 32)
    expected = found.astype(np.float64).mean(1).reshape(16, 4, 8).mean(2).T[:3]
    np.testing.assert_allclose(extractor.extract(wave), expected, rtol=1e-4, atol=1e-5)


def test_a_piece_is_fused_by_clap_neither_alone_nor_beside_others(folders):
    """Whatever the front end says: it marks one piece of a batch without longer ones, by chance."""
    from transformers import AutoModel

    extractor = load_extractor(f"clap:{folders['fused']}", LoadOptions(step_seconds=0.25))
    pieces = [noise(1.0, 8000), noise(2.0, 8000)[8000:], np.zeros(8000, np.float32)]
    alone = np.stack([extractor.extract(piece) for piece in pieces])
    for order in ([0, 1, 2], [2, 0, 1], [1, 0, 0]):
        joined = extractor.extract(np.concatenate([pieces[i] for i in order]))
        assert np.array_equal(joined, np.concatenate(alone[order]))
    given = front(folders["fused"])(pieces, sampling_rate=8000, return_tensors="pt")
    assert given["is_longer"].sum() == 1
    model = AutoModel.from_pretrained(folders["fused"]).eval().audio_model

    def steps(is_longer):
        with torch.inference_mode():
            found = model(given["input_features"].float(), torch.tensor(is_longer)[:, None])
        return found.last_hidden_state.mean(2).unflatten(2, (4, 8)).mean(3).transpose(1, 2).numpy()

    np.testing.assert_allclose(steps([False] * 3), alone, rtol=1e-4, atol=1e-5)
    assert np.abs(steps([True] * 3) - alone).max(axis=(1, 2)).min() > 0.01


def test_the_columns_of_claps_map_are_in_the_order_of_time(folders):
    """A click changes the column of its own time most, whatever chunk of the picture it is in."""
    extractor = load_extractor(f"clap:{folders['clap']}", LoadOptions(step_seconds=1 / 8))
    silence = np.zeros(8000, dtype=np.float32)
    for eighth in range(8):
        click = silence.copy()
        click[1000 * eighth + 400 : 1000 * eighth + 600] = noise(0.025, 8000)
        changed = np.abs(extractor.extract(click) - extractor.extract(silence)).sum(axis=1)
        assert changed.argmax() == eighth


def test_identities_differ_by_weights_and_step(folders):
    names = [f"transformers-audio:{folders[n]}" for n in ("wav2vec2", "hubert", "ast")]
    identities = {load_extractor(name).identity for name in names}
    identities.add(load_extractor(names[0], LoadOptions(step_seconds=0.5)).identity)
    assert len(identities) == 4
    assert load_extractor(names[0]).identity in identities


def test_each_kind_of_model_is_sent_to_its_family(folders, tmp_path):
    with pytest.raises(ConfigError, match="clap:MODEL is for CLAP"):
        load_extractor(f"transformers-audio:{folders['clap']}")
    with pytest.raises(ConfigError, match="no CLAP"):
        load_extractor(f"clap:{folders['wav2vec2']}")
    with pytest.raises(ConfigError, match="no audio model 'nowhere'"):
        load_extractor("transformers-audio:nowhere")
    networks.wav2vec2(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"feature_extractor_type": "No"}')
    with pytest.raises(ConfigError, match="cannot read the front end of the audio model"):
        load_extractor(f"transformers-audio:{tmp_path}")
