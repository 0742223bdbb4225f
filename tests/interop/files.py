"""Files of torch.save, read and compared."""

from __future__ import annotations

import torch


def load(path):
    return torch.load(path, weights_only=True)


def same(a, b) -> bool:
    """Equal to the bit, keys in the same order, and of the same types."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b
