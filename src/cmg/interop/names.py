"""Names of tensors in official Uni-Code checkpoints, and ours for the same tensors.

A table of prefixes, written in the order of the official files, says everything: what stands
behind a prefix is the same in both. `None` marks what official files hold and nothing here uses
(template layers, the heads of 141 classes, parts of modalities that a model lacks): such tensors
are carried along by name as extras.

Full names are ``<checkpoint section>/<state_dict name>`` there, and ``model.<state_dict name>`` or
``objectives.<state_dict name>`` here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from cmg.errors import CheckpointError

Rules = Mapping[str, str | None]
"""Official prefix -> our prefix, or None for an extra."""

ENCODER = "Encoder_parameters"
CPC = "CPC_parameters"
TOKENS = "Text_ar_lstm_parameters"
DECODER = "Decoder_parameters"
CLUB_NETS = {
    "video": "Video_mi_net_parameters",
    "text": "Text_mi_net_parameters",
    "audio": "Audio_mi_net_parameters",
}
SECTIONS = (ENCODER, CPC, TOKENS, *CLUB_NETS.values(), DECODER)
"""The state dicts of an official file, in its order."""

INFERENCE = (ENCODER, TOKENS)
"""The state dicts that using a model takes; the other ones are for training."""

MAIN_OPTIMIZER = "optimizer"
CLUB_OPTIMIZERS = {m: f"optimizer_{m}_mi_net" for m in CLUB_NETS}
OPTIMIZERS = (MAIN_OPTIMIZER, *CLUB_OPTIMIZERS.values())
EPOCH, TOTAL_STEP = "epoch", "total_step"
ENTRIES = (*SECTIONS, *OPTIMIZERS, EPOCH, TOTAL_STEP)
"""Everything an official file holds, in its order."""

MODALITIES = ("audio", "video", "text")
"""Modalities of the release, in the order of its sequential codebook update."""

QUANTIZER = f"{ENCODER}/Cross_quantizer."
IDLE = "model.codebook.idle"

SPATIAL_POOL: Rules = {
    "se_layer.": "gate.",
    "affine_video_ave.": "query.",
    "affine_video_self.": "key.",
    "ave_v_att.": "score.",
}
TEMPORAL: Rules = {
    "encoder_layer.": None,  # the template that the layers were copied from; never trained
    "encoder.": "layers.",
    "affine_matrix.": "input.",
}
MAP_DETAIL: Rules = {
    "conv_stack.0.": "convolutions.0.",
    "conv_stack.2.": "convolutions.2.",
    "conv_stack.4.": "convolutions.4.",
    "conv_stack.5.stack.0.res_block.1.": "convolutions.5.spatial.",
    "conv_stack.5.stack.0.res_block.3.": "convolutions.5.pointwise.",
    "feed_forward.": "private.",
}
MAP_DECODER: Rules = {
    "inverse_conv_block.0.": "convolutions.0.",
    "inverse_conv_block.1.stack.0.res_block.1.": "convolutions.1.spatial.",
    "inverse_conv_block.1.stack.0.res_block.3.": "convolutions.1.pointwise.",
    "inverse_conv_block.2.": "convolutions.2.",
    "inverse_conv_block.4.": "convolutions.4.",
    "video_linear.": "content.",
}
CODEBOOK: Rules = {
    "embedding": "codes",
    "ema_count": "counts",
    "ema_weight": "sums",
    "unactivated_count": "idle",  # one row there, a row per modality here
}
CLUB: Rules = {"p_mu.": "mean.", "p_logvar.": "log_variance."}
HEAD: Rules = {"linear.": "linear.", "event_classifier.": "classifier."}


def detail_rules(modality: str) -> Rules:
    """Rules of a specific encoder."""
    return MAP_DETAIL if modality == "video" else {f"{modality}_linear.": "linear."}


def decoder_rules(modality: str) -> Rules:
    """Rules of a reconstruction decoder."""
    if modality == "video":
        return MAP_DECODER
    return {f"{modality}_rec.": "output.", f"{modality}_linear.": "content."}


def cpc_slots(modalities: Sequence[str]) -> dict[str, str]:
    """Slot in the official Cross-CPC -> modality that sits in it, in official order.

    Files of two modalities always use the slots `video` and `audio`. In an audio-text file the
    text takes the slot `video`; official training of that pair never ran, so nothing contradicts.
    """
    if set(modalities) == {"audio", "text"}:
        return {"video": "text", "audio": "audio"}
    return {m: m for m in ("video", "audio", "text") if m in modalities}


def cpc_rules(modalities: Sequence[str]) -> Rules:
    """Rules of the Cross-CPC module."""
    slots = cpc_slots(modalities).items()
    rules: dict[str, str | None] = {f"{slot}_ar_lstm.": f"context.{m}." for slot, m in slots}
    return rules | {f"{slot}_predictors.": f"predictors.{m}." for slot, m in slots}


def below(rules: Rules, official: str, ours: str) -> dict[str, str | None]:
    """The rules of a module that is called `official` there and `ours` here."""
    return {
        official + there: None if here is None else ours + here for there, here in rules.items()
    }


def renamed(name: str, rules: Rules) -> str | None:
    """Our name of an official tensor, None if it is an extra.

    Raises:
        CheckpointError: the rules know no such tensor.
    """
    for official, ours in rules.items():
        if name.startswith(official):
            return None if ours is None else ours + name.removeprefix(official)
    raise CheckpointError(f"{name!r} is no tensor of the official release for these modalities")


def inverse(rules: Rules) -> Rules:
    """Our prefix -> official prefix, without the extras."""
    return {ours: official for official, ours in rules.items() if ours is not None}


def checkpoint_rules(modalities: Sequence[str]) -> Rules:
    """Rules of a whole file, in the order of its tensors.

    Raises:
        CheckpointError: not audio-video, audio-text or audio-video-text.
    """
    if not {"audio"} < set(modalities) <= set(MODALITIES):
        raise CheckpointError(
            "the official format knows audio-video, audio-text and audio-video-text, "
            f"not {'-'.join(modalities) or 'no modality'}"
        )
    rules = _encoder_rules(modalities)
    rules |= below(cpc_rules(modalities), f"{CPC}/", "objectives.cross_cpc.")
    rules[f"{TOKENS}/"] = "model.tokens.text.lstm." if "text" in modalities else None
    for m, section in CLUB_NETS.items():
        if m in modalities:
            rules |= below(CLUB, f"{section}/", f"objectives.club.nets.{m}.")
        else:
            rules[f"{section}/"] = None
    return rules | _decoder_rules(modalities)


def _module_order(modalities: Sequence[str]) -> list[str]:
    """Specific encoders and decoders: audio comes second in files of three modalities only."""
    order = ("video", "audio", "text") if len(modalities) == 3 else MODALITIES
    return [m for m in order if m in modalities]


def _encoder_rules(modalities: Sequence[str]) -> dict[str, str | None]:
    rules: dict[str, str | None] = {}
    for m in _module_order(modalities):
        official = f"{ENCODER}/{m.capitalize()}_encoder."
        rules |= below(detail_rules(m), official, f"model.detail.{m}.")
    rules |= below(CODEBOOK, QUANTIZER, "model.codebook.")
    if "video" in modalities:
        pool = "model.semantic.video.pool."
        rules |= below(SPATIAL_POOL, f"{ENCODER}/video_semantic_encoder.", pool)
    for m in ("video", "text", "audio"):
        if m in modalities:
            ours = f"model.semantic.{m}.temporal."
            rules |= below(TEMPORAL, f"{ENCODER}/{m}_self_att.", ours)
    return rules


def _decoder_rules(modalities: Sequence[str]) -> dict[str, str | None]:
    rules: dict[str, str | None] = {}
    for m in _module_order(modalities):
        official = f"{DECODER}/{m.capitalize()}_decoder."
        rules |= below(decoder_rules(m), official, f"model.decoder.{m}.")
    heads = [m for m in ("video", "text", "audio") if m in modalities]
    return rules | {f"{DECODER}/{m}_semantic_decoder.": None for m in heads}


class NameMap:
    """Official and our full names of the tensors of a model, in both directions.

    Args:
        modalities: Names.

    Raises:
        CheckpointError: modalities that the official format does not know.
    """

    def __init__(self, modalities: Sequence[str]) -> None:
        self.modalities = list(modalities)
        self._rules = checkpoint_rules(modalities)
        self._inverse = inverse(self._rules)

    def ours(self, official: str) -> str | None:
        """Our full name, None for an extra.

        Raises:
            CheckpointError: a tensor that official files do not hold.
        """
        return renamed(official, self._rules)

    def official(self, ours: str) -> str:
        """The official full name.

        Raises:
            CheckpointError: a tensor that official files have no place for.
        """
        official = renamed(ours, self._inverse)
        assert official is not None
        return official

    def in_order(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by official name, in the order of an official file."""
        return {name: tensors[name] for name in sorted(tensors, key=self.rank)}

    def rank(self, official: str) -> int:
        """Place of a tensor's module in an official file."""
        ranks = enumerate(self._rules)
        return next((rank for rank, prefix in ranks if official.startswith(prefix)), -1)


def count_indices(names: Iterable[str], prefix: str) -> int:
    """How many different numbers follow `prefix` in `names`: layers, prediction steps."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)(?!\d)")
    found = (pattern.match(name) for name in names)
    return len({match[1] for match in found if match})
