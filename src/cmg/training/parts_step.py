"""The pre-training step of several ranks or micro-batches: the same training as one process's.

Only encoders, decoders and reconstruction are divided. Every rank has the features z and the
private details of all clips (they are small) and computes on them what compares clips, so
negatives, permutations, moving averages and resets are those of the whole batch by construction.
CLUB's inner fit compares none and takes longest of the rest, so ranks divide it, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.objectives.draws import Draws
from cmg.objectives.reconstruction import reconstruction_loss
from cmg.training.parts import Chunk, Parts
from cmg.training.state import TrainingState
from cmg.training.step import refuse_non_finite
from cmg.training.world import GradientSum
from cmg.types import Batch, Encoded, Losses, Quantized


def parts_step(
    state: TrainingState, own: Batch, draws: Draws, parts: Parts, gradients: GradientSum | None
) -> dict[str, float]:
    """Train on one batch of which this process encodes its own clips.

    Args:
        state: Model, objectives and optimizers, the same on all ranks; changed in place.
        own: This rank's clips, padded to the T of the whole batch.
        draws: The step's random choices for the whole batch.
        parts: Of the batch.
        gradients: Sums those of the model over ranks; None if this process is alone.

    Returns:
        Every term and measure of the whole batch, taken before the update.

    Raises:
        NonFiniteError: on all ranks; see :func:`cmg.training.step.pretraining_step`.
        RankError: another rank is gone.
    """
    model, objectives = state.model, state.objectives
    chunks = parts.chunks(own)
    at_once = len(chunks) == 1  # otherwise graphs are built twice, one chunk at a time
    encoded = []
    for chunk in chunks:
        with torch.set_grad_enabled(at_once):
            found = represent(state, chunk, parts)
        encoded.append(found if at_once else features_of(found))
    whole = whole_batch(encoded, parts)  # z and private detail of all clips, as leaves
    quantized = model.quantize(whole)
    fit = state.fit_club(whole, quantized, parts.division(whole.semantic))
    losses: Losses = objectives(whole, quantized, {}, model.codebook, draws)

    state.optimizer.zero_grad(set_to_none=True)
    if any(losses.weights.values()):
        torch.autograd.backward(losses.total)  # to the leaves, and to Cross-CPC's own weights
    rebuilt: dict[str, Tensor] = {}
    for number, chunk in enumerate(chunks):
        found = encoded[0] if at_once else represent(state, chunk, parts)
        errors = reconstruction_errors(state, found, quantized, chunk, parts)
        if gradients is not None and number == len(chunks) - 1:
            gradients.begin()
        backward_through(state, found, whole, errors, chunk)
        for m, value in errors.items():
            rebuilt[m] = rebuilt.get(m, 0.0) + value.detach()
    if gradients is not None:
        gradients.finish()
    losses = with_reconstruction(state, losses, rebuilt, parts)
    losses.measures |= fit | state.clip_gradients() | model.codebook.measures(quantized)
    log = losses.read()
    refuse_non_finite(log)

    state.optimizer.step()
    model.codebook.update(quantized, draws.reset)
    stay_alike(state, parts)
    return log


@torch.no_grad()
def codebook_parts_step(
    state: TrainingState, own: Batch, draws: Draws, parts: Parts
) -> dict[str, float]:
    """:func:`cmg.training.step.codebook_step` of several ranks."""
    model = state.model
    quantized = model.codebook.lookup(parts.gather(model.semantics(own)), parts.steps)
    log: dict[str, float] = Losses({}, {}, model.codebook.measures(quantized)).read()
    model.codebook.update(quantized, draws.reset)
    stay_alike(state, parts)
    return log


def represent(state: TrainingState, chunk: Chunk, parts: Parts) -> Encoded:
    """Features of a chunk, with the dropout that its clips have in the whole batch."""
    with parts.dropout(chunk), state.autocast():
        return state.model.represent(chunk.batch, state.objectives.need_detail)


def features_of(encoded: Encoded) -> Encoded:
    """What the objectives need of a chunk; the rest is encoded again when its turn comes."""
    return Encoded({}, encoded.semantic, {}, encoded.private, encoded.steps)


def whole_batch(encoded: list[Encoded], parts: Parts) -> Encoded:
    """Features of the whole batch from those of this rank's chunks."""
    names, private = list(encoded[0].semantic), list(encoded[0].private)
    own = {f"z/{m}": torch.cat([e.semantic[m] for e in encoded]) for m in names}
    own |= {f"s/{m}": torch.cat([e.private[m] for e in encoded]) for m in private}
    found = parts.gather(own)
    return Encoded(
        {},
        {m: found[f"z/{m}"] for m in names},
        {},
        {m: found[f"s/{m}"] for m in private},
        parts.steps,
    )


def reconstruction_errors(
    state: TrainingState, encoded: Encoded, quantized: Quantized, chunk: Chunk, parts: Parts
) -> dict[str, Tensor]:
    """A chunk's share of the mean squared errors of the whole batch."""
    options = state.objectives.options.reconstruction
    if options is None:
        return {}
    rows = chunk.rows.to(state.device)
    codes = {m: quantized.codes[m][rows] for m in encoded.semantic}
    vectors = {m: z + (codes[m] - z).detach() for m, z in encoded.semantic.items()}
    indices = {m: quantized.indices[m][rows] for m in encoded.semantic}
    here = Quantized(indices, codes, vectors, encoded.semantic, encoded.steps)
    with state.autocast():
        rebuilt = state.model.reconstruct(encoded, here)
    means = reconstruction_loss(encoded.inputs, rebuilt, encoded.steps, options.detach_token_target)
    return {m: value * parts.share(m, encoded.steps) for m, value in means.items()}


def backward_through(
    state: TrainingState,
    encoded: Encoded,
    whole: Encoded,
    errors: dict[str, Tensor],
    chunk: Chunk,
) -> None:
    """Pass the objectives' gradients of the chunk's features, and its errors', to the encoders."""
    rows = chunk.rows.to(state.device)
    roots: list[Tensor] = []
    grads: list[Tensor | None] = []
    for own, leaves in ((encoded.semantic, whole.semantic), (encoded.private, whole.private)):
        for m, x in own.items():
            grad = leaves[m].grad
            if grad is not None:
                roots.append(x)
                grads.append(grad[rows])
    options = state.objectives.options.reconstruction
    if options is not None and options.weight:
        roots += errors.values()
        grads += [torch.full_like(error, options.weight) for error in errors.values()]
    torch.autograd.backward(roots, grads)


def with_reconstruction(
    state: TrainingState, losses: Losses, own: dict[str, Tensor], parts: Parts
) -> Losses:
    """The terms with the reconstruction of all ranks, for the log."""
    options = state.objectives.options.reconstruction
    if options is None:
        return losses
    names = [m for m in state.model.modalities if parts.steps.any(m)]
    zero = torch.zeros((), dtype=state.model.dtype, device=state.device)
    values = torch.stack([own.get(m, zero) for m in names])
    if parts.world is not None:
        parts.world.sum(values)
    terms = {f"reconstruction/{m}": v for m, v in zip(names, values, strict=True)}
    weights = dict.fromkeys(terms, options.weight)
    return Losses(terms | losses.terms, weights | losses.weights, losses.measures)


def stay_alike(state: TrainingState, parts: Parts) -> None:
    """On GPUs, whose sums differ in the last bit from run to run, rank 0's state is everyone's."""
    if parts.world is None or state.device.type != "cuda":
        return
    tensors = [*state.model.codebook.buffers(), *state.objectives.parameters()]
    parts.world.take_from_first(tensors)
