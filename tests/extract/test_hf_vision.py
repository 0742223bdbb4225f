"""Maps of small random networks, against calling transformers directly."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.hostile import Evil

from cmg.errors import ConfigError, DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.hf_vision import read_pixels
from cmg.extract.registry import load_extractor

from . import networks

pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder per network; not to be changed."""
    made = {}
    for name in ("resnet", "convnext", "vit", "dino", "swin", "clip"):
        made[name] = getattr(networks, name)(tmp_path_factory.mktemp(name))
    return made


def pictures(size, count=3):
    generator = np.random.default_rng(5)
    return generator.integers(0, 256, (count, *size, 3), dtype=np.uint8)


def direct(folder, frames, part=None):
    """The last hidden state, by transformers alone."""
    from transformers import AutoModel

    x = (frames / 255 - networks.MEAN) / networks.STD
    model = AutoModel.from_pretrained(folder).eval()
    model = model if part is None else getattr(model, part)
    with torch.inference_mode():
        given = torch.from_numpy(x.transpose(0, 3, 1, 2)).float()
        return model(pixel_values=given).last_hidden_state.numpy()


@pytest.mark.parametrize(
    ("name", "shape", "map_of"),
    [
        ("resnet", (4, 4, 12), lambda x: x.transpose(0, 2, 3, 1)),
        ("convnext", (4, 4, 12), lambda x: x.transpose(0, 2, 3, 1)),
        ("vit", (4, 6, 16), lambda x: x[:, 1:].reshape(-1, 4, 6, 16)),
        ("dino", (4, 4, 16), lambda x: x[:, 5:].reshape(-1, 4, 4, 16)),  # class, 4 registers
        ("swin", (4, 4, 16), lambda x: x.reshape(-1, 4, 4, 16)),
    ],
)
def test_a_map_is_the_last_one_of_the_network_channels_last(folders, name, shape, map_of):
    extractor = load_extractor(f"transformers-vision:{folders[name]}")
    assert extractor.shape == shape
    frames = pictures(extractor.size)
    found = extractor.extract(frames)
    assert found.dtype == np.float32
    expected = map_of(direct(folders[name], frames))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_clip_gives_the_patches_of_its_vision_half(folders):
    extractor = load_extractor(f"clip:{folders['clip']}")
    frames = pictures((32, 32))
    expected = direct(folders["clip"], frames, "vision_model")[:, 1:].reshape(-1, 4, 4, 16)
    np.testing.assert_allclose(extractor.extract(frames), expected, rtol=1e-4, atol=1e-5)


def test_a_frame_does_not_depend_on_what_else_is_in_the_batch(folders):
    for name in ("resnet", "vit"):
        extractor = load_extractor(f"transformers-vision:{folders[name]}")
        frames = pictures(extractor.size, 19)  # more than two batches
        together = extractor.extract(frames)
        alone = np.concatenate([extractor.extract(frames[i : i + 1]) for i in range(19)])
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
        assert np.array_equal(together, extractor.extract(frames))
    assert extractor.extract(frames[:0]).shape == (0, 4, 6, 16)


def test_frames_of_another_size_or_type_are_refused(folders):
    extractor = load_extractor(f"transformers-vision:{folders['resnet']}")
    with pytest.raises(DataError, match=r"uint8 frames \[N, 32, 32, 3\], not uint8 \[3, 16"):
        extractor.extract(pictures((16, 32)))
    with pytest.raises(DataError, match="not float64"):
        extractor.extract(pictures((32, 32)) / 255)


def test_the_identity_is_of_weights_and_settings_and_not_of_the_place(folders, tmp_path):
    name = f"transformers-vision:{folders['resnet']}"
    identity = load_extractor(name).identity
    assert load_extractor(name).identity == identity
    copied = shutil.copytree(folders["resnet"], tmp_path / "copied")
    again = load_extractor("transformers-vision:mine", LoadOptions(weights=copied))
    assert (again.identity, again.name) == (identity, "transformers-vision:mine")
    assert load_extractor(name, LoadOptions(step_seconds=0.5)).identity != identity
    again.frames_per_step = 16
    assert again.identity != identity
    networks.say_pixels(copied, 48)
    assert load_extractor(f"transformers-vision:{copied}").identity != identity


