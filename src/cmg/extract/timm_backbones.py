"""The last map of timm's networks. timm, which brings torchvision, is the user's to install.

`tools/show_torchvision_backbones.sh` runs this in an environment of its own.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from cmg.errors import ConfigError, did_you_mean
from cmg.extract.extractor import LoadOptions
from cmg.extract.frame_network import FrameNetwork, Pixels
from cmg.extract.identity import files_identity
from cmg.optional import optional
from cmg.text.places import in_hub_cache

INSTALL = "pip install timm"


def load(options: LoadOptions) -> FrameNetwork:
    """The last of a network's intermediate maps, behind its last norm where it has one.

    Raises:
        ConfigError: timm or the weights are missing, unreadable, or of another network.
    """
    timm = optional("timm", f"timm:* needs timm: {INSTALL}")
    name = options.model
    if not timm.is_model(name):
        near = did_you_mean(name, timm.list_models()).partition(";")[0]
        raise ConfigError(f"timm has no model {name!r}{near}; timm.list_models() names all")
    path = options.weights or _cached(timm, name)
    if not path.is_file():
        raise ConfigError(f"no weights for timm:{name} at {path}: no such file")
    network = _network(timm, name, path).eval().requires_grad_(False).to(options.device)

    def maps(x: Tensor) -> Tensor:
        found: Tensor = network.forward_intermediates(
            x, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )[-1]
        return found

    told = timm.data.resolve_model_data_config(network)
    pixels = Pixels(tuple(told["input_size"][1:]), tuple(told["mean"]), tuple(told["std"]))
    identity = files_identity([path])
    notes = f"timm {name} ({path.name} {identity[:12]}), last map."
    return FrameNetwork(f"timm:{name}", maps, pixels, identity, notes, options)


def _network(timm: Any, name: str, path: Path) -> Any:
    try:
        with torch.random.fork_rng(devices=[]):
            network = timm.create_model(
                name,
                pretrained=True,  # from the file, nothing is fetched
                pretrained_cfg_overlay={"file": str(path), "hf_hub_id": None, "url": ""},
            )
    except Exception as error:  # timm lets through whatever a foreign file causes
        reason = shorten(str(error) or type(error).__name__, 200)
        raise ConfigError(f"the weights {path} do not make a timm:{name}: {reason}") from error
    if not hasattr(network, "forward_intermediates"):
        raise ConfigError(f"timm:{name} gives no maps; use another model")
    return network


def _cached(timm: Any, name: str) -> Path:
    """The published weights, where the Hugging Face cache has what the user has downloaded."""
    repository = timm.get_pretrained_cfg(name).hf_hub_id
    found = in_hub_cache(repository, "model.safetensors", "timm model") if repository else None
    if found is None:
        get = f"`hf download {repository}` once" if repository else "train it yourself"
        raise ConfigError(
            f"no weights for timm:{name}: give --weights FILE, or {get}; nothing is downloaded for "
            "you"
        )
    return found
