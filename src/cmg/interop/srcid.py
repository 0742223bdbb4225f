"""SRCID's checkpoints: Uni-Code's names, and those of the layer over its private features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cmg.codebook.levels import ProductOptions
from cmg.errors import CheckpointError
from cmg.interop.architecture import (
    Architecture,
    as_coded_objectives,
    infer_architecture,
    infer_club,
    infer_cpc,
    shape_of,
)
from cmg.interop.names import (
    CLUB,
    CLUB_NETS,
    CODEBOOK,
    CPC,
    DECODER,
    ENCODER,
    MODALITIES,
    QUANTIZER,
    TEMPORAL,
    TOKENS,
    Rules,
    below,
    checkpoint_rules,
    cpc_rules,
)
from cmg.interop.successors import Successor, needed_tensors
from cmg.models.published import AS_CODED_EMA, AS_CODED_RESET
from cmg.models.second import SecondLayerOptions
from cmg.objectives.second import SecondLayerTermOptions

CPC_2 = "CPC_2_parameters"
CLUB_NETS_2 = {
    m: section.replace("_parameters", "_2_parameters") for m, section in CLUB_NETS.items()
}
LAYER = "model.second."
TERMS = "objectives.second_layer.parts."
WEIGHT = float(torch.tensor(0.3))
"""Of the second layer's terms: as coded 0.3 in float32, which acts on gradients."""
START_EPOCH = 3


def second_terms(cross_cpc: object, club: object) -> SecondLayerTermOptions:
    """What trained the second layer, as coded."""
    terms = {"cross_cpc": cross_cpc, "club": club, "cmcm": None}
    terms["reconstruction"] = {"detach_token_target": False}
    return SecondLayerTermOptions.model_validate(
        {"weight": WEIGHT, "start_epoch": START_EPOCH, "terms": terms}
    )


def infer_srcid(
    tensors: Mapping[str, Tensor], map_size: int = 7, dropout: float = 0.1
) -> Architecture:
    """A model and its objectives, from names and shapes alone.

    Args:
        tensors: By official full name; sections for training only may be missing.
        map_size: Height and width of video maps.
        dropout: Of the temporal encoders.

    Raises:
        CheckpointError: a tensor that such a file must hold is missing, or it is not of audio,
            video and text.
    """
    codes = f"{QUANTIZER}embedding"
    layers, size, _ = shape_of(tensors, codes, 3)
    if layers != 2:
        raise CheckpointError(f"{codes!r} has {layers} layers of codes; SRCID files have 2")
    first = infer_architecture({**tensors, codes: tensors[codes][0]}, map_size, dropout)
    names = [m.name for m in first.modalities]
    if names != list(MODALITIES):
        raise CheckpointError(f"an SRCID file is of audio, video and text, not {', '.join(names)}")
    usual, cpc = first.objectives, None
    if any(name.startswith(f"{CPC_2}/") for name in tensors):
        cpc = infer_cpc(tensors, f"{CPC_2}/video")
    found = (usual.club, infer_club(tensors, CLUB_NETS_2["video"]))
    own, club = (one and one.model_copy(update={"inner_steps": 1}) for one in found)
    terms = {"club": own, "cmcm": None, "second_layer": second_terms(cpc, club)}
    book = ProductOptions.model_validate(
        {"size": size, "groups": 2, "start": "uniform", "ema": AS_CODED_EMA}
        | {"reset": AS_CODED_RESET}
    )
    model = first.model.model_copy(
        update={"codebook": book, "second": SecondLayerOptions(reads="private")}
    )
    objectives = as_coded_objectives(usual.cross_cpc, own).model_copy(update=terms)
    return Architecture(first.modalities, model, objectives)


def srcid_rules(modalities: Sequence[str]) -> Rules:
    """Official prefix -> ours of a whole file but its codebook; None for extras."""
    rules: dict[str, str | None] = {}
    for m in modalities:
        module = m.capitalize()
        rules |= below(TEMPORAL, f"{ENCODER}/{m}_self_att_2.", f"{LAYER}semantic.{m}.")
        rules[f"{ENCODER}/{module}_encoder_2.input_linear."] = f"{LAYER}detail.{m}.linear."
        decoder = f"{DECODER}/{module}_decoder_2."
        rules[f"{decoder}simple_linear."] = f"{LAYER}decoder.{m}.content."
        rules[f"{decoder}simple_rec."] = f"{LAYER}decoder.{m}.output."
        rules |= below(CLUB, f"{CLUB_NETS_2[m]}/", f"{TERMS}club.nets.{m}.")
    rules |= below(cpc_rules(modalities), f"{CPC_2}/", f"{TERMS}cross_cpc.")
    return rules | {
        official: ours
        for official, ours in checkpoint_rules(modalities).items()
        if not official.startswith(QUANTIZER)
    }


def codebook_to_ours(theirs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """Buffers of a product codebook of two groups: one per layer.

    Args:
        theirs: With an axis of layers in front, [2, K, D] or [2, K].
        modalities: Of the model.

    Raises:
        CheckpointError: one of them is missing.
    """
    needed_tensors(theirs, tuple(CODEBOOK), QUANTIZER, "SRCID")
    found = {}
    for official, ours in CODEBOOK.items():
        for level, own in enumerate(theirs[official]):
            idle = ours == "idle"
            found[f"books.{level}.{ours}"] = own.expand(len(modalities), -1) if idle else own
    return found


def codebook_to_theirs(ours: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """The inverse of :func:`codebook_to_ours`."""
    found = {}
    for official, name in CODEBOOK.items():
        both = [ours[f"books.{level}.{name}"] for level in (0, 1)]
        found[official] = torch.stack([x.amin(0) if name == "idle" else x for x in both])
    return found


SRCID = Successor(
    name="SRCID",
    trace="Video_encoder_2.input_linear.weight",
    parts=(ENCODER, CPC, CPC_2, TOKENS, *CLUB_NETS.values(), *CLUB_NETS_2.values(), DECODER),
    needed=(ENCODER, TOKENS),
    infer=infer_srcid,
    rules=srcid_rules,
    codebook=QUANTIZER,
    to_ours=codebook_to_ours,
    to_theirs=codebook_to_theirs,
    unused=(),
    method="srcid-as-coded",
)
"""Its files."""
