"""Recorded codebooks: lookup, losses and their gradients, MM-EMA, code reset, CMCM.

All these cases are sequences of forward passes of one official quantizer; what differs is which of
its results were recorded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.distances import squared_gap
from cmg.codebook.measures import clip_agreement, code_counts, perplexity
from cmg.codebook.quantizer import Quantizer
from cmg.codebook.reset import ResetDraw, ResetOptions
from cmg.errors import DataError
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.interop.names import CODEBOOK, MODALITIES
from cmg.models.published import AS_CODED_EMA, AS_CODED_RESET
from cmg.objectives.cmcm import cmcm_loss
from cmg.objectives.commitment import commitment_loss
from cmg.types import Quantized, Steps


def verify_quantizer(
    case: Case,
    comparison: Comparison,
    reset: ResetOptions = AS_CODED_RESET,
    order: Sequence[str] = MODALITIES,
) -> None:
    """Replay the recorded forward passes on one :class:`SharedCodebook`, moved in an order."""
    passes = forward_passes(case)
    there = modalities_in(case.inputs, passes[0])
    modalities = [m for m in order if m in there]
    codebook = recorded_codebook(case, modalities, reset)
    for prefix in passes:
        semantic = {m: case.array(f"in/{prefix}{m}").clone().requires_grad_() for m in modalities}
        first = next(iter(semantic.values()))
        quantized = codebook.lookup(semantic, Steps(first.shape[0], first.shape[1]))
        compare_lookup(comparison, f"out/{prefix}", codebook, semantic, quantized)
        compare_losses(comparison, f"out/{prefix}", codebook, semantic, quantized)
        compare_straight_through(comparison, prefix, semantic, quantized)
        update(comparison, prefix, codebook, quantized)


def forward_passes(case: Case) -> list[str]:
    """Key prefixes of the recorded passes, in order: "", then ``step<i>/``, then ``next/``.

    Raises:
        DataError: the case has no semantic features.
    """
    names = "|".join(MODALITIES)
    found = {m[1] for key in case.inputs if (m := re.fullmatch(rf"((?:.*/)?)(?:{names})", key))}
    if not found:
        raise DataError(f"{case.path} has no features in/<modality> or in/step<i>/<modality>")

    def order(prefix: str) -> tuple[int, int]:
        step = re.fullmatch(r"step(\d+)/", prefix)
        return (0, int(step[1])) if step else (1 if prefix else -1, 0)

    return sorted(found, key=order)


def modalities_in(inputs: dict[str, Tensor], prefix: str) -> list[str]:
    """Modalities with features under a prefix, in the order of the sequential update."""
    return [m for m in MODALITIES if f"{prefix}{m}" in inputs]


def recorded_codebook(
    case: Case, modalities: list[str], reset: ResetOptions = AS_CODED_RESET
) -> SharedCodebook:
    """A codebook in the recorded state, moving as coded."""
    size, width = case.size("embedding"), case.size("embedding", 1)
    options = CodebookOptions(size=size, start="uniform", ema=AS_CODED_EMA, reset=reset)
    codebook = SharedCodebook(modalities, width, options).to(torch.float64)
    state = codebook.state_dict()
    for official, ours in CODEBOOK.items():
        state[str(ours)].copy_(case.array(f"param/{official}").expand_as(state[str(ours)]))
    return codebook


def compare_lookup(
    comparison: Comparison,
    prefix: str,
    codebook: SharedCodebook,
    semantic: dict[str, Tensor],
    quantized: Quantized,
) -> None:
    """Codes, their usage, and how clear the choice was."""
    for m, indices in quantized.indices.items():
        comparison.check(f"{prefix}{m}_vq", quantized.vectors[m])
        comparison.check(f"{prefix}{m}_indices", indices)
        counts = code_counts(indices, codebook.size, None)
        comparison.check(f"{prefix}{m}_perplexity", perplexity(counts))
    comparison.check(f"{prefix}equal_num", clip_agreement(quantized.indices, quantized.steps))
    comparison.check(f"{prefix}min_index_margin", index_margin(codebook, semantic))


def index_margin(codebook: Quantizer, semantic: dict[str, Tensor]) -> Tensor:
    """Smallest gap between the two nearest codes' squared distances, over all tokens."""
    gaps = [squared_gap(z.detach().flatten(0, 1), codebook.table(m)) for m, z in semantic.items()]
    return torch.cat(gaps).min()


