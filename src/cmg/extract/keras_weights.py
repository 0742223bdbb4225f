"""Convolutions from an HDF5 file that Keras wrote, without Keras and without running anything.

Keras has named the tensors of a layer in several ways over time; all files keep one group per
layer, at the top or in ``model_weights``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmg.errors import ConfigError
from cmg.extract.weights import check_shapes
from cmg.optional import h5py
from cmg.tensors import check_finite

WHOLE_MODEL = "model_weights"
"""Where ``model.save`` puts what ``model.save_weights`` puts at the top."""
KERNEL = re.compile(r"(^|/)(kernel|\w*_W)(_\d+)?(:0)?$")
BIAS = re.compile(r"(^|/)(bias|\w*_b)(_\d+)?(:0)?$")


def keras_convolutions(
    path: Path, shapes: Mapping[str, tuple[int, ...]], noun: str
) -> dict[str, tuple[Tensor, Tensor]]:
    """Kernels and biases by layer, in torch's order of axes.

    Args:
        path: The file; other layers in it are left alone.
        shapes: Of the kernels, [height, width, in, out], by name of the layer.
        noun: What it should be, for messages: ``VGG-19``.

    Returns:
        Kernel float32 [out, in, height, width] and bias [out].

    Raises:
        ConfigError: h5py is missing, the file is damaged, or layers or shapes are not the wanted
            ones, by name.
    """
    with _opened(path) as file:
        groups = file[WHOLE_MODEL] if _is_group(file, WHOLE_MODEL) else file
        arrays = {layer: _arrays(groups, layer) for layer in shapes}
        wanted: dict[str, tuple[int, ...]] = {}
        for layer, shape in shapes.items():
            wanted |= {f"{layer}/kernel": shape, f"{layer}/bias": shape[-1:]}
        found = {f"{x}/{part}": array.shape for x in shapes for part, array in arrays[x].items()}
        if not found:
            raise ConfigError(f"{path} is not of {noun}: no {next(iter(shapes))}, {_holds(groups)}")
        check_shapes(path, found, wanted, noun)
        return {
            layer: (
                _tensor(path, parts["kernel"], (3, 2, 0, 1)),
                _tensor(path, parts["bias"], (0,)),
            )
            for layer, parts in arrays.items()
        }


def _opened(path: Path) -> Any:
    package = h5py(f"the HDF5 file {path}")
    try:
        return package.File(path, "r")
    except OSError as error:
        raise ConfigError(
            f"cannot read the weights {path} ({error}); the file is truncated: download it again"
        ) from error


def _is_group(parent: Any, name: str) -> bool:
    package = h5py()
    # Links to other files are not followed.
    link = parent.get(name, getlink=True)
    return isinstance(link, package.HardLink) and isinstance(parent[name], package.Group)


def _arrays(groups: Any, layer: str) -> dict[str, Any]:
    """The kernel and the bias of a layer, as far as they are there."""
    import h5py

    found: dict[str, Any] = {}
    if not _is_group(groups, layer):
        return found

    def visit(name: str, entry: Any) -> None:
        if not isinstance(entry, h5py.Dataset):
            return
        for part, pattern in (("kernel", KERNEL), ("bias", BIAS)):
            if pattern.search(name):
                found.setdefault(part, entry)

    groups[layer].visititems(visit)
    return found


def _tensor(path: Path, data: Any, axes: Sequence[int]) -> Tensor:
    try:
        array = np.asarray(data[()])
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read the weights {path}: {data.name} ({error}); download it again"
        ) from error
    if array.dtype.kind != "f":
        raise ConfigError(f"{path}: {data.name} ({array.dtype}) is not of floats")
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(axes), dtype=np.float32))
    check_finite({data.name: tensor}, path, "get the weights again", ConfigError)
    return tensor


def _holds(groups: Any) -> str:
    names = list(groups)
    return f"it holds {', '.join(names[:4])}" if names else "it holds nothing"
