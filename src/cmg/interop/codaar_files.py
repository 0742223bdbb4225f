"""Files of CoDAAR as models: read, checked, and refused where they contradict themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cmg.errors import CheckpointError
from cmg.interop.architecture import Architecture
from cmg.interop.codaar import UNUSED, codaar_rules, infer_codaar, load_codaar
from cmg.interop.folder import Release
from cmg.interop.layout import build
from cmg.interop.names import (
    CPC,
    DECODER,
    ENCODER,
    EPOCH,
    MAIN_OPTIMIZER,
    QUANTIZER,
    TOKENS,
    TOTAL_STEP,
    inverse,
    renamed,
)
from cmg.interop.official import ImportedModel, OfficialCheckpoint, unpickled
from cmg.tensors import check_finite, check_plain, unwrapped

TRACE = "video_semantic_encoder.spatial_conv_stack.0.weight"
"""A tensor of the encoder that no other release has."""
PARTS = (ENCODER, CPC, TOKENS, DECODER)
COUNTER = ".num_batches_tracked"
"""How the names of tensors of whole numbers end."""


def read_codaar(path: Path) -> OfficialCheckpoint | None:
    """A file's tensors, its epoch and steps; without the optimizer's states, which nothing reads.

    Returns:
        None where it is no file of this release.

    Raises:
        CheckpointError: it cannot be read, holds what such files do not, or values that are NaN.
    """
    content = unpickled(path)
    if not isinstance(content, Mapping) or not isinstance(content.get(ENCODER), Mapping):
        return None
    if not any(str(name).endswith(TRACE) for name in content[ENCODER]):
        return None
    try:
        known = (*PARTS, MAIN_OPTIMIZER, EPOCH, TOTAL_STEP)
        if unknown := [name for name in content if name not in known]:
            raise CheckpointError(f"its entry {unknown[0]!r} is none of {', '.join(known)}")
        tensors: dict[str, Tensor] = {}
        for part in (part for part in PARTS if part in content):
            tensors |= _tensors(part, content[part])
        check_finite(tensors, "its tensors", "take the file of another epoch", CheckpointError)
        rest = {name: content[name] for name in (EPOCH, TOTAL_STEP) if name in content}
        if EPOCH not in rest or any(type(x) is not int or x < 0 for x in rest.values()):
            raise CheckpointError(f"{EPOCH!r} and {TOTAL_STEP!r} must be whole numbers from 0 on")
    except CheckpointError as error:
        raise CheckpointError(f"{path} is a CoDAAR file that cannot be used: {error}") from error
    return OfficialCheckpoint(tensors, rest)


def _tensors(part: str, entries: object) -> dict[str, Tensor]:
    if not isinstance(entries, Mapping):
        raise CheckpointError(f"{part!r} is no state dict")
    found = {}
    for name, tensor in unwrapped(entries).items():
        whole = str(name).endswith(COUNTER)
        if not isinstance(tensor, Tensor) or tensor.is_floating_point() is whole:
            kind = "whole-number" if whole else "floating-point"
            raise CheckpointError(f"{part}/{name} is no {kind} tensor")
        check_plain(f"{part}/{name}", tensor)
        found[f"{part}/{name}"] = tensor.detach()
    return found


def import_codaar(
    checkpoint: OfficialCheckpoint, dtype: torch.dtype = torch.float64, map_size: int = 7
) -> ImportedModel:
    """A model with the weights and the codebook of a file.

    Args:
        checkpoint: Of :func:`read_codaar`.
        dtype: Of the model.
        map_size: Height and width of video maps, which no tensor tells.

    Raises:
        CheckpointError: tensors that are missing, unknown, or contradict each other.
    """
    tensors = checkpoint.tensors
    architecture = infer_codaar(tensors, map_size)
    heads = architecture.model.temporal.heads
    if architecture.model.width % heads:
        raise CheckpointError(
            f"'{QUANTIZER}embedding' is of width {architecture.model.width} per modality, which "
            f"the {heads} attention heads of these models do not divide"
        )
    with torch.device("meta"):  # shapes first: a wrong one is named before memory is taken
        model, objectives = build(architecture)
        refuse_missing(architecture, tensors, load_codaar(tensors, model, objectives)[1])
    model, objectives = build(architecture)
    model, objectives = model.to(dtype), objectives.to(dtype)
    extras, absent = load_codaar(tensors, model, objectives)
    return ImportedModel(architecture, model.eval(), objectives, extras, absent)


def refuse_missing(
    architecture: Architecture, tensors: Mapping[str, Tensor], absent: list[str]
) -> None:
    """Refuse a file that lacks tensors of the parts that it has; the encoder's are needed.

    Raises:
        CheckpointError: naming the first.
    """
    back = inverse(codaar_rules([m.name for m in architecture.modalities]))
    parts = {ENCODER, TOKENS, *(name.partition("/")[0] for name in tensors)}
    for ours in (name for name in absent if not name.startswith(UNUSED)):
        official = renamed(ours, back)
        assert official is not None
        if official.partition("/")[0] in parts:
            raise CheckpointError(f"no tensor {official!r}, which CoDAAR files hold")


def in_codaar_model(modalities: list[str], official: str) -> bool:
    """Whether a tensor of a file is one of ``model.safetensors``."""
    if official.startswith(QUANTIZER):
        return True
    ours = renamed(official, codaar_rules(modalities))
    return ours is not None and ours.startswith("model.")


CODAAR = Release("CoDAAR ", read_codaar, import_codaar, in_codaar_model, "codaar-as-coded")
