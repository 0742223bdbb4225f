"""A few steps of a configuration: whether it fits its data, and what a clip of it costs."""

from __future__ import annotations

import time
from contextlib import suppress

from cmg.config.schema import RunConfig
from cmg.process import thread_count
from cmg.recipes.pretrain import trained
from cmg.runs.checkpoint import Position

STEPS = 4
"""So many are taken; the first is slower than the rest and is not counted."""


class Enough(Exception):  # noqa: N818  # no error
    """The stopwatch has seen enough."""


class Stopwatch:
    """A step observer that ends training.

    Attributes:
        begun: Processor time at the end of the first step.
        clips: Clips since then.
    """

    def __init__(self) -> None:
        self.begun, self.clips, self.steps = 0.0, 0, 0

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""
        self.steps += 1
        if self.steps == 1:
            self.begun = time.process_time()
            return
        self.clips += clips
        if self.steps == STEPS:
            raise Enough


def seconds_per_clip(config: RunConfig) -> float:
    """Processor time of a clip in training, of the first steps; nothing is written.

    Raises:
        CmgError: the configuration does not fit the data.
    """
    watch = Stopwatch()
    with thread_count(config.training.threads), suppress(Enough):
        trained(config, observers=[watch])
    return (time.process_time() - watch.begun) / watch.clips if watch.clips else 0.0
