"""The manifest of a store, `manifest.json`, and what its records are made of."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from cmg.errors import DataError
from cmg.files import read_json
from cmg.places import lies_there
from cmg.types import Kind, Modality, ModalityName
from cmg.writers import clear_leftovers

MANIFEST = "manifest.json"
COLUMNS = "clips.safetensors"
BLOCKS = "blocks.safetensors"
LINES, INDEX = "clips.jsonl", "clips.index.safetensors"
"""The rows in version 1, and where they are in that file, which nothing reads any more."""
SHARDS = "shards"
VERSIONS = (1, 2)
MOST_STEPS = 1 << 40
"""Of a clip: sums over a store's clips stay whole numbers of 64 bits."""

Dtype = Literal["float16", "float32", "float64", "uint8"]
DTYPES: tuple[str, ...] = ("float16", "float32", "float64", "uint8")
Encoding = Literal["dense", "compact"]
ENCODINGS: tuple[str, ...] = ("dense", "compact")
MediaName = Literal["digits", "watch", "emoji"]
"""Embedded sets whose clips can be shown: their rows' `meta` says what is in which step."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
SplitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


CHECKSUM = "sha256"
"""Key in `manifest.json`: SHA-256 of everything else in it."""


def _canonical(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


class Record(BaseModel):
    """Something written as JSON: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    added_later: ClassVar[tuple[str, ...]] = ()
    """Fields that are only written where they differ from their default, so that stores from
    before the field existed keep their content hash."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        for name in self.added_later:
            if getattr(self, name) == fields[name].default:
                plain.pop(name, None)
        return plain


class FeatureSpec(Record):
    """How the features of one modality are stored.

    Attributes:
        kind: What one step is.
        shape: Feature shape of one step: (C,), or (H, W, C) for maps.
        dtype: How numbers are stored; batches are float32 whatever it is.
        step_seconds: Duration of a step in seconds; None where steps are not equally long (words).
        encoding: ``dense``: all numbers; ``compact``: those that are not zero, and a bit per
            number that says which they are (exact, see :mod:`cmg.data.compact`).
        extractor: What made the features, and the first digits of its identity, as in
            ``vgg19 sha256:0123456789ab``; None where that is not known.
    """

    added_later: ClassVar[tuple[str, ...]] = ("encoding", "extractor")

    kind: Kind
    shape: tuple[int, ...]
    dtype: Dtype = "float32"
    step_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    encoding: Encoding = "dense"
    extractor: str | None = None

    @model_validator(mode="after")
    def _fitting_shape(self) -> FeatureSpec:
        Modality(name="this", kind=self.kind, shape=self.shape)
        return self


class LabelSpec(Record):
    """The classes of one label.

    Attributes:
        classes: Class names; a label is an index into them.
        per: Whether every clip or every step of it has one.
        multiple: Whether a step may be of several classes, or of none; labels per step only.
    """

    added_later: ClassVar[tuple[str, ...]] = ("multiple",)

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    per: Literal["clip", "step"] = "clip"
    multiple: bool = False

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError("class names must be distinct")
        return classes

    @model_validator(mode="after")
    def _steps_only(self) -> LabelSpec:
        if self.multiple and self.per != "step":
            raise ValueError("only labels per step can be of several classes")
        return self


class Shard(Record):
    """One file of features.

    Attributes:
        file: Path inside the store.
        modality: Whose features it holds.
        clips: [first, last) clips of the store, in the order of its columns.
        sha256: Of the file.
        bytes: Size of the file.
    """

    file: Annotated[str, Field(pattern=r"^shards/[A-Za-z0-9_.-]+\.safetensors$")]
    modality: str
    clips: tuple[Count, Count]
    sha256: Sha256
    bytes: int


class Manifest(Record):
    """The manifest of a store, see the module :mod:`cmg.data.store` for the layout.

    Attributes:
        format: Always the same.
        version: Of the layout.
        modalities: What is stored of each.
        labels: The labels and their classes.
        splits: Number of clips per split.
        shards: The files of features.
        media: What the rows' `meta` refers to.
        notes: Where the data are from.
        clips_sha256: Of the rows as lines of JSON, whatever they are stored as: with it, equal
            stores of both versions have one content hash.
        index_sha256: Of an index of the rows, which version 1 had of many; it is not read.
        columns_sha256: Of the columns, :mod:`cmg.data.columns`; version 2 has it.
        blocks_sha256: Of the checksums per block, :mod:`cmg.data.blocks`; version 2 has it.
    """

    added_later: ClassVar[tuple[str, ...]] = ("index_sha256", "columns_sha256", "blocks_sha256")

    format: Literal["cmg-store"] = "cmg-store"
    version: Literal[1, 2] = 2
    modalities: Annotated[dict[ModalityName, FeatureSpec], Field(min_length=1)]
    labels: dict[str, LabelSpec]
    splits: dict[SplitName, Count]
    shards: tuple[Shard, ...]
    media: MediaName | None = None
    notes: str = ""
    clips_sha256: Sha256
    index_sha256: Sha256 | None = None
    columns_sha256: Sha256 | None = None
    blocks_sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _covering_shards(self) -> Manifest:
        for modality in self.modalities:
            spans = sorted(s.clips for s in self.shards if s.modality == modality)
            bounds = [0, *(last for _, last in spans)]
            chained = [first for first, _ in spans] == bounds[:-1] and bounds == sorted(bounds)
            if not chained or bounds[-1] != self.clips:
                raise ValueError(f"the shards of {modality!r} do not cover every clip once")
        strange = {s.modality for s in self.shards} - set(self.modalities)
        if strange:
            raise ValueError(f"shards of undeclared modalities {sorted(strange)}")
        return self

    @property
    def clips(self) -> int:
        """Number of clips in all splits."""
        return sum(self.splits.values())

    def canonical(self) -> bytes:
        """Canonical JSON of the content: the same features and rows always give the same bytes."""
        plain = self.model_dump(mode="json") | {"version": 1}
        for name in ("columns_sha256", "blocks_sha256"):
            plain.pop(name, None)
        return _canonical(plain)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the canonical JSON; it covers features and rows through their checksums."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def pretty(self) -> bytes:
        """The bytes of `manifest.json`, with a checksum of the rest of it from version 2 on."""
        plain = self.model_dump(mode="json")
        if self.version > 1:
            plain[CHECKSUM] = hashlib.sha256(_canonical(plain)).hexdigest()
        return (json.dumps(plain, indent=1) + "\n").encode()


class ClipRow(Record):
    """What is known of one clip beside its features.

    Attributes:
        id: Unique in the store.
        split: Name of its split.
        lengths: Steps per modality; 0 or absent where the clip lacks it.
        labels: Class index, list of class indices (one per step, -1 where unlabelled), list of
            lists of class indices (those of each step, where a label is multiple), or None.
        meta: Anything else, JSON.
    """

    id: str
    split: str
    lengths: dict[str, Annotated[int, Field(ge=0, le=MOST_STEPS)]]
    labels: dict[str, int | list[int] | list[list[int]] | None]
    meta: dict[str, Any] = Field(default_factory=dict)

    @property
    def length(self) -> int:
        """Steps of the clip's longest modality."""
        return max(self.lengths.values(), default=0)


