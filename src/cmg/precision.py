"""Full precision for what low precision would change: distances, losses, scores.

Under ``torch.autocast`` the matrix products of features are rounded to bfloat16 or float16: fine
within a network, wrong for the distance that decides a code and for a loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

P = ParamSpec("P")
R = TypeVar("R")


def no_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Leave the autocast of a device type that the caller may be in."""
    there = torch.amp.is_autocast_available(device_type)
    if not (there and torch.is_autocast_enabled(device_type)):
        return nullcontext()  # a tenth of the time that entering takes
    return torch.autocast(device_type, enabled=False)


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Compute without autocast, and at least in float32.

    Tensors of less than float32 among the arguments (in mappings, lists and dataclasses too) are
    brought to the widest dtype there is among them, at least float32; in a module's method to the
    dtype of its weights. Gradients come back in the dtype that was given.
    """

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> R:
        given = _floats([*args, *kwargs.values()])
        if not given:
            return function(*args, **kwargs)
        with no_autocast(given[0].device.type):
            if not any(_is_low(x) for x in given):
                return function(*args, **kwargs)
            dtype = _weights_dtype(args) or max(
                torch.float32, *(x.dtype for x in given), key=lambda dtype: dtype.itemsize
            )
            named = {name: _widened(value, dtype) for name, value in kwargs.items()}
            return function(*_widened(args, dtype), **named)

    return computed


def _is_low(x: Tensor) -> bool:
    return x.is_floating_point() and x.dtype.itemsize < torch.float32.itemsize


def _weights_dtype(args: tuple[Any, ...]) -> torch.dtype | None:
    module = args[0] if args else None
    first = next(module.parameters(), None) if isinstance(module, nn.Module) else None
    return None if first is None else first.dtype


def _floats(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    return [x for part in _parts(value).values() for x in _floats(part)]


def _widened(value: Any, dtype: torch.dtype) -> Any:
    """The value with its tensors of less than float32 in `dtype`; itself if it has none."""
    if isinstance(value, Tensor):
        return value.to(dtype) if _is_low(value) else value
    parts = _parts(value)
    wide = {key: _widened(part, dtype) for key, part in parts.items()}
    if all(wide[key] is part for key, part in parts.items()):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **wide)
    if isinstance(value, Mapping):
        return wide
    make = getattr(value, "_make", type(value))  # of a named tuple
    return make(wide.values())


def _parts(value: Any) -> Mapping[Any, Any]:
    """What a mapping, list, tuple or dataclass is made of."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    return {}
