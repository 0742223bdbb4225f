"""The feature store: a folder of safetensors files and a manifest.

Layout of a store of version 2::

    manifest.json                    modalities, labels, splits, shards with checksums, notes
    clips.safetensors                what is known of each clip, see cmg.data.columns
    blocks.safetensors               a SHA-256 per MiB of all files, see cmg.data.blocks
    shards/00000.audio.safetensors   the steps of consecutive clips, one after the other: tensor
                                     `features` [sum of lengths, *shape], or see cmg.data.compact

Version 1 has `clips.jsonl`, a row per clip, in the place of the columns; `cmg data import` writes
it anew. Nothing in a store is executable, and every file is covered by a SHA-256 in the manifest.
:class:`~cmg.data.writer.StoreWriter` writes stores, :func:`open_store` opens them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.about import About
from cmg.data.clips import Clips
from cmg.data.columns import Columns, ColumnsWriter, Positions, open_columns, read_lines
from cmg.data.embedded import embedded_folder, is_embedded
from cmg.data.manifest import COLUMNS, LINES, Manifest, Shard, read_manifest
from cmg.data.mapped import EDITED, refused
from cmg.data.remote import RemoteStore, is_remote
from cmg.data.shards import MappedShard, least_bytes, map_shard
from cmg.data.verify import check_size, verify_store
from cmg.errors import DataError
from cmg.files import StrPath, as_path, file_sha256

NAMED = "a store is named by its folder, its address, or as an embedded set"
"""What opens one, for messages."""
CHECKED_BYTES = 8 << 20
"""Columns of up to this size are compared with their checksum when a store is opened."""


def open_store(where: StrPath) -> Clips:
    """Open a store by its folder or address, or an embedded set: ``"digits"``, ``"watch:3"``.

    Features are memory mapped and read when asked for, and so are the columns. Checked now are the
    manifest, the sizes of all files, and the checksum of the columns where that takes a few
    milliseconds; the rest is for :func:`verify`. An address as ``s3://bucket/store`` is read
    through fsspec: each shard is fetched when it is first needed, checked against its checksum,
    and kept in the cache (``CMG_CACHE``).

    Raises:
        DataError: the folder is no store, or a file is missing, truncated or edited.
        ConfigError: an address that the installed packages cannot read, or no such fold.
    """
    if isinstance(where, str) and is_remote(where):
        remote = RemoteStore.open(where)
        return _clips(remote.folder, remote.manifest, remote)
    if isinstance(where, str) and is_embedded(where):
        where = embedded_folder(where)
    path = as_path(where, NAMED)
    manifest = read_manifest(path)
    for shard in manifest.shards:
        check_size(path / shard.file, shard)
    return _clips(path, manifest)


def verify(where: StrPath) -> list[str]:
    """Recompute checksums, shapes, finiteness and counts of a store from the disk.

    All of a remote store is fetched.

    Returns:
        One line per problem, each naming a file; empty if the store is as it was written.

    Raises:
        DataError: a shard cannot be fetched, or there is no embedded set in the cache.
    """
    if isinstance(where, str) and is_remote(where):
        remote = RemoteStore.open(where)
        for shard in remote.manifest.shards:
            remote.fetch(shard)
        return verify_store(remote.folder)
    if isinstance(where, str) and is_embedded(where):
        where = embedded_folder(where)
    return verify_store(where)


def _clips(path: Path, manifest: Manifest, remote: RemoteStore | None = None) -> Clips:
    columns = _old_columns(path, manifest) if manifest.version == 1 else _columns(path, manifest)
    for shard in manifest.shards:
        _check_steps(manifest, columns, shard)
    about = About(
        path=path,
        specs=manifest.modalities,
        labels=manifest.labels,
        fingerprint=partial(_content_hash, manifest),
        media=manifest.media,
        notes=manifest.notes,
        manifest=manifest,
    )
    return Clips(about, columns, ReadShards(path, manifest, columns, remote))


def _content_hash(manifest: Manifest) -> str:
    return manifest.content_hash


def _columns(path: Path, manifest: Manifest) -> Columns:
    found = open_columns(path, manifest)
    small = (path / COLUMNS).stat().st_size <= CHECKED_BYTES
    if small and file_sha256(path / COLUMNS) != manifest.columns_sha256:
        raise refused(path / COLUMNS, EDITED)
    return found


def _old_columns(path: Path, manifest: Manifest) -> Columns:
    """The rows of a store of version 1 as columns in memory; all are read for it."""
    lines = path / LINES
    found = ColumnsWriter(manifest.modalities, manifest.labels, hashed=False)
    if not lines.is_file():
        raise DataError(f"{lines} is missing; restore or rewrite it")
    if file_sha256(lines) != manifest.clips_sha256:
        raise refused(lines, EDITED)
    for number, row in enumerate(read_lines(lines), 1):
        try:
            found.add(row)
        except OverflowError as error:
            raise DataError(
                f"{lines}, line {number}: a number of steps or of a class is beyond all measure; "
                "restore or rewrite it"
            ) from error
    if found.splits != manifest.splits:
        raise DataError(
            f"{lines} has splits {found.splits}, the manifest says {manifest.splits}; "
            "restore or rewrite the store"
        )
    return found.columns(lines)


def _check_steps(manifest: Manifest, columns: Columns, shard: Shard) -> None:
    """Refuse clips that claim more steps than their shard has room for."""
    ends = columns.steps(shard.modality)
    steps = int(ends[shard.clips[1]]) - int(ends[shard.clips[0]])
    least = least_bytes(manifest.modalities[shard.modality], steps)
    if not 0 <= least <= shard.bytes:
        first, last = shard.clips
        raise DataError(
            f"{columns.where} has {steps} steps of {shard.modality} in clips {first} to {last}, "
            f"for which {shard.file} with its {shard.bytes} bytes has no room; restore or rewrite "
            "the store"
        )


class ReadShards:
    """Reads the features of a store; a :data:`~cmg.data.about.Read`.

    Args:
        path: The folder; of a remote store its copy in the cache.
        manifest: Its manifest.
        columns: Of all its clips.
        remote: Where shards that `path` lacks are fetched from.
    """

    def __init__(
        self, path: Path, manifest: Manifest, columns: Columns, remote: RemoteStore | None = None
    ) -> None:
        self.path, self.manifest, self.columns, self.remote = path, manifest, columns, remote

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: no memory maps, which are made again when needed."""
        return {name: getattr(self, name) for name in ("path", "manifest", "columns", "remote")}

    @cached_property
    def _maps(self) -> dict[str, MappedShard]:
        return {}

    @cached_property
    def _shards(self) -> Mapping[str, tuple[list[Shard], NDArray[np.int64]]]:
        """Shards of a modality in order, and the number of clips up to the end of each."""
        found = {}
        for name in self.manifest.modalities:
            own = (shard for shard in self.manifest.shards if shard.modality == name)
            shards = sorted(own, key=lambda shard: shard.clips)
            found[name] = shards, np.array([shard.clips[1] for shard in shards])
        return found

    def __call__(self, modality: str, clips: Positions) -> tuple[Tensor, Tensor]:
        """Features [B, T, *shape] and lengths; see :data:`~cmg.data.about.Read`."""
        spec = self.manifest.modalities[modality]
        ends = self.columns.steps(modality)
        lengths = self.columns.lengths(modality, clips)
        first = ends[:-1][clips]
        shards, last = self._shards[modality]
        inside = np.searchsorted(last, clips, side="right")
        places = []
        for clip, start, length, at in zip(clips, first, lengths, inside, strict=True):
            if not length:
                continue
            begins = int(start) - int(ends[shards[at].clips[0]])
            mapped = self._map(shards[at])
            if not 0 <= begins <= mapped.steps - length:
                raise self.columns.damaged(f"steps.{modality}", int(clip))
            places.append((mapped, begins))
        # NumPy asks for huge pages, so that large batches cost few page faults.
        out = np.zeros((len(clips), int(lengths.max(initial=0)), *spec.shape), spec.dtype)
        for i, (mapped, begins) in zip(np.flatnonzero(lengths), places, strict=True):
            mapped.read(begins, begins + int(lengths[i]), out[i, : lengths[i]])
        return torch.from_numpy(out), torch.from_numpy(lengths)

    def _map(self, shard: Shard) -> MappedShard:
        mapped = self._maps.get(shard.file)
        if mapped is None:
            first, last = shard.clips
            ends = self.columns.steps(shard.modality)
            path = self.path / shard.file if self.remote is None else self.remote.fetch(shard)
            spec = self.manifest.modalities[shard.modality]
            mapped = self._maps[shard.file] = map_shard(path, spec, int(ends[last] - ends[first]))
        return mapped
