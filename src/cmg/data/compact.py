"""Compact shards: which numbers are not zero, and those numbers.

Features after a ReLU are about 70 % zeros, the others fill their mantissas, so that this is about
as small as anything exact can be, and any clip can be read without reading its neighbors::

    offsets  int64 [steps + 1]                  values of step t: values[offsets[t]:offsets[t + 1]]
    values   stored dtype [sum of non-zeros]    the numbers that are not zero, in order
    mask     uint8 [steps, ceil(numbers / 8)]   bit i (least significant first) of a step's bytes:
                                                number i, of the step flattened, is not zero

"Zero" is the number whose bits are all zero; -0.0 is kept like any other number.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from cmg.errors import DataError

OFFSETS, VALUES, MASK = "offsets", "values", "mask"


class CompactWriter:
    """Writes a compact shard; it is held in memory until it is finished, about a third of it."""

    def __init__(self, path: Path, spec: FeatureSpec) -> None:
        self.path = path
        self.spec = spec
        self.bytes = HEADER_BYTES + 8
        self._dtype = stored_dtype(spec)
        self._counts: list[NDArray[np.int64]] = []
        self._values: list[NDArray[Any]] = []
        self._masks: list[NDArray[np.uint8]] = []
        self._stream = path.open("wb")

    def append(self, features: NDArray[Any]) -> None:
        """Add the steps [T, *shape] of the next clip."""
        block = np.ascontiguousarray(features, dtype=self._dtype)
        block = block.reshape(len(block), math.prod(self.spec.shape))
        there = block.view(f"u{block.itemsize}") != 0
        values = block.ravel()[np.flatnonzero(there)]
        mask = np.packbits(there, axis=1, bitorder="little")
        self._counts.append(there.sum(axis=1, dtype=np.int64))
        self._values.append(values)
        self._masks.append(mask)
        self.bytes += 8 * len(block) + values.nbytes + mask.nbytes

    def finish(self) -> None:
        """Write the file, and wait until the disk has it."""
        counts = np.concatenate([np.zeros(1, np.int64), *self._counts])
        offsets = np.cumsum(counts).astype("<i8")
        steps = len(offsets) - 1
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            OFFSETS: ("int64", (steps + 1,)),
            VALUES: (self.spec.dtype, (int(offsets[-1]),)),
            MASK: ("uint8", (steps, mask_bytes(self.spec))),
        }
        self._stream.write(header(shapes))
        for part in ([offsets], self._values, self._masks):
            for block in part:
                self._stream.write(block.data if block.size else b"")
        sync(self._stream)

    def close(self) -> None:
        """Give up the file; its content is of no use."""
        self._stream.close()


class CompactShard:
    """Compact features of some clips; see :func:`cmg.data.shards.map_shard`."""

    def __init__(self, path: Path, spec: FeatureSpec, steps: int) -> None:
        self.path, self.steps = path, steps
        self.numbers = math.prod(spec.shape)
        _, found = map_arrays(path, [OFFSETS, VALUES, MASK])
        self.offsets, self.values, self.mask = found[OFFSETS], found[VALUES], found[MASK]
        check_tensor(path, self.offsets, "int64", (steps + 1,))
        check_tensor(path, self.values, spec.dtype, (len(self.values.ravel()),))
        check_tensor(path, self.mask, "uint8", (steps, mask_bytes(spec)))
        counts = np.diff(self.offsets)
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.values) or (counts < 0).any():
            raise DataError(f"shard {path}: its offsets do not fit its values; restore it")

    def read(self, first: int, last: int, out: NDArray[Any]) -> None:
        """Put the steps [first, last) into `out` [last - first, *shape], contiguous zeros.

        Raises:
            DataError: mask and offsets contradict each other.
        """
        assert out.flags.c_contiguous  # otherwise `reshape` would be a copy
        where = self._where(first, last)
        values = self.values[self.offsets[first] : self.offsets[last]]
        if len(where) != len(values):
            raise DataError(
                f"shard {self.path}, steps {first} to {last}: the mask has {len(where)} numbers, "
                f"the offsets {len(values)}; restore it"
            )
        out.reshape(-1)[where] = values  # indices are much faster than a Boolean mask

    def _where(self, first: int, last: int) -> NDArray[np.int64]:
        mask = self.mask[first:last]
        if self.numbers % 8 == 0:
            bits = np.unpackbits(mask.ravel(), bitorder="little")
        else:
            bits = np.unpackbits(mask, axis=1, count=self.numbers, bitorder="little").ravel()
        return np.flatnonzero(bits.view(np.bool_))

    def problems(self) -> list[str]:
        """What is wrong with the content, a line each."""
        steps = len(self.mask)
        counts = np.diff(self.offsets)
        for first in range(0, steps, STEPS_AT_ONCE):
            last = min(first + STEPS_AT_ONCE, steps)
            bits = np.bitwise_count(self.mask[first:last]).sum(axis=1, dtype=np.int64)
            if (bits != counts[first:last]).any():
                step = first + int(np.flatnonzero(bits != counts[first:last])[0])
                return [f"shard {self.path}, step {step}: mask and offsets differ; restore it"]
        spare = 8 * self.mask.shape[1] - self.numbers
        if spare and (self.mask[:, -1] >> (8 - spare)).any():
            return [f"shard {self.path}: its mask marks numbers that do not exist; restore it"]
        blocks = range(0, len(self.values), 1 << 20)
        return not_finite(self.path, (self.values[i : i + (1 << 20)] for i in blocks))


def mask_bytes(spec: FeatureSpec) -> int:
    """Bytes of one step's mask."""
    return -(-math.prod(spec.shape) // 8)
