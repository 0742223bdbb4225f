"""One pre-training step, top to bottom: for one process, for micro-batches, and for ranks."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from cmg.errors import NonFiniteError
from cmg.objectives.base import View
from cmg.objectives.draws import Draws
from cmg.training.state import TrainingState
from cmg.training.together import Alone, Together
from cmg.types import Batch, Losses


def pretraining_step(
    state: TrainingState,
    own: Batch,
    draws: Draws,
    together: Together | None = None,
    epoch: float = 0.0,
) -> dict[str, float]:
    """Train on one batch.

    Args:
        state: Model, objectives and optimizers, the same on all ranks; changed in place.
        own: This process's clips, on the model's device, in its dtype, padded to the T of all.
        draws: The step's random choices, for the whole batch.
        together: How the batch is divided; None if it is here and encoded at once.
        epoch: Epochs done with the share of this one, for weights that start later or rise.

    Returns:
        Every term and measure of the whole batch, taken before the update.

    Raises:
        NonFiniteError: a term or a gradient is NaN or infinite; the model and the main optimizer
            are untouched, and so are the codes if there is one pass (inner fits were done).
        ConfigError: a term with a weight has no gradient.
        RankError: another rank is gone.
    """
    together = together or Alone()
    model, objectives = state.model, state.objectives
    own = objectives.prepare(own, draws.terms, together.rows(own))
    fit: dict[str, Tensor] = {}
    earlier: list[View] = []
    for _ in range(state.passes - 1):  # [as coded in successors]: codes move in every pass
        earlier.append(together.view(state, own, earlier, draws.private))
        if state.learns:
            fit |= inner_fits(state, earlier[-1], together, epoch)
        model.codebook.update(earlier[-1].quantized, draws.reset)
    # Features z, private detail, nearest codes:
    view = together.view(state, own, earlier, draws.private)

    losses = Losses({}, {})
    if state.learns:
        if state.passes == 1:
            fit = inner_fits(
                state, view, together, epoch
            )  # on detached inputs, optimizers of their own
        terms = partial(objectives, draws.terms, epoch)
        losses = terms(view, together.scopes)
        state.optimizer.zero_grad(set_to_none=True)
        losses = together.backward(state, view, losses, terms)
        losses.measures |= fit | state.clip_gradients()
    losses.measures |= model.codebook.measures(view.quantized)
    log = losses.read()  # the step's one transfer to the host
    refuse_non_finite(log)

    if state.learns:
        state.optimizer.step()
        model.follow()  # teachers, where there are any
        objectives.follow(view)  # queues
    model.codebook.update(view.quantized, draws.reset)  # MM-EMA and code reset
    together.stay_alike(state)
    return log


def inner_fits(
    state: TrainingState, view: View, together: Together, epoch: float
) -> dict[str, Tensor]:
    """What objectives fit for themselves before they are computed, CLUB's q(y|x) for one."""
    division = together.division(view.encoded.semantic)
    return state.objectives.fit(view, state.inner, division, epoch)


def refuse_non_finite(log: dict[str, float]) -> None:
    """Stop on a NaN or infinite value.

    Raises:
        NonFiniteError: naming every term that is not finite.
    """
    broken = [f"{name} = {value}" for name, value in log.items() if not math.isfinite(value)]
    if broken:
        terms = [b for b in broken if not b.startswith("loss/total")]
        raise NonFiniteError(", ".join(terms or broken))
