"""The index of a large store's rows, so that none has to be read before it is wanted.

`clips.index.safetensors`, derived from `clips.jsonl` alone and written where a store has more than
:data:`INDEXED_ABOVE` clips. Its tensors are memory mapped, for N clips::

    lines             int64 [N + 1]      where in clips.jsonl the line of clip i begins
    steps.<modality>  int64 [N + 1]      steps of the modality in all clips before clip i
    split.<name>      int64 [clips]      positions of the clips of the split
    keys              int64 [N]          first 63 bits of the SHA-256 of the clips' ids
    blocks            uint8 [blocks, 32] SHA-256 of each :data:`BLOCK` lines

What is trusted: the manifest has a SHA-256 of the whole index, so that the content hash covers it
and `cmg data verify` finds any change, and compares it with the rows. Opening a store reads only
the header, and compares sizes and the checksum of the rows that the index says it is of: to hash
the index would take a time that grows with the store. A line is compared with the SHA-256 of its
block when it is first read, and its lengths with `steps`.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from cmg.data.manifest import CLIPS, INDEX, ClipRow, Manifest
from cmg.errors import DataError
from cmg.files import file_sha256

INDEXED_ABOVE = 100_000
"""Stores of more clips are written with an index; of fewer, all rows are read in a second."""
BLOCK = 64
"""Lines that are verified together: about 8 kB, which is hashed in a few microseconds."""
FORMAT = {"format": "cmg-index", "version": "1"}

LINES, KEYS, BLOCKS = "lines", "keys", "blocks"
DIGEST = hashlib.sha256().digest_size


def id_key(clip: str) -> int:
    """The first 63 bits of the SHA-256 of an id; keys are in the order of the digests."""
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "big") >> 1


@dataclass
class Gathered:
    """What an index holds, gathered row by row.

    Attributes:
        modalities: Names.
        lines: See the module, as all that follow.
        steps: Per modality.
        splits: Positions per split.
        keys: Of the ids.
        absent: Number of clips that lack a modality.
    """

    modalities: tuple[str, ...]
    lines: array[int] = field(default_factory=lambda: array("q", [0]))
    steps: dict[str, array[int]] = field(default_factory=dict)
    splits: dict[str, array[int]] = field(default_factory=dict)
    keys: array[int] = field(default_factory=lambda: array("q"))
    absent: dict[str, int] = field(default_factory=dict)
    _blocks: bytearray = field(default_factory=bytearray)
    _pending: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.modalities:
            self.steps[name] = array("q", [0])
            self.absent[name] = 0

    def add(self, line: bytes, row: ClipRow) -> None:
        """Take in the next row, and the line that it is from."""
        self.splits.setdefault(row.split, array("q")).append(len(self.keys))
        self.lines.append(self.lines[-1] + len(line))
        self.keys.append(id_key(row.id))
        for name, ends in self.steps.items():
            length = row.lengths.get(name, 0)
            ends.append(ends[-1] + length)
            self.absent[name] += not length
        self._pending.append(line)
        if len(self._pending) == BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        self._blocks += hashlib.sha256(b"".join(self._pending)).digest()
        self._pending.clear()

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Everything, by the names and in the order of the file."""
        if self._pending:
            self._close_block()
        return {
            LINES: _numbers(self.lines),
            **{f"steps.{name}": _numbers(ends) for name, ends in self.steps.items()},
            **{f"split.{name}": _numbers(clips) for name, clips in self.splits.items()},
            KEYS: _numbers(self.keys),
            BLOCKS: np.frombuffer(bytes(self._blocks), np.uint8).reshape(-1, DIGEST),
        }


