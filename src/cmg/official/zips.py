"""The container of the official features: one zip per clip with one pickled array in it.

Nothing is ever extracted to the disk: the member is read into memory, within a limit. ISA-L
inflates where it is installed; what it refuses is zlib's to judge.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from copy import copy
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.files import StrPath
from cmg.pickles.plain import load_plain_pickle

MAX_BYTES = 256 << 20
"""Largest array in a zip; the official ones hold 1 to 2 MB."""

MAX_RATIO = 200
"""How much smaller a large member may be zipped; features reach 4, zeros alone 1,000."""

DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    IndexError,  # a member without a name
    NotImplementedError,
    RuntimeError,
    MemoryError,
    OverflowError,
)
"""What reading a damaged zip raises, by how it is packed."""

_SMALL = 16 << 20

_REMEDY = "unpack this file again from the authors' archive, or leave the clip out"


def read_clip_zip(path: StrPath, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
    """The array in the zip of one clip.

    Of the members with `.pkl` in their name the last one in the archive's order is read, as the
    authors' readers do, but never what macOS adds (`__MACOSX/`, `._name`).

    Args:
        path: The zip.
        max_bytes: Larger members are refused.

    Returns:
        The array as stored, read-only.

    Raises:
        DataError: the file is missing, no zip, truncated, damaged or encrypted; it has a member
            that points outside, is a bomb, or holds no pickle of one array of numbers.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            member = _feature_member(path, archive.infolist())
            data = _read(path, archive, member, max_bytes)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; {_REMEDY}") from error
    except DAMAGE as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: no whole zip ({error}); {_REMEDY}") from error
    array = load_plain_pickle(data, f"{path}: {member.filename}")
    if not isinstance(array, np.ndarray):
        raise DataError(
            f"{path}: {member.filename} holds a {type(array).__name__}, not one numpy array; "
            f"{_REMEDY}"
        )
    return array


def _feature_member(path: Path, members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    for member in members:
        if not _inside(member.filename):
            raise DataError(
                f"{path}: member {member.filename!r} points outside the archive; nothing was "
                "extracted. Do not open it elsewhere, get the file again from the authors' download"
            )
    found = [m for m in members if not m.is_dir() and _is_feature(m.filename)]
    if not found:
        names = ", ".join(repr(m.filename) for m in members[:5]) or "nothing"
        raise DataError(f"{path}: no member with .pkl in its name (it holds {names}); {_REMEDY}")
    return found[-1]


def _inside(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." not in parts and not name.startswith(("/", "\\")) and name[1:2] != ":"


def _is_feature(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return ".pkl" in name and "__MACOSX" not in parts and not parts[-1].startswith("._")


def _read(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if member.flag_bits & 0x1:
        raise DataError(f"{path}: {member.filename} is encrypted; {_REMEDY}")
    if member.file_size > max_bytes:
        raise DataError(
            f"{path}: {member.filename} declares {member.file_size:,} bytes, over the limit of "
            f"{max_bytes:,}; features have 1 to 2 MB: {_REMEDY}"
        )
    if member.file_size > max(_SMALL, MAX_RATIO * member.compress_size):
        raise DataError(
            f"{path}: {member.filename} would grow from {member.compress_size:,} to "
            f"{member.file_size:,} bytes; that is no feature array: {_REMEDY}"
        )
    data = _content(archive, member)
    if len(data) != member.file_size:
        raise DataError(
            f"{path}: {member.filename} has {len(data):,} bytes, {member.file_size:,} declared; "
            f"{_REMEDY}"
        )
    return data


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, as many as it declares at most; their checksum is compared.

    Raises:
        zipfile.BadZipFile: another checksum, or headers that do not fit each other.
        zlib.error: data that do not inflate.
    """
    if member.compress_type != zipfile.ZIP_DEFLATED:
        with archive.open(member) as stream:
            return stream.read(member.file_size)
    packed = copy(member)  # the same member as it lies there
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    packed.CRC = None  # type: ignore[assignment] # ZipFile then computes none of packed bytes
    with archive.open(packed) as stream:
        raw = stream.read()
    try:
        data = _inflated(inflater(), raw, member.file_size)
    except inflater().error:
        data = _inflated(zlib, raw, member.file_size)
    if inflater().crc32(data) != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
    return data


def _inflated(module: Any, raw: bytes, size: int) -> bytes:
    """Raw deflate data, inflated to `size` bytes at most."""
    found: bytes = module.decompressobj(-zlib.MAX_WBITS).decompress(raw, max(1, size))
    return found[:size]


@cache
def inflater() -> Any:
    """What inflates, with the functions of :mod:`zlib`: ISA-L where it is installed."""
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib
