"""Features on their way into a store: arrays of numbers that models can read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmg.data.manifest import DTYPES, FeatureSpec
from cmg.errors import DataError, ModalityError
from cmg.tensors import plain


def as_block(where: str, values: ArrayLike) -> NDArray[Any]:
    """Features as an array in C order and native byte order.

    Args:
        where: For the message.
        values: An array or a tensor, or lists of numbers.

    Raises:
        ModalityError: they make no array.
        DataError: see :func:`cmg.tensors.plain`.
    """
    try:
        return plain(values, where)
    except DataError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModalityError(f"{where}: no array of numbers ({error})") from error


def check_features(
    clip: str, modality: str, spec: FeatureSpec, block: NDArray[Any]
) -> NDArray[Any]:
    """`block` in the stored dtype, if it may be stored.

    Args:
        clip: Id, for messages.
        modality: Name, for messages.
        spec: What is stored of the modality.
        block: [T, *shape], T >= 1.

    Raises:
        ModalityError: another shape, or a dtype that the stored one cannot hold exactly.
        DataError: see :func:`check_numbers`; or a number is beyond the stored dtype.
    """
    where = f"clip {clip!r}, modality {modality!r}"
    if block.shape[1:] != spec.shape:
        raise ModalityError(f"{where}: shape {block.shape}; expected (T, {str(spec.shape)[1:]}")
    if block.dtype.name not in DTYPES or not np.can_cast(block.dtype, spec.dtype, "safe"):
        if {block.dtype.kind, np.dtype(spec.dtype).kind} == {"f"}:
            check_numbers(where, block)
            converted(where, block, spec.dtype)  # refuses what .astype would make infinite
        raise ModalityError(
            f"{where}: dtype {block.dtype} does not fit the stored {spec.dtype} exactly; "
            f"convert it with .astype({spec.dtype!r})"
        )
    check_numbers(where, block)
    return block.astype(spec.dtype, copy=False)


def check_numbers(where: str, block: NDArray[Any]) -> None:
    """Refuse features that models could not read.

    Args:
        where: For the message.
        block: [T, *shape].

    Raises:
        DataError: a feature is NaN or infinite, or is so in float32, which is what models read.
    """
    wrong = beyond_float32(block)
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        said = "NaN or infinite"
        if np.isfinite(block[first]):
            said = f"{block[first]:g}, beyond the float32 that models read"
        raise DataError(f"{where}, step {first[0]}: a feature is {said}; repair or drop it")


def converted(where: str, block: NDArray[Any], dtype: str) -> tuple[NDArray[Any], float]:
    """Features in another dtype, and the largest absolute change of a number.

    Args:
        where: For messages.
        block: Any shape.
        dtype: float16, float32 or float64, or that of `block`. Whole numbers are rounded to it
            as fractions are.

    Raises:
        DataError: a number is beyond the range of `dtype`.
    """
    if block.dtype == np.dtype(dtype):
        return block, 0.0
    with np.errstate(over="ignore"):
        stored = block.astype(dtype)
    if np.can_cast(block.dtype, stored.dtype, "safe"):
        return stored, 0.0
    with np.errstate(invalid="ignore"):
        change = np.abs(block - stored).max(initial=0.0)
    if not np.isfinite(change) and np.isfinite(block).all():
        largest = float(np.abs(block).max())
        remedy = "store it as float32" if dtype == "float16" else "repair or drop it"
        raise DataError(
            f"{where}: {largest:g} is beyond {dtype}, which ends at {np.finfo(dtype).max:g}; "
            f"{remedy}"
        )
    return stored, float(change) if np.isfinite(change) else 0.0


def beyond_float32(block: NDArray[Any]) -> NDArray[np.bool_]:
    """Where numbers are NaN or infinite, or would be in float32, which is what models read."""
    with np.errstate(over="ignore"):
        read = block.astype(np.float32) if block.dtype.itemsize > 4 else block
    return np.asarray(~np.isfinite(read), bool)