def counted_from(path: Path) -> str:
    """Of a relative path, what it is relative to."""
    return "" if path.is_absolute() else f" in {Path.cwd()}"


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        DataError: the folder is no store, is of another version, or its manifest is malformed.
    """
    path = folder / MANIFEST
    if not os.path.isdir(folder):
        clear_leftovers(folder)  # who replaced it may have been killed half-way
    if not os.path.isdir(folder):
        there = lies_there(folder) or (
            f"there is no such folder{counted_from(folder)}; give a store's folder, or the "
            "name of an embedded set, e.g. 'digits'"
        )
        raise DataError(f"no store at {folder}: {there}")
    if not path.is_file():
        there = lies_there(folder) or "write one with `cmg data import` or cmg.write_store"
        raise DataError(f"{folder} is not a cmg store: no {MANIFEST}; {there}")
    try:
        plain = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable JSON ({error}); restore or rewrite it") from error
    return _parse_manifest(path, plain)


def _parse_manifest(path: Path, plain: object) -> Manifest:
    if not isinstance(plain, dict) or plain.get("format") != "cmg-store":
        raise DataError(f"{path.parent} is not a cmg store: {MANIFEST} has another format")
    if plain.get("version") not in VERSIONS:
        raise DataError(
            f"{path}: version {plain.get('version')!r} is not {' or '.join(map(str, VERSIONS))}; "
            "open it with the cmg that wrote it, or upgrade cmg"
        )
    told = plain.pop(CHECKSUM, None)
    try:
        found = Manifest.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {where}: {first['msg']}; restore or rewrite the store") from error
    if found.version > 1 and told != hashlib.sha256(_canonical(plain)).hexdigest():
        raise DataError(
            f"{path} was edited or damaged after the store was written (checksum differs); "
            "restore it, or write the store again"
        )
    if found.version > 1 and None in (found.columns_sha256, found.blocks_sha256):
        raise DataError(f"{path} lacks checksums of {COLUMNS} or {BLOCKS}; restore it")
    return found
