"""Layers of networks in NumPy, written from their formulas."""

from __future__ import annotations

import math

import numpy as np

TRANSFORMER = [
    *("self_attn.in_proj_weight", "self_attn.in_proj_bias"),
    *("self_attn.out_proj.weight", "self_attn.out_proj.bias"),
    *("linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"),
    *("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"),
]
"""Parameters of a layer, as torch names them."""


def log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.real.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def transformer_layer(x: np.ndarray, w: dict[str, np.ndarray], heads: int = 4) -> np.ndarray:
    """Post-norm layer on one clip, [T, D]."""
    joint = x @ w["self_attn.in_proj_weight"].T + w["self_attn.in_proj_bias"]
    attended = []
    for q, k, v in zip(*(np.split(p, heads, 1) for p in np.split(joint, 3, 1)), strict=True):
        attended.append(np.exp(log_softmax(q @ k.T / math.sqrt(q.shape[1]))) @ v)
    mixed = np.concatenate(attended, 1)
    mixed = mixed @ w["self_attn.out_proj.weight"].T + w["self_attn.out_proj.bias"]
    x = layer_norm(x + mixed, w["norm1.weight"], w["norm1.bias"])
    hidden = np.maximum(0, x @ w["linear1.weight"].T + w["linear1.bias"])
    hidden = hidden @ w["linear2.weight"].T + w["linear2.bias"]
    return layer_norm(x + hidden, w["norm2.weight"], w["norm2.bias"])
