"""Files of weights that torch or safetensors wrote, read without running anything in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from textwrap import shorten

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.files import torch_fault


def unpickled(path: Path) -> object:
    """What a file of ``torch.save`` holds, if it holds tensors and plain values only.

    Raises:
        ConfigError: no such file, damaged, or it holds more; nothing in it was executed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols
            found: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can break the unpickler anywhere
        raise ConfigError(
            f"cannot read the weights {path}: {torch_fault(path, error)}; files are read as "
            "weights only, nothing in them is executed"
        ) from error
    return found


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or a ``.pth`` file, by name.

    Raises:
        ConfigError: no such file, damaged, or it holds more than tensors by name.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"cannot read the weights {path}: {error}") from error
    found = unpickled(path)
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ConfigError(f"{path} holds more than tensors by name; it is no file of weights")
    return found


def fill(network: nn.Module, path: Path) -> None:
    """Load a file of weights that fits a network exactly, and freeze the network in eval mode.

    Raises:
        ConfigError: the file cannot be read or is of another network.
    """
    try:
        network.load_state_dict(tensors_of(path))
    except RuntimeError as error:
        reason = shorten(str(error).partition("\n")[2] or str(error), 200)
        raise ConfigError(
            f"the weights {path} are not of a {type(network).__name__} as it is built: {reason}"
        ) from error
    network.eval().requires_grad_(False)
