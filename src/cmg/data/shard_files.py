"""The safetensors file of a shard: its header, its tensors, and what may be wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cmg.data.features import beyond_float32
from cmg.data.manifest import DTYPES, FeatureSpec
from cmg.errors import DataError

HEADER_BYTES = 256
"""Room for the safetensors header, which is written last, when the number of steps is known."""

STEPS_AT_ONCE = 4096
"""Steps that are looked at together when a shard is verified."""
CODES = dict(zip(DTYPES, ("F16", "F32", "F64", "U8"), strict=True)) | {"int64": "I64"}


def stored_dtype(spec: FeatureSpec) -> np.dtype[Any]:
    """The dtype on disk: little-endian whatever the machine is."""
    return np.dtype(spec.dtype).newbyteorder("<")


def header(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """A safetensors header of :data:`HEADER_BYTES` for tensors that follow each other.

    Args:
        tensors: dtype and shape of each, in the order of the file.
    """
    entries, start = {}, 0
    for name, (dtype, shape) in tensors.items():
        end = start + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        entries[name] = {"dtype": CODES[dtype], "shape": [*shape], "data_offsets": [start, end]}
        start = end
    room = HEADER_BYTES - 8
    text = json.dumps(entries, separators=(",", ":")).encode()
    return room.to_bytes(8, "little") + text.ljust(room)


def sync(stream: BinaryIO) -> None:
    """Wait until the disk has a file, and close it."""
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()


def check_tensor(path: Path, tensor: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> None:
    """Compare a tensor with what the manifest says.

    Raises:
        DataError: another dtype or shape.
    """
    if tensor.shape != shape or tensor.dtype != np.dtype(dtype):
        raise DataError(
            f"shard {path} holds {tensor.dtype} {tensor.shape}, the manifest says "
            f"{dtype} {shape}; restore it"
        )


def not_finite(path: Path, blocks: Iterable[NDArray[Any]]) -> list[str]:
    """A line if any number is NaN or infinite, or beyond float32."""
    if not any(bool(beyond_float32(block).any()) for block in blocks):
        return []
    return [f"shard {path} holds NaN or infinite features, or beyond float32; write it again"]
