"""Options of the heads that evaluate a frozen model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cmg.options import Options


class ProbeOptions(Options):
    """Heads on the frozen codebook.

    Attributes:
        features: ``codes`` (quantized vectors) or ``continuous`` (semantic features, a control).
        pooling: Of a clip's steps: ``max`` (published) or ``mean``.
        epochs: Passes over the labeled clips.
        batch_size: Clips per step.
        lr: Of Adam.
        seeds: How many heads per direction, seeds 0, 1, ...
        dropout_in_encoder: Leave the frozen encoder in train mode, with its dropout on, while the
            head trains [as coded].
    """

    features: Literal["codes", "continuous"] = "codes"
    pooling: Literal["max", "mean"] = "mean"
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(80, ge=1)
    lr: float = Field(4e-4, gt=0.0)
    seeds: int = Field(1, ge=1)
    dropout_in_encoder: bool = False
