"""3x3 convolutions with fewer multiplications: Toom-Cook over a whole small map (float32).

A map of up to 7x7 positions is one tile of minimal filtering (Winograd 1980; for networks Lavin and
Gray 2016): along each axis the product of two polynomials is taken at n points. A 5x5 output of a
7x7 map costs 49 products of channel matrices instead of 225, a 3x3 output of a 5x5 map 25 instead
of 81. At each point all frames are one matrix product; evaluation and interpolation are products
with small constant matrices.

In exact arithmetic the result is the convolution. In float32 it is off by 1e-6 (n = 5) to 5e-6
(n = 7) of its root mean square, in bfloat16 by 2 % to 8 %: that is what
:mod:`cmg.convolutions.taps` is for.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cmg.convolutions.layers import Layer, padding_of, pointwise

LARGEST = 7
"""Points per axis that are used at most; more lose more digits."""

POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2")))
"""Where polynomials are evaluated, beside infinity."""


class Axis(NamedTuple):
    """The matrices of one axis: ``interpolate @ ((evaluate @ x) * (kernel @ w))``.

    Attributes:
        evaluate: [n, positions in].
        kernel: [n, 3].
        interpolate: [positions out, n].
    """

    evaluate: Tensor
    kernel: Tensor
    interpolate: Tensor


def points_needed(size: int, padding: int, transposed: bool) -> int:
    """N of an axis with `size` positions."""
    return size + 2 if transposed else size + 2 * padding


@cache
def product_matrices(outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices that multiply a polynomial of `outputs` coefficients by one of 3.

    Returns:
        E [n, outputs], G [n, 3] and B [n, n], float64, n = outputs + 2, such that the coefficients
        of the product of a and g are B ((E a) * (G g)). Points are scaled so that the rows of E
        and G have length 1, which keeps rounding small.

    Raises:
        ValueError: more points than :data:`LARGEST`.
    """
    n = outputs + 2
    if n > LARGEST:
        raise ValueError(f"Toom-Cook takes up to {LARGEST} points per axis, not {n}")
    finite = POINTS[: n - 1]

    def powers(length: int) -> list[list[Fraction]]:
        rows = [[point**k for k in range(length)] for point in finite]
        return [*rows, [Fraction(int(k == length - 1)) for k in range(length)]]

    inverse = inverted(powers(n))
    first, second, back = (
        torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)
        for rows in (powers(outputs), powers(3), inverse)
    )
    of_first, of_second = first.norm(dim=1), second.norm(dim=1)
    return first / of_first[:, None], second / of_second[:, None], back * (of_first * of_second)


def inverted(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """The exact inverse, by Gauss and Jordan."""
    n = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(n))] for i, row in enumerate(matrix)]
    for i in range(n):
        pivot = next(k for k in range(i, n) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


@cache
def axis(size: int, padding: int, transposed: bool, dtype: torch.dtype = torch.float32) -> Axis:
    """The matrices of an axis of `size` positions.

    A transposed convolution is a polynomial product. A convolution is its adjoint, so it has the
    transposed matrices; what padding adds is zero, so its columns are left out.
    """
    n = points_needed(size, padding, transposed)
    first, kernel, back = product_matrices(n - 2)
    inner = slice(padding, n - padding)
    if transposed:
        found = Axis(first, kernel, back[inner])
    else:
        found = Axis(back.T[:, inner], kernel, first.T)
    # A copy, because a slice of one column keeps strides that torch.kron cannot view.
    form = torch.contiguous_format
    return Axis(*(matrix.to(dtype).clone(memory_format=form) for matrix in found))


class ToomCook:
    """Maps as [H, W, N, C]: at every position one matrix of all frames."""

    def enter(self, maps: Tensor) -> Tensor:
        """[N, H, W, C] -> the form's layout."""
        return maps.permute(1, 2, 0, 3).contiguous()

    def leave(self, x: Tensor) -> Tensor:
        """The form's layout -> [N, H, W, C]."""
        return x.permute(2, 0, 1, 3)

    def convolve(self, layer: Layer, x: Tensor) -> Tensor:
        """Apply a 1x1 or 3x3 convolution, transposed or not."""
        if layer.kernel_size == (1, 1):
            return pointwise(layer, x)
        transposed = isinstance(layer, nn.ConvTranspose2d)
        high, wide = (
            axis(size, padding, transposed, x.dtype)
            for size, padding in zip(x.shape[:2], padding_of(layer), strict=True)
        )
        product: Tensor = ToomCookProduct.apply(x, layer.weight, transposed, high, wide)  # type: ignore[no-untyped-call]
        return product if layer.bias is None else product + layer.bias


class ToomCookProduct(torch.autograd.Function):
    """The convolution without its bias.

    The backward pass evaluates input and weight again: their values at the points are up to three
    times as large as they are.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, transposed: bool, h: Axis, w: Axis) -> Tensor:
        """[H, W, N, C] -> [H', W', N, C']."""
        ctx.save_for_backward(x, weight)
        ctx.transposed, ctx.axes = transposed, (h, w)
        matrices = Axis(*(torch.kron(a, b) for a, b in zip(h, w, strict=True)))
        kernels = at_points(matrices.kernel, weight, transposed)
        products = torch.bmm(mapped(matrices.evaluate, x), kernels)
        out = matrices.interpolate @ products.flatten(1)
        return out.view(len(h.interpolate), len(w.interpolate), *products.shape[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The same products, transposed."""
        x, weight = ctx.saved_tensors
        h, w = ctx.axes
        matrices = Axis(*(torch.kron(a, b) for a, b in zip(h, w, strict=True)))
        products = mapped(matrices.interpolate.T, gradients[0])
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            kernels = at_points(matrices.kernel, weight, ctx.transposed)
            values = torch.bmm(products, kernels.transpose(1, 2))
            del kernels
            of_x = (matrices.evaluate.T @ values.flatten(1)).view_as(x)
            del values
        if ctx.needs_input_grad[1]:
            values = mapped(matrices.evaluate, x)
            rows, columns = (values, products) if ctx.transposed else (products, values)
            of_kernels = torch.bmm(rows.transpose(1, 2), columns)
            of_weight = (of_kernels.flatten(1).T @ matrices.kernel).view_as(weight)
        return of_x, of_weight, None, None, None


def mapped(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix over positions applied to maps: [n, H * W] and [H, W, N, C] -> [n, N, C]."""
    return (matrix @ x.reshape(matrix.shape[1], -1)).view(-1, *x.shape[2:])


def at_points(kernel: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    """The weight at every point, [n, C, C'], from [C', C, 3, 3] or transposed [C, C', 3, 3]."""
    found = (kernel @ weight.flatten(2).flatten(0, 1).T).view(-1, *weight.shape[:2])
    return found if transposed else found.transpose(1, 2)
