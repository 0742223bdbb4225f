"""The main optimizer: Adam, gradient clipping, learning rate over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from cmg.options import Options


class ScheduleOptions(Options):
    """Learning rate over time.

    Attributes:
        kind: ``constant``; ``multistep`` multiplies by `factor` at each milestone (published);
            ``cosine`` falls to 0 at the last step.
        milestones: Epochs, for multistep.
        factor: For multistep.
        warmup_steps: Linear rise from 0.
    """

    kind: Literal["constant", "multistep", "cosine"] = "cosine"
    milestones: tuple[int, ...] = (10, 20, 30)
    factor: float = Field(0.5, gt=0.0)
    warmup_steps: int = Field(0, ge=0)


class OptimizerOptions(Options):
    """Adam, gradient clipping and schedule.

    Attributes:
        lr: Of the one Adam over encoders, decoders and Cross-CPC; 4e-4 in the paper.
        weight_decay: Of matrices, decoupled from the gradient (AdamW): a step takes lr times this
            share of them; 0 in the paper.
        clip: ``per_part`` clips token LSTMs, encoders, Cross-CPC and decoders each on its own
            (published); ``global`` all together.
        clip_norm: 0.5 as coded.
        schedule: Learning rate over time.
    """

    lr: float = Field(4e-4, gt=0.0)
    weight_decay: float = Field(0.0, ge=0.0)
    clip: Literal["per_part", "global", "none"] = "global"
    clip_norm: float = Field(0.5, gt=0.0)
    schedule: ScheduleOptions = ScheduleOptions()


def build_optimizer(
    parameters: Sequence[nn.Parameter], options: OptimizerOptions
) -> torch.optim.Optimizer:
    """Adam over all parameters; with weight decay AdamW, which spares biases, gains and scalars."""
    if not options.weight_decay:
        return torch.optim.Adam(parameters, lr=options.lr, fused=True)  # as published
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() > 1]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    given = [group for group in groups if group["params"]]
    decay = options.weight_decay
    return torch.optim.AdamW(given, lr=options.lr, weight_decay=decay, fused=True)


def learning_rate(options: OptimizerOptions, step: int, epoch: int, steps_in_all: int) -> float:
    """Learning rate of a step, from its position alone, so that resuming needs no state.

    Args:
        options: Base rate and schedule.
        step: 0-based over the whole run.
        epoch: 0-based.
        steps_in_all: Steps of the run.
    """
    schedule = options.schedule
    rate = options.lr
    if step < schedule.warmup_steps:
        return rate * (step + 1) / schedule.warmup_steps
    if schedule.kind == "multistep":
        rate *= schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones)
    elif schedule.kind == "cosine":
        past = (step - schedule.warmup_steps) / max(1, steps_in_all - schedule.warmup_steps)
        rate *= float(0.5 * (1.0 + torch.cos(torch.tensor(past * torch.pi, dtype=torch.float64))))
    return rate
