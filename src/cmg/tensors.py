"""Tensors of files and arrays of callers: their names, their memory, and values that can be.

NumPy tells the values of an array and how they lie in memory apart; torch and safetensors do not
always: safetensors writes the memory, and torch refuses reversed axes and foreign byte orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.errors import CheckpointError, CmgError, DataError

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel (or DistributedDataParallel) and torch.compile put before every name."""


def plain(values: Any, what: str = "the array") -> NDArray[Any]:
    """The values as an array in C order and native byte order; a copy only where it has to be.

    Args:
        values: An array or nested lists.
        what: It is, for messages.

    Raises:
        DataError: a masked array with masked values, of which nobody knows what stands below.
    """
    if np.ma.is_masked(values):
        raise DataError(
            f"{what} has {int(np.ma.getmaskarray(values).sum())} masked values; fill them with "
            ".filled(...), or leave their steps out"
        )
    array = np.asarray(values)
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")


def tensor_of(values: Any, what: str = "the array") -> Tensor:
    """A tensor of an array or a list; a tensor is returned as it is.

    Raises:
        DataError: see :func:`plain`.
    """
    if not isinstance(values, np.ndarray):
        return torch.as_tensor(values)
    array = plain(values, what)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names they have without a wrapper around the network.

    Args:
        tensors: Of one network. A wrapper's prefix is taken off if all names have it.

    Raises:
        CheckpointError: some names have the prefix and some have not.
    """
    for prefix in WRAPPERS:
        inside = [name for name in tensors if str(name).startswith(prefix)]
        if inside and len(inside) == len(tensors):
            return unwrapped({name.removeprefix(prefix): x for name, x in tensors.items()})
        if inside:
            other = next(name for name in tensors if name not in set(inside))
            raise CheckpointError(
                f"{inside[0]!r} was saved under a wrapper (DataParallel, torch.compile) and "
                f"{other!r} was not; save one network, without the wrapper: "
                "network.module.state_dict()"
            )
    return dict(tensors)


def check_plain(name: str, tensor: Tensor) -> None:
    """Refuse a tensor that is more, or less, than the values that its file holds of it.

    Raises:
        CheckpointError: sparse, quantized or without data, or larger than what is stored.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise CheckpointError(f"{name} is no plain tensor with data of its own")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise CheckpointError(f"{name} claims more values than the file holds of it")


def check_finite(
    tensors: Mapping[str, Tensor], source: object, remedy: str, error: type[CmgError]
) -> None:
    """Refuse tensors with NaN or infinite values: nothing that is computed of them means anything.

    Args:
        tensors: By name; whole numbers are always finite.
        source: Where they are, for the message.
        remedy: What to do.
        error: What to raise.

    Raises:
        CmgError: of the class `error`; it names the first such tensor and counts its values.
    """
    broken = {name: count for name, x in tensors.items() if (count := non_finite(x))}
    if broken:
        name, count = next(iter(broken.items()))
        more = f", and {len(broken) - 1} more tensors have some" if len(broken) > 1 else ""
        raise error(
            f"{source}: {count} of the {tensors[name].numel()} values of {name!r} are NaN or "
            f"infinite{more}; {remedy}"
        )


def non_finite(tensor: Tensor) -> int:
    """How many values are NaN or infinite."""
    x = tensor.detach()
    if x.is_complex():
        x = torch.view_as_real(x)
    if not x.is_floating_point() or not x.numel():
        return 0
    if x.element_size() == 1:  # torch cannot compare eight-bit floats
        x = x.float()
    # The extremes of a tensor with NaN are NaN. This takes a tenth of the time of `isfinite`.
    if bool(torch.stack(torch.aminmax(x)).isfinite().all()):
        return 0
    return int((~x.isfinite()).sum())
