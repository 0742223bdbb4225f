"""Export a run: a folder that every command reads as it reads a run, for others or for a hub.

The layout::

    DIR/
        checkpoint.json      configuration, modalities, position, checksums; as in a run
        model.safetensors    weights and codebook
        run.json             extractors, durations of steps, labels, notes of the data, versions
        results.json         the evaluation, where there was one; baselines.json likewise
        README.md            the model card
        audio.onnx ...       with ``onnx``: features of a modality to codes
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cmg.baselines.record import FILE as BASELINES
from cmg.baselines.record import read_baselines
from cmg.clips import UNSHARED
from cmg.data.embedded import is_embedded
from cmg.errors import ConfigError
from cmg.evaluation.results import Results
from cmg.files import StrPath, bytes_below, refuse_occupied
from cmg.hub import address, is_hub, local, upload
from cmg.inference.readers import training_store
from cmg.models.saving import DESCRIPTION, MODEL
from cmg.models.unified import UnifiedModel
from cmg.places import PATH
from cmg.recipes.evaluate import RESULTS
from cmg.runs.checkpoint import Checkpoint, described, read_checkpoint, run_of
from cmg.runs.folder import RUN, read_facts, with_places
from cmg.saved import load_tensors, write_folder
from cmg.sharing.card import CARD, card
from cmg.sharing.onnx import onnx_files

KEPT = ("started", "python", "packages", "seed", "modalities", "extractors", "step_seconds", "grid")
"""What of ``run.json`` goes out; the rest tells of the machine."""


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        where: The folder, or the address with the commit that was made.
        files: Names of what was written.
        size: Bytes of all files.
    """

    where: str
    files: tuple[str, ...]
    size: int

    def told(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self) | {"files": list(self.files)}


def export(
    model: UnifiedModel | StrPath,
    where: StrPath,
    *,
    notes: str | None = None,
    onnx: bool = False,
    overwrite: bool = False,
    commit_message: str = "Upload a model of cmg",
    private: bool | None = None,
    token: str | bool | None = None,
) -> Exported:
    """Write a run or a model as a folder for others, or upload it to a hub.

    Args:
        model: A run folder (its newest checkpoint), a checkpoint, what was exported before, or a
            model.
        where: A folder, or ``hub:OWNER/NAME[@BRANCH]``.
        notes: What the card says of the data; None is what the training store says.
        onnx: Whether to write the encoders as ONNX as well.
        overwrite: Replace an earlier export in the folder.
        commit_message: On a hub.
        private: Whether a repository that is made on a hub is private; None is its default.
        token: Of the hub; None is the one that the user is logged in with.

    Raises:
        CheckpointError: no checkpoint, the folder is occupied or cannot be written, or the hub
            takes nothing. Nothing is left behind.
        ConfigError: something that would go out names a path of this machine; no address; a model
            that has no ONNX form; a package that is not installed.
        DataError: the results of the run are damaged.
    """
    with tempfile.TemporaryDirectory(prefix="cmg-export-") as temporary:
        if is_hub(where):
            address(where)
        elif not overwrite:
            refuse_occupied(Path(where), "choose another folder, or --overwrite an earlier export")
        source: StrPath = Path(temporary) / "model"
        if isinstance(model, UnifiedModel):
            model.save(source)
        else:
            source = local(model)
        folder = Path(temporary) / "export" if is_hub(where) else Path(where)
        files = write_export(source, folder, where, notes, onnx, overwrite)
        size, at = bytes_below(folder), os.fspath(where)
        if is_hub(where):
            at = upload(folder, where, commit_message, private, token)
    return Exported(at, tuple(files), size)


def write_export(
    source: StrPath, folder: Path, where: StrPath, notes: str | None, onnx: bool, overwrite: bool
) -> list[str]:
    """Write the folder of an export, whole or not at all; the names of its files.

    Raises:
        CheckpointError: see :func:`export`.
        ConfigError: likewise.
        DataError: likewise.
    """
    checkpoint = read_checkpoint(source)
    run = run_of(checkpoint.path)
    facts = public_facts(checkpoint, run, notes)
    shared = without_data(checkpoint)
    results = Results.load(run / RESULTS) if (run / RESULTS).is_file() else None
    baselines = read_baselines(run)
    told: dict[str, Any] = {DESCRIPTION: described(shared), RUN: facts}
    if results is not None:
        told[RESULTS] = results.told()
    if baselines is not None:
        told[BASELINES] = baselines.told()
        if results is not None:
            results = replace(results, controls=results.controls | baselines.scores)
    refuse_private(told)
    beside = {n: json.dumps(x, indent=1).encode() for n, x in told.items() if n != DESCRIPTION}
    beside[CARD] = card(shared, facts, results, where, onnx).encode()
    if onnx:
        beside |= onnx_files(checkpoint.path)
    tensors = {MODEL: load_tensors(checkpoint.path / MODEL)}
    told_files = (folder, DESCRIPTION, told[DESCRIPTION], tensors)
    write_folder(*told_files, lambda: "free space and export again", overwrite, beside)
    return [DESCRIPTION, MODEL, *beside]


def public_facts(checkpoint: Checkpoint, run: Path, notes: str | None) -> dict[str, Any]:
    """``run.json`` for others: what codes are made with, and what the data are."""
    own = read_facts(run) if (run / RUN).is_file() else {}
    store = training_store(checkpoint) if checkpoint.data_hash else None
    facts = {key: own[key] for key in KEPT if key in own}
    facts |= {"data_hash": checkpoint.data_hash, "store": shared_name(checkpoint)}
    facts |= {"labels": own.get("labels", {}), "notes": own.get("notes", "")}
    if store is not None:
        specs = {n: {"per": s.per, "classes": list(s.classes)} for n, s in store.labels.items()}
        facts |= {"labels": specs, "notes": store.notes}
    return facts if notes is None else facts | {"notes": notes}


def shared_name(checkpoint: Checkpoint) -> str:
    """What stands for the store in an export: a set that cmg builds itself, or its content."""
    store = checkpoint.config.data.store
    if checkpoint.data_hash and (is_embedded(store) or store.startswith(UNSHARED)):
        return store
    return UNSHARED + (checkpoint.data_hash[:12] or "unknown")


def without_data(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint whose configuration does not say where the data are."""
    places = {"store": shared_name(checkpoint), "lists": None}
    return replace(checkpoint, config=with_places(checkpoint.config, places))


def refuse_private(told: Mapping[str, Any]) -> None:
    """Refuse to let a path of this machine out.

    Raises:
        ConfigError: naming file, key and path.
    """
    for name, tree in told.items():
        for key, text in texts_of(tree):
            if found := PATH.search(text):
                remedy = f"write {key} without it in the run's {name}"
                if key == "notes":
                    remedy = "say other notes with --notes TEXT (in Python: notes=...)"
                raise ConfigError(
                    f"{name}, {key} names {found[0]!r}, which looks like a path of this machine, "
                    f"and paths do not leave it; {remedy}. Nothing was exported"
                )


def texts_of(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a tree of JSON values, names of keys as well, with where it is."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            below = f"{key}.{name}" if key else str(name)
            yield below, str(name)
            yield from texts_of(value, below)
    elif isinstance(tree, list | tuple):
        for place, value in enumerate(tree):
            yield from texts_of(value, f"{key}[{place}]")
