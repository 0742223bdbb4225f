"""Files of weights that torch or safetensors wrote, read without running anything in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from textwrap import shorten

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cmg.errors import CheckpointError, ConfigError
from cmg.files import torch_fault
from cmg.tensors import check_finite, check_plain, unwrapped


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
        ConfigError: no such file, damaged, it holds more than tensors by name, or a value is NaN
            or infinite.
    """
    if path.suffix == ".safetensors":
        try:
            return sound(load_file(path), path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"cannot read the weights {path}: {error}") from error
    return sound(unpickled(path), path)


def sound(found: object, path: Path) -> dict[str, Tensor]:
    """Tensors by name, without the prefix of a wrapper around the network.

    Args:
        found: What a file holds.
        path: The file.

    Raises:
        ConfigError: more than tensors by name, or a value that is NaN or infinite.
    """
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ConfigError(f"{path} holds more than tensors by name; it is no file of weights")
    try:
        tensors = unwrapped(found)
        for name, tensor in tensors.items():
            check_plain(name, tensor)
    except CheckpointError as error:
        raise ConfigError(f"cannot read the weights {path}: {error}") from error
    check_finite(tensors, path, "get the weights again", ConfigError)
    return tensors


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
