"""FCID's checkpoints: names of the fine layer of audio and video, and of the coarse one of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from cmg.interop.architecture import (
    Architecture,
    as_coded_objectives,
    infer_club,
    infer_cpc,
    infer_temporal,
    shape_of,
)
from cmg.interop.names import (
    CLUB,
    CLUB_NETS,
    CODEBOOK,
    CPC,
    DECODER,
    ENCODER,
    SPATIAL_POOL,
    TEMPORAL,
    Rules,
    below,
    cpc_rules,
    decoder_rules,
    detail_rules,
)
from cmg.interop.successors import Successor, needed_tensors
from cmg.models.published import (
    AS_CODED_EMA,
    AS_CODED_RESET,
    published_audio,
    published_options,
    published_text,
    published_video,
)
from cmg.models.second import SecondLayerOptions
from cmg.objectives.club import CLUBOptions
from cmg.objectives.second import MOMENTS, SecondLayerTermOptions

ORDER = ("video", "audio", "text")
"""Of the sequential update of codes."""
BOOK = f"{ENCODER}/Cross_quantizer_coarse."
STACKED_NET = "AudioVisual_mi_net_parameters"
"""CLUB of coarse audio and video, stacked."""
RESET = AS_CODED_RESET.model_copy(update={"spread": "constant"})
LAYER = "model.second."
SHARED = tuple(f"{LAYER}{part}.audio." for part in ("project", "semantic", "detail"))
"""What audio and video have in common, which files hold once."""


def as_coded_terms(cross_cpc: object, club: CLUBOptions | None) -> dict[str, object]:
    """What trained the release, by the keys of ``objectives``; without nets where none are held.

    Args:
        cross_cpc: Its options; None leaves it out.
        club: Likewise.
    """
    club = club and club.model_copy(update={"content": "features"})
    flat = club and club.model_copy(update={"averages": "features"})
    second = {
        "reconstruction": {"detach_token_target": False},
        "cross_cpc": None,
        "club": flat,
        "clip_info_nce": {"pairs": "tokens", "directions": "forward"},
    }
    return {
        "commitment": None,
        "cross_cpc": cross_cpc,
        "club": club,
        "cmcm": None,
        "second_layer": SecondLayerTermOptions.model_validate(
            {"terms": second, "stacked_club": True}
        ),
    }


def infer_fcid(
    tensors: Mapping[str, Tensor], map_size: int = 7, dropout: float = 0.1
) -> Architecture:
    """A model and its objectives, from names and shapes alone.

    Args:
        tensors: By official full name; sections for training only may be missing.
        map_size: Height and width of video maps.
        dropout: Of the temporal encoders.

    Raises:
        CheckpointError: a tensor that such a file must hold is missing.
    """
    size, width = shape_of(tensors, f"{BOOK}embedding", 2)
    conv = f"{ENCODER}/v_spe_encoder.conv_stack."
    channels = shape_of(tensors, f"{conv}0.weight", 4)[1]
    seen = shape_of(tensors, f"{conv}2.weight", 4)[0]
    heard, sound = shape_of(tensors, f"{ENCODER}/a_spe_encoder.audio_linear.weight", 2)
    words = shape_of(tensors, f"{ENCODER}/t_self_att.affine_matrix.weight", 2)[1]
    cpc, club = None, infer_club(tensors, CLUB_NETS["video"])
    if any(name.startswith(f"{CPC}/") for name in tensors):
        found = infer_cpc(tensors, f"{CPC}/video")
        cpc = found.model_copy(update={"accuracy": "rows"})
    usual = published_options(width, size, dropout)
    model = usual.model_copy(
        update={
            "temporal": infer_temporal(tensors, f"{ENCODER}/v_self_att", dropout),
            "token_encoder": "none",
            "second": SecondLayerOptions(reads="clips"),
            "codebook": usual.codebook.model_copy(update={"ema": AS_CODED_EMA, "reset": RESET}),
        }
    )
    objectives = as_coded_objectives(None, None).model_copy(update=as_coded_terms(cpc, club))
    declared = [
        published_video(channels, seen, map_size),
        published_audio(sound, heard),
        published_text(words),
    ]
    return Architecture(declared, model, objectives)


def fcid_rules(modalities: Sequence[str]) -> Rules:
    """Official prefix -> ours of a whole file but its codebook; None for extras."""
    encoder, decoder, nets = f"{ENCODER}/", f"{DECODER}/", "club.nets."
    rules = below(SPATIAL_POOL, f"{encoder}v_gen_encoder.", "model.semantic.video.pool.")
    for m in modalities:
        temporal = f"model.semantic.{m}.temporal."
        rules |= below(TEMPORAL, f"{encoder}{m[0]}_self_att.", temporal)
        own = f"{LAYER}decoder.{m}."
        rules[f"{decoder}{m[0]}_coarse_decoder.simple_linear."] = f"{own}content."
        rules[f"{decoder}{m[0]}_coarse_decoder.simple_rec."] = f"{own}output."
    for m in ("video", "audio"):
        rules |= below(detail_rules(m), f"{encoder}{m[0]}_spe_encoder.", f"model.detail.{m}.")
        rules |= below(decoder_rules(m), f"{decoder}{m[0]}_fine_decoder.", f"model.decoder.{m}.")
        rules |= below(CLUB, f"{CLUB_NETS[m]}/", f"objectives.{nets}{m}.")
    for theirs, m in (("va", "video"), ("t", "text")):
        rules[f"{encoder}{theirs}2vat.linear."] = f"{LAYER}project.{m}."
        rules[f"{encoder}{theirs}_gen_encoder.input_linear."] = f"{LAYER}semantic.{m}.0."
        rules[f"{encoder}{theirs}_spe_encoder.input_linear."] = f"{LAYER}detail.{m}.linear."
    terms = "objectives.second_layer.parts."
    rules |= below(CLUB, f"{STACKED_NET}/", f"{terms}{nets}{MOMENTS}.")
    rules |= below(CLUB, f"{CLUB_NETS['text']}/", f"{terms}{nets}text.")
    return rules | below(cpc_rules(["video", "audio"]), f"{CPC}/", "objectives.cross_cpc.")


def codebook_to_ours(theirs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """Buffers of a shared codebook.

    Raises:
        CheckpointError: one of them is missing.
    """
    needed_tensors(theirs, tuple(CODEBOOK), BOOK, "FCID")
    found = {str(ours): theirs[official] for official, ours in CODEBOOK.items()}
    return found | {"idle": found["idle"].expand(len(modalities), -1)}


def codebook_to_theirs(ours: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """The inverse of :func:`codebook_to_ours`."""
    found = {official: ours[str(name)] for official, name in CODEBOOK.items()}
    return found | {"unactivated_count": ours["idle"].amin(0)}


FCID = Successor(
    name="FCID",
    trace="va2vat.linear.weight",
    parts=(ENCODER, CPC, *CLUB_NETS.values(), STACKED_NET, DECODER),
    needed=(ENCODER,),
    infer=infer_fcid,
    rules=fcid_rules,
    codebook=BOOK,
    to_ours=codebook_to_ours,
    to_theirs=codebook_to_theirs,
    unused=SHARED,
    method="fcid-as-coded",
)
"""Its files."""
