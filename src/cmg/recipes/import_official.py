"""``cmg data import``: a folder in the official layout, or a store, as feature stores."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cmg.copying.chunks import OnError
from cmg.copying.clips import Copied, copy_clips
from cmg.copying.workspace import ResumableStaging
from cmg.data.clips import Clips
from cmg.data.manifest import MANIFEST, Manifest
from cmg.data.store import open_store
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.files import StrPath, read_json, write_synced, writing
from cmg.official.collection import (
    COLLECTION,
    Collection,
    OfficialCollection,
    TextFilter,
    open_collection,
)
from cmg.official.dataset import OfficialDataset
from cmg.official.layout import SIMULATION
from cmg.official.loaders import H5Rows, ZipFolder

SUMMARY = "import.json"

Told = Callable[[str, int, int, int], None]
"""Told (name, clips in all, clips done, of these taken over) of every chunk."""


@dataclass(frozen=True)
class ImportOptions:
    """How clips are imported.

    Attributes:
        dtype: float16, float32 or float64; None keeps that of stores and makes others float32.
        encoding: ``dense`` or ``compact``; None keeps that of stores and makes others compact.
        only: Names of the sets wanted; None is all.
        lists: Further folder of annotation files.
        text: Encoder of the prompts, see :func:`cmg.official.collection.open_collection`.
        text_filter: Likewise.
        on_error: ``skip`` leaves out clips that cannot be read.
        workers: Processes; None is one per core.
        overwrite: Whether a collection or store at the target may be replaced.
    """

    dtype: str | None = None
    encoding: str | None = None
    only: tuple[str, ...] | None = None
    lists: str | None = None
    text: str = "auto"
    text_filter: TextFilter = "published"
    on_error: OnError = "skip"
    workers: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Imported:
    """One set that was imported.

    Attributes:
        store: Its folder below the collection.
        clips: Written.
        skipped: Left out, and why.
        absent: Clips of its lists that have no features at all.
        bytes: Of the store's shards, per modality.
        source_bytes: Of the files that held the same features, per modality that was in files.
        dense_bytes: The same numbers in float32 without any encoding.
        rounding: Largest absolute change of a number by its conversion, per modality.
        seconds: It took.
        resumed: Clips taken over from an interrupted import.
        content_hash: Of the store.
    """

    store: str
    clips: int
    skipped: list[dict[str, str]]
    absent: list[str]
    bytes: dict[str, int]
    source_bytes: dict[str, int]
    dense_bytes: int
    rounding: dict[str, float]
    seconds: float
    resumed: int
    content_hash: str

    @property
    def of_source(self) -> float | None:
        """Size as a share of the files that held the same features; None without files."""
        held = sum(self.source_bytes.values())
        return sum(self.bytes[m] for m in self.source_bytes) / held if held else None

    @property
    def of_dense(self) -> float:
        """Size as a share of the same numbers in float32, all of them written out."""
        return sum(self.bytes.values()) / self.dense_bytes


@dataclass(frozen=True)
class ImportSummary:
    """What was imported, set by set.

    Attributes:
        path: The collection, or the store.
        source: Where it is from.
        stores: By name.
        remarks: What else was left out, and why.
    """

    path: Path
    source: Path
    stores: dict[str, Imported]
    remarks: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """What is written beside the stores and printed as JSON."""
        return {
            "format": "cmg-import",
            "version": 1,
            "path": str(self.path),
            "source": str(self.source),
            "stores": {name: asdict(found) for name, found in self.stores.items()},
            "remarks": self.remarks,
        }


def import_clips(
    root: StrPath, out: StrPath, options: ImportOptions, told: Told | None = None
) -> ImportSummary:
    """Import an official folder, an imported collection, or a single store.

    A single store gives a single store, anything else a collection: a folder with a store per set,
    ``collection.json`` and ``import.json``. See :func:`~cmg.copying.clips.copy_clips` for
    what happens at an interruption.

    Raises:
        CmgError: a part is missing or damaged, `out` is occupied, the disk is full, ...
    """
    root = Path(root)
    out = Path(out)
    if (root / MANIFEST).is_file():
        return _import_store(root, out, options, told)
    collection = open_collection(root, options.lists, options.text, options.text_filter)
    if isinstance(collection, OfficialCollection):
        collection.segments = collection.layout.folder("vggsound40k", "label") is not None
    names = _chosen(collection, options.only)
    workspace = ResumableStaging(out, options.overwrite, COLLECTION)
    stores = {}
    with workspace.locked(_purpose(root, names, options)):
        with writing(out):
            workspace.folder.mkdir(exist_ok=True)
        try:
            for name in names:
                stores[name] = _import_set(collection, name, workspace.folder, options, told)
        finally:
            if not any(workspace.folder.iterdir()):  # nothing worth keeping
                workspace.discard()
        remarks = list(getattr(collection, "remarks", []))
        summary = ImportSummary(out, root, stores, remarks)
        with writing(out):
            for name in names:
                _record_path(workspace.folder, name).unlink(missing_ok=True)
            _write_json(workspace.folder / SUMMARY, summary.as_dict())
            index = {"format": "cmg-collection", "version": 1, "stores": {n: n for n in names}}
            _write_json(workspace.folder / COLLECTION, index)
            if (root / SIMULATION).is_file():  # what is simulated stays marked as such
                shutil.copyfile(root / SIMULATION, workspace.folder / SIMULATION)
        workspace.publish()
    return summary


def _purpose(root: Path, names: Sequence[str], options: ImportOptions) -> dict[str, Any]:
    """What the journal of an import says of it; the state of the sets is in journals of theirs."""
    decisive = ("dtype", "encoding", "lists", "text", "text_filter")
    told = asdict(options)
    return {"source": str(root), "sets": [*names]} | {key: told[key] for key in decisive}


def _chosen(collection: Collection, only: Sequence[str] | None) -> list[str]:
    for name in only or ():
        if name not in collection.names:
            raise ConfigError(
                f"--only {name}: {collection.path} has no such set"
                f"{did_you_mean(name, collection.names)}"
            )
    return [name for name in collection.names if only is None or name in only]


def _import_store(
    root: Path, out: Path, options: ImportOptions, told: Told | None
) -> ImportSummary:
    store = open_store(root)
    if options.only or options.lists:
        raise ConfigError(f"{root} is a single store; --only and --lists are for other folders")
    copied = _copy(store, out, options, told, store.path.name)
    return ImportSummary(out, root, {out.name: _imported(out.name, store, copied, {}, [])})


def _import_set(
    collection: Collection, name: str, folder: Path, options: ImportOptions, told: Told | None
) -> Imported:
    """One set of a collection; of an interrupted import it may be there already.

    Raises:
        DataError: it cannot be read, or has changed since it was imported.
    """
    official: OfficialDataset | None = None
    try:
        if isinstance(collection, OfficialCollection):
            official = collection.read(name)
        source = collection.open(name) if official is None else official.opened()
    except DataError as error:
        others = ",".join(other for other in collection.names if other != name)
        raise DataError(
            f"{error}" + (f" (to import without {name}: --only {others})" if others else "")
        ) from error
    files = {} if official is None else _files(official)
    record = _record_path(folder, name)
    purpose = {"content": source.content_hash, "files": files}
    kept = _kept(record, folder / name, purpose, options.on_error)
    if kept is not None:
        if told:
            told(name, len(source), len(source), len(source))
        return kept
    copied = _copy(source, folder / name, options, told, name, {"files": files}, overwrite=True)
    found = _imported(name, source, copied, files, [] if official is None else official.absent)
    with writing(folder):
        _write_json(record, {"purpose": purpose, "imported": asdict(found)})
    return found


def _copy(
    source: Clips,
    out: Path,
    options: ImportOptions,
    told: Told | None,
    name: str,
    state: dict[str, Any] | None = None,
    overwrite: bool | None = None,
) -> Copied:
    fresh = source.about.manifest is None
    return copy_clips(
        source,
        out,
        dtype=options.dtype,
        encoding=options.encoding or ("compact" if fresh else None),
        on_error=options.on_error,
        workers=options.workers,
        overwrite=options.overwrite if overwrite is None else overwrite,
        state=state,
        told=told and (lambda done, kept: told(name, len(source), done, kept)),
    )


def _imported(
    name: str,
    source: Clips,
    copied: Copied,
    files: Mapping[str, Mapping[str, int]],
    absent: Sequence[str],
) -> Imported:
    before = source.about.manifest
    sizes = {} if before is None else store_bytes(before)
    sizes |= {modality: told["bytes"] for modality, told in files.items()}
    return Imported(
        store=name,
        clips=copied.clips,
        skipped=[clip.model_dump() for clip in copied.skipped],
        absent=list(absent),
        bytes=store_bytes(copied.manifest),
        source_bytes=sizes,
        dense_bytes=copied.dense_bytes,
        rounding=copied.rounding,
        seconds=round(copied.seconds, 3),
        resumed=copied.resumed,
        content_hash=copied.manifest.content_hash,
    )


def store_bytes(manifest: Manifest) -> dict[str, int]:
    """Size of the shards per modality."""
    sizes = dict.fromkeys(manifest.modalities, 0)
    for shard in manifest.shards:
        sizes[shard.modality] += shard.bytes
    return sizes


def _record_path(folder: Path, name: str) -> Path:
    return folder / f".{name}.imported.json"


def _kept(record: Path, store: Path, purpose: dict[str, Any], on_error: OnError) -> Imported | None:
    """What an interrupted import has already finished of a set."""
    try:
        told = read_json(record)
        before, found = told["purpose"], Imported(**told["imported"])
        open_store(store)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if before != purpose:
        raise DataError(
            f"{store.name} has changed since it was imported by an import that was interrupted; "
            f"remove {store.parent.parent} to start over"
        )
    if found.skipped and on_error == "fail":
        raise DataError(found.skipped[0]["reason"])
    return found


def _files(source: OfficialDataset) -> dict[str, dict[str, int]]:
    """Number, bytes and newest time of the files that hold an official set, per modality.

    A file that was replaced under its name is noticed by them, other than by the content hash.
    """
    told = {}
    for modality, loader in source.loaders.items():
        if isinstance(loader, ZipFolder):
            wanted = {f"{row.meta['video_id']}.zip" for row in source.rows}
            with os.scandir(loader.folder) as entries:
                stats = [entry.stat() for entry in entries if entry.name in wanted]
        elif isinstance(loader, H5Rows):
            stats = [loader.array.path.stat()]
        else:
            continue
        told[modality] = {
            "files": len(stats),
            "bytes": sum(stat.st_size for stat in stats),
            "newest": max((stat.st_mtime_ns for stat in stats), default=0),
        }
    return told


def _write_json(path: Path, told: dict[str, Any]) -> None:
    write_synced(path, (json.dumps(told, indent=1) + "\n").encode())
