"""Folders of recorded cases, written by tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CASES = Path(__file__).parent / "cases"

Arrays = dict[str, np.ndarray]
WriteCase = Callable[[Mapping[str, Any], Arrays], Path]


@pytest.fixture
def write_case(tmp_path: Path) -> WriteCase:
    """Writes a folder of one case: fields of its entry, and arrays."""

    def write(entry: Mapping[str, Any], arrays: Arrays) -> Path:
        np.savez(tmp_path / "arrays.npz", **arrays)
        entry = {"name": "one", "file": "arrays.npz", "ctor": {}, **entry}
        (tmp_path / "cases.json").write_text(json.dumps({"cases": [entry]}))
        return tmp_path

    return write


@pytest.fixture
def recorded() -> Callable[[str], tuple[dict[str, Any], Arrays]]:
    """Entry and arrays of a case of the suite, to be changed and written elsewhere."""

    def read(name: str) -> tuple[dict[str, Any], Arrays]:
        entries = json.loads((CASES / "cases.json").read_text())["cases"]
        entry = next(e for e in entries if e["name"] == name)
        with np.load(CASES / entry.pop("file"), allow_pickle=False) as archive:
            return entry, {key: archive[key] for key in archive.files}

    return read


@pytest.fixture
def some_cases(tmp_path: Path) -> Callable[..., Path]:
    """Copies the named cases into a folder of their own."""

    def copy(*names: str) -> Path:
        entries = json.loads((CASES / "cases.json").read_text())["cases"]
        chosen = [e for e in entries if e["name"] in names]
        for entry in chosen:
            shutil.copy(CASES / entry["file"], tmp_path)
        (tmp_path / "cases.json").write_text(json.dumps({"cases": chosen}))
        return tmp_path

    return copy
