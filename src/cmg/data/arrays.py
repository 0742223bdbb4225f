"""A feature store from NumPy files that a CSV lists: ``cmg data import --arrays``.

The CSV has a header and one row per clip. Its columns:

* ``id``: unique name of the clip (required);
* ``split``: its split (optional; otherwise everything is in ``train``);
* ``label`` or ``label:NAME``: a class name; an empty cell is unlabelled;
* ``meta:NAME``: kept as text with the clip;
* **every other column is a modality**. A cell is the path of a file, relative to the CSV: ``.npy``,
  ``.npz`` with a single array, or ``.npz#key``. The array is [T, C] or [T, H, W, C]; [C] is a
  single step. An empty cell says that the clip lacks the modality.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.array_files import read_array
from cmg.data.clips import Clips
from cmg.data.features import check_features, converted
from cmg.data.inmemory import class_names, feature_spec
from cmg.data.manifest import DTYPES, FeatureSpec, LabelSpec
from cmg.data.store import open_store
from cmg.data.writer import Clip, StoreWriter, check_split
from cmg.errors import CmgError, DataError, ModalityError, did_you_mean
from cmg.files import StrPath
from cmg.places import lies_there
from cmg.tables import TableRow, once, read_table
from cmg.types import Kind, plain_name


@dataclass(frozen=True)
class _Table:
    """The CSV with its columns told apart."""

    path: Path
    rows: list[TableRow]
    modalities: list[str]
    labels: dict[str, str]
    """Label name to column."""
    meta: dict[str, str]
    dtype: str | None


def import_arrays(
    manifest: StrPath,
    out: StrPath,
    *,
    kinds: Mapping[str, Kind | str] | None = None,
    step_seconds: float | Mapping[str, float] | None = None,
    dtype: str | None = None,
    notes: str = "",
    overwrite: bool = False,
) -> Clips:
    """Import NumPy files that a CSV lists; see the module for its columns.

    Args:
        manifest: The CSV.
        out: Folder of the store to be.
        kinds: Kind per modality; otherwise vectors for [T, C] and maps for [T, H, W, C]. Token
            vectors have to be said: ``{"text": "tokens"}``.
        step_seconds: Duration of a step, of all modalities or of each.
        dtype: Store everything in this dtype; otherwise each modality in that of its first file.
        notes: Where the data are from.
        overwrite: Whether a store at `out` may be replaced.

    Raises:
        DataError: the CSV or a file that it names is missing, malformed or inconsistent; the
            message names line and column.
        ModalityError: an unknown modality, kind or dtype.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ModalityError(f"unknown dtype {dtype!r}{did_you_mean(dtype, DTYPES)}")
    table = _read_table(Path(manifest), dtype)
    for said in (kinds, step_seconds):
        for name in said if isinstance(said, Mapping) else ():
            if name not in table.modalities:
                raise ModalityError(
                    f"unknown modality {name!r}{did_you_mean(name, table.modalities)}"
                )
    specs = {}
    for name in table.modalities:
        seconds = step_seconds.get(name) if isinstance(step_seconds, Mapping) else step_seconds
        specs[name] = _spec(table, name, (kinds or {}).get(name), seconds)
    labels = {
        name: LabelSpec(classes=tuple(class_names(found)))
        for name, column in table.labels.items()
        if (found := [row.cells[column] for row in table.rows if row.cells[column]])
    }
    size = sum(_expected_bytes(table, name) for name in table.modalities)
    with StoreWriter(
        out, specs, labels, notes=notes, overwrite=overwrite, expected_bytes=size
    ) as writer:
        for row in table.rows:
            writer.add(_clip(table, row, specs, labels))
    return open_store(Path(out))


def _read_table(path: Path, dtype: str | None) -> _Table:
    lines: dict[str, int] = {}

    def row_of(row: TableRow) -> TableRow:
        if not row.cells["id"]:
            raise DataError("column 'id': the id is empty; ids must be unique")
        once(lines, row.cells["id"], row.line)
        return row

    try:
        rows = read_table(path, row_of, required=("id",), strip=True)
    except DataError as error:
        there = lies_there(path) if path.is_dir() else ""
        if there:
            raise DataError(f"cannot read {path}: {there}") from error
        raise
    return _told_apart(path, rows, [*rows[0].cells], dtype)


