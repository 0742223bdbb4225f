"""CoDAAR's checkpoints: its names of tensors, its sizes, and the row-tied codebook they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cmg.codebook.ema import EMAOptions
from cmg.codebook.reset import ResetOptions, idle_by_rule
from cmg.codebook.tied import TiedOptions
from cmg.errors import CheckpointError
from cmg.interop.architecture import (
    Architecture,
    as_coded_objectives,
    infer_cpc,
    infer_modality,
    infer_temporal,
    shape_of,
)
from cmg.interop.names import (
    CPC,
    DECODER,
    ENCODER,
    MAP_DECODER,
    QUANTIZER,
    SPATIAL_POOL,
    TEMPORAL,
    TOKENS,
    Rules,
    below,
    cpc_rules,
)
from cmg.interop.successors import Successor, needed_tensors
from cmg.models.published import published_options, published_video
from cmg.objectives.commitment import CommitmentOptions
from cmg.types import Modality

ROW = ("video", "audio", "text")
"""Modalities in the order of a row's segments."""
MAP_DETAIL: Rules = {"spatial_conv_stack.": "convolutions."}
"""Of the specific video path, which lies in the module of the semantic one."""
UNUSED = "model.detail.video.private."
"""What CLUB would see of that path, which these files have not."""
HEAD: Rules = {
    "linear.": "layers.0.",
    "fusion_layer.": "layers.1.",
    "linear1.": "layers.2.",
    "event_classifier.": "layers.3.",
}
"""Of the head of four layers."""

AS_CODED_EMA = EMAOptions(own_weight=3.0, smoothing=True, initial_count=0.0)
AS_CODED_RESET = ResetOptions(noise=0.001, spread="normal", reseed_stats=False)
AS_CODED_COMMITMENT = CommitmentOptions(partner_weight=0.5)


def as_coded_codebook(size: int) -> TiedOptions:
    """The codebook that the checkpoints were trained with."""
    return TiedOptions(
        size=size,
        start="uniform",
        heads="row",
        gradient="row",
        writes="segment",
        alignment="sequential",
        apart=True,
        ema=AS_CODED_EMA,
        reset=AS_CODED_RESET,
    )


# ---- what the tensors say ----------------------------------------------------------------------


def infer_codaar(
    tensors: Mapping[str, Tensor], map_size: int = 7, dropout: float = 0.1
) -> Architecture:
    """A model and its objectives, from names and shapes alone; modalities in the order of a row.

    Args:
        tensors: By official full name; sections for training only may be missing.
        map_size: Height and width of video maps.
        dropout: Of the temporal encoders.

    Raises:
        CheckpointError: a tensor that such a file must hold is missing, or widths contradict
            each other.
    """
    names = [m for m in ROW if f"{ENCODER}/{m}_self_att.affine_matrix.weight" in tensors]
    if names[:2] != ["video", "audio"]:
        raise CheckpointError(
            f"a CoDAAR file has video, audio, and text or not; this one has "
            f"{', '.join(names) or 'none of them'}"
        )
    size, row = shape_of(tensors, f"{QUANTIZER}embedding", 2)
    width = shape_of(tensors, f"{ENCODER}/video_self_att.affine_matrix.weight", 2)[0]
    if row != width * len(names):
        raise CheckpointError(
            f"'{QUANTIZER}embedding' has rows of width {row}; {len(names)} modalities of width "
            f"{width} have {width * len(names)}"
        )
    temporal = infer_temporal(tensors, f"{ENCODER}/video_self_att", dropout)
    cpc = infer_cpc(tensors, f"{CPC}/video") if any(n.startswith(CPC) for n in tensors) else None
    objectives = as_coded_objectives(cpc, None)
    model = published_options(width, size, dropout).model_copy(
        update={
            "temporal": temporal,
            "map_detail": "normalized",
            "narrow_content": True,
            "codebook": as_coded_codebook(size),
        }
    )
    return Architecture(
        [_modality(m, tensors, map_size) for m in names],
        model,
        objectives.model_copy(update={"commitment": AS_CODED_COMMITMENT}),
    )


