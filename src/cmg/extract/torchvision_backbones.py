"""The last map of torchvision's networks with convolutions. torchvision is the user's to install.

`tools/show_torchvision_backbones.sh` runs this in an environment of its own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cmg.errors import ConfigError, did_you_mean
from cmg.extract.extractor import LoadOptions
from cmg.extract.frame_network import FrameNetwork, Pixels
from cmg.extract.identity import files_identity
from cmg.extract.torch_weights import fill
from cmg.optional import optional

INSTALL = "pip install torchvision"
RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def load(options: LoadOptions) -> FrameNetwork:
    """What torchvision calls features, or the last layer of a ResNet: 7 x 7 x 2048 of a ResNet-50.

    Raises:
        ConfigError: torchvision or the weights are missing, or the network is of another kind.
    """
    needed = f"torchvision:* needs torchvision: {INSTALL}"
    models = optional("torchvision", needed).models
    name = options.model
    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"torchvision has no model {name!r}{did_you_mean(name, known)}")
    default = models.get_model_weights(name).DEFAULT
    path = options.weights or _cached(name, default.url)
    with torch.random.fork_rng(devices=[]):
        network = models.get_model(name, weights=None)
    fill(network, path)
    body = _body(network).to(options.device)
    told = default.transforms()
    pixels = Pixels((told.crop_size[0],) * 2, tuple(told.mean), tuple(told.std))
    identity = files_identity([path])
    notes = f"torchvision {name} ({path.name} {identity[:12]}), last map."
    return FrameNetwork(f"torchvision:{name}", body, pixels, identity, notes, options)


def _body(network: nn.Module) -> nn.Module:
    features = getattr(network, "features", None)
    convolutional = any(isinstance(part, nn.Conv2d) for part in network.modules())
    if isinstance(features, nn.Module) and not hasattr(network, "permute") and convolutional:
        return features
    if all(hasattr(network, part) for part in RESNET):
        return nn.Sequential(*(getattr(network, part) for part in RESNET))
    raise ConfigError(
        f"torchvision's {type(network).__name__} is not one of its networks that end in a map of "
        "convolutions; use transformers-vision:MODEL or timm:MODEL"
    )


def _cached(name: str, url: str) -> Path:
    """The published weights, where torch.hub keeps what the user has downloaded."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        raise ConfigError(
            f"no weights for torchvision:{name}: give --weights FILE, or put {url} at {path}; "
            "nothing is downloaded for you"
        )
    return path