def _told_apart(
    path: Path, rows: list[TableRow], header: Sequence[str], dtype: str | None
) -> _Table:
    labels, meta, modalities = {}, {}, []
    for column in header:
        prefix, _, rest = column.partition(":")
        if prefix == "label":
            labels[rest or "label"] = column
        elif prefix == "meta":
            meta[rest or "meta"] = column
        elif column not in ("id", "split"):
            modalities.append(column)
    for name in modalities:
        try:
            plain_name(name)
        except ValueError as error:
            raise DataError(
                f"{path}: column {name!r} would be a modality, but {error}; rename it, or call it "
                "'meta:...'"
            ) from error
    if not modalities:
        raise DataError(f"{path}: no modality; add a column with paths, e.g. 'audio'")
    return _Table(path, rows, modalities, labels, meta, dtype)


def _spec(table: _Table, name: str, kind: Kind | str | None, seconds: float | None) -> FeatureSpec:
    first = next((row for row in table.rows if row.cells[name]), None)
    if first is None:
        raise DataError(f"{table.path}: column {name!r} is empty; fill it or leave it out")
    with _blaming(table, first, name):
        return feature_spec(name, _features(table, first, name), kind, seconds)


def _expected_bytes(table: _Table, name: str) -> float:
    """What a modality takes: its files, as far as the first one is longer or shorter stored."""
    named = [row for row in table.rows if row.cells[name]]
    paths = [table.path.parent / row.cells[name].partition("#")[0] for row in named]
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return sum(sizes) * _features(table, named[0], name).nbytes / sizes[0]


@contextmanager
def _blaming(table: _Table, row: TableRow, column: str) -> Iterator[None]:
    """Name the cell and the file in it in the message of any error about it."""
    try:
        yield
    except CmgError as error:
        where = f"{table.path}, line {row.line}, column {column!r} ({row.cells[column]})"
        raise type(error)(f"{where}: {error}") from error


def _features(table: _Table, row: TableRow, name: str) -> NDArray[Any]:
    """The array [T, *shape] that a cell names."""
    file, _, key = row.cells[name].partition("#")
    path = table.path.parent / file
    if not path.exists():
        raise DataError(f"no file {path}; paths are relative to the CSV")
    block = read_array(path, key)
    if block.dtype.kind not in "fiu":
        raise DataError(f"holds {block.dtype} values; expected numbers")
    if block.ndim == 0:
        raise DataError("holds one number, shape (); expected [T, C], [T, H, W, C], or [C]: a step")
    if block.ndim == 1:
        block = block[None]
    if len(block) == 0:
        raise DataError("has no step (T = 0); leave the cell empty")
    if table.dtype == "uint8" and block.dtype != np.uint8:
        raise DataError(f"holds {block.dtype}, which uint8 cannot hold; choose a float")
    return block if table.dtype is None else converted("the array", block, table.dtype)[0]


def _clip(
    table: _Table, row: TableRow, specs: Mapping[str, FeatureSpec], labels: Mapping[str, LabelSpec]
) -> Clip:
    features = {}
    for name, spec in specs.items():
        if row.cells[name]:
            with _blaming(table, row, name):
                block = _features(table, row, name)
                features[name] = check_features(row.cells["id"], name, spec, block)
    where, split = f"{table.path}, line {row.line}", row.cells.get("split", "train")
    if not features:
        raise DataError(f"{where}: the clip has no modality; leave it out")
    check_split(f"{where}, column 'split'", split)
    return Clip(
        id=row.cells["id"],
        split=split,
        features=features,
        labels={
            name: spec.classes.index(cell) if (cell := row.cells[table.labels[name]]) else None
            for name, spec in labels.items()
        },
        meta={name: row.cells[column] for name, column in table.meta.items()},
    )
