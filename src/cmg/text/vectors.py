"""Embedded prompts and the safetensors file that keeps them.

The file has one tensor ``vectors`` float32 [P, S, H] in the order of the prompts. Its metadata have
one entry ``prompts``, a JSON object: ``labels``, ``words`` (those in each prompt's slots),
``reports`` (a record per prompt), ``origin`` (encoder and filter), and the SHA-256 of all of it.
One entry, because safetensors writes several in an order that changes from run to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cmg.errors import DataError
from cmg.files import StrPath, replace_file
from cmg.tensors import plain

FORMAT = "cmg-prompts-1"
TENSOR = "vectors"
METADATA = "prompts"


@dataclass(frozen=True)
class PromptReport:
    """What became of one prompt.

    Attributes:
        label: Whose prompt it is.
        prompt: The sentence.
        words: Every word of it that was read.
        kept: The words in its slots, in order.
        dropped: The words the filter refused, in order.
        truncated: Whether the limit on pieces cut its end off.
    """

    label: str
    prompt: str
    words: tuple[str, ...]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    truncated: bool

    @property
    def survivors(self) -> int:
        """Words the filter let pass, those beyond the slots included."""
        return len(self.words) - len(self.dropped)

    @property
    def warning(self) -> str | None:
        """What is wrong with it: no word survived, so all of its vectors are zero."""
        if self.survivors:
            return None
        return f"{self.label!r}: no word of {self.prompt!r} survives; its vectors are all zero"


@dataclass(frozen=True)
class PromptVectors:
    """The vectors of prompts.

    Attributes:
        vectors: Label to float32 [S, H]; slots without a word are zero.
        reports: A record per prompt, in the order of the prompts.
        origin: ``encoder`` (SHA-256 of its files), ``filter`` (``published`` or ``none``), and
            ``key`` (of all that decided the vectors).
    """

    vectors: dict[str, NDArray[np.float32]]
    reports: list[PromptReport]
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """A line per prompt of which nothing survived."""
        return [r.warning for r in self.reports if r.warning is not None]


def write_vectors(path: StrPath, found: PromptVectors) -> None:
    """Write the file whole or not at all.

    Raises:
        DataError: it cannot be written, or a value is masked.
    """
    path = Path(path)
    # Each on its own: NumPy keeps the order of what it stacks, and the memory is written.
    tensor = np.stack([plain(x, f"the vectors of {name!r}") for name, x in found.vectors.items()])
    told = {
        "format": FORMAT,
        "labels": list(found.vectors),
        "words": [report.kept for report in found.reports],
        "reports": [asdict(report) for report in found.reports],
        "origin": dict(found.origin),
    }
    told["sha256"] = _digest(tensor, told)
    replace_file(path, save({TENSOR: tensor}, {METADATA: json.dumps(told)}))


def read_vectors(path: StrPath) -> PromptVectors:
    """Read what :func:`write_vectors` wrote.

    Raises:
        DataError: missing, truncated, edited, or another kind of file.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            told = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            tensor = file.get_tensor(TENSOR) if TENSOR in file.keys() else None  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"cannot read the prompt vectors {path}: {error}") from error
    if tensor is None or not isinstance(told, dict) or told.get("format") != FORMAT:
        raise DataError(f"{path} holds no prompt vectors; `cmg data embed-prompts` writes them")
    if told.pop("sha256", None) != _digest(tensor, told):
        raise DataError(f"{path} is damaged or was edited; embed the prompts again")
    reports = [_as_report(row) for row in told["reports"]]
    vectors = dict(zip(told["labels"], tensor, strict=True))
    return PromptVectors(vectors, reports, told["origin"])


def _as_report(row: dict[str, Any]) -> PromptReport:
    lists = {name: tuple(row[name]) for name in ("words", "kept", "dropped")}
    return PromptReport(**(row | lists))


def _digest(tensor: NDArray[Any], told: Mapping[str, Any]) -> str:
    head = json.dumps([tensor.shape, str(tensor.dtype), told], sort_keys=True)
    return hashlib.sha256(head.encode() + tensor.tobytes()).hexdigest()
