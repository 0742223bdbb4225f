"""What a folder of runs holds, told by their small files alone: nothing here imports torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from cmg.config.named import METHOD, named
from cmg.config.values import Plain, parse_yaml, yaml_text
from cmg.errors import CmgError, DataError
from cmg.files import StrPath, as_path, bytes_below, read_json
from cmg.places import lies_there

DEEPEST = 6
"""Levels of folders that are looked through: ``studies/NAME/runs/VARIANT/fold-0/seed-0`` is one."""

CHANGED = ", changed"
"""Behind the name of a method of which a run has the terms, and other values."""


@dataclass(frozen=True)
class ListedRun:
    """A run, in a line.

    Attributes:
        name: Its folder, from the one that was listed.
        path: Its folder.
        method: As far as its configuration tells, see :func:`method_of`.
        data: What it trains on; of a folder the last part of its path.
        epoch: Whole epochs that its newest checkpoint has; 0 without one.
        epochs: That it is to have; None where the configuration does not say.
        transfer: Mean over the directions between modalities in percent; None if not evaluated.
        started: ISO 8601, UTC; empty where it is not known.
        bytes: Of all its files.
        damage: What cannot be read; empty if all can.
    """

    name: str
    path: str
    method: str
    data: str
    epoch: int
    epochs: int | None
    transfer: float | None
    started: str
    bytes: int
    damage: str = ""

    @property
    def stands(self) -> str:
        """Whether it is finished, or where it stands."""
        if self.damage:
            return f"damaged: {self.damage}"
        if not self.epoch:
            return f"no epoch of {self.epochs or '?'} yet"
        if self.epochs is None or self.epoch < self.epochs:
            return f"stopped or under way at {self.epoch} of {self.epochs or '?'}"
        return f"finished, {self.epoch}"

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        finished = self.epochs is not None and self.epoch >= self.epochs and not self.damage
        return asdict(self) | {"finished": finished}


def list_runs(folder: StrPath) -> list[ListedRun]:
    """All runs in a folder and the folders below it, the newest first.

    Args:
        folder: A run, or what holds runs.

    Raises:
        DataError: it is no folder, or no run is in it.
    """
    folder = as_path(folder, "a folder of runs")
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; `cmg pretrain --out runs/NAME` writes a run there")
    methods = stated_methods()
    found = [listed(run, folder, methods) for run in run_folders(folder)]
    if not found:
        there = lies_there(folder) or "`cmg pretrain --out runs/NAME` writes one"
        raise DataError(f"no run is in {folder}; {there}")
    return sorted(found, key=lambda run: (run.started, run.name), reverse=True)


def run_folders(folder: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """The run folders at or below one; those within a run, of its baselines, are left out."""
    whole = ("config.yaml", "checkpoint.json")
    if (folder / "run.json").is_file() and any((folder / name).is_file() for name in whole):
        yield folder
        return
    try:
        with os.scandir(folder) as entries:
            below = sorted(
                entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."
            )
    except OSError:
        return  # of somebody else
    for name in below if depth else ():
        yield from run_folders(folder / name, depth - 1)


def listed(run: Path, above: Path, methods: Mapping[str, Mapping[str, Any]]) -> ListedRun:
    """One run."""
    damage: list[str] = []
    facts = told_by(run / "run.json", damage)
    newest = newest_checkpoint(run)
    checkpoint = {} if newest is None else told_by(newest / "checkpoint.json", damage)
    config = checkpoint.get("config") or stated(run / "config.yaml", damage)
    results = told_by(run / "results.json", damage) if (run / "results.json").is_file() else {}
    name = run.relative_to(above).as_posix()
    store = str(at(config, "data.store") or facts.get("store") or "?")
    return ListedRun(
        run.resolve().name if name == "." else name,
        str(run),
        method_of(config, methods),
        Path(store).name or store,
        whole(at(checkpoint, "position.epoch")) or 0,
        whole(at(config, "training.epochs")),
        mean_across(results.get("transfer")),
        started(facts),
        bytes_below(run),
        "; ".join(damage),
    )


def told_by(path: Path, damage: list[str]) -> dict[str, Any]:
    """A mapping in a JSON file; empty, and said, where there is none."""
    try:
        told = read_json(path)
    except (OSError, ValueError):
        told = None
    if isinstance(told, dict):
        return told
    damage.append(f"{path.name} cannot be read")
    return {}


def stated(path: Path, damage: list[str]) -> dict[str, Any]:
    """The configuration of a run that has no checkpoint."""
    try:
        found: dict[str, Any] = plain_values(parse_yaml(yaml_text(path, "config"), path.name))
        return found
    except CmgError:
        damage.append(f"{path.name} cannot be read")
        return {}


def newest_checkpoint(run: Path) -> Path | None:
    """The folder of the newest complete checkpoint; an export is its only one."""
    if (run / "checkpoint.json").is_file():
        return run
    folders = (run / "checkpoints").glob("step-*/checkpoint.json")
    named_so = [p.parent for p in folders if re.fullmatch(r"step-\d{8,}", p.parent.name)]
    return max(named_so, key=lambda p: int(p.name.removeprefix("step-")), default=None)


def plain_values(tree: Any) -> Any:
    """Values of a YAML text, unquoted ones by what they look like."""
    if isinstance(tree, Mapping):
        return {key: plain_values(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain_values(value) for value in tree]
    return tree.core if isinstance(tree, Plain) else tree


def at(tree: Any, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def whole(value: Any) -> int | None:
    """A number of epochs; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def started(facts: Mapping[str, Any]) -> str:
    """When a run was started, as ISO 8601 in UTC; empty where its date is none."""
    try:
        return datetime.fromisoformat(str(facts.get("started"))).astimezone(UTC).isoformat()
    except ValueError:
        return ""


