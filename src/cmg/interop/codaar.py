"""CoDAAR's checkpoints: its names of tensors, and the row-tied codebook that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cmg.codebook.ema import EMAOptions
from cmg.codebook.reset import ResetOptions, idle_by_rule
from cmg.codebook.tied import TiedOptions
from cmg.interop.names import Rules

ROW = ("video", "audio", "text")
"""Modalities in the order of a row's segments."""

MAP_DETAIL: Rules = {"spatial_conv_stack.": "convolutions."}
"""Of the specific video path, which lies in the module of the semantic one."""
HEAD: Rules = {
    "linear.": "layers.0.",
    "fusion_layer.": "layers.1.",
    "linear1.": "layers.2.",
    "event_classifier.": "layers.3.",
}
"""Of the head of four layers."""

AS_CODED_EMA = EMAOptions(own_weight=3.0, smoothing=True, initial_count=0.0)
AS_CODED_RESET = ResetOptions(noise=0.001, spread="normal", reseed_stats=False)


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


def codebook_to_ours(theirs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
    """Buffers of a :class:`cmg.codebook.TiedCodebook`.

    Args:
        theirs: ``embedding`` and ``ema_weight`` [K, M D], ``ema_count_<letter>`` and
            ``unactivated_count`` [K]. ``ema_count``, the sum over modalities, is read nowhere.
        modalities: In the order of a row.
    """
    count = len(modalities)

    def segments(rows: Tensor) -> Tensor:
        return rows.view(rows.shape[0], count, -1).movedim(1, 0)

    return {
        "codes": segments(theirs["embedding"]),
        "sums": segments(theirs["ema_weight"]),
        "counts": torch.stack([theirs[f"ema_count_{m[0]}"] for m in modalities]),
        "idle": theirs["unactivated_count"].expand(count, -1),
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
