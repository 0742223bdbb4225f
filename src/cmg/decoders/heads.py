"""Task heads on frozen quantized content (METHOD section 6)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cmg.codebook.dimensions import DimensionOptions
from cmg.masking import mean_over_time
from cmg.options import Options

ReadBy = Literal["codes", "posterior", "continuous"]
"""What heads read of a step: its code vector, the posterior over codes, or its features."""


class ProbeOptions(Options):
    """Heads on the frozen codebook.

    Attributes:
        features: What they read: ``codes`` (quantized vectors), ``posterior`` (the probability of
            every code) or ``continuous`` (semantic features, a control).
        temperature: Of the posterior: softmax of -d^2 / (temperature * D), d the distance to a
            code and D the width.
        head: ``linear``, two linear layers by Adam (published); ``logistic``, one by L-BFGS with a
            penalty, which has no chance in it and reads the mean over steps. Of a posterior it
            reads the square roots.
        l2: The penalty of a logistic head, see :func:`cmg.evaluation.logistic.fit_logistic`; null
            chooses it on held-out training clips, or on ``data.val_split`` where there is one.
        pooling: Of a clip's steps: ``max`` (published) or ``mean``.
        epochs: Passes over the labeled clips.
        batch_size: Clips per step.
        lr: Of Adam.
        seeds: How many heads per direction, seeds 0, 1, ...
        dropout_in_encoder: Leave the frozen encoder in train mode, with its dropout on, while the
            head trains [as coded].
        dimensions: Of code vectors, which heads then read instead of all of them; see
            :mod:`cmg.codebook.dimensions`.
    """

    features: ReadBy = "codes"
    temperature: float = Field(1.0, gt=0.0)
    head: Literal["linear", "logistic"] = "linear"
    l2: Annotated[float, Field(gt=0.0)] | None = None
    pooling: Literal["max", "mean"] = "mean"
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(80, ge=1)
    lr: float = Field(4e-4, gt=0.0)
    seeds: int = Field(1, ge=1)
    dropout_in_encoder: bool = False
    dimensions: DimensionOptions | None = None

    @model_validator(mode="after")
    def _dimensions_of_codes(self) -> ProbeOptions:
        if self.dimensions is not None and self.features != "codes":
            raise ValueError(
                f"dimensions are those of code vectors, but features is {self.features}; "
                "set features=codes or dimensions=null"
            )
        return self


class ClipHead(nn.Module):
    """Clip classification: Linear, pooling over time, Linear.

    Args:
        width: D.
        classes: Number of classes.
        pooling: ``max`` over time (published) or ``mean``, where a wrong code is outvoted.
    """

    def __init__(self, width: int, classes: int, pooling: Literal["max", "mean"] = "max") -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = nn.Linear(width, width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Classify clips.

        Args:
            x: [B, T, D].
            mask: Steps that exist, bool [B, T]; None if all do.

        Returns:
            Logits [B, classes].
        """
        hidden = self.linear(x)
        if self.pooling == "mean":
            pooled = mean_over_time(hidden, mask)
        elif mask is None:
            pooled = hidden.amax(1)
        else:
            lowest = torch.finfo(hidden.dtype).min
            pooled = hidden.masked_fill(~mask[..., None], lowest).amax(1)
        logits: Tensor = self.classifier(pooled)
        return logits


class StepHead(nn.Module):
    """Per-step localization: two Linear layers on every step.

    Args:
        width: D.
        classes: Number of classes, background included.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, D] -> logits [B, T, classes]; `mask` is not needed."""
        logits: Tensor = self.classifier(self.linear(x))
        return logits


class NarrowingStepHead(nn.Module):
    """Per-step localization by four Linear layers without activation, the last two of half width.

    As coded in a successor, for training loops of one's own: it computes nothing that
    :class:`StepHead` cannot, and the benchmarks train that.

    Args:
        width: W of the vectors.
        classes: Number of classes, background included.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        sizes = [width, width, half, half, classes]
        self.layers = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, T, W] -> logits [B, T, classes]; `mask` is not needed."""
        logits: Tensor = self.layers(x)
        return logits
