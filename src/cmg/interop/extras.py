"""What official files hold and our models do not: made here where a file is to be complete.

Every file has the template layers that the Transformer layers were copied from, heads of 141
classes, and the token LSTM and CLUB nets of modalities that its encoder lacks. None of them was
ever trained; the authors' scripts refuse a file without them all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cmg.decoders.heads import ClipHead
from cmg.encoders.temporal import TokenLSTM
from cmg.interop.architecture import Architecture, shape_of
from cmg.interop.names import CLUB as CLUB_RULES
from cmg.interop.names import CLUB_NETS, DECODER, ENCODER, HEAD, TOKENS, Rules, inverse, renamed
from cmg.objectives.club import CLUB, CLUBOptions
from cmg.process import seeded

EVENT_CLASSES = 141
"""Classes of the heads that official pre-training carries along untrained."""

SAME: Rules = {"": ""}


@dataclass(frozen=True)
class ExtraSizes:
    """Sizes of extras that do not follow from the model.

    Attributes:
        classes: Of the heads.
        words: Width of a token vector, for the LSTM of a model without text.
        token_hidden: Width of that LSTM per direction.
        private: Width of what CLUB sees of an absent modality.
    """

    classes: int = EVENT_CLASSES
    words: int = 768
    token_hidden: int = 128
    private: Mapping[str, int] = field(default_factory=lambda: {"video": 512, "text": 256})


def infer_extras(tensors: Mapping[str, Tensor], modalities: list[str]) -> ExtraSizes:
    """Sizes of the extras that a file holds; the release's where it holds none.

    Args:
        tensors: By official full name.
        modalities: Of the model.

    Raises:
        CheckpointError: a tensor without data, or with another number of axes.
    """
    default = ExtraSizes()

    def size(name: str, axis: int, otherwise: int) -> int:
        return shape_of(tensors, name, 2)[axis] if name in tensors else otherwise

    head = f"{DECODER}/{modalities[0]}_semantic_decoder.event_classifier.weight"
    private = {
        m: size(f"{CLUB_NETS[m]}/p_mu.6.weight", 0, width) for m, width in default.private.items()
    }
    return ExtraSizes(
        size(head, 0, default.classes),
        size(f"{TOKENS}/weight_ih_l0", 1, default.words),
        size(f"{TOKENS}/weight_hh_l0", 1, default.token_hidden),
        private,
    )


def extra_tensors(architecture: Architecture, sizes: ExtraSizes) -> dict[str, Tensor]:
    """Fresh extras by official full name, drawn from torch's global generator."""
    names = [m.name for m in architecture.modalities]
    model, temporal = architecture.model, architecture.model.temporal
    hidden = (architecture.objectives.club or CLUBOptions()).hidden
    modules: dict[str, tuple[nn.Module, Rules]] = {}
    for m in names:
        template = nn.TransformerEncoderLayer(
            model.width, temporal.heads, temporal.hidden, temporal.dropout, batch_first=True
        )
        modules[f"{ENCODER}/{m}_self_att.encoder_layer."] = (template, SAME)
    if "text" not in names:
        modules[f"{TOKENS}/"] = (TokenLSTM(sizes.words, sizes.token_hidden).lstm, SAME)
    for m, section in CLUB_NETS.items():
        if m not in names:
            modules[f"{section}/"] = (CLUB(model.width, sizes.private[m], hidden), CLUB_RULES)
    for m in names:
        modules[f"{DECODER}/{m}_semantic_decoder."] = (ClipHead(model.width, sizes.classes), HEAD)
    return {
        f"{prefix}{renamed(ours, inverse(rules))}": tensor
        for prefix, (module, rules) in modules.items()
        for ours, tensor in module.state_dict().items()
    }


def fresh_extras(architecture: Architecture, seed: int) -> dict[str, Tensor]:
    """Extras of a model that was not made from an official file, at the release's sizes.

    Args:
        architecture: Of the model.
        seed: Of their weights, which torch's default initialization draws.

    Returns:
        Float64, by official full name.
    """
    with seeded(seed):
        drawn = extra_tensors(architecture, ExtraSizes())
    return {name: tensor.to(torch.float64) for name, tensor in drawn.items()}
