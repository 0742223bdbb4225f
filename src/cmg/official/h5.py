"""Arrays in HDF5 files, opened when they are needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.optional import h5py

FAULTS = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    MemoryError,
    OverflowError,
)
"""What h5py raises of a file that is damaged, depending on where it is."""

MAX_RATIO = 1100
"""How much smaller than its numbers a file may be; gzip reaches 1,032, of zeros alone."""


class H5Array:
    """One data set of an HDF5 file.

    The file is opened on first use and once per process: a handle that crossed a fork or was
    pickled would not work.

    Args:
        path: The file.
        key: Name of the data set: ``avadataset``, or ``order`` in files of indices.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._opened: Any = None
        self._process = -1

    def __getstate__(self) -> dict[str, Any]:
        """Without the handle."""
        return {"path": self.path, "key": self.key, "_opened": None, "_process": -1}

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the data set.

        Raises:
            DataError: no HDF5 file, or no such data set in it.
        """
        return tuple(self._data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the data set."""
        found: np.dtype[Any] = self._data.dtype
        return found

    def row(self, index: int) -> NDArray[Any]:
        """One entry of the first axis.

        Raises:
            DataError: it cannot be read.
        """
        return self._read(index, f"row {index} of {self.key!r}")

    def all(self) -> NDArray[Any]:
        """The whole array.

        Raises:
            DataError: it cannot be read.
        """
        return self._read((), repr(self.key))

    def _read(self, index: int | tuple[()], what: str) -> NDArray[Any]:
        data = self._data
        try:
            found: NDArray[Any] = data[index]
        except FAULTS as error:
            raise DataError(
                f"{self.path}: {what} cannot be read ({error}); the file is truncated or foreign: "
                "download it again"
            ) from error
        return found

    @property
    def _data(self) -> Any:
        if self._opened is None or self._process != os.getpid():
            self._opened, self._process = _open(self.path, self.key), os.getpid()
        return self._opened


def _open(path: Path, key: str) -> Any:
    package = h5py(f"the HDF5 file {path}")
    try:
        file = package.File(path, "r")
        held, found = list(file), file.get(key)
        sized = isinstance(found, package.Dataset) and (found.dtype, found.nbytes)
    except FAULTS as error:
        raise DataError(
            f"{path} is no readable HDF5 file ({error}); it is missing, truncated or damaged: "
            "download it again"
        ) from error
    if not sized:
        raise DataError(
            f"{path} has no data set {key!r}; it holds {', '.join(held) or 'nothing'}. "
            "It is another file under this name"
        )
    dtype, size = sized
    if dtype.kind not in "fiu":
        raise DataError(f"{path}: {key!r} holds {dtype}, not numbers")
    if size > MAX_RATIO * path.stat().st_size:
        raise DataError(
            f"{path}: {key!r} claims {size:,} bytes, and the whole file has "
            f"{path.stat().st_size:,}: download it again"
        )
    return found
