"""Folders of safetensors files and a description: written whole or not at all, read with checks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cmg.errors import CheckpointError, DataError, NonFiniteError
from cmg.files import file_sha256, write_synced
from cmg.staging import Staging
from cmg.tensors import check_finite

DIVERGED = "training diverged, so no checkpoint is written"


def write_folder(
    target: Path,
    marker: str,
    told: Mapping[str, Any],
    files: Mapping[str, dict[str, Tensor]],
    remedy: Callable[[], str],
    overwrite: bool = True,
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Write a folder of tensors and its description with their checksums.

    Args:
        target: The folder.
        marker: File name of the description.
        told: What it says; checksums are added as ``sha256``.
        files: Tensors by the name of their safetensors file.
        remedy: What to do where it cannot be written, and what is left then.
        overwrite: Whether a folder with this marker may be replaced.
        beside: Further files by name.

    Raises:
        CheckpointError: it cannot be written (disk full, ...); what was there is untouched.
    """
    try:
        staging = Staging(target, overwrite=overwrite, marker=marker)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    try:
        for name, tensors in files.items():
            write_tensors(staging.folder / name, tensors)
        for name, content in (beside or {}).items():
            write_synced(staging.folder / name, content)
        sums = {"sha256": {name: file_sha256(staging.folder / name) for name in files}}
        write_synced(staging.folder / marker, json.dumps(dict(told) | sums, indent=1).encode())
        staging.publish()
    except (OSError, SafetensorError, DataError) as error:
        raise CheckpointError(f"cannot write {target}: {error}; {remedy()}") from error
    finally:
        staging.discard()


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file and wait until the disk has it."""
    save_file(tensors, path)
    path.chmod(0o644)  # save_file makes files that only their owner can read
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def load_tensors(path: Path, remedy: str = "use another checkpoint") -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Args:
        path: The file.
        remedy: What to do without it.

    Raises:
        CheckpointError: unreadable, or a value is NaN or infinite.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; {remedy}") from error
    check_finite(tensors, path, remedy, CheckpointError)
    return tensors


def flat(module: nn.Module) -> dict[str, Tensor]:
    """A module's state as contiguous CPU tensors, weights of several parts once for each.

    Raises:
        NonFiniteError: a value is NaN or infinite, so that nothing may be kept of it.
    """
    tensors: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, x in module.state_dict().items():
        own = x.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        tensors[name] = own.clone() if place in places else own  # a file holds no tensor twice
        places.add(place)
    check_finite(tensors, type(module).__name__, DIVERGED, NonFiniteError)
    return tensors


def restore(module: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Put `tensors` into a module, every one of them and nothing else.

    Raises:
        CheckpointError: names or shapes differ.
    """
    module.to(next((x.dtype for x in tensors.values() if x.is_floating_point()), torch.float32))
    own = module.state_dict()
    wrong = sorted(own.keys() ^ tensors.keys())
    wrong += [n for n in own.keys() & tensors.keys() if own[n].shape != tensors[n].shape]
    if wrong:
        raise CheckpointError(f"{source} does not fit its configuration at {', '.join(wrong[:5])}")
    module.load_state_dict(tensors)


def moments(
    prefix: str, optimizer: torch.optim.Optimizer, named: Iterable[tuple[str, nn.Parameter]]
) -> dict[str, Tensor]:
    """What an Adam knows of its parameters, as CPU tensors named ``prefix.key.parameter``.

    Raises:
        NonFiniteError: a value is NaN or infinite.
    """
    tensors = {
        f"{prefix}.{key}.{name}": value.detach().cpu().contiguous().clone()
        for name, parameter in named
        for key, value in optimizer.state.get(parameter, {}).items()
    }
    check_finite(tensors, type(optimizer).__name__, DIVERGED, NonFiniteError)
    return tensors


def restore_moments(
    prefix: str,
    optimizer: torch.optim.Optimizer,
    named: Iterable[tuple[str, nn.Parameter]],
    tensors: Mapping[str, Tensor],
) -> None:
    """The inverse of :func:`moments`; parameters that had no step yet are left without."""
    for name, parameter in named:
        found = {
            kind: tensors[f"{prefix}.{kind}.{name}"].to(parameter.device)
            for kind in ("step", "exp_avg", "exp_avg_sq")
            if f"{prefix}.{kind}.{name}" in tensors
        }
        if found:
            optimizer.state[parameter] = found