def test_a_model_in_the_cache_is_found_by_its_name(folders):
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / "models--some--resnet"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(folders["resnet"], repository / "snapshots" / "abc123")
    assert load_extractor("transformers-vision:some/resnet").shape == (4, 4, 12)
    with pytest.raises(ConfigError, match=r"no vision model 'some/other'.*hf download some/other"):
        load_extractor("transformers-vision:some/other")


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("preprocessor_config.json", r"the vision model in .* lacks its front end"),
        ("model.safetensors", "lacks weights"),
    ],
)
def test_a_folder_with_a_file_too_few_says_which(folders, tmp_path, lost, says):
    copied = shutil.copytree(folders["resnet"], tmp_path / "copied")
    (copied / lost).unlink()
    with pytest.raises(ConfigError, match=says):
        load_extractor(f"transformers-vision:{copied}")


def test_pickled_weights_that_run_code_are_refused_and_do_not_run(folders, tmp_path):
    copied = shutil.copytree(folders["resnet"], tmp_path / "copied")
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "pwned"), protocol=2))
    with pytest.raises(ConfigError, match="weights only"):
        load_extractor(f"transformers-vision:{copied}")
    assert not (tmp_path / "pwned").exists()


def test_each_kind_of_model_is_sent_to_its_family(folders):
    with pytest.raises(ConfigError, match="clip:MODEL for those with a vision half"):
        load_extractor(f"transformers-vision:{folders['clip']}")
    with pytest.raises(ConfigError, match="use transformers-vision:MODEL"):
        load_extractor(f"clip:{folders['vit']}")


def test_a_size_that_the_model_cannot_read_is_refused(folders, tmp_path):
    copied = shutil.copytree(folders["vit"], tmp_path / "copied")
    networks.say_pixels(copied, 40)
    with pytest.raises(ConfigError, match="does not turn a picture of 40 x 40 into a map"):
        load_extractor(f"transformers-vision:{copied}")


@pytest.mark.parametrize(
    ("said", "size", "mean", "scale"),
    [
        ({"size": 7}, (7, 7), networks.MEAN, 1 / 255),
        ({"size": {"height": 7, "width": 9}}, (7, 9), networks.MEAN, 1 / 255),
        ({"size": {"shortest_edge": 7}}, (7, 7), networks.MEAN, 1 / 255),
        ({"size": 9, "do_center_crop": True, "crop_size": 7}, (7, 7), networks.MEAN, 1 / 255),
        ({"size": 9, "do_center_crop": False, "crop_size": 7}, (9, 9), networks.MEAN, 1 / 255),
        ({"size": 7, "do_normalize": False}, (7, 7), (0, 0, 0), 1 / 255),
        ({"size": 7, "do_rescale": False}, (7, 7), networks.MEAN, 1),
        ({"size": 7, "rescale_factor": 0.5}, (7, 7), networks.MEAN, 0.5),
    ],
)
def test_what_the_image_processor_says_is_understood(tmp_path, said, size, mean, scale):
    networks.say_pixels(tmp_path, **said)
    pixels = read_pixels(tmp_path)
    assert (pixels.size, pixels.mean, pixels.scale) == (size, tuple(mean), scale)
    nested = {"image_processor": json.loads((tmp_path / "preprocessor_config.json").read_text())}
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert read_pixels(tmp_path) == pixels


def test_pixels_are_those_of_the_image_processor(tmp_path):
    networks.say_pixels(
        tmp_path, {"height": 8, "width": 6}, image_processor_type="ViTImageProcessor"
    )
    from transformers import AutoImageProcessor

    frames = pictures((8, 6))
    made = AutoImageProcessor.from_pretrained(tmp_path)(list(frames), return_tensors="np")
    found = read_pixels(tmp_path).tensor(frames).numpy()
    np.testing.assert_allclose(found, made["pixel_values"], rtol=1e-5, atol=1e-5)


def test_a_network_that_reads_blue_first_is_given_blue_first(tmp_path):
    networks.say_pixels(tmp_path, 2, do_flip_channel_order=True, do_normalize=False)
    red = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert read_pixels(tmp_path).tensor(red)[0, :, 0, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"size": {"longest_edge": 7}}, "does not say how pictures are read: KeyError 'height'"),
        ({"size": None}, "TypeError"),
        ({"size": 7, "image_mean": None}, "TypeError"),
        ({"size": 7, "rescale_offset": True}, "rescale_offset is not supported"),
    ],
)
def test_an_image_processor_that_is_not_understood_is_refused(tmp_path, said, says):
    networks.say_pixels(tmp_path, **said)
    with pytest.raises(ConfigError, match=says):
        read_pixels(tmp_path)


def test_a_damaged_configuration_is_named(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json does not say"):
        read_pixels(tmp_path)
