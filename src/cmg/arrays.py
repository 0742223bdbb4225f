"""Arrays of a caller, in whatever layout, as torch and safetensors need them.

NumPy tells the values of an array and how they lie in memory apart; these libraries do not always:
safetensors writes the memory, and torch refuses reversed axes and foreign byte orders.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.errors import DataError


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
