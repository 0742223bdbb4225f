"""One pre-training step, top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from cmg.errors import NonFiniteError
from cmg.objectives.draws import Draws
from cmg.training.state import TrainingState
from cmg.types import Batch, Losses


def pretraining_step(
    state: TrainingState,
    batch: Batch,
    draws: Draws,
    with_gradients: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Train on one batch.

    Args:
        state: Model, objectives and optimizers; changed in place.
        batch: On the model's device, in its dtype.
        draws: The step's random choices.
        with_gradients: Called between backward and clipping.

    Returns:
        Every term and measure of the step, taken before the update.

    Raises:
        NonFiniteError: a term or a gradient is NaN or infinite; the model, its codes and the main
            optimizer are untouched (CLUB's nets were fitted before).
    """
    model = state.model
    with state.autocast():
        encoded = model.represent(batch, state.objectives.need_detail)  # content z, private detail
    quantized = model.quantize(encoded)  # nearest codes; the codebook is untouched
    with state.autocast():
        rebuilt = model.reconstruct(encoded, quantized) if state.objectives.need_rebuilt else {}
    fit = state.fit_club(encoded, quantized)  # q(y|x) on detached inputs, optimizer of its own
    losses: Losses = state.objectives(encoded, quantized, rebuilt, model.codebook, draws)

    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(losses.total)
    with_gradients()
    losses.measures |= fit | state.clip_gradients() | model.codebook.measures(quantized)
    log = losses.read()  # the step's one transfer to the host
    refuse_non_finite(log)

    state.optimizer.step()
    model.codebook.update(quantized, draws.reset)  # MM-EMA and code reset: here and nowhere else
    return log


@torch.no_grad()
def codebook_step(state: TrainingState, batch: Batch, draws: Draws) -> dict[str, float]:
    """The control without learning: encoders stay as they are, only MM-EMA moves the codes.

    Args:
        state: Only the codebook of its model changes.
        batch: As in :func:`pretraining_step`.
        draws: Only the reset's are used.

    Returns:
        The codebook's measures.
    """
    model = state.model
    quantized = model.codebook.lookup(model.semantics(batch), batch.steps)
    log: dict[str, float] = Losses({}, {}, model.codebook.measures(quantized)).read()
    model.codebook.update(quantized, draws.reset)
    return log


def refuse_non_finite(log: dict[str, float]) -> None:
    """Stop on a NaN or infinite value.

    Raises:
        NonFiniteError: naming every term that is not finite.
    """
    broken = [f"{name} = {value}" for name, value in log.items() if not math.isfinite(value)]
    if broken:
        terms = [b for b in broken if not b.startswith("loss/total")]
        raise NonFiniteError(", ".join(terms or broken))
