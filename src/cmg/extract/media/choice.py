"""Which frames of a video stand for its steps.

Shape legend: N frames of the video, M chosen ones, T steps, F frames per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError, DataError
from cmg.extract.media.container import MOMENT

Rule = Literal["time", "count"]

LARGEST = 4_000_000_000
"""Bytes of a clip's frames."""


@dataclass(frozen=True)
class FramePlan:
    """Which frames an extractor reads, and in which size.

    Attributes:
        frames_per_step: F.
        size: Height and width that frames are scaled to, bilinear, aspect ratio not kept.
        step_seconds: Duration of a step.
        rule: ``time``: frames shown at F evenly spaced times within each step. ``count``: the
            published rule, by the number of frames and whatever their rate.
        segments: T of the rule ``count``.
    """

    frames_per_step: int
    size: tuple[int, int]
    step_seconds: float = 1.0
    rule: Rule = "time"
    segments: int = 10

    def __post_init__(self) -> None:
        counts = (self.frames_per_step, *self.size, self.segments)
        if min(counts) < 1 or not 0 < self.step_seconds < float("inf"):
            raise ConfigError(f"frames, size, step and segments must be positive: {self}")


@dataclass(frozen=True)
class Choice:
    """The chosen frames.

    Attributes:
        frames: Their numbers, int64 [M], ascending; a frame may be chosen more than once.
        steps: The step that each stands for, int64 [M].
        count: T.
    """

    frames: NDArray[np.int64]
    steps: NDArray[np.int64]
    count: int


def step_count(seconds: float, step_seconds: float) -> int:
    """How many steps a duration fills: the last counts if at least half full, at least 1."""
    return max(1, int(seconds / step_seconds + 0.5 + MOMENT))


def refuse_large(path: Path, frames: int, plan: FramePlan) -> None:
    """Refuse a clip whose frames would not fit into memory.

    Args:
        path: For the message.
        frames: How many.
        plan: Their size.

    Raises:
        DataError: they are larger than :data:`LARGEST`.
    """
    size = 3 * frames * plan.size[0] * plan.size[1]
    if size > LARGEST:
        raise DataError(
            f"{path}: its {frames} frames of {plan.size[0]}x{plan.size[1]} are "
            f"{size / 1e9:.1f} GB, more than {LARGEST / 1e9:g}; list parts of it in a manifest, "
            "with start and end"
        )


def most_frames(seconds: float, plan: FramePlan) -> int:
    """How many frames a plan chooses at most."""
    steps = plan.segments if plan.rule == "count" else step_count(seconds, plan.step_seconds)
    return steps * plan.frames_per_step


def choose(times: NDArray[np.float64], seconds: float, plan: FramePlan) -> Choice:
    """Choose frames by the rule of a plan.

    Args:
        times: When each frame begins to be shown, in seconds after the clip's start, ascending
            [N], N > 0; the first may begin before the clip.
        seconds: Duration of the clip, positive.
        plan: The rule.
    """
    if plan.rule == "count":
        return _by_count(times, plan)
    return _by_time(times, seconds, plan)


def _by_time(times: NDArray[np.float64], seconds: float, plan: FramePlan) -> Choice:
    """The frames shown at (l + (i + 1/2) / F) steps, as far as the clip reaches."""
    per_step = plan.frames_per_step
    count = step_count(seconds, plan.step_seconds)
    steps, order = np.divmod(np.arange(count * per_step), per_step)
    wanted = (steps + (order + 0.5) / per_step) * plan.step_seconds
    kept = (wanted < seconds) | (order == 0)  # a step that is half covered has at least one frame
    shown = np.searchsorted(times, wanted[kept] + MOMENT, side="right") - 1
    return Choice(np.maximum(shown, 0), steps[kept], count)


def _by_count(times: NDArray[np.float64], plan: FramePlan) -> Choice:
    """The published rule: floor(l * interval + i / F * interval), interval = floor(N / T).

    Frames after T * interval are never used; with fewer frames than segments all are the first.
    """
    first = min(int(np.searchsorted(times, -MOMENT)), len(times) - 1)
    interval = (len(times) - first) // plan.segments
    per_step = plan.frames_per_step
    steps, order = np.divmod(np.arange(plan.segments * per_step), per_step)
    return Choice(first + steps * interval + order * interval // per_step, steps, plan.segments)