def _numbers(values: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(values, np.int64) if len(values) else np.zeros(0, np.int64)


def read_lines(path: Path) -> Iterator[tuple[bytes, ClipRow]]:
    """Every line of `clips.jsonl` with its row; one at a time is held.

    Raises:
        DataError: it cannot be read, or a line is no row.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield line, ClipRow.model_validate_json(line)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; restore or rewrite it") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {first['loc']}: {first['msg']}; rewrite the store") from error


def write_index(folder: Path, manifest: Manifest) -> Manifest:
    """Write the index of a store on its way, if it is to have one.

    Args:
        folder: Has `clips.jsonl`, which is on disk.
        manifest: Of the store; it is not written yet.

    Returns:
        The manifest with the checksum of the index.
    """
    if manifest.clips <= INDEXED_ABOVE:
        return manifest
    found = Gathered(tuple(manifest.modalities))
    for line, row in read_lines(folder / CLIPS):
        found.add(line, row)
    with (folder / INDEX).open("wb") as stream:
        for block in _file(found, manifest):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    return manifest.model_copy(update={"index_sha256": file_sha256(folder / INDEX)})


def _file(found: Gathered, manifest: Manifest) -> Iterator[bytes | memoryview]:
    """The bytes of an index, part by part."""
    tensors = found.tensors()
    facts = {
        "__metadata__": {
            **FORMAT,
            "clips_sha256": manifest.clips_sha256,
            "absent": json.dumps(found.absent, separators=(",", ":")),
        }
    }
    entries: dict[str, Any] = facts
    start = 0
    for name, tensor in tensors.items():
        code = "U8" if tensor.dtype == np.uint8 else "I64"
        offsets = [start, start + tensor.nbytes]
        entries[name] = {"dtype": code, "shape": [*tensor.shape], "data_offsets": offsets}
        start += tensor.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # what is mapped must be aligned
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors.values():
        plain = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        yield plain.data if plain.size else b""


class RowIndex:
    """An index, opened; it is pickled as its path, and mapped again.

    Attributes:
        path: Of the index.
        manifest: Of the store.
        lines: See the module, as all that follow.
        steps: Per modality.
        members: Positions per split.
        keys: Of the ids.
        blocks: Digests.
        absent: Number of clips that lack a modality.

    Args:
        folder: The store.
        manifest: Of the store.

    Raises:
        DataError: it is missing, malformed, truncated, or of another `clips.jsonl`.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.path = folder / INDEX
        self.manifest = manifest
        facts, tensors = self._mapped()
        self.absent = self._absent(facts)
        self.lines, self.keys, self.blocks = tensors[LINES], tensors[KEYS], tensors[BLOCKS]
        self.steps: Mapping[str, NDArray[np.int64]] = {
            name: tensors[f"steps.{name}"] for name in manifest.modalities
        }
        self.members: Mapping[str, NDArray[np.int64]] = {
            name: tensors[f"split.{name}"] for name in manifest.splits
        }
        self._check_ends()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled are folder and manifest."""
        return RowIndex, (self.folder, self.manifest)

    def __len__(self) -> int:
        """Number of clips N."""
        return self.manifest.clips

    def _mapped(self) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
        wanted = self._expected()
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = dict(file.metadata() or {})
                self._check_facts(facts)
                names = sorted(file.keys())
                if names != sorted(wanted):
                    raise self.refused(f"holds {names}, not {sorted(wanted)}")
                tensors = {name: file.get_tensor(name).numpy() for name in names}
        except (OSError, SafetensorError, RuntimeError, TypeError) as error:
            raise self.refused(f"cannot be read ({error})") from error
        for name, (dtype, shape) in wanted.items():
            found = tensors[name]
            if found.dtype != np.dtype(dtype) or found.shape != shape:
                raise self.refused(
                    f"has {name} {found.dtype} {found.shape}, not {dtype} {shape}, as the manifest "
                    "has it"
                )
        return facts, tensors

    def _expected(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        clips = self.manifest.clips
        return {
            LINES: ("int64", (clips + 1,)),
            **{f"steps.{name}": ("int64", (clips + 1,)) for name in self.manifest.modalities},
            **{f"split.{name}": ("int64", (n,)) for name, n in self.manifest.splits.items()},
            KEYS: ("int64", (clips,)),
            BLOCKS: ("uint8", (-(-clips // BLOCK), DIGEST)),
        }

    def _check_facts(self, facts: Mapping[str, str]) -> None:
        told = {key: facts.get(key) for key in FORMAT}
        if told != FORMAT:
            raise self.refused(f"is of format {told}, not {FORMAT}")
        if facts.get("clips_sha256") != self.manifest.clips_sha256:
            raise self.refused(f"belongs to another {CLIPS}")

    def _absent(self, facts: Mapping[str, str]) -> dict[str, int]:
        try:
            found = json.loads(facts.get("absent", ""))
        except ValueError:
            found = None
        if not isinstance(found, dict) or set(found) != set(self.manifest.modalities):
            raise self.refused("does not say which modalities are absent")
        if not all(isinstance(n, int) and 0 <= n <= len(self) for n in found.values()):
            raise self.refused("has strange counts of absent modalities")
        return found

    def _check_ends(self) -> None:
        for name, ends in self.steps.items():
            if ends[0] != 0 or ends[-1] < 0:
                raise self.refused(f"has strange steps of {name}")
        clips = self.folder / CLIPS
        try:
            size = clips.stat().st_size
        except OSError as error:
            raise DataError(f"{clips}: {error.strerror or error}; restore or rewrite it") from error
        if self.lines[0] != 0 or self.lines[-1] != size:
            raise DataError(
                f"{clips} was edited or damaged after the store was written, or its index was: "
                f"{size} bytes, {INDEX} says {self.lines[-1]}; restore them, or write the store "
                "again"
            )

    def holds(self, clips: NDArray[np.int64]) -> bool:
        """Whether there are clips at all of these positions."""
        return bool(clips.min(initial=0) >= 0 and clips.max(initial=0) < len(self))

    def refused(self, why: str) -> DataError:
        """The error of an index that cannot be used."""
        return DataError(
            f"index {self.path} {why}; delete it (opening the store then reads all rows), or write "
            "the store again"
        )

    def differs(self, found: Gathered) -> str | None:
        """The first tensor that is not what the rows say; None where all are."""
        mine = {
            LINES: self.lines,
            **{f"steps.{name}": ends for name, ends in self.steps.items()},
            **{f"split.{name}": clips for name, clips in self.members.items()},
            KEYS: self.keys,
            BLOCKS: self.blocks,
        }
        theirs = found.tensors()
        if self.absent != found.absent:
            return "absent"
        return next(
            (name for name, x in theirs.items() if not np.array_equal(x, mine.get(name, x[:0]))),
            None,
        )


def open_index(folder: Path, manifest: Manifest) -> RowIndex | None:
    """The index of a store, None where it has none or it was deleted.

    Raises:
        DataError: there is one that cannot be used.
    """
    if manifest.index_sha256 is None or not (folder / INDEX).exists():
        return None
    return RowIndex(folder, manifest)