def compare_losses(
    comparison: Comparison,
    prefix: str,
    codebook: SharedCodebook,
    semantic: dict[str, Tensor],
    quantized: Quantized,
) -> None:
    """Commitment and CMCM with the codes before the update, and their gradients."""
    steps = quantized.steps
    committed = commitment_loss(semantic, quantized.codes, steps)
    losses = {f"{m}_commit_loss": loss for m, loss in committed.items()}
    cmcm = cmcm_loss(semantic, codebook.codes, steps)
    if cmcm is not None:
        losses["cmcm_loss"] = cmcm
    for name, loss in losses.items():
        comparison.check(f"{prefix}{name}", loss)
        leaves = {f"{prefix}grad/{name}/{m}": z for m, z in semantic.items()}
        comparison.check_gradients(loss, leaves)


def compare_straight_through(
    comparison: Comparison, prefix: str, semantic: dict[str, Tensor], quantized: Quantized
) -> None:
    """Gradient of projected quantized vectors, which passes straight through to the features."""
    if not all(comparison.expects(f"in/{prefix}proj_{m}") for m in semantic):
        return
    projected = [
        (quantized.vectors[m] * comparison.case.array(f"in/{prefix}proj_{m}")).sum()
        for m in semantic
    ]
    leaves = {f"out/{prefix}grad/proj_vq/{m}": z for m, z in semantic.items()}
    comparison.check_gradients(torch.stack(projected).sum(), leaves)


def update(
    comparison: Comparison, prefix: str, codebook: SharedCodebook, quantized: Quantized
) -> None:
    """The buffers after a pass. Official eval mode skips MM-EMA but still resets codes."""
    if not any(comparison.expects(f"out/{prefix}state_after/{name}") for name in CODEBOOK):
        return
    if str(comparison.case.record.entry.get("mode")).startswith("train"):
        codebook.accumulate(quantized)
    codebook.revive(quantized, recorded_reset(comparison, codebook, prefix))
    compare_buffers(comparison, f"out/{prefix}state_after/", codebook)


def compare_buffers(comparison: Comparison, prefix: str, codebook: SharedCodebook) -> None:
    """Codes, counts, sums and idle counters under their official names."""
    for official, ours in CODEBOOK.items():
        buffer = codebook.get_buffer(str(ours))
        idle = buffer[codebook.heard].amin(0) if ours == "idle" else buffer
        comparison.check(prefix + official, idle)


def recorded_reset(comparison: Comparison, codebook: SharedCodebook, prefix: str) -> ResetDraw:
    """The recorded sources and noise of a pass; also checks which codes are reset from which."""
    case, options = comparison.case, codebook.options.reset

    def draw(resets: int, sources: int, width: int) -> tuple[Tensor, Tensor]:
        # Called when counters are up to date and codes are not yet overwritten.
        idle = codebook.idle_steps()
        active = ((idle >= 0) & (idle < options.active)).nonzero().flatten()
        picks = case.array(f"in/{prefix}random_picks")
        comparison.check(f"in/{prefix}reset_codes", (idle > options.patience).nonzero().flatten())
        comparison.check(f"in/{prefix}active_codes", active)
        comparison.check(f"in/{prefix}source_codes", active[picks])
        if options.spread == "constant":  # nothing of it was drawn
            noise = codebook.draw()(resets, sources, width)[1].to(torch.float64)
            comparison.check(f"in/{prefix}noise", noise)
            return picks, noise
        return picks, case.array(f"in/{prefix}noise")

    return draw
