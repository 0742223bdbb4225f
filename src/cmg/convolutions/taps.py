"""3x3 convolutions as matrix products on windows in place, with no unfolded copy (bfloat16).

With maps laid out as [W, N, H, C], the window of three rows below a position is contiguous (3 C
numbers), and the windows of one output row form a matrix with a constant stride, which the matrix
product reads where it lies. An output row is then the sum of three products, one per column of the
kernel. Taps that fall on padding are left out rather than multiplied by zero: 40 % of a padded 3x3
convolution on a 3x3 map. A transposed convolution is a convolution with padding 2 - p and the
kernel turned; so is the gradient of the input.

The products are rounded to bfloat16 up to three times where one long product is rounded once.
Gradients of weights are summed in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cmg.convolutions.layers import Layer, padding_of, pointwise


class Taps:
    """Maps as [W, N, H, C] in bfloat16 (or any dtype)."""

    def __init__(self, dtype: torch.dtype = torch.bfloat16) -> None:
        self.dtype = dtype

    def enter(self, maps: Tensor) -> Tensor:
        """[N, H, W, C] -> the form's layout."""
        return maps.to(self.dtype).permute(2, 0, 1, 3).contiguous()

    def leave(self, x: Tensor) -> Tensor:
        """The form's layout -> [N, H, W, C]."""
        return x.permute(1, 2, 0, 3)

    def convolve(self, layer: Layer, x: Tensor) -> Tensor:
        """Apply a 1x1 or 3x3 convolution, transposed or not."""
        if layer.kernel_size == (1, 1):
            return pointwise(layer, x)
        product: Tensor = TapsProduct.apply(  # type: ignore[no-untyped-call]
            x, layer.weight, padding_of(layer), isinstance(layer, nn.ConvTranspose2d)
        )
        return product if layer.bias is None else product + layer.bias.to(x.dtype)


class TapsProduct(torch.autograd.Function):
    """The convolution without its bias."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int], transposed: bool
    ) -> Tensor:
        """[W, N, H, C] -> [W', N, H', C']."""
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.transposed = padding, transposed
        if transposed:
            return correlate(x, turned(weight, x.dtype), opposite(padding))
        return correlate(x, columns(weight, x.dtype), padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input and weight."""
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            if ctx.transposed:
                of_x = correlate(gradient, columns(weight, x.dtype), ctx.padding)
            else:
                of_x = correlate(gradient, turned(weight, x.dtype), opposite(ctx.padding))
        if ctx.needs_input_grad[1]:
            # A transposed convolution is the adjoint: input and output change places.
            wide, narrow = (gradient, x) if ctx.transposed else (x, gradient)
            of_weight = weight_gradient(wide, narrow, ctx.padding).to(weight.dtype)
        return of_x, of_weight, None, None


def opposite(padding: tuple[int, int]) -> tuple[int, int]:
    """Padding of the convolution that is the adjoint of one with `padding`."""
    return 2 - padding[0], 2 - padding[1]


def columns(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """[C', C, 3, 3] -> per column of the kernel [3, 3 C, C'], a view of [3, C', 3 C]."""
    out, channels = weight.shape[:2]
    laid = weight.to(dtype).permute(3, 0, 2, 1).reshape(3, out, 3 * channels)
    return laid.transpose(1, 2)


def turned(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """The kernel of the adjoint: turned by half a circle, from [C, C', 3, 3]."""
    channels, out = weight.shape[:2]
    return weight.to(dtype).permute(3, 2, 0, 1).flip(0, 1).reshape(3, 3 * channels, out)


def correlate(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
    """A convolution from windows in place.

    Args:
        x: [W, N, H, C], contiguous.
        kernel: Per column [3, 3 C, C'].
        padding: Along height and width.

    Returns:
        [W', N, H', C'].
    """
    wide, frames, high, channels = x.shape
    shape = (wide + 2 * padding[1] - 2, frames, high + 2 * padding[0] - 2, kernel.shape[-1])
    out = x.new_zeros(shape)
    for p, j, rows, windows, columns_out in windows_of(x, shape, padding):
        target = rows_of(out, columns_out, p, 1)
        taps = kernel[j, rows.start * channels : rows.stop * channels]
        torch.addmm(target, windows, taps, out=target)
    return out


def weight_gradient(x: Tensor, gradient: Tensor, padding: tuple[int, int]) -> Tensor:
    """Gradient of a convolution's weight [C', C, 3, 3] in float32 (or wider).

    Args:
        x: The input, [W, N, H, C], contiguous.
        gradient: Of the output, [W', N, H', C'], contiguous.
        padding: Along height and width.
    """
    channels, out = x.shape[-1], gradient.shape[-1]
    wide = torch.promote_types(x.dtype, torch.float32)
    total = torch.zeros(3, out, 3 * channels, dtype=wide, device=x.device)
    for p, j, rows, windows, columns_out in windows_of(x, gradient.shape, padding):
        part = rows_of(gradient, columns_out, p, 1).T @ windows
        total[j, :, rows.start * channels : rows.stop * channels] += part
    return total.view(3, out, 3, channels).permute(1, 3, 2, 0)


def windows_of(
    x: Tensor, shape: tuple[int, ...] | torch.Size, padding: tuple[int, int]
) -> Iterator[tuple[int, int, range, Tensor, range]]:
    """Per output row p and kernel column j what is multiplied.

    Yields:
        p, j, the kernel's rows that fall inside the map, the windows [columns * N, rows * C], and
        the output columns that they belong to.
    """
    for p in range(shape[2]):
        top = p - padding[0]
        rows = range(max(0, -top), min(3, x.shape[2] - top))
        for j in range(3):
            left = j - padding[1]
            inside = range(max(0, -left), min(shape[0], x.shape[0] - left))
            if rows and inside:
                source = range(inside.start + left, inside.stop + left)
                yield p, j, rows, rows_of(x, source, top + rows.start, len(rows)), inside


def rows_of(x: Tensor, inside: range, first: int, rows: int) -> Tensor:
    """Rows first .. first + rows of some columns, as a matrix [columns * N, rows * C] in place."""
    _, frames, high, channels = x.shape
    offset = x.storage_offset() + (inside.start * frames * high + first) * channels
    return x.as_strided((len(inside) * frames, rows * channels), (high * channels, 1), offset)
