"""The run folder: configuration, provenance and metrics of one training run.

The layout::

    RUN/
        config.yaml      the resolved configuration
        run.json         versions, seed, store and its content hash, modalities
        metrics.jsonl    a line per step: epoch, step, every term and measure
        tensorboard/     the same as scalars
        checkpoints/     see cmg.training.checkpoint
"""

from __future__ import annotations

import json
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from cmg.config.load import parse_yaml, to_yaml, validate
from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError
from cmg.files import refuse_occupied, write_synced

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
    refuse_occupied(run, "resume it with --resume or choose another --out")
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_synced(run / CONFIG, to_yaml(config).encode())
        write_synced(run / RUN, json.dumps(versions() | facts, indent=1).encode())
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


def read_config(run: Path) -> RunConfig:
    """The configuration that a run was started with.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        ConfigError: it is no valid configuration.
    """
    path = run / CONFIG
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{run} is no cmg run (no {CONFIG}); start it without --resume"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    complete_old(tree)
    return validate(tree, str(path))


def complete_old(tree: dict[str, Any]) -> None:
    """Say what runs did before there was a choice, where the default has changed since."""
    model = tree.get("model")
    if isinstance(model, dict):
        model.setdefault("map_detail", "published")
        model.setdefault("toom_cook_from", 64)


def read_facts(run: Path) -> dict[str, Any]:
    """What ``run.json`` says.

    Raises:
        CheckpointError: absent or damaged.
    """
    try:
        told: dict[str, Any] = json.loads((run / RUN).read_text(encoding="utf-8"))
        told["data_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{run / RUN} is missing or damaged: {error!r}") from error
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


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Every whole line of a run's metrics; a line cut short by a kill is left out."""
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
