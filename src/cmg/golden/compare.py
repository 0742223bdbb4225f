"""Comparing what was recorded with what is computed here, array by array.

An array agrees if max |a - b| <= rtol max |b| + 1e-12. The floor matters: some recorded arrays are
rounding noise around an exact zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.golden.cases import Case

VALUES = 1e-9
"""Values and gradients of one module."""
END_TO_END = 1e-8
"""Whole training steps; the gap between nearest codes; fingerprints."""
SINGLE = 1e-6
"""What the official code computes in float32."""
LONG_SUM = 1e-5
"""What the official code adds up in float32, thousands of times."""
FLOOR = 1e-12

RECORDED_CHOICE = "reset_codes"
"""The one kind of input that is checked like an output: which codes the official code reset."""


@dataclass(frozen=True)
class ArrayError:
    """How far an array is off.

    Attributes:
        key: Of the recorded array.
        error: max |a - b| / (max |b| + floor / tolerance), which is at most the tolerance exactly
            if the array agrees; infinite for another shape or another non-finite value.
        tolerance: Allowed error.
    """

    key: str
    error: float
    tolerance: float

    @property
    def excess(self) -> float:
        """Error in units of the tolerance."""
        return self.error / self.tolerance


class Comparison:
    """A case and, key by key, how well it was met.

    Args:
        case: With the recorded arrays.
        tolerance: For keys without one of their own.
    """

    def __init__(self, case: Case, tolerance: float = VALUES) -> None:
        self.case = case
        self.tolerance = tolerance
        self.errors: dict[str, ArrayError] = {}

    def expects(self, key: str) -> bool:
        """Whether the case recorded `key`."""
        return key in self.case.arrays

    def check(self, key: str, actual: Tensor | float, tolerance: float | None = None) -> None:
        """Compare a value with the array recorded as `key`; not recorded says not asked for."""
        if self.expects(key):
            tolerance = tolerance or tolerance_of(key, self.tolerance)
            error = relative_error(as_float64(actual), self.case.array(key), tolerance)
            self.errors[key] = ArrayError(key, error, tolerance)

    def check_each(self, key: str, actual: Tensor, scale: Tensor) -> None:
        """Compare element by element, each with its own scale (fingerprints)."""
        if self.expects(key):
            error = scaled_error(as_float64(actual), self.case.array(key), as_float64(scale))
            self.errors[key] = ArrayError(key, error, END_TO_END)

    def check_gradients(self, scalar: Tensor, leaves: Mapping[str, Tensor]) -> None:
        """Compare the gradients of a scalar.

        Args:
            scalar: Differentiable.
            leaves: What it is differentiated by, per key of the recorded gradient.
        """
        wanted = {key: leaf for key, leaf in leaves.items() if self.expects(key)}
        if not wanted:
            return
        gradients = torch.autograd.grad(
            scalar, list(wanted.values()), retain_graph=True, materialize_grads=True
        )
        for key, gradient in zip(wanted, gradients, strict=True):
            self.check(key, gradient)

    @property
    def required(self) -> list[str]:
        """Keys that a complete verification compares: all outputs, and all recorded resets."""
        return [
            key
            for key, array in self.case.arrays.items()
            if key.startswith("out/")
            or (key.startswith("in/") and key.endswith(RECORDED_CHOICE) and array.numel())
        ]

    @property
    def uncovered(self) -> list[str]:
        """Required keys that nothing was compared with."""
        return [key for key in self.required if key not in self.errors]

    @property
    def worst(self) -> ArrayError | None:
        """The array that is farthest off, in units of its tolerance."""
        return max(self.errors.values(), key=lambda e: e.excess, default=None)


def tolerance_of(key: str, default: float) -> float:
    """The tolerance of a key: some quantities have their own wherever they are recorded."""
    quantity = key.rpartition("/")[2]
    if quantity.startswith("acc"):
        return SINGLE
    if quantity.startswith("min_index_margin"):
        return END_TO_END
    if quantity.endswith("_float32"):
        return LONG_SUM
    return default


def as_float64(value: Tensor | float) -> Tensor:
    """A detached CPU copy in float64; indices and counts survive it exactly."""
    return torch.as_tensor(value, dtype=torch.float64, device="cpu").detach()


def relative_error(actual: Tensor, recorded: Tensor, tolerance: float) -> float:
    """See :class:`ArrayError`; non-finite elements must be the same ones of the same kind."""
    expected = as_float64(recorded)
    if actual.shape != expected.shape:
        return math.inf
    finite = expected.isfinite()
    same = torch.equal(actual[~finite].nan_to_num(1.5), expected[~finite].nan_to_num(1.5))
    if not same or not bool(actual[finite].isfinite().all()):
        return math.inf
    if not bool(finite.any()):
        return 0.0
    largest = float(expected[finite].abs().max())
    return float((actual - expected)[finite].abs().max()) / (largest + FLOOR / tolerance)


def scaled_error(actual: Tensor, recorded: Tensor, scale: Tensor) -> float:
    """Largest |a - b| / scale; where the scale is 0, any difference is infinite."""
    expected = as_float64(recorded)
    if actual.shape != expected.shape or actual.shape != scale.shape:
        return math.inf
    difference = (actual - expected).abs()
    if not bool(difference.isfinite().all()):
        return math.inf
    ratio = torch.where(difference == 0, 0.0, difference / scale)
    return float(ratio.max()) if ratio.numel() else 0.0
