"""VGG-19 up to its last pool: maps 7 x 7 x 512, as the seed's video features.

Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
ICLR 2015. The official features are of Keras's weights, which are the authors' own: blue first,
means subtracted, no scale. torchvision's weights are of another training and read other pixels.

Shape legend: B frames of a batch, H, W their size.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.frame_network import FrameNetwork, Pixels
from cmg.extract.keras_weights import keras_convolutions
from cmg.extract.vgg import POOL, features
from cmg.extract.weights import (
    Published,
    filled,
    find_weights,
    is_hdf5,
    shapes_of,
    torch_tensors,
)
from cmg.files import file_sha256

KERAS = Published(
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ("md5", "253f8cb515780f3b799900260a226db6"),
    "video",
)
TORCHVISION = Published(
    "vgg19-dcbb9e9d.pth",
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ("sha256", "dcbb9e9d"),
    "video",
)

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Width and number of the convolutions in front of each pool."""
WIDTHS = tuple(w for width, count in BLOCKS for w in (*(width,) * count, POOL))
LAYERS = tuple(
    f"block{block}_conv{number}"
    for block, (_, count) in enumerate(BLOCKS, start=1)
    for number in range(1, count + 1)
)
"""Keras's names of the convolutions, in order."""
SIZE = (224, 224)
FRAMES_PER_STEP = 16
PREFIX = "features."
UNUSED = ("classifier.",)

KERAS_PIXELS = Pixels(SIZE, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0), scale=1.0, bgr=True)
"""The mean of red, green and blue bytes is subtracted, then blue comes first."""
TORCHVISION_PIXELS = Pixels(SIZE)


def load(options: LoadOptions) -> FrameNetwork:
    """VGG-19 with the user's weights: 16 frames a step, maps [7, 7, 512] at least 0.

    Without `weights` in the options Keras's file is looked for, never torchvision's: the two give
    other numbers, and only the first are those of the official features.

    Raises:
        ConfigError: no weights (what to get, where to put it), or others than VGG-19's.
    """
    path = _found(options.weights)
    body, published, pixels = _keras(path) if is_hdf5(path) else _torchvision(path)
    # Convolutions of this layout are faster on a CPU; see docs/extract-published.md.
    body = body.to(options.device)
    body = body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def maps(x: Tensor) -> Tensor:
        found: Tensor = body(x.contiguous(memory_format=torch.channels_last))
        return found

    sha256 = file_sha256(path)
    said = (
        "Keras's weights, blue first, means subtracted, as the official features"
        if published is KERAS
        else "torchvision's weights and pixels, numbers differ from the official features"
    )
    notes = f"VGG-19 block5_pool ({published.told(path, sha256)}), {said}."
    found = FrameNetwork("vgg19", maps, pixels, sha256, notes, options)
    found.frames_per_step = FRAMES_PER_STEP
    return found


def _found(given: Path | None) -> Path:
    if given is not None and given.is_dir() and (given / TORCHVISION.file).is_file():
        if (given / KERAS.file).is_file():
            raise ConfigError(
                f"{given} holds {KERAS.file} and {TORCHVISION.file}, which give other numbers; "
                "name one of the files with --weights video=FILE"
            )
        return given / TORCHVISION.file
    try:
        return find_weights(KERAS, given)
    except ConfigError as error:
        raise ConfigError(
            f"{error}. --weights also takes torchvision's {TORCHVISION.file} ({TORCHVISION.url}), "
            "whose numbers differ from the official features"
        ) from error


def _keras(path: Path) -> tuple[nn.Module, Published, Pixels]:
    body = _body()
    kernels = {n: s for n, s in shapes_of(body).items() if n.endswith(".weight")}
    shapes = {
        layer: (height, width, before, after)
        for layer, (after, before, height, width) in zip(LAYERS, kernels.values(), strict=True)
    }
    read = keras_convolutions(path, shapes, "VGG-19")
    tensors: dict[str, Tensor] = {}
    for name, layer in zip(kernels, LAYERS, strict=True):
        tensors[name], tensors[name.removesuffix("weight") + "bias"] = read[layer]
    return filled(body, tensors), KERAS, KERAS_PIXELS


def _torchvision(path: Path) -> tuple[nn.Module, Published, Pixels]:
    body = _body()
    shapes = {PREFIX + name: shape for name, shape in shapes_of(body).items()}
    try:
        tensors = torch_tensors(path, shapes, UNUSED, "VGG-19")
    except ConfigError as error:
        raise ConfigError(
            f"{error}. VGG-19 is read from Keras's {KERAS.file} ({KERAS.url}) or torchvision's "
            f"{TORCHVISION.file} ({TORCHVISION.url})"
        ) from error
    own = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return filled(body, own), TORCHVISION, TORCHVISION_PIXELS


def _body() -> nn.Sequential:
    with torch.device("meta"):
        return features(WIDTHS, channels=3)
