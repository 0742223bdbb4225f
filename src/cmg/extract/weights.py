"""The user's files of published weights: where they are looked for, and whether they fit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cmg.cache import cache_folder
from cmg.errors import ConfigError
from cmg.extract.torch_weights import tensors_of

ENVIRONMENT = "CMG_WEIGHTS"
IN_CACHE = "weights"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
NAMED = 4
"""Tensors that a message names before it counts the others."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Published:
    """A file that its authors publish.

    Attributes:
        file: Its name.
        url: Where to get it.
        digest: Hash and what its hexadecimal digits begin with: ``("sha256", "10086976")``.
        modality: What it reads as a rule, for messages: ``audio``.
    """

    file: str
    url: str
    digest: tuple[str, str]
    modality: str

    @property
    def remedy(self) -> str:
        """What to do without it."""
        return (
            f"download {self.url} and name it with --weights {self.modality}=FILE, or put it at "
            f"${ENVIRONMENT}/{self.file} or {cache_folder() / IN_CACHE / self.file}; nothing is "
            "downloaded for you"
        )

    def told(self, path: Path, sha256: str) -> str:
        """What notes say of a file of a known SHA-256, for one whether it is the published one."""
        origin = "as published" if self.is_it(path, sha256) else "not the published file"
        return f"{path.name} {sha256[:12]}, {origin}"

    def is_it(self, path: Path, sha256: str) -> bool:
        """Whether a file of a known SHA-256, whatever its name, is the published one."""
        kind, digits = self.digest
        if kind == "sha256":
            return sha256.startswith(digits)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, kind).hexdigest().startswith(digits)


def find_weights(published: Published, given: Path | None) -> Path:
    """The file to read: the one given, else that of ``CMG_WEIGHTS``, else that of the cache.

    Args:
        published: What is looked for.
        given: The user's file, or a folder that holds it under its published name.

    Raises:
        ConfigError: it is in none of these places: what to get, and where to put it.
    """
    if given is not None:
        return _in_place(published, given.expanduser(), "--weights")
    looked = []
    named = os.environ.get(ENVIRONMENT)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"${ENVIRONMENT}={named} is no folder; {published.remedy}")
        if (folder / published.file).is_file():
            return folder / published.file
        looked.append(f"{folder} (${ENVIRONMENT})")
    else:
        looked.append(f"${ENVIRONMENT} (not set)")
    folder = cache_folder() / IN_CACHE
    if (folder / published.file).is_file():
        return folder / published.file
    looked.append(str(folder))
    raise ConfigError(f"no {published.file}; looked at {', '.join(looked)}. {_said(published)}")


def _in_place(published: Published, given: Path, said: str) -> Path:
    path = given / published.file if given.is_dir() else given
    if not path.is_file():
        raise ConfigError(f"{said}: no file {path}. {_said(published)}")
    return path


def _said(published: Published) -> str:
    return published.remedy[0].upper() + published.remedy[1:]


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 files do, whatever its name.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(len(HDF5_MAGIC)) == HDF5_MAGIC
    except OSError as error:
        raise ConfigError(f"cannot read the weights {path}: {error.strerror or error}") from error


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a network, by name."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def torch_tensors(
    path: Path, shapes: Shapes, unused: tuple[str, ...], noun: str
) -> dict[str, Tensor]:
    """Tensors of a ``.pth`` or ``.safetensors`` file, as float32.

    Args:
        path: The file.
        shapes: What it must hold.
        unused: Beginnings of names that it may hold besides.
        noun: What it should be, for messages: ``VGGish``.

    Raises:
        ConfigError: unreadable, or other tensors, shapes or types, each named; not finite.
    """
    found = tensors_of(path)
    foreign = [name for name in found if name not in shapes and not name.startswith(unused)]
    check_shapes(path, {name: tuple(x.shape) for name, x in found.items()}, shapes, noun)
    if foreign:
        raise ConfigError(f"{path} is not of {noun}: it also holds {_some(foreign)}")
    whole = [name for name in shapes if not found[name].is_floating_point()]
    if whole:
        raise ConfigError(f"{path} is not of {noun}: {_some(whole)} are not of floats")
    return {name: found[name].to(torch.float32) for name in shapes}


def check_shapes(path: Path, found: Shapes, wanted: Shapes, noun: str) -> None:
    """Compare what a file holds with what it must hold; more than that is no contradiction.

    Raises:
        ConfigError: missing tensors, or others of another shape, by name.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        holds = _some(list(found)) if found else "nothing"
        raise ConfigError(f"{path} is not of {noun}: it lacks {_some(missing)}; it holds {holds}")
    wrong = [
        f"{name} {list(found[name])}, not {list(shape)}"
        for name, shape in wanted.items()
        if found[name] != shape
    ]
    if wrong:
        raise ConfigError(f"{path} is not of {noun}: {_some(wrong)}")


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def filled(network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A network built without storage, given its tensors, frozen and in eval mode."""
    network.load_state_dict(dict(tensors), assign=True)
    return network.eval().requires_grad_(False)
