"""One shard: a safetensors file with the steps of consecutive clips, one after the other.

A dense shard has one tensor, `features` [steps, *shape]. For the other encoding see
:mod:`cmg.data.compact`; :func:`shard_writer` and :func:`map_shard` know both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from cmg.data.features import beyond_float32
from cmg.data.manifest import DTYPES, FeatureSpec
from cmg.errors import DataError
from cmg.files import file_sha256

TENSOR = "features"
HEADER_BYTES = 256
"""Room for the safetensors header, which is written last, when the number of steps is known."""

STEPS_AT_ONCE = 4096
"""Steps that are looked at together when a shard is verified."""

CODES = dict(zip(DTYPES, ("F16", "F32", "F64", "U8"), strict=True)) | {"int64": "I64"}


class ShardWriter(Protocol):
    """Writes one shard as its clips come."""

    path: Path
    bytes: int
    """Size of the file so far."""

    def append(self, features: NDArray[Any]) -> None:
        """Add the steps [T, *shape] of the next clip."""

    def finish(self) -> str:
        """Complete the file, wait until the disk has it, and give its SHA-256."""

    def close(self) -> None:
        """Give up the file; its content is of no use."""


class MappedShard(Protocol):
    """A shard, memory mapped: pages are read when touched."""

    def read(self, first: int, last: int, out: NDArray[Any]) -> None:
        """Put the steps [first, last) into `out` [last - first, *shape], contiguous zeros.

        Raises:
            DataError: the shard contradicts itself.
        """

    def problems(self) -> list[str]:
        """What is wrong with the content, a line each."""


def shard_writer(path: Path, spec: FeatureSpec) -> ShardWriter:
    """A writer of the encoding that `spec` asks for."""
    if spec.encoding == "compact":
        from cmg.data.compact import CompactWriter

        return CompactWriter(path, spec)
    return DenseWriter(path, spec)


def map_shard(path: Path, spec: FeatureSpec, steps: int) -> MappedShard:
    """The features of a shard, memory mapped.

    Args:
        path: The file.
        spec: What the manifest says of its modality.
        steps: How many steps the rows say it holds.

    Raises:
        DataError: the file is missing, truncated, no safetensors file, or of another shape.
    """
    if spec.encoding == "compact":
        from cmg.data.compact import CompactShard

        return CompactShard(path, spec, steps)
    return DenseShard(path, spec, steps)


class DenseWriter:
    """Writes all numbers, without holding them in memory.

    The safetensors format wants its header first and allows spaces at the header's end, so room
    for it is kept and filled in at the end.
    """

    def __init__(self, path: Path, spec: FeatureSpec) -> None:
        self.path = path
        self.spec = spec
        self.steps = 0
        self.bytes = HEADER_BYTES
        self._dtype = stored_dtype(spec)
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
        self._stream.seek(0)
        self._stream.write(header({TENSOR: (self.spec.dtype, (self.steps, *self.spec.shape))}))
        sync(self._stream)
        return file_sha256(self.path)

    def close(self) -> None:
        """Give up the file; its content is of no use."""
        self._stream.close()


class DenseShard:
    """All numbers of some clips; see :func:`map_shard`."""

    def __init__(self, path: Path, spec: FeatureSpec, steps: int) -> None:
        self.path = path
        self.features = map_tensors(path, [TENSOR])[TENSOR]
        check_tensor(path, self.features, spec.dtype, (steps, *spec.shape))

    def read(self, first: int, last: int, out: NDArray[Any]) -> None:
        """Put the steps [first, last) into `out` [last - first, *shape]."""
        out[...] = self.features[first:last]

    def problems(self) -> list[str]:
        """What is wrong with the content, a line each."""
        blocks = range(0, len(self.features), STEPS_AT_ONCE)
        return not_finite(self.path, (self.features[i : i + STEPS_AT_ONCE] for i in blocks))


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


def map_tensors(path: Path, names: list[str]) -> dict[str, NDArray[Any]]:
    """The tensors of a file, memory mapped.

    Raises:
        DataError: the file is missing, truncated, no safetensors file, or holds other tensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = sorted(file.keys())
            if found == sorted(names):
                return {name: file.get_tensor(name).numpy() for name in names}
    except (OSError, SafetensorError, RuntimeError, TypeError) as error:
        raise DataError(f"shard {path} cannot be read ({error}); restore it") from error
    raise DataError(f"shard {path} holds {found}, expected {names}; restore it")


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