def _modality(name: str, tensors: Mapping[str, Tensor], map_size: int) -> Modality:
    if name != "video":
        return infer_modality(name, tensors, map_size)
    path = f"{ENCODER}/video_semantic_encoder.spatial_conv_stack."
    channels = shape_of(tensors, f"{path}0.weight", 4)[1]
    return published_video(channels, shape_of(tensors, f"{path}3.weight", 4)[0], map_size)


# ---- names -------------------------------------------------------------------------------------


def codaar_rules(modalities: Sequence[str]) -> Rules:
    """Official prefix -> ours of a whole file but its codebook; None for extras."""
    video = f"{ENCODER}/video_semantic_encoder."
    rules = below(SPATIAL_POOL, video, "model.semantic.video.pool.")
    rules |= below(MAP_DETAIL, video, "model.detail.video.")
    rules |= below(MAP_DECODER, f"{DECODER}/Video_decoder.", "model.decoder.video.")
    rules |= below(cpc_rules(modalities), f"{CPC}/", "objectives.cross_cpc.")
    rules[f"{TOKENS}/"] = "model.tokens.text.lstm." if "text" in modalities else None
    for m in modalities:
        module, decoder = m.capitalize(), f"model.decoder.{m}."
        rules |= below(TEMPORAL, f"{ENCODER}/{m}_self_att.", f"model.semantic.{m}.temporal.")
        rules[f"{ENCODER}/{module}_encoder.{m}_linear."] = f"model.detail.{m}.linear."
        rules[f"{DECODER}/{module}_decoder.{m}_linear_1."] = f"{decoder}content.0."
        rules[f"{DECODER}/{module}_decoder.{m}_linear."] = f"{decoder}content.1."
        rules[f"{DECODER}/{module}_decoder.{m}_rec."] = f"{decoder}output."
        rules[f"{DECODER}/{m}_semantic_decoder."] = None
    return rules


# ---- the codebook ------------------------------------------------------------------------------


def codebook_to_ours(theirs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """Buffers of a :class:`cmg.codebook.TiedCodebook`.

    Args:
        theirs: ``embedding`` and ``ema_weight`` [K, M D], ``ema_count_<letter>`` and
            ``unactivated_count`` [K]. ``ema_count``, the sum over modalities, is read nowhere.
        modalities: In the order of a row.

    Raises:
        CheckpointError: one of them is missing.
    """
    counts = [f"ema_count_{m[0]}" for m in modalities]
    wanted = ("embedding", "ema_weight", "unactivated_count", *counts)
    needed_tensors(theirs, wanted, QUANTIZER, "CoDAAR")

    def segments(rows: Tensor) -> Tensor:
        return rows.view(rows.shape[0], len(modalities), -1).movedim(1, 0)

    return {
        "codes": segments(theirs["embedding"]),
        "sums": segments(theirs["ema_weight"]),
        "counts": torch.stack([theirs[name] for name in counts]),
        "idle": theirs["unactivated_count"].expand(len(modalities), -1),
    }


def codebook_to_theirs(ours: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """The inverse of :func:`codebook_to_ours`."""
    named = {
        "embedding": ours["codes"].movedim(0, 1).flatten(1),
        "ema_count": ours["counts"].sum(0),
        "ema_weight": ours["sums"].movedim(0, 1).flatten(1),
        "unactivated_count": idle_by_rule(ours["idle"], AS_CODED_RESET.rule),
    }
    return named | {f"ema_count_{m[0]}": n for m, n in zip(modalities, ours["counts"], strict=True)}


CODAAR = Successor(
    name="CoDAAR",
    trace="video_semantic_encoder.spatial_conv_stack.0.weight",
    parts=(ENCODER, CPC, TOKENS, DECODER),
    needed=(ENCODER, TOKENS),
    infer=infer_codaar,
    rules=codaar_rules,
    codebook=QUANTIZER,
    to_ours=codebook_to_ours,
    to_theirs=codebook_to_theirs,
    unused=(UNUSED,),
    method="codaar-as-coded",
)
"""Its files."""
