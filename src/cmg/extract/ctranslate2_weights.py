"""Variables of a ``model.bin`` that CTranslate2 wrote, read without it and without running code.

The file, little endian (*as coded* in CTranslate2's ``model_spec.py``, binary version 6): the
version (uint32), the name of the network (string), its revision and the number of variables (uint32
each); each variable's name (string), rank (uint8), dimensions (uint32 each), type (uint8), bytes
(uint32) and values; the number of aliases (uint32), each two strings: another name, and the
variable that it means. A string is its length (uint16) and its bytes, the last of which is 0.

Every number is held against what is left of the file before it is used, and a variable is given
memory only when it is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.errors import ConfigError
from cmg.tensors import check_finite

VERSION = 6
TYPES = {0: "<f4", 1: "|i1", 2: "<i2", 3: "<i4", 4: "<f2"}
"""By number; 5 is bfloat16, which NumPy does not have."""
HIGHEST_RANK = 8
LEAST_VARIABLE, LEAST_ALIAS = 11, 8
"""Bytes of the shortest that there can be: with a name of one letter, and one value."""
REMEDY = "get the weights again"


@dataclass(frozen=True)
class Variable:
    """Where the values of a variable are.

    Attributes:
        path: The file.
        name: In the file.
        shape: Of its values; () of a single one.
        dtype: Of its values.
        begin: Of its values, in bytes.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    begin: int

    def values(self) -> NDArray[np.generic]:
        """What the file holds of it.

        Raises:
            ConfigError: the file can no longer be read, or became shorter.
        """
        count = prod(self.shape)
        try:
            found = np.fromfile(self.path, dtype=self.dtype, count=count, offset=self.begin)
        except OSError as error:
            raise _unreadable(self.path, error.strerror or str(error)) from error
        if len(found) != count:
            raise _unreadable(self.path, f"it ends within {self.name!r}")
        return found.reshape(self.shape)


def stored_variables(path: Path, network: str) -> dict[str, Variable]:
    """The variables of a file by name, and by their other names; no value is read.

    Args:
        path: The file.
        network: What its description must be called: ``WhisperSpec``.

    Raises:
        ConfigError: it cannot be read, is no such file, ends too early or too late, or says what
            cannot be: the variable is named.
    """
    try:
        with path.open("rb") as stream:
            return _Listing(path, stream).variables(network)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def float_tensors(
    variables: Mapping[str, Variable], names: Iterable[str], noun: str
) -> dict[str, Tensor]:
    """The values of some variables, as float32.

    Args:
        variables: See :func:`stored_variables`.
        names: Of those wanted, all of them in `variables`.
        noun: What the file should be of, for messages.

    Raises:
        ConfigError: not of floats (of a quantized network), or not finite; the variable is named.
    """
    found = {}
    for name in names:
        variable = variables[name]
        if variable.dtype.kind != "f":
            raise ConfigError(
                f"{variable.path} is not of {noun}: {name} {list(variable.shape)} is of "
                f"{variable.dtype.name}, not of float16 or float32; a quantized network is not read"
            )
        found[name] = torch.from_numpy(variable.values().astype(np.float32))
        check_finite({name: found[name]}, variable.path, REMEDY, ConfigError)
    return found


class _Listing:
    """A file while it is listed from its beginning to its end."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream
        self._size = path.stat().st_size

    def variables(self, network: str) -> dict[str, Variable]:
        self._header(network)
        found: dict[str, Variable] = {}
        for number in range(self._count("variables", LEAST_VARIABLE)):
            name = self._new_name(f"variable {number}", found)
            found[name] = self._variable(name)
        for number in range(self._count("aliases", LEAST_ALIAS)):
            name = self._new_name(f"alias {number}", found)
            meant = self._string(f"what alias {name!r} means")
            if meant not in found:
                raise self._wrong(f"the alias {name!r} means {meant!r}, which is no variable")
            found[name] = found[meant]
        if self._left():
            raise self._wrong(f"{self._left()} bytes follow where it should end")
        return found

    def _header(self, network: str) -> None:
        version = self._number("I", "its version")
        if version != VERSION:
            raise self._wrong(
                f"it begins with {version}, not with {VERSION}, the version of CTranslate2's files "
                "that is read"
            )
        name = self._string("the name of its network")
        if name != network:
            raise self._wrong(f"it holds a {name!r}, not a {network!r}")
        self._number("I", "its revision")

    def _variable(self, name: str) -> Variable:
        rank = self._number("B", f"the rank of {name!r}")
        if rank > HIGHEST_RANK:
            raise self._wrong(f"{name!r} has {rank} dimensions; at most {HIGHEST_RANK} can be")
        shape = tuple(self._number("I", f"the shape of {name!r}") for _ in range(rank))
        number = self._number("B", f"the type of {name!r}")
        if number not in TYPES:
            raise self._wrong(f"{name!r} {list(shape)} is of type {number}; known: {[*TYPES]}")
        dtype: np.dtype[np.generic] = np.dtype(TYPES[number])
        size, needed = self._number("I", f"the size of {name!r}"), prod(shape) * dtype.itemsize
        if size != needed:
            raise self._wrong(
                f"{name!r} {list(shape)} of {dtype.name} takes {needed} bytes, not the {size} that "
                "it says"
            )
        begin = self._stream.tell()
        self._check_left(size, f"{name!r} {list(shape)} of {dtype.name}")
        self._stream.seek(size, 1)
        return Variable(self._path, name, shape, dtype, begin)

    def _new_name(self, what: str, found: Mapping[str, Variable]) -> str:
        name = self._string(f"the name of {what}")
        if name in found:
            raise self._wrong(f"{name!r} is there twice")
        return name

    def _count(self, what: str, least: int) -> int:
        count = self._number("I", f"the number of its {what}")
        if count * least > self._left():
            raise self._wrong(f"it says {count} {what}, and has {self._left()} bytes left for them")
        return count

    def _string(self, what: str) -> str:
        length = self._number("H", what)
        self._check_left(length, what)
        text = self._stream.read(length)
        if not text[:-1].isascii() or b"\0" in text[:-1] or text[-1:] != b"\0" or length < 2:
            raise self._wrong(f"{what} is no text: {text[:40]!r}")
        return text[:-1].decode("ascii")

    def _number(self, form: str, what: str) -> int:
        size = struct.calcsize("<" + form)
        self._check_left(size, what)
        (number,) = struct.unpack("<" + form, self._stream.read(size))
        return int(number)

    def _check_left(self, size: int, what: str) -> None:
        if size > self._left():
            raise self._wrong(
                f"{what} would take {size} bytes at {self._stream.tell()}; it ends at {self._size}"
            )

    def _left(self) -> int:
        return self._size - self._stream.tell()

    def _wrong(self, reason: str) -> ConfigError:
        return _unreadable(self._path, reason)


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"cannot read the weights {path}: {reason}; {REMEDY}")
