"""Arrays by name in a safetensors file: written in one go, memory mapped where they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from cmg.errors import DataError

Shapes = Mapping[str, tuple[str, int | None, *tuple[int, ...]]]
"""By name: dtype, length (None: any), and further sizes."""
FACTS = "cmg"
"""The one key of the metadata, as the order of several would differ from time to time."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write arrays and what is to be said of them, plain JSON; waits until the disk has them."""
    told = json.dumps(facts, separators=(",", ":"))
    save_file({name: np.ascontiguousarray(x) for name, x in arrays.items()}, path, {FACTS: told})
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


EDITED = "was edited or damaged after the store was written (checksum differs)"
"""Why a file is refused that is not what the manifest says."""


def refused(path: Path | str, why: str) -> DataError:
    """The error of a file that cannot be used."""
    return DataError(f"{path} {why}; restore it, or write the store again")


def map_arrays(path: Path, names: Iterable[str]) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """The metadata of a file, and its arrays, memory mapped.

    Raises:
        DataError: it is missing, truncated, no safetensors file, or holds other arrays.
    """
    wanted = sorted(names)
    try:
        with safe_open(path, framework="pt") as file:
            found = sorted(file.keys())
            if found == wanted:
                arrays = {name: file.get_tensor(name).numpy() for name in found}
                return dict(file.metadata() or {}), arrays
    except (OSError, SafetensorError, RuntimeError, TypeError) as error:
        raise refused(path, f"cannot be read ({error})") from error
    raise refused(path, f"holds {', '.join(found)}, not {', '.join(wanted)}")


class MappedArrays(Mapping[str, NDArray[Any]]):
    """The arrays of a file, memory mapped; pickled as its path, and mapped again.

    Attributes:
        path: The file.
        facts: What it says of them.

    Args:
        path: The file.
        shapes: What it has to hold.

    Raises:
        DataError: it is missing, damaged, or holds something else.
    """

    def __init__(self, path: Path, shapes: Shapes) -> None:
        self.path = path
        self.shapes = shapes
        metadata, self._arrays = map_arrays(path, shapes)
        try:
            self.facts = dict[str, Any](json.loads(metadata.get(FACTS, "{}")))
        except (ValueError, TypeError) as error:
            raise self.refused("has strange metadata") from error
        for name, (dtype, length, *sizes) in shapes.items():
            found = self._arrays[name]
            wanted = (len(found) if found.ndim and length is None else length, *sizes)
            if found.dtype != np.dtype(dtype) or found.shape != wanted:
                raise self.refused(
                    f"has {name} {found.dtype} {found.shape}, not {dtype} {wanted}, as the "
                    "manifest has it"
                )

    def refused(self, why: str) -> DataError:
        """The error of a file that cannot be used."""
        return refused(self.path, why)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled are path and shapes."""
        return type(self), (self.path, self.shapes)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One of the arrays."""
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._arrays)
