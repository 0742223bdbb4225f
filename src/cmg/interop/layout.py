"""Which tensors an official file holds and at which sizes, and what contradicts that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from cmg.errors import CheckpointError
from cmg.interop.architecture import Architecture, as_coded_objectives, infer_architecture
from cmg.interop.extras import ExtraSizes, extra_tensors, infer_extras
from cmg.interop.names import (
    CPC,
    ENCODER,
    EPOCH,
    IDLE,
    INFERENCE,
    MODALITIES,
    OPTIMIZERS,
    QUANTIZER,
    SECTIONS,
    TOKENS,
    TOTAL_STEP,
    NameMap,
    count_indices,
    cpc_slots,
)
from cmg.models.options import ModelOptions
from cmg.models.published import PUBLISHED, published_options
from cmg.models.second import first_modalities, second_modalities
from cmg.models.unified import UnifiedModel
from cmg.objectives.club import CLUBOptions
from cmg.objectives.cross_cpc import CrossCPCOptions
from cmg.objectives.weighted import WeightedObjectives
from cmg.types import Modality

Shape = tuple[int, ...]


def build(architecture: Architecture) -> tuple[UnifiedModel, WeightedObjectives]:
    """A model and its objectives."""
    model = UnifiedModel(architecture.modalities, architecture.model)
    return model, build_objectives(architecture)


def build_objectives(architecture: Architecture, seed: int = 0) -> WeightedObjectives:
    """The objectives of a model."""
    width, second = architecture.model.width, architecture.model.second
    divided = first_modalities(architecture.modalities, second)
    deeper = second_modalities(architecture.modalities, second, width)
    return WeightedObjectives(divided, width, architecture.objectives, seed, None, deeper)


def state_tensors(model: UnifiedModel, objectives: WeightedObjectives) -> dict[str, Tensor]:
    """Parameters and buffers by our full name, detached, sharing memory with the modules."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"objectives.{name}": tensor for name, tensor in objectives.state_dict().items()}
    return tensors


def official_layout(
    architecture: Architecture, extras: ExtraSizes | None = None
) -> dict[str, Shape]:
    """Shapes of a whole file by official full name, in its order.

    Args:
        architecture: Of the model; objectives it lacks are left out.
        extras: Sizes of the extras; the release's if not given.
    """
    names = NameMap([m.name for m in architecture.modalities])
    with torch.device("meta"):
        own = state_tensors(*build(architecture))
        tensors = {names.official(ours): tensor for ours, tensor in own.items() if ours != IDLE}
        tensors[names.official(IDLE)] = own[IDLE][0]  # one row there, a row per modality here
        tensors |= extra_tensors(architecture, extras or ExtraSizes())
    return {name: tuple(tensor.shape) for name, tensor in names.in_order(tensors).items()}


# ---- names ------------------------------------------------------------------------------------


def check_names(entries: Collection[str], tensors: Collection[str]) -> None:
    """Refuse a file that holds anything but what official files do, or less.

    Accepted are whole files, with or without optimizer states, and files for inference.

    Args:
        entries: Top-level keys of the file.
        tensors: Full names ``<section>/<name>``.

    Raises:
        CheckpointError: names the first unknown and the first missing entries or tensors.
    """
    allowed = {*SECTIONS, *OPTIMIZERS, EPOCH, TOTAL_STEP}
    training = any(e in entries for e in SECTIONS if e not in INFERENCE)
    wanted = [*(SECTIONS if training else (ENCODER,)), EPOCH]
    unknown = [e for e in entries if e not in allowed]
    missing = [e for e in wanted if e not in entries]
    refuse(unknown, missing, "entries")
    check_tensor_names(tensors)


def check_tensor_names(tensors: Collection[str]) -> None:
    """The tensors' part of :func:`check_names`.

    Raises:
        CheckpointError: see there.
    """
    sections = {name.partition("/")[0] for name in tensors}
    whole = any(section not in INFERENCE for section in sections)
    modalities = traced_modalities(tensors)
    if whole or "text" in modalities:
        sections |= set(SECTIONS) if whole else {TOKENS}
    expected = [n for n in expected_names(tensors, modalities) if n.partition("/")[0] in sections]
    unknown = [name for name in tensors if name not in set(expected)]
    missing = [name for name in expected if name not in set(tensors)]
    kind = "-".join(modalities)
    refuse(unknown, missing, f"tensors of an {kind} checkpoint")


def refuse(unknown: Sequence[str], missing: Sequence[str], what: str) -> None:
    """Refuse if anything is unknown or missing.

    Raises:
        CheckpointError: names the first of both.
    """
    parts = []
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        parts.append(f"first unknown {unknown[0]!r}{more}")
    if missing:
        more = f" (and {len(missing) - 3} more)" if len(missing) > 3 else ""
        parts.append(f"missing {', '.join(map(repr, missing[:3]))}{more}")
    if parts:
        raise CheckpointError(f"not the {what} of the official release: {'; '.join(parts)}")


