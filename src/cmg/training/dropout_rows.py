"""Dropout of some clips of a batch as it would be if all of the batch were there.

A rank, or a micro-batch, must drop what a single process would drop of the same clips. So the masks
of the whole batch are drawn, with its seed, and the rows of these clips are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from cmg.process import reseed

aten = torch.ops.aten


@contextmanager
def dropout_of(seed: int, rows: Tensor, count: int, device: torch.device) -> Iterator[None]:
    """Draw dropout masks for `rows` of a batch of `count` clips.

    Masks have clips along their first axis. On a CPU they are those of a single process to the
    bit. On a GPU the attention's are not, because its fused kernel draws others; here it is left
    for the plain one.

    Args:
        seed: Of the step; the global generators are seeded with it.
        rows: int64 CPU [b], the clips that are there.
        count: B.
        device: Where the clips are.
    """
    reseed(seed, device)
    with sdpa_kernel(SDPBackend.MATH), RowsOfMasks(rows, count):
        yield


class RowsOfMasks(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Draws for the whole batch where dropout draws for its rows.

    Args:
        rows: int64 CPU [b].
        count: B.
    """

    def __init__(self, rows: Tensor, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows, self.count = rows, count

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is aten.bernoulli_.float:
            noise, keep = args[0], args[1]
            return noise.copy_(self._mask(noise, keep))
        if func is aten.native_dropout.default:
            x, p, train = args
            if not train:
                return func(*args, **(kwargs or {}))
            mask = self._mask(x, 1.0 - p)
            return x * mask / (1.0 - p), mask.bool()
        return func(*args, **(kwargs or {}))

    def _mask(self, like: Tensor, keep: float) -> Tensor:
        if like.shape[0] != len(self.rows):
            raise AssertionError(f"dropout over {tuple(like.shape)}: its first axis is not clips")
        # Draws fill memory in its order, which is not always that of the axes: steps may come
        # before clips. An axis of length 1 has the stride of the one that it lies within.
        places = sorted(
            zip(like.stride(), like.shape, range(like.dim()), strict=True), reverse=True
        )
        order = [axis for _, _, axis in places]
        shape = (self.count, *like.shape[1:])
        whole = torch.empty_permuted(shape, order, dtype=like.dtype, device=like.device)
        return whole.bernoulli_(keep)[self.rows.to(like.device)]
