"""Recorded parts of the segmentation model: attention, losses, metrics."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.golden.cases import CASES, Case
from cmg.golden.compare import Comparison
from cmg.segmentation.attention import PixelAttention
from cmg.segmentation.metrics import best_f, f_curves, ious, precision_recall
from cmg.segmentation.training import first_frame_loss, matching_loss

NAMES = {
    "align_channel": "align",
    "theta": "theta",
    "phi": "phi",
    "g": "g",
    "W_f.0": "pair",
    "W_z.0": "out",
    "W_z.1": "out_norm",
    "norm_layer": "norm",
}
"""Official modules -> ours; 1x1x1 convolutions are linear maps here."""


def verify_attention(case: Case, comparison: Comparison) -> None:
    """Outputs and gradients in both modes, and the buffers after training mode."""
    inputs = case.inputs
    query = inputs.get("audio")
    module = attention_of(case, query)
    for phase in ("eval", "train"):
        module.train(phase == "train")
        x = inputs["x"].clone().requires_grad_()
        a = None if query is None else query.clone().requires_grad_()
        z, aligned = module(x, a)
        comparison.check(f"out/{phase}/z", z)
        leaves = {f"out/{phase}/grad_x": x}
        if a is not None and aligned is not None:
            comparison.check(f"out/{phase}/audio_aligned", aligned)
            leaves[f"out/{phase}/grad_audio"] = a
        comparison.check_gradients((z * inputs["weight"]).sum(), leaves)
    for name, buffer in module.out_norm.named_buffers():
        comparison.check(f"out/train/buffer_after/W_z.1.{name}", buffer)


def attention_of(case: Case, query: Tensor | None) -> PixelAttention:
    """The case's attention with its weights.

    Raises:
        DataError: one without BatchNorm, or weights under unknown names.
    """
    if case.setting("dimension") != 3 or not case.setting("bn_layer"):
        raise DataError(f"{case.path}: only three dimensions and a BatchNorm are known ({CASES})")
    width = None if query is None else query.shape[2]
    inner = case.record.entry["ctor"].get("inter_channels")
    module = PixelAttention(case.setting("in_channels"), width, case.setting("mode"), inner)
    tensors = {}
    for name, tensor in case.params.items():
        owner, _, leaf = name.rpartition(".")
        if owner not in NAMES:
            raise DataError(f"{case.path}: unknown weight {name!r}")
        if NAMES[owner] == "align" and query is None:
            continue  # The official class makes it for self-attention too, and does not use it.
        flat = tensor.flatten(1) if tensor.dim() > 2 else tensor
        tensors[f"{NAMES[owner]}.{leaf}"] = flat
    module.double().load_state_dict(tensors)
    return module


def verify_mask_loss(case: Case, comparison: Comparison) -> None:
    """The loss of the first frame and the matching loss, with gradients."""
    inputs, frames = case.inputs, case.array("in/audio_0").shape[1]
    stages = case.setting("count_stages")
    flat = inputs["pred_masks"].clone().requires_grad_()
    queries = {k: inputs[f"audio_{k}"].clone().requires_grad_() for k in stages}
    maps = {k: inputs[f"vmap_{k}"].clone().requires_grad_() for k in stages}
    logits = flat[:, 0].reshape(-1, frames, *flat.shape[2:])
    bce = first_frame_loss(logits, inputs["gt"][:, :, 0])
    by_clip = [x.reshape(-1, frames, *x.shape[1:]).transpose(1, 2) for x in maps.values()]
    pooling = case.setting("mask_pooling_type")
    matching = matching_loss(logits, by_clip, list(queries.values()), pooling)
    total = bce + case.setting("lambda_1") * matching
    comparison.check("out/bce_only", bce)
    comparison.check("out/sa_loss", matching)
    comparison.check("out/total", total)
    comparison.check_gradients(bce, {"out/bce_only_grad": flat})
    leaves = {"out/total_grad_pred": flat}
    leaves |= {f"out/total_grad_audio_{k}": x for k, x in queries.items()}
    leaves |= {f"out/total_grad_vmap_{k}": x for k, x in maps.items()}
    comparison.check_gradients(total, leaves)


def verify_mask_metrics(case: Case, comparison: Comparison) -> None:
    """MIoU and F of the images together, of each, and of empty ones alone."""
    logits, masks = case.array("in/pred"), case.array("in/gt")
    filled = masks.flatten(1).any(1)
    curves = f_curves(logits, masks)
    alone = [best_f(curves[i : i + 1][filled[i : i + 1]]) for i in range(len(logits))]
    precision, recall = precision_recall(logits, masks)
    comparison.check("out/miou", ious(logits, masks).mean())
    comparison.check("out/miou_per_image", ious(logits, masks))
    comparison.check("out/fmeasure", best_f(curves[filled]))
    comparison.check("out/fmeasure_per_image", torch.tensor(alone))
    comparison.check("out/fmeasure_all_empty", best_f(curves[:0]))
    comparison.check("out/precision_curve_image0", precision[0])
    comparison.check("out/recall_curve_image0", recall[0])