def traced_modalities(tensors: Collection[str]) -> list[str]:
    """Modalities whose encoders left tensors; all three where that is no official set."""
    found = []
    for m in MODALITIES:
        parts = (f"{ENCODER}/{m}_self_att.", f"{ENCODER}/{m.capitalize()}_encoder.")
        if any(name.startswith(parts) for name in tensors):
            found.append(m)
    return found if "audio" in found and len(found) > 1 else list(MODALITIES)


def expected_names(tensors: Collection[str], modalities: list[str]) -> list[str]:
    """Names of a whole file of these modalities, with as many layers and steps as `tensors` has."""
    declared = [PUBLISHED[m]() for m in modalities]
    return list(official_layout(counted(tensors, declared, published_options(), CLUBOptions())))


def counted(
    names: Collection[str], modalities: list[Modality], model: ModelOptions, club: CLUBOptions
) -> Architecture:
    """An as-coded architecture with as many layers and steps as names tell, if they tell any."""
    first, slot = modalities[0].name, f"{CPC}/{next(iter(cpc_slots([m.name for m in modalities])))}"
    layers = count_indices(names, f"{ENCODER}/{first}_self_att.encoder.layers.")
    default, temporal = CrossCPCOptions(), model.temporal
    cpc = CrossCPCOptions(
        layers=count_indices(names, f"{slot}_ar_lstm.weight_ih_l") or default.layers,
        prediction_steps=count_indices(names, f"{slot}_predictors.") or default.prediction_steps,
    )
    temporal = temporal.model_copy(update={"layers": layers or temporal.layers})
    options = model.model_copy(update={"temporal": temporal})
    return Architecture(modalities, options, as_coded_objectives(cpc, club))


# ---- shapes -----------------------------------------------------------------------------------


class Readings(Mapping[str, Tensor]):
    """Tensors without data that remember which of them were read.

    Args:
        tensors: Whose shapes matter.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = {n: torch.empty(t.shape, device="meta") for n, t in tensors.items()}
        self.read: dict[str, None] = {}

    def __getitem__(self, name: str) -> Tensor:
        """The tensor called `name`, which is now a read one."""
        self.read[name] = None
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self.tensors)

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a tensor; asking is no reading."""
        return name in self.tensors


def inferred_layout(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shapes that follow from the few tensors which sizes are read from."""
    architecture = infer_architecture(tensors)
    names = [m.name for m in architecture.modalities]
    return official_layout(architecture, infer_extras(tensors, names))


def in_layout(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by official full name, in the order of an official file.

    Optimizer states number parameters in this order, whatever order a file has them in.
    """
    return {name: tensors[name] for name in inferred_layout(tensors) if name in tensors}


def check_shapes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Refuse tensors that contradict each other.

    Args:
        tensors: By official full name; the names were checked.

    Returns:
        Them in the order of :func:`in_layout`.

    Raises:
        CheckpointError: names two tensors and their shapes.
    """
    readings = Readings(tensors)
    check_width(readings)
    expected = inferred_layout(readings)
    for name, wanted in expected.items():
        if name in tensors and tuple(tensors[name].shape) != wanted:
            raise CheckpointError(contradiction(name, wanted, readings))
    return {name: tensors[name] for name in expected if name in tensors}


def check_width(tensors: Mapping[str, Tensor]) -> None:
    """The codes' width is that of every temporal encoder, and the attention heads divide it."""
    codes = f"{QUANTIZER}embedding"
    width = tensors[codes].shape[-1] if tensors[codes].ndim == 2 else 0
    heads = published_options().temporal.heads
    for m in MODALITIES:
        name = f"{ENCODER}/{m}_self_att.affine_matrix.weight"
        if name in tensors and (tensors[name].ndim != 2 or tensors[name].shape[0] != width):
            raise CheckpointError(
                f"the tensors contradict each other: {codes!r} has shape "
                f"{list(tensors[codes].shape)}, but {name!r} has {list(tensors[name].shape)}; the "
                "width of the codes is that of the features"
            )
    if width % heads:
        raise CheckpointError(
            f"{codes!r} has shape {list(tensors[codes].shape)}, but the {heads} attention heads "
            "of official models do not divide that width"
        )


def contradiction(name: str, wanted: Shape, readings: Readings) -> str:
    """What to say of a tensor that has not the shape which follows from others.

    Which others is found by trying: a tensor is to blame if the wanted shape changes where the
    tensor at hand is wrong as soon as the sizes of the former are doubled.
    """
    shape = tuple(readings.tensors[name].shape)
    wrong = [i for i, size in enumerate(wanted) if len(shape) != len(wanted) or size != shape[i]]
    blamed = []
    for source in (read for read in readings.read if read != name):
        doubled = [2 * size for size in readings.tensors[source].shape]
        changed = {**readings.tensors, source: torch.empty(doubled, device="meta")}
        moved = inferred_layout(changed)[name]
        if any(moved[i] != wanted[i] for i in wrong):
            blamed.append(source)
    if not blamed:
        return f"{name!r} has shape {list(shape)}, but official files have {list(wanted)} there"
    others = " and ".join(f"{s!r} with {list(readings.tensors[s].shape)}" for s in blamed)
    return (
        f"the tensors contradict each other: {name!r} has shape {list(shape)}, but {others} "
        f"would have it {list(wanted)}"
    )
