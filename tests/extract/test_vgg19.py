"""VGG-19 on random weights under Keras's and torchvision's names, against NumPy."""

import numpy as np
import pytest
import torch

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor

from .numpy_vgg import VGG19, vgg19_maps

h5py = pytest.importorskip("h5py")

MEANS = (103.939, 116.779, 123.68)  # blue, green, red


@pytest.fixture(scope="module")
def kernels():
    """Random kernels [3, 3, in, out] and biases by Keras's name."""
    rng = np.random.default_rng(0)
    found = {}
    for layer, (_, before, after) in VGG19.items():
        scale = (2 / (9 * before)) ** 0.5
        kernel = scale * rng.standard_normal((3, 3, before, after), np.float32)
        found[layer] = (kernel.astype("f4"), 0.1 * rng.standard_normal(after).astype("f4"))
    return found


@pytest.fixture(scope="module")
def keras(kernels, tmp_path_factory):
    """As Keras 2 named them: group, layer_W_1:0 and layer_b_1:0."""
    file = tmp_path_factory.mktemp("k") / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    with h5py.File(file, "w") as stream:
        for layer, (kernel, bias) in kernels.items():
            group = stream.create_group(layer)
            group[f"{layer}_W_1:0"] = kernel
            group[f"{layer}_b_1:0"] = bias
    return file


@pytest.fixture(scope="module")
def torchvision(kernels, tmp_path_factory):
    tensors = {}
    for layer, (number, _, _) in VGG19.items():
        kernel, bias = kernels[layer]
        turned = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors[f"features.{number}.weight"] = torch.from_numpy(turned)
        tensors[f"features.{number}.bias"] = torch.from_numpy(bias)
    file = tmp_path_factory.mktemp("t") / "vgg19-dcbb9e9d.pth"
    torch.save(tensors, file)
    return file


@pytest.fixture(scope="module")
def picture():
    """One RGB frame."""
    return np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)


def test_keras_weights_read_blue_first_with_means_subtracted(keras, kernels, picture):
    found = load_extractor("vgg19", LoadOptions(weights=keras))
    assert (found.shape, found.frames_per_step, found.size) == ((7, 7, 512), 16, (224, 224))
    wanted = vgg19_maps(picture[..., ::-1].astype(np.float32) - np.array(MEANS, "f4"), kernels)
    maps = found.extract(picture[None])[0]
    np.testing.assert_allclose(maps, wanted, rtol=2e-3, atol=2e-3 * wanted.max())
    assert maps.min() >= 0


def test_torchvision_weights_read_normalized_red_first_and_say_so(
    torchvision, keras, kernels, picture
):
    found = load_extractor("vgg19", LoadOptions(weights=torchvision))
    mean, std = np.array([0.485, 0.456, 0.406], "f4"), np.array([0.229, 0.224, 0.225], "f4")
    wanted = vgg19_maps((picture.astype("f4") / 255 - mean) / std, kernels)
    maps = found.extract(picture[None])[0]
    np.testing.assert_allclose(maps, wanted, rtol=2e-3, atol=2e-3 * wanted.max())
    other = load_extractor("vgg19", LoadOptions(weights=keras))
    assert found.identity != other.identity
    assert "numbers differ from the official features" in found.notes
    assert "as the official features" in other.notes


def test_without_weights_both_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CMG_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError) as error:
        load_extractor("vgg19")
    said = str(error.value)
    assert "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5" in said
    assert "vgg19-dcbb9e9d.pth" in said
    assert "nothing is downloaded for you" in said


def test_files_that_do_not_fit_are_refused_by_layer(kernels, keras, tmp_path):
    def refused(said, change):
        file = tmp_path / "bad.h5"
        with h5py.File(file, "w") as stream:
            for layer, parts in change.items():
                group = stream.create_group(layer)
                group["kernel:0"], group["bias:0"] = parts
        with pytest.raises(ConfigError, match=said):
            load_extractor("vgg19", LoadOptions(weights=file))

    bias = np.zeros(512, "f4")
    bias[7] = np.nan
    refused(
        r"1 of the 512 values of '/block5_conv4/bias:0' are NaN or infinite",
        kernels | {"block5_conv4": (kernels["block5_conv4"][0], bias)},
    )
    small = {layer: (np.zeros(1, "f4"), np.zeros(1, "f4")) for layer in kernels}
    refused(r"block1_conv1/kernel \[1\], not \[3, 3, 3, 64\]", small)
    del small["block5_conv4"]
    refused(r"lacks block5_conv4/kernel", small)
    refused("is not of VGG-19: no block1_conv1", {"dense": small["block1_conv1"]})
    cut = tmp_path / "cut.h5"
    cut.write_bytes(keras.read_bytes()[:5000])
    with pytest.raises(ConfigError, match=r"cut\.h5.*truncated"):
        load_extractor("vgg19", LoadOptions(weights=cut))
