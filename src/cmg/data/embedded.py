"""Sets that cmg builds itself, opened by name as stores are by their folder: ``watch:3``.

A set with folds is that many stores of the same clips, each divided into train, val and test in
another way; a name without a number is fold 0. A store is built into the cache
(:func:`~cmg.cache.cache_folder`) once, and verified when a process first opens it, or finds one of
its files another than it was.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.cache import cache_folder
from cmg.data.verify import verify_store
from cmg.errors import ConfigError, DataError

Stamp = frozenset[tuple[str, int, int, int]]
"""Of every file of a folder: name, number on its disk, bytes, and when it was written, ns."""
_intact: dict[Path, Stamp] = {}
"""Of stores that this process found intact."""


def _is_intact(path: Path) -> bool:
    """Whether a store is as it was written; one that has not been touched is not read again."""
    stats = [(file, file.stat()) for file in path.rglob("*")]
    stamp = frozenset((str(f), one.st_ino, one.st_size, one.st_mtime_ns) for f, one in stats)
    if _intact.get(path) == stamp:
        return True
    if verify_store(path):
        return False
    _intact[path] = stamp
    return True


@dataclass(frozen=True)
class EmbeddedSet:
    """A set that cmg builds itself.

    Attributes:
        name: What opens it; a folder of that name is ``./NAME``.
        version: Raised whenever a fold becomes other data, so that caches are built anew.
        folds: How many ways of dividing it there are.
        build: Writes the store of a fold: folder to be, fold, whether a store there is replaced.
        tested: What a fold tests on, in words; empty where it says nothing of other folds.
    """

    name: str
    version: int
    folds: int
    build: Callable[[Path, int, bool], object]
    tested: str = ""

    def cached(self, fold: int = 0) -> Path:
        """The folder of a fold's store in the cache, built if it is not there or was damaged.

        Processes that build at the same time do no harm: the first one's store is used by all.

        Raises:
            ConfigError: there is no such fold.
            DataError: the cache cannot be written (set CMG_CACHE to a folder that can).
        """
        if not 0 <= fold < self.folds:
            raise ConfigError(f"{self.name}:{fold}: there is no such fold; {self.addresses}")
        path = cache_folder() / f"{self.name}-{self.version}-{fold}"
        damaged = path.exists()
        if damaged and _is_intact(path):
            return path
        try:
            self.build(path, fold, damaged)
        except DataError as error:
            if path.exists() and _is_intact(path):
                return path  # Another process was faster.
            raise DataError(
                f"{error} (the cache of built sets; CMG_CACHE names another)"
            ) from error
        return path

    @property
    def addresses(self) -> str:
        """What opens this set, for messages."""
        if self.folds == 1:
            return f"{self.name} is not divided into folds: name it {self.name!r}"
        last = f"{self.name}:{self.folds - 1}"
        return f"{self.name} has {self.folds} folds, {self.name}:0 to {last}"


EMBEDDED: dict[str, EmbeddedSet] = {}
"""The embedded sets by name; each is entered where it is built."""


def is_embedded(where: str) -> bool:
    """Whether a store's name is that of an embedded set, with or without a fold."""
    return where.partition(":")[0] in EMBEDDED


def set_name(where: str) -> str:
    """What tables of several sets call a store: an embedded set without its fold."""
    return where.partition(":")[0] if is_embedded(where) else where


def embedded_folder(where: str) -> Path:
    """The folder of an embedded set's store, by its name or the address of a fold.

    Args:
        where: ``watch`` or ``watch:3``, a name for which :func:`is_embedded` holds.

    Raises:
        ConfigError: no such fold.
        DataError: the cache cannot be written.
    """
    name, colon, fold = where.partition(":")
    found = EMBEDDED[name]
    if colon and not re.fullmatch("[0-9]{1,9}", fold):
        raise ConfigError(f"{where}: {fold!r} is no number of a fold; {found.addresses}")
    return found.cached(int(fold or 0))


def read_archive(package: str, name: str, sha256: str) -> dict[str, NDArray[Any]]:
    """The arrays of an archive that comes with cmg.

    Args:
        package: Where it lies, e.g. ``cmg.data.digits``.
        name: Of the file, an ``npz``.
        sha256: What it has to have.

    Raises:
        DataError: the archive is missing or damaged.
    """
    try:
        data = resources.files(package).joinpath(name).read_bytes()
    except OSError as error:
        raise DataError(f"the embedded archive {name} is missing; reinstall cmg") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"the embedded archive {name} is damaged (checksum); reinstall cmg")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
