"""One shard: a safetensors file with one tensor `features` [sum of lengths, *shape]."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cmg.data.manifest import DTYPES, FeatureSpec
from cmg.errors import DataError
from cmg.files import file_sha256

TENSOR = "features"
HEADER_BYTES = 256
"""Room for the safetensors header, which is written last, when the number of steps is known."""

_CODES = dict(zip(DTYPES, ("F16", "F32", "F64", "U8"), strict=True))


class ShardWriter:
    """Writes a shard as its clips come, without holding it in memory.

    The safetensors format wants its header first and allows spaces at the header's end, so room
    for it is kept and filled in at the end.
    """

    def __init__(self, path: Path, spec: FeatureSpec) -> None:
        self.path = path
        self.spec = spec
        self.steps = 0
        self.bytes = HEADER_BYTES
        self._dtype = np.dtype(spec.dtype).newbyteorder("<")
        self._stream = path.open("wb")
        self._stream.write(bytes(HEADER_BYTES))

    def append(self, features: NDArray[Any]) -> None:
        """Add the steps [T, *shape] of the next clip."""
        block = np.ascontiguousarray(features, dtype=self._dtype)
        self._stream.write(block.data if block.size else b"")
        self.steps += block.shape[0]
        self.bytes += block.nbytes

    def finish(self) -> str:
        """Write the header, wait until the disk has the file, and give its SHA-256."""
        entry = {
            "dtype": _CODES[self.spec.dtype],
            "shape": [self.steps, *self.spec.shape],
            "data_offsets": [0, self.bytes - HEADER_BYTES],
        }
        header = json.dumps({TENSOR: entry}, separators=(",", ":")).encode()
        room = HEADER_BYTES - 8
        self._stream.seek(0)
        self._stream.write(room.to_bytes(8, "little") + header.ljust(room))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return file_sha256(self.path)

    def close(self) -> None:
        """Give up the file; its content is of no use."""
        self._stream.close()


def map_shard(path: Path, spec: FeatureSpec, steps: int) -> Tensor:
    """The features [steps, *shape] of a shard, memory mapped: pages are read when touched.

    Raises:
        DataError: the file is missing, truncated, no safetensors file, or of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            tensor: Tensor | None = file.get_tensor(TENSOR) if names == [TENSOR] else None
    except (OSError, SafetensorError) as error:
        raise DataError(f"shard {path} cannot be read ({error}); restore it") from error
    if tensor is None:
        raise DataError(f"shard {path} holds {names}, expected [{TENSOR!r}]; restore it")
    wanted = (steps, *spec.shape)
    if tuple(tensor.shape) != wanted or tensor.dtype != getattr(torch, spec.dtype):
        raise DataError(
            f"shard {path} holds {tensor.dtype} {tuple(tensor.shape)}, the manifest says "
            f"{spec.dtype} {wanted}; restore it"
        )
    return tensor
