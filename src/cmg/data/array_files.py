"""Arrays of NumPy's files, of which no size is believed before it is compared with the file."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cmg.errors import CmgError, DataError, did_you_mean
from cmg.files import refuse_special

SMALL = 64 << 20
"""Bytes of an array that may be packed as tightly as zip can."""
MOST_PACKED = 200
"""So many times the bytes in the file a larger array may have: features have at most about 10."""
SUFFIX = ".npy"


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of an archive (``.npz``) by its name.

    Raises:
        DataError: see :func:`read_array`; or the file is a single array.
    """
    with opened(path) as (_, archive):
        if archive is None:
            raise DataError(f"{path} is a single array, and no archive of arrays (.npz)")
        return {name: member(path, archive, name) for name in names_of(archive)}


def read_array(path: Path, key: str = "") -> NDArray[Any]:
    """The array of a file, or one of an archive.

    Args:
        path: ``.npy`` or ``.npz``.
        key: Name in the archive; empty where the file has one array.

    Raises:
        DataError: no such file or array, a file that is damaged or no plain numbers, an array that
            is larger than its file, or one that would grow without measure when it is unpacked.
    """
    with opened(path) as (file, archive):
        if archive is None:
            if key:
                raise DataError(f"{path} is a single array, it has no key {key!r}")
            return checked(path, file, os.fstat(file.fileno()).st_size)
        names = names_of(archive)
        if not key and len(names) != 1:
            raise DataError(
                f"{path} holds {len(names)} arrays; name one as FILE.npz#KEY: {', '.join(names)}"
            )
        name = key or names[0]
        if name not in names:
            raise DataError(f"{path} has no array {name!r}{did_you_mean(name, names)}")
        return member(path, archive, name)


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], zipfile.ZipFile | None]]:
    """The file, and the archive that it is; what goes wrong below names the file."""
    refuse_special(path)
    try:
        with path.open("rb") as file:
            packed = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            if not packed:
                yield file, None
                return
            with zipfile.ZipFile(file) as archive:
                yield file, archive
    except CmgError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (
        OSError,
        ValueError,  # NumPy: a header that it cannot parse
        SyntaxError,  # likewise, and the next three: it reads headers as Python literals
        TokenError,
        TypeError,
        OverflowError,
        EOFError,
        NotImplementedError,  # a way to pack that zipfile does not know
        RuntimeError,  # an archive with a password
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path} is no readable .npy or .npz file ({error}); save plain numbers with numpy.save"
        ) from error


def names_of(archive: zipfile.ZipFile) -> list[str]:
    """Names of the arrays of an archive."""
    return [name.removesuffix(SUFFIX) for name in archive.namelist()]


def member(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an archive; see :func:`read_array`."""
    info = next(i for i in archive.infolist() if i.filename.removesuffix(SUFFIX) == name)
    if info.file_size > max(SMALL, MOST_PACKED * info.compress_size):
        raise DataError(
            f"{path}#{name} would grow from {info.compress_size:,} to {info.file_size:,} bytes; "
            "that is no array of features: save it again with numpy.save"
        )
    with archive.open(info) as stream:
        return checked(path, stream, info.file_size, f"#{name}")


def checked(path: Path, stream: IO[bytes], size: int, key: str = "") -> NDArray[Any]:
    """An array whose header says no more bytes than there are.

    Args:
        path: For messages.
        stream: At its start.
        size: Bytes of it.
        key: For messages.
    """
    shape, dtype = header(stream)
    if dtype.hasobject:
        raise DataError(f"{path}{key} cannot be read: it holds Python objects; save plain numbers")
    needed, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed > there:
        raise DataError(
            f"{path}{key} says that it holds {list(shape)} {dtype} values, {needed:,} bytes, and "
            f"has {there:,}; it is truncated: save it again"
        )
    stream.seek(0)
    found: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return found


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an array says it has.

    Raises:
        ValueError: it has no such header.
    """
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    if version == (3, 0):  # UTF-8 names of fields, which plain numbers have none of
        raise ValueError("its header is of version 3.0, which only structured arrays have")
    shape, _, dtype = read(stream)
    return shape, dtype
