"""Stores on object storage, read through fsspec into a local cache.

Manifest, columns and checksums are fetched when a store is opened, a shard when one of its clips is
first wanted. A store's place in the cache is named after its content hash, so that a changed store
is another folder and equal stores share one. Files appear by a rename after their checksum was
compared, so that many processes may fetch the same shard at the same time: the last one wins, with
the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cmg.cache import cache_folder
from cmg.data.manifest import BLOCKS, COLUMNS, LINES, MANIFEST, Manifest, Shard, read_manifest
from cmg.data.mapped import EDITED, refused
from cmg.errors import ConfigError, DataError
from cmg.files import replace_file, replacing

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*(::[^:]+)*://")
_COPIED_AT_ONCE = 8 << 20


def is_remote(where: str) -> bool:
    """Whether `where` is an address as ``s3://bucket/store`` rather than a folder."""
    return _ADDRESS.match(where) is not None


@dataclass(frozen=True)
class RemoteStore:
    """A store somewhere else, and its copy in the cache.

    Attributes:
        address: As it was given.
        folder: The copy; shards appear in it as they are fetched.
        manifest: Of the store.
    """

    address: str
    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, address: str) -> RemoteStore:
        """Read the manifest and the columns.

        Raises:
            ConfigError: the packages that read such an address are not installed.
            DataError: there is no store, or it cannot be read, or the cache cannot be written.
        """
        address = address.rstrip("/")
        manifest_bytes = read_remote(address, MANIFEST)
        manifest = _manifest(address, manifest_bytes)
        folder = cache_folder() / "stores" / manifest.content_hash[:32]
        found = cls(address, folder, manifest)
        files = {COLUMNS: manifest.columns_sha256, BLOCKS: manifest.blocks_sha256}
        if manifest.version == 1:
            files = {LINES: manifest.clips_sha256}
        for file, digest in files.items():
            if not (folder / file).is_file():
                found._copy(file, str(digest), EDITED)
        if not (folder / MANIFEST).is_file():
            replace_file(folder / MANIFEST, manifest_bytes)
        return found

    def fetch(self, shard: Shard) -> Path:
        """The local copy of a shard; it is fetched if it is not there yet.

        Raises:
            DataError: it cannot be read, differs from its checksum, or the disk is full.
        """
        path = self.folder / shard.file
        if path.is_file() and path.stat().st_size == shard.bytes:
            return path
        return self._copy(shard.file, shard.sha256, "is truncated or damaged (checksum differs)")

    def _copy(self, file: str, sha256: str, damaged: str) -> Path:
        """Bring a file into the cache, block by block.

        Raises:
            DataError: it cannot be read, differs from its checksum, or the disk is full.
        """
        path = self.folder / file
        files, root = _filesystem(self.address)
        where = f"{self.address}/{file}"
        digest = hashlib.sha256()
        with replacing(path) as partial:
            with _reading(where):
                source = files.open(f"{root}/{file}", "rb")
            with source, partial.open("wb") as stream:
                while block := _block(where, source):
                    digest.update(block)
                    stream.write(block)
            if digest.hexdigest() != sha256:
                raise refused(where, damaged)
        return path


def read_remote(address: str, file: str) -> bytes:
    """A small file below an address.

    Raises:
        ConfigError: the address needs a package that is not installed.
        DataError: it cannot be read.
    """
    files, root = _filesystem(address)
    with _reading(f"{address}/{file}"):
        content: bytes = files.cat_file(f"{root}/{file}")
    return content


def _block(where: str, source: BinaryIO) -> bytes:
    with _reading(where):
        return source.read(_COPIED_AT_ONCE)


def _filesystem(address: str) -> tuple[Any, str]:
    """The filesystem of an address, and the path of the store in it."""
    import fsspec  # some 30 ms, for remote stores only

    try:
        files, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise ConfigError(
            f"{address}: {error}; e.g. pip install s3fs (or gcsfs, adlfs, ...)"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{address}: {error}; use an address that fsspec knows") from error
    return files, root.rstrip("/")


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn whatever a remote filesystem raises into a :class:`DataError` that says where."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(
            f"no store there: {where} does not exist; give the address of the folder of a store "
            "or of an imported collection"
        ) from error
    except Exception as error:  # each filesystem has exceptions of its own
        raise DataError(
            f"{where} cannot be read ({type(error).__name__}: {error}); check address, network "
            "and credentials, then try again"
        ) from error


def _manifest(address: str, data: bytes) -> Manifest:
    """The manifest of a remote store; its errors name the address."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(data)
        try:
            return read_manifest(Path(folder))
        except DataError as error:
            raise DataError(str(error).replace(folder, address)) from error
