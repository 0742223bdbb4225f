"""Writing folders whole or not at all, texts in UTF-8, checksums, and JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cmg.errors import ConfigError, DataError
from cmg.writers import beside

StrPath = str | os.PathLike[str]
"""What names a file or a folder."""

LOCK = ".lock"
"""Of a folder that a process writes; see :mod:`cmg.locks`."""
DIGESTED = 1 << 20
"""Bytes of a block with a checksum of its own."""
SPACE = "free space or choose another --out. Nothing was written"
"""The remedy where a store or the like does not fit."""
LARGEST_TEXT = 1_000_000_000
"""Bytes of a text file that are read at most."""


def as_path(given: StrPath, what: str) -> Path:
    """A path that a caller gave.

    Args:
        given: By the caller.
        what: A sentence on what it should be, for the message.

    Raises:
        ConfigError: it is no path.
    """
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(f"{what}; got a {type(given).__name__}")
    return Path(given)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an operating system error while writing `target` into a :class:`DataError`.

    Raises:
        DataError: the disk is full, the folder is read-only, ...
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"cannot write {target}: {reason}; free space or choose another folder "
            "(nothing was left behind)"
        ) from error


def is_occupied(path: Path) -> bool:
    """Whether something is at a path: a file, or a folder with something in it but a lock."""
    if not path.is_dir():
        return path.exists()
    return any(not inside.name.startswith(LOCK) for inside in path.iterdir())


def refuse_occupied(path: Path, remedy: str = "choose another --out") -> None:
    """Refuse to write among other things, before the work rather than after it.

    Raises:
        ConfigError: `path` is occupied.
    """
    if is_occupied(path):
        raise ConfigError(f"{path} exists and is not empty; {remedy}")


def need_space(folder: Path, needed: float, remedy: str = "") -> None:
    """Ask for the space that is going to be written, before it is.

    Args:
        folder: To write to; need not be there yet.
        needed: Bytes, about.
        remedy: What to do, where it is not to choose another folder.

    Raises:
        DataError: the disk has less; names the folder, what is needed and what is free.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise DataError(
            f"{folder} is going to take about {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are "
            f"free there; {remedy or SPACE}"
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_digests(path: Path) -> tuple[str, bytes]:
    """SHA-256 of a file as 64 hexadecimal digits, and those of its blocks, 32 bytes each.

    A block has :data:`DIGESTED` bytes, the last one what is left.
    """
    whole, blocks = hashlib.sha256(), bytearray()
    with path.open("rb") as stream:
        while block := stream.read(DIGESTED):
            whole.update(block)
            blocks += hashlib.sha256(block).digest()
    return whole.hexdigest(), bytes(blocks)


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder and the folders in it; links to one file count once."""
    files = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum({found.st_ino: found.st_size for found in files}.values())


def torch_fault(path: Path, error: Exception) -> str:
    """What is wrong with a file that ``torch.load`` with weights only has refused with `error`.

    Torch's own words end in the advice to trust the file, or are the number of a memo.
    """
    asked = re.search(r"GLOBAL ([\w.]+)", str(error))
    if asked:
        return f"it asks for {asked[1]}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    with path.open("rb") as stream:
        head = stream.read(2)
    if not head:
        return "it is empty"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "it is a zip archive that torch.save did not write"
    elif head not in (b"PK", b"\x80\x02"):
        return "it is no file of torch.save"
    return "it is truncated, or holds more than tensors and plain values"


def refuse_special(path: Path) -> None:
    """Refuse what is no file to read: a pipe has no size, and whoever opens it may wait for ever.

    Raises:
        DataError: a pipe, a device or a socket; whether there is anything is not looked at here.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path} is a pipe, a device or a socket; give a file")


def read_text(path: Path, largest: int = LARGEST_TEXT) -> str:
    """A text file in UTF-8, with or without a byte order mark; its line ends stay as they are.

    Args:
        path: The file.
        largest: Bytes that it may have.

    Raises:
        DataError: it cannot be read, is no file, is too large, or is in another encoding.
    """
    try:
        refuse_special(path)
        size = path.stat().st_size
        if size > largest:
            raise DataError(
                f"{path} has {size / 1e6:.1f} MB, a text at most {largest / 1e6:g}; is it one?"
            )
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is UTF-16, not UTF-8; save it as UTF-8")
    wrong = raw.find(b"\0")
    try:
        text = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        line = raw.count(b"\n", 0, wrong) + 1
        raise DataError(
            f"{path}, line {line} is not UTF-8 (byte {wrong}: {raw[wrong]:#04x}); save it as UTF-8"
        )
    return text


def write_synced(path: Path, data: bytes) -> None:
    """Write `data` to `path` and wait until the disk has it."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place if the body ends well.

    The folder of `path` is made if need be; the temporary file is removed if the body fails.

    Raises:
        DataError: it cannot be written; what was there before is untouched.
    """
    partial = beside(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made if need be.

    Raises:
        DataError: it cannot be written; what was there before is untouched.
    """
    with replacing(path) as partial:
        write_synced(partial, data)


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in `path`; a no-op where folders cannot be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        OSError: it cannot be read.
        ValueError: no JSON in UTF-8, or nested too deep.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
