"""The control: data-parallel training that only averages gradients, as wrapping a model does.

Every rank contrasts its own clips only, draws its own CLUB negatives and moves the codes by its own
features; rank 0's codes and CLUB nets then overwrite the others'. docs/distributed.md measures what
that costs.
"""

from __future__ import annotations

from cmg.objectives.draws import Draws
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.training.world import GradientSum, World
from cmg.types import Batch


def naive_step(
    state: TrainingState, own: Batch, draws: Draws, world: World, gradients: GradientSum
) -> dict[str, float]:
    """Train on this rank's clips.

    Args:
        state: Changed in place.
        own: This rank's clips.
        draws: The rank's random choices.
        world: The ranks.
        gradients: Of all that the main Adam trains.

    Returns:
        Terms and measures of this rank's clips.

    Raises:
        NonFiniteError: see :func:`cmg.training.step.pretraining_step`.
        RankError: another rank is gone.
    """

    def average() -> None:
        gradients.begin()
        gradients.finish()
        for _, p in state.named_parameters():
            if p.grad is not None:
                p.grad /= world.size

    log = pretraining_step(state, own, draws, average)
    shared = [*state.model.codebook.buffers()]
    if state.objectives.club is not None:
        shared += state.objectives.club.parameters()
    world.take_from_first(shared)
    return log
