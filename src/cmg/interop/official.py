"""Official Uni-Code checkpoints: reading them, and their tensors to and from our models.

Between here and there lie renames (:mod:`cmg.interop.names`) and one change of form: the official
codebook counts idle steps once per code, ours once per modality and code.
"""

from __future__ import annotations

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmg.codebook.codebook import CodebookOptions
from cmg.codebook.quantizer import QuantizerOptions
from cmg.codebook.reset import heard_rows, idle_by_rule
from cmg.errors import CheckpointError
from cmg.files import StrPath, torch_fault
from cmg.interop.architecture import Architecture, infer_architecture
from cmg.interop.layout import (
    build,
    check_names,
    check_shapes,
    check_tensor_names,
    state_tensors,
)
from cmg.interop.names import EPOCH, IDLE, SECTIONS, TOTAL_STEP, NameMap
from cmg.interop.optimizers import check_states, packed_states
from cmg.models.unified import UnifiedModel
from cmg.objectives.weighted import WeightedObjectives
from cmg.places import lies_there
from cmg.tensors import check_finite, check_plain, unwrapped


@dataclass(frozen=True)
class OfficialCheckpoint:
    """What an official file holds.

    Attributes:
        tensors: By full name ``<section>/<state_dict name>``, in the file's order.
        rest: Everything else: the states of the four optimizers, `epoch`, `total_step`.
    """

    tensors: dict[str, Tensor]
    rest: dict[str, Any] = field(default_factory=dict)

    @property
    def sections(self) -> dict[str, OrderedDict[str, Tensor]]:
        """State dicts by section."""
        return by_section(self.tensors)

    @property
    def epoch(self) -> int | None:
        """0-based epoch the file was written after; None if it does not say."""
        return self.rest.get(EPOCH)

    @property
    def total_step(self) -> int | None:
        """Steps that the authors' script counted; None if the file does not say."""
        return self.rest.get(TOTAL_STEP)


@dataclass
class ImportedModel:
    """A model made from an official checkpoint.

    Attributes:
        architecture: What the tensors say about the model.
        model: With the file's weights and codebook, in eval mode.
        objectives: Cross-CPC and CLUB nets, as far as the file has them.
        extras: Tensors nothing here uses, by official full name; export puts them back.
        absent: Our full names of what the file did not hold (a file for inference has neither
            decoders nor objectives); these weights are untrained.
    """

    architecture: Architecture
    model: UnifiedModel
    objectives: WeightedObjectives
    extras: dict[str, Tensor]
    absent: list[str]


# ---- reading ----------------------------------------------------------------------------------


def read_official(path: StrPath) -> OfficialCheckpoint:
    """Read an official file without executing anything in it.

    Whole files, with or without optimizer states, and files for inference (`Encoder_parameters`,
    `Text_ar_lstm_parameters`, `epoch`) are read, under DataParallel or not. Tensors are mapped, not
    copied.

    Raises:
        CheckpointError: the file is absent, truncated, holds anything but tensors and plain
            values, holds other entries or tensors than official files do, contradicts itself, or
            has values that are NaN or infinite.
    """
    path = Path(path)
    content = unpickled(path)
    try:
        checkpoint = _checked(content)
        check_states(checkpoint.rest, check_shapes(checkpoint.tensors))
        tensors = checkpoint.tensors | packed_states(checkpoint.rest)[0]
        check_finite(tensors, "its tensors", "take the file of another epoch", CheckpointError)
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    return checkpoint


def unpickled(path: Path) -> object:
    """What a ``torch.save`` file holds, read with weights only.

    Raises:
        CheckpointError: absent, truncated, packed, or holding more than tensors and plain values.
    """
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _refuse_packed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what is refused is said below
            content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except IsADirectoryError as error:
        there = lies_there(path) or "give the .pt file in it"
        raise CheckpointError(f"{path} is a folder; {there}") from error
    except CheckpointError:
        raise
    except Exception as error:  # a damaged or hostile file can break the unpickler anywhere
        raise CheckpointError(
            f"cannot read {path}: {torch_fault(path, error)}; nothing in it was executed"
        ) from error
    return content


