"""One shard: a safetensors file with the steps of consecutive clips, one after the other.

A dense shard has one tensor, `features` [steps, *shape]. For the other encoding see
:mod:`cmg.data.compact`; :func:`shard_writer` and :func:`map_shard` know both.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.compact import CompactShard, CompactWriter, mask_bytes
from cmg.data.manifest import FeatureSpec
from cmg.data.mapped import map_arrays
from cmg.data.shard_files import (
    HEADER_BYTES,
    STEPS_AT_ONCE,
    check_tensor,
    header,
    not_finite,
    stored_dtype,
    sync,
)

TENSOR = "features"


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
        """Size of the file so far."""
        self._dtype = stored_dtype(spec)
        self._stream = path.open("wb")
        self._stream.write(bytes(HEADER_BYTES))

    def append(self, features: NDArray[Any]) -> None:
        """Add the steps [T, *shape] of the next clip."""
        block = np.ascontiguousarray(features, dtype=self._dtype)
        self._stream.write(block.data if block.size else b"")
        self.steps += block.shape[0]
        self.bytes += block.nbytes

    def finish(self) -> None:
        """Write the header, and wait until the disk has the file."""
        self._stream.seek(0)
        self._stream.write(header({TENSOR: (self.spec.dtype, (self.steps, *self.spec.shape))}))
        sync(self._stream)

    def close(self) -> None:
        """Give up the file; its content is of no use."""
        self._stream.close()


class DenseShard:
    """All numbers of some clips; see :func:`map_shard`."""

    def __init__(self, path: Path, spec: FeatureSpec, steps: int) -> None:
        self.path, self.steps = path, steps
        self.features = map_arrays(path, [TENSOR])[1][TENSOR]
        check_tensor(path, self.features, spec.dtype, (steps, *spec.shape))

    def read(self, first: int, last: int, out: NDArray[Any]) -> None:
        """Put the steps [first, last) into `out` [last - first, *shape]."""
        out[...] = self.features[first:last]

    def problems(self) -> list[str]:
        """What is wrong with the content, a line each."""
        blocks = range(0, len(self.features), STEPS_AT_ONCE)
        return not_finite(self.path, (self.features[i : i + STEPS_AT_ONCE] for i in blocks))


ShardWriter = DenseWriter | CompactWriter
"""Writes one shard as its clips come."""
MappedShard = DenseShard | CompactShard
"""A shard, memory mapped: pages are read when touched."""


def shard_writer(path: Path, spec: FeatureSpec) -> ShardWriter:
    """A writer of the encoding that `spec` asks for."""
    if spec.encoding == "compact":
        return CompactWriter(path, spec)
    return DenseWriter(path, spec)


def least_bytes(spec: FeatureSpec, steps: int) -> int:
    """What some steps take on disk at least; negative for fewer than none."""
    if spec.encoding == "compact":
        return steps * (8 + mask_bytes(spec))
    return steps * math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


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
        return CompactShard(path, spec, steps)
    return DenseShard(path, spec, steps)