def mean_across(transfer: Any) -> float | None:
    """Mean of a transfer table's directions between modalities, in percent."""
    means = [
        score.get("mean")
        for direction, score in (transfer.items() if isinstance(transfer, Mapping) else ())
        if isinstance(score, Mapping) and len(set(str(direction).split("->"))) == 2
    ]
    numbers = [mean for mean in means if isinstance(mean, int | float)]
    return fmean(numbers) if numbers else None


def stated_methods() -> dict[str, dict[str, Any]]:
    """What each method of the package states, of its own and of those it changes."""
    texts = {name: plain_values(parse_yaml(text, name)) for name, text in named(METHOD).items()}

    def whole_of(name: str) -> dict[str, Any]:
        own = dict(texts[name])
        below = own.pop(METHOD, None)
        return own if below is None else joined(whole_of(below), own)

    return {name: whole_of(name) for name in texts}


def joined(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, those of `over` before those of `base`."""
    both = {
        key: joined(base[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **over, **both}


def method_of(config: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]]) -> str:
    """The method of a configuration, which holds values and no name.

    That is the one of the package with the same terms and kind of codebook whose values it agrees
    with most, ``NAME, changed`` where it does not in all; of no such one the names of the terms.
    """
    terms = set(terms_of(config))
    apart: dict[str, int] = {}
    for name, told in methods.items():
        if set(terms_of(told)) == terms and kind_of(told) == kind_of(config):
            apart[name] = sum(
                not agrees(at(config, key), value)
                for part in ("model", "objectives", "optimizer")
                for key, value in leaves(told.get(part, {}), part)
            )
    if not terms or not apart:
        return " + ".join(sorted(terms)) or "?"
    best = min(apart, key=lambda name: (apart[name], -len(list(leaves(methods[name], "")))))
    return best + CHANGED * bool(apart[best])


def terms_of(config: Mapping[str, Any]) -> list[str]:
    """The terms that a configuration does not leave out."""
    told = config.get("objectives")
    return [k for k, v in told.items() if v is not None] if isinstance(told, Mapping) else []


def kind_of(config: Mapping[str, Any]) -> str:
    """Of the codebook."""
    return str(at(config, "model.codebook.kind") or "shared")


def leaves(tree: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; a group that is empty or left out is none."""
    if not isinstance(tree, Mapping):
        yield key, tree
        return
    for name, value in tree.items():
        yield from leaves(value, f"{key}.{name}" if key else str(name))


def agrees(own: Any, stated_value: Any) -> bool:
    """Whether a resolved value is what a method states."""
    if isinstance(own, Sequence) and isinstance(stated_value, Sequence):
        return list(own) == list(stated_value)
    return bool(own == stated_value)
