"""Official Uni-Code checkpoints: reading them, and their tensors to and from our models.

Between here and there lie renames (:mod:`cmg.interop.names`) and one change of form: the official
codebook counts idle steps once per code, ours once per modality and code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmg.errors import CheckpointError
from cmg.interop.architecture import Architecture, infer_architecture
from cmg.interop.names import ENCODER, SECTIONS, NameMap
from cmg.models.unified import UnifiedModel
from cmg.objectives.weighted import WeightedObjectives
from cmg.training.state import private_width

IDLE = "model.codebook.idle"


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
    def sections(self) -> dict[str, dict[str, Tensor]]:
        """State dicts by section."""
        return by_section(self.tensors)

    @property
    def epoch(self) -> int | None:
        """0-based epoch the file was written after; None if it does not say."""
        epoch = self.rest.get("epoch")
        return epoch if isinstance(epoch, int) else None


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


def read_official(path: Path) -> OfficialCheckpoint:
    """Read an official file without executing anything in it.

    Raises:
        CheckpointError: the file is absent, truncated, holds anything but tensors and plain
            values, or is no official checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except Exception as error:  # a damaged or hostile file can break the unpickler anywhere
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"cannot read {path}: {reason[0]}; it is truncated, or holds more than tensors and "
            "plain values, and nothing in it was executed"
        ) from error
    if not isinstance(content, dict) or ENCODER not in content:
        raise CheckpointError(
            f"{path} is no official Uni-Code checkpoint: it has no entry {ENCODER!r}"
        )
    tensors: dict[str, Tensor] = {}
    for section in (name for name in content if name in SECTIONS):
        tensors |= _section_tensors(path, section, content[section])
    rest = {str(name): value for name, value in content.items() if name not in SECTIONS}
    return OfficialCheckpoint(tensors, rest)


def _section_tensors(path: Path, section: str, entries: object) -> dict[str, Tensor]:
    if not isinstance(entries, Mapping):
        raise CheckpointError(f"{path}: {section!r} is no state dict")
    for name, tensor in entries.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise CheckpointError(f"{path}: {section}/{name} is no floating-point tensor")
    return {f"{section}/{name}": tensor for name, tensor in entries.items()}


def by_section(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Full names ``<section>/<name>`` to state dicts by section."""
    sections: dict[str, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        section, _, name = full.partition("/")
        sections.setdefault(section, {})[name] = tensor
    return sections


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
    architecture = infer_architecture(checkpoint.tensors, map_size)
    modalities = architecture.modalities
    model = UnifiedModel(modalities, architecture.model).to(dtype)
    widths = {m.name: private_width(m) for m in modalities}
    objectives = WeightedObjectives(widths, architecture.model.width, architecture.objectives)
    objectives.to(dtype)
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
        extras: What :func:`import_official` carried along, or nothing.

    Returns:
        Copies by official full name; see :func:`by_section`.

    Raises:
        CheckpointError: a model that has no official form.
    """
    names = NameMap(list(model.modalities))
    tensors: dict[str, Tensor] = {}
    for ours, tensor in state_tensors(model, objectives).items():
        # As coded a code is idle since any modality last picked it: the least of our counters.
        official = tensor.amin(0) if ours == IDLE else tensor
        tensors[names.official(ours)] = official.to("cpu", torch.float64, copy=True)
    for official_name, tensor in extras.items():
        tensors[official_name] = tensor.to("cpu", torch.float64, copy=True)
    return {name: tensors[name] for name in sorted(tensors, key=names.rank)}


def state_tensors(model: UnifiedModel, objectives: WeightedObjectives) -> dict[str, Tensor]:
    """Parameters and buffers by our full name, detached, sharing memory with the modules."""
    tensors: dict[str, Tensor] = {}
    parts: dict[str, nn.Module] = {"model": model, "objectives": objectives}
    for prefix, module in parts.items():
        tensors |= {f"{prefix}.{name}": t for name, t in module.state_dict().items()}
    return tensors
