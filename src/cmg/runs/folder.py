"""The run folder: configuration, provenance and metrics of one training run.

The layout::

    RUN/
        config.yaml      the resolved configuration
        run.json         versions, seed, store and its content hash, modalities
        metrics.jsonl    a line per step: epoch, step, every term and measure
        cost.json        seconds, clips and memory of the training, see cmg.runs.cost
        tensorboard/     the same as scalars
        checkpoints/     see cmg.runs.checkpoint
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from cmg.clips import whole_path
from cmg.config.load import to_yaml, validate
from cmg.config.schema import RunConfig
from cmg.config.values import parse_yaml, yaml_text
from cmg.errors import CheckpointError, CmgError
from cmg.files import StrPath, read_json, refuse_occupied, replace_file, write_synced

RESUME = "resume it with --resume (in Python: resume=True) or choose another --out"
"""The remedy where a run is to be written to a folder that holds something."""
CONFIG, RUN, METRICS = "config.yaml", "run.json", "metrics.jsonl"


def create_run(run: Path, config: RunConfig, facts: dict[str, Any]) -> None:
    """Start a run folder.

    Args:
        run: To be created; may exist if empty.
        config: The resolved configuration.
        facts: What ``run.json`` says beside versions, e.g. the store's content hash.

    Raises:
        ConfigError: the folder is not empty; nothing is overwritten.
        CheckpointError: it cannot be written.
    """
    refuse_occupied(run, RESUME)
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_synced(run / CONFIG, to_yaml(config).encode())
        told = versions() | facts | {"from_run": from_run(run, config)}
        write_synced(run / RUN, json.dumps(told, indent=1).encode())
    except OSError as error:
        raise CheckpointError(f"cannot write run folder {run}: {error.strerror}") from error


def versions() -> dict[str, Any]:
    """Versions and machine, for ``run.json`` and benchmark results."""
    packages = ("cmg-torch", "torch", "numpy", "safetensors", "pydantic")
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "packages": found,
    }


def settled(config: RunConfig) -> RunConfig:
    """A configuration whose data are found from every folder."""
    places = {key: where and whole_path(where) for key, where in places_of(config).items()}
    return with_places(config, places)


def with_places(config: RunConfig, places: Mapping[str, str | None]) -> RunConfig:
    """A configuration of data that are elsewhere."""
    return config.model_copy(update={"data": config.data.model_copy(update=dict(places))})


def places_of(config: RunConfig) -> dict[str, str | None]:
    """Where the data are. It is all that may change in a run: their content hash does not."""
    return {"store": config.data.store, "lists": config.data.lists}


def from_run(run: Path, config: RunConfig) -> dict[str, str]:
    """Where the folders of the data are from the run folder, should all be moved together."""
    folders = {key: where for key, where in places_of(config).items() if where}
    return {k: os.path.relpath(w, run) for k, w in folders.items() if os.path.isabs(w)}


def relocated(config: RunConfig, run: Path) -> RunConfig:
    """A run's configuration, with folders that were moved together with the run.

    They are taken for the run's where their content is what it was trained on, whatever is now at
    the place that they had before.
    """
    if not (run / RUN).is_file():
        return config
    facts = read_facts(run)
    beside = {k: os.path.abspath(run / str(w)) for k, w in facts.get("from_run", {}).items()}
    found = {k: w for k, w in beside.items() if places_of(config).get(k) and Path(w).is_dir()}
    moved = with_places(config, found)
    return moved if moved != config and holds(moved, facts["data_hash"]) else config


def holds(config: RunConfig, data_hash: str) -> bool:
    """Whether the clips that a configuration names have this content."""
    from cmg.clips import configured_clips

    try:
        return configured_clips(config.data).content_hash == data_hash
    except CmgError:
        return False


def update_run(run: Path, before: RunConfig, config: RunConfig) -> None:
    """Let a run know where its data are now, and of how many epochs it is.

    Raises:
        DataError: it cannot be written.
    """
    told = read_facts(run) | {"store": config.data.store, "from_run": from_run(run, config)}
    epochs = [before.training.epochs, config.training.epochs]
    if epochs[0] != epochs[1]:
        told["epochs_asked"] = [*told.get("epochs_asked", epochs[:1]), epochs[1]]
    replace_file(run / CONFIG, to_yaml(config).encode())
    replace_file(run / RUN, json.dumps(told, indent=1).encode())


def read_config(run: StrPath) -> RunConfig:
    """The configuration that a run was started with, and where its data are now.

    Raises:
        CheckpointError: there is none.
        ConfigError: it cannot be read, or is no valid configuration.
    """
    run = Path(run)
    path = run / CONFIG
    if not path.exists():
        if (run / "checkpoint.json").is_file():
            raise CheckpointError(
                f"{run} is an exported model or a single checkpoint, which nothing trains on from: "
                "go on with the run that it was made of"
            )
        raise CheckpointError(f"{run} is no cmg run (no {CONFIG}); start it without --resume")
    tree = parse_yaml(yaml_text(path, "config"), str(path))
    complete_old(tree)
    return relocated(validate(tree, str(path)), run)


def complete_old(tree: dict[str, Any]) -> None:
    """Say what runs did before there was a choice, where the default has changed since."""
    for part, key, meant in (
        ("model", "map_detail", "published"),
        ("model", "map_tail", "full"),
        ("model", "toom_cook_from", 64),
        ("training", "keep_checkpoints", None),
    ):
        if isinstance(tree.get(part), dict):
            tree[part].setdefault(key, meant)


def read_facts(run: Path) -> dict[str, Any]:
    """What ``run.json`` says.

    Raises:
        CheckpointError: absent or damaged.
    """
    try:
        told: dict[str, Any] = read_json(run / RUN)
        told["data_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{run / RUN} is missing or damaged ({error!r}); restore it, or remove a damaged one"
        ) from error
    return told


class MetricsLog:
    """Appends a line per step to ``metrics.jsonl``.

    Args:
        run: The run folder.
        steps_done: Lines of later steps, written by an earlier process after its last checkpoint,
            are dropped, so that a resumed run's log reads like an uninterrupted one's.
    """

    def __init__(self, run: Path, steps_done: int) -> None:
        self.path = run / METRICS
        kept = [line for line in read_metrics(run) if line["step"] <= steps_done]
        write_synced(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = self.path.open("a", encoding="utf-8")

    def add(self, epoch: int, step: int, values: dict[str, float]) -> None:
        """Append one step."""
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        self._file.write(json.dumps({"epoch": epoch, "step": step} | rounded) + "\n")

    def flush(self) -> None:
        """Hand what was added to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(run: StrPath) -> list[dict[str, float]]:
    """Every whole line of a run's metrics; a line cut short by a kill is left out."""
    run = Path(run)
    path = run / METRICS
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines
