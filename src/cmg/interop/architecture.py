"""What the tensors of an official checkpoint say about the model they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cmg.encoders.temporal import TemporalOptions
from cmg.errors import CheckpointError
from cmg.interop.names import (
    CLUB_NETS,
    CPC,
    ENCODER,
    MODALITIES,
    TOKENS,
    count_indices,
    cpc_slots,
)
from cmg.models.options import ModelOptions
from cmg.models.published import (
    published_audio,
    published_options,
    published_text,
    published_video,
)
from cmg.objectives.club import CLUBOptions
from cmg.objectives.cross_cpc import CrossCPCOptions
from cmg.objectives.options import ObjectiveOptions
from cmg.objectives.reconstruction import ReconstructionOptions
from cmg.types import Modality


@dataclass(frozen=True)
class Architecture:
    """A model and its objectives as data.

    Attributes:
        modalities: Declarations, in the order of the sequential codebook update.
        model: The as-coded variant at these sizes.
        objectives: As coded; a term whose nets the file lacks is left out.
    """

    modalities: list[Modality]
    model: ModelOptions
    objectives: ObjectiveOptions


def infer_architecture(
    tensors: Mapping[str, Tensor], map_size: int = 7, dropout: float = 0.1
) -> Architecture:
    """Modalities, widths, depths and prediction steps, from names and shapes alone.

    Heads (4), dropout and the size of video maps leave no trace in the tensors.

    Args:
        tensors: By official full name; sections for training only may be missing.
        map_size: Height and width of video maps.
        dropout: Of the temporal encoders.

    Raises:
        CheckpointError: a tensor that an official file must hold is missing.
    """
    names = [m for m in MODALITIES if f"{ENCODER}/{m}_self_att.affine_matrix.weight" in tensors]
    if len(names) < 2:
        raise CheckpointError(
            f"no official Uni-Code encoder of two or more modalities: {ENCODER} holds "
            f"{', '.join(names) or 'none'} of {', '.join(MODALITIES)}"
        )
    codes, width = shape_of(tensors, f"{ENCODER}/Cross_quantizer.embedding", 2)
    options = published_options(width, codes, dropout)
    temporal = infer_temporal(tensors, f"{ENCODER}/{names[0]}_self_att", dropout)
    cpc = None
    if any(name.startswith(f"{CPC}/") for name in tensors):
        cpc = infer_cpc(tensors, f"{CPC}/{next(iter(cpc_slots(names)))}")
    club = infer_club(tensors, CLUB_NETS[names[0]])
    return Architecture(
        [infer_modality(m, tensors, map_size) for m in names],
        options.model_copy(update={"temporal": temporal}),
        as_coded_objectives(cpc, club),
    )


def as_coded_objectives(
    cross_cpc: CrossCPCOptions | None, club: CLUBOptions | None
) -> ObjectiveOptions:
    """Every term at weight 1 in the form that the official checkpoints were trained with."""
    return ObjectiveOptions(
        reconstruction=ReconstructionOptions(detach_token_target=False),
        cross_cpc=cross_cpc,
        club=club,
    )


def infer_modality(name: str, tensors: Mapping[str, Tensor], map_size: int) -> Modality:
    """The declaration of one modality of the release.

    Raises:
        CheckpointError: its encoder is incomplete.
    """
    encoder = f"{ENCODER}/{name.capitalize()}_encoder."
    if name == "video":
        channels = shape_of(tensors, f"{encoder}conv_stack.0.weight", 4)[1]
        detail_width = shape_of(tensors, f"{encoder}conv_stack.2.weight", 4)[0]
        return published_video(channels, detail_width, map_size)
    detail_width, channels = shape_of(tensors, f"{encoder}{name}_linear.weight", 2)
    if name == "audio":
        return published_audio(channels, detail_width)
    words = shape_of(tensors, f"{TOKENS}/weight_ih_l0", 2)[1]
    token_hidden = shape_of(tensors, f"{TOKENS}/weight_hh_l0", 2)[1]
    return published_text(words, detail_width, token_hidden)


def infer_temporal(tensors: Mapping[str, Tensor], block: str, dropout: float) -> TemporalOptions:
    """Depth and feed-forward width of a Transformer, by the name of its module.

    Raises:
        CheckpointError: it has no layer.
    """
    layers = f"{block}.encoder.layers."
    hidden = shape_of(tensors, f"{layers}0.linear1.weight", 2)[0]
    return TemporalOptions(layers=count_indices(tensors, layers), hidden=hidden, dropout=dropout)


def infer_club(tensors: Mapping[str, Tensor], section: str) -> CLUBOptions | None:
    """Width of CLUB's nets, by the section of one; None where the file lacks it.

    Raises:
        CheckpointError: it is no matrix.
    """
    first = f"{section}/p_mu.0.weight"
    return CLUBOptions(hidden=shape_of(tensors, first, 2)[0]) if first in tensors else None


def infer_cpc(tensors: Mapping[str, Tensor], slot: str, min_start: int = 1) -> CrossCPCOptions:
    """Layers, prediction steps and width of a Cross-CPC module.

    Args:
        tensors: By official name.
        slot: One modality's slot, with whatever stands before it in the names.
        min_start: First step to predict from, which leaves no trace in the tensors.

    Raises:
        CheckpointError: the slot's LSTM or predictors are missing.
    """
    hidden = shape_of(tensors, f"{slot}_ar_lstm.weight_hh_l0", 2)[1]
    shape_of(tensors, f"{slot}_predictors.0.weight", 2)
    return CrossCPCOptions(
        layers=count_indices(tensors, f"{slot}_ar_lstm.weight_ih_l"),
        prediction_steps=count_indices(tensors, f"{slot}_predictors."),
        hidden=hidden,
        min_start=min_start,
    )


def shape_of(tensors: Mapping[str, Tensor], name: str, rank: int) -> tuple[int, ...]:
    """Shape of a tensor that must be there.

    Raises:
        CheckpointError: it is missing, empty, or has another number of axes.
    """
    if name not in tensors:
        raise CheckpointError(f"no tensor {name!r}, which official files hold")
    shape = tuple(tensors[name].shape)
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"{name!r} has shape {list(shape)}; expected {rank} axes of data")
    return shape