def _refuse_packed(path: Path) -> None:
    """``torch.save`` never compresses: whatever grows when it is read is no checkpoint."""
    with zipfile.ZipFile(path) as archive:
        packed = [i for i in archive.infolist() if i.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise CheckpointError(
            f"cannot read {path}: its member {packed[0].filename!r} is compressed, which no "
            "checkpoint is; nothing in it was executed"
        )


def _checked(content: object) -> OfficialCheckpoint:
    """Sort a file's content into tensors and the rest.

    Raises:
        CheckpointError: other entries, other tensors, or entries of another type.
    """
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise CheckpointError("it is no official Uni-Code checkpoint, but something without names")
    tensors: dict[str, Tensor] = {}
    for section in (name for name in content if name in SECTIONS):
        tensors |= _section_tensors(section, content[section])
    check_names(content, tensors)
    rest = {name: value for name, value in content.items() if name not in SECTIONS}
    for name in (EPOCH, TOTAL_STEP):
        value = rest.get(name, 0)
        if type(value) is not int or value < 0:
            raise CheckpointError(f"{name!r} is {value!r}, no whole number from 0 on")
    return OfficialCheckpoint(tensors, rest)


def _section_tensors(section: str, entries: object) -> dict[str, Tensor]:
    if not isinstance(entries, Mapping):
        raise CheckpointError(f"{section!r} is no state dict")
    tensors = {}
    for name, tensor in unwrapped(entries).items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise CheckpointError(f"{section}/{name} is no floating-point tensor")
        check_plain(f"{section}/{name}", tensor)
        tensors[f"{section}/{name}"] = tensor.detach()
    return tensors


def by_section(tensors: Mapping[str, Tensor]) -> dict[str, OrderedDict[str, Tensor]]:
    """Full names ``<section>/<name>`` to state dicts by section, in the order of official files."""
    # An `OrderedDict[str, Tensor]()` would carry its type arguments into the file.
    sections: dict[str, OrderedDict[str, Tensor]] = {s: OrderedDict() for s in SECTIONS}
    for full, tensor in tensors.items():
        section, _, name = full.partition("/")
        sections[section][name] = tensor
    return {section: found for section, found in sections.items() if found}


# ---- to and from our models -------------------------------------------------------------------


def import_official(
    checkpoint: OfficialCheckpoint, dtype: torch.dtype = torch.float64, map_size: int = 7
) -> ImportedModel:
    """A model with the weights and the codebook of an official file.

    Args:
        checkpoint: From :func:`read_official`.
        dtype: Of the model; official files are float64.
        map_size: Height and width of video maps, which no tensor tells; 7 in the release.

    Returns:
        Model, objectives, and what was carried along or absent.

    Raises:
        CheckpointError: tensors that do not make a model of the release.
    """
    check_tensor_names(checkpoint.tensors)
    check_shapes(checkpoint.tensors)
    architecture = infer_architecture(checkpoint.tensors, map_size)
    model, objectives = build(architecture)
    model, objectives = model.to(dtype), objectives.to(dtype)
    extras, absent = load_official(checkpoint.tensors, model, objectives)
    return ImportedModel(architecture, model.eval(), objectives, extras, absent)


def load_official(
    tensors: Mapping[str, Tensor], model: UnifiedModel, objectives: WeightedObjectives
) -> tuple[dict[str, Tensor], list[str]]:
    """Copy official tensors into a model and its objectives, in place.

    Args:
        tensors: By official full name.
        model: Of the same modalities and sizes.
        objectives: Its Cross-CPC and CLUB nets.

    Returns:
        The extras by official full name, and our full names that `tensors` did not fill.

    Raises:
        CheckpointError: an unknown tensor, or one of another shape.
    """
    names = NameMap(list(model.modalities))
    targets = state_tensors(model, objectives)
    extras: dict[str, Tensor] = {}
    filled: set[str] = set()
    for official, tensor in tensors.items():
        ours = names.ours(official)
        if ours is None:
            extras[official] = tensor
            continue
        if ours not in targets:
            raise CheckpointError(f"{official!r} has no place in this model (it would be {ours!r})")
        _fill(targets[ours], tensor, official, repeat_rows=ours == IDLE)
        filled.add(ours)
    return extras, [ours for ours in targets if ours not in filled]


def _fill(target: Tensor, tensor: Tensor, official: str, repeat_rows: bool) -> None:
    wanted = target.shape[1:] if repeat_rows else target.shape
    if tensor.shape != wanted:
        raise CheckpointError(
            f"{official!r} has shape {list(tensor.shape)}; this model has {list(wanted)}"
        )
    target.copy_(tensor.expand_as(target))


def export_official(
    model: UnifiedModel, objectives: WeightedObjectives, extras: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of an official file, float64, in its order.

    Args:
        model: Of official modalities.
        objectives: Its Cross-CPC and CLUB nets.
        extras: What :func:`import_official` carried along, or
            :func:`cmg.interop.extras.fresh_extras`.

    Returns:
        Copies by official full name; see :func:`by_section`.

    Raises:
        CheckpointError: a model that has no official form.
    """
    own = state_tensors(model, objectives)
    names = NameMap(list(model.modalities))
    tensors = renamed_tensors(own, names, model.options.codebook)
    tensors |= {name: tensor.to("cpu", torch.float64, copy=True) for name, tensor in extras.items()}
    return names.in_order(tensors)


def renamed_tensors(
    own: Mapping[str, Tensor], names: NameMap, codebook: QuantizerOptions
) -> dict[str, Tensor]:
    """Float64 copies of our tensors by official full name.

    Args:
        own: By our full name.
        names: Of the model's modalities.
        codebook: Of kind ``shared``; its reset says by which modalities' counters a code is idle,
            as coded the least of them.
    """
    assert isinstance(codebook, CodebookOptions)
    tensors, reset = {}, codebook.reset
    heard = heard_rows(names.modalities, reset)
    for ours, tensor in own.items():
        official = idle_by_rule(tensor[heard], reset.rule) if ours == IDLE else tensor
        tensors[names.official(ours)] = official.to("cpu", torch.float64, copy=True)
    return tensors
