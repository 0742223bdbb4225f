"""Recorded end-to-end training: the product's own `pretraining_step` on the recorded draws."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from cmg.codebook.codebook import SharedCodebook
from cmg.errors import DataError
from cmg.golden.cases import CASES, Case
from cmg.golden.checkpoint import input_features
from cmg.golden.compare import SINGLE, Comparison
from cmg.golden.fill import filled_weights
from cmg.golden.objectives import accuracy_key, cpc_draw
from cmg.golden.quantizer import compare_buffers, index_margin, modalities_in, recorded_reset
from cmg.interop.architecture import Architecture, infer_architecture
from cmg.interop.names import CLUB_NETS, cpc_slots
from cmg.interop.official import export_official, load_official
from cmg.objectives.club import CLUBGroup
from cmg.objectives.draws import Draws
from cmg.training.optimizer import OptimizerOptions, ScheduleOptions
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.types import Batch

PUBLISHED = OptimizerOptions(
    lr=4e-4, clip="per_part", clip_norm=0.5, schedule=ScheduleOptions(kind="constant")
)

GRADIENT_NORMS = {
    "CPC": "cpc",
    "Encoder": "encoder",
    "Text_ar_lstm": "tokens",
    "Decoder": "decoder",
}
"""Recorded module -> part of :meth:`TrainingState.parts`."""


def verify_steps(case: Case, comparison: Comparison) -> None:
    """Train as many steps as were recorded, and compare everything after each."""
    state, extras = recorded_state(case, comparison)
    compare_steps(
        case,
        comparison,
        state,
        lambda: exported(state, extras),
        lambda prefix: recorded_draws(case, comparison, state, prefix),
    )


def compare_steps(
    case: Case,
    comparison: Comparison,
    state: TrainingState,
    tensors: Callable[[], dict[str, Tensor]],
    draws: Callable[[str], Draws],
    losses: Mapping[str, str] = MappingProxyType({}),
    rounded: Collection[str] = (),
) -> None:
    """Train on the recorded steps, and compare everything after each.

    Args:
        case: With the batches.
        comparison: Of the case.
        state: At the recorded initial weights.
        tensors: Of that state, as fingerprints were taken of them.
        draws: Of the step of a prefix.
        losses: Terms beside the usual ones: recorded name -> ours.
        rounded: Recorded names of terms that were added up in float32.
    """
    steps = recorded_steps(case)
    compare_fingerprints(comparison, "_initial", "", tensors())
    compare_before(comparison, state, batch_of(case, state, steps[0]))
    for prefix in steps:
        batch = batch_of(case, state, prefix)
        chance = draws(prefix)
        compare_codes(comparison, prefix, state, batch)
        log = pretraining_step(state, batch, chance)
        compare_log(comparison, prefix, state, log, batch.size, losses, rounded)
        compare_buffers(comparison, f"out/{prefix}quantizer/", codebook_of(state))
        compare_fingerprints(comparison, "", prefix, tensors())


def exported(state: TrainingState, extras: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every official state_dict entry."""
    return export_official(state.model, state.objectives, extras)


def codebook_of(state: TrainingState) -> SharedCodebook:
    """The codebook; there are recorded steps of shared and of tied ones."""
    book = state.model.codebook
    assert isinstance(book, SharedCodebook)
    return book


def recorded_steps(case: Case) -> list[str]:
    """Key prefixes ``step<i>/`` of the recorded steps, in order.

    Raises:
        DataError: there is none.
    """
    found = {int(m[1]) for key in case.inputs if (m := re.match(r"step(\d+)/", key))}
    if not found:
        raise DataError(f"{case.path} records no step in/step<i>/...")
    return [f"step{i}/" for i in sorted(found)]


def recorded_state(case: Case, comparison: Comparison) -> tuple[TrainingState, dict[str, Tensor]]:
    """Training at the recorded initial weights, as coded but without dropout; and the extras."""
    first = recorded_steps(case)[0]
    maps = case.arrays.get(f"in/{first}video")
    weights = case.params or filled_weights(case, modalities_in(case.inputs, first))
    compare_filled(comparison, weights)
    map_size = 7 if maps is None else maps.shape[2]
    architecture = infer_architecture(weights, map_size, dropout=0.0)
    state = state_of(architecture)
    extras, absent = load_official(weights, state.model, state.objectives)
    if absent:
        raise DataError(f"{case.path} records no initial weights for {', '.join(absent[:3])}")
    return state, extras


def state_of(architecture: Architecture) -> TrainingState:
    """Training as published, in float64."""
    own = (architecture.modalities, architecture.model, architecture.objectives)
    return TrainingState(*own, PUBLISHED, precision="float64")


def compare_filled(comparison: Comparison, weights: dict[str, Tensor]) -> None:
    """The first four values of every entry, zero padded, where weights come from a formula."""
    if comparison.expects("out/initial_first4"):
        firsts = [
            nn.functional.pad(weights[n].flatten()[:4], (0, 4)) for n in entry_names(comparison)
        ]
        comparison.check("out/initial_first4", torch.stack([x[:4] for x in firsts]))


def batch_of(case: Case, state: TrainingState, prefix: str) -> Batch:
    """The recorded mini-batch of a step."""
    return Batch(input_features(case, list(state.model.modalities), prefix))


def recorded_draws(case: Case, comparison: Comparison, state: TrainingState, prefix: str) -> Draws:
    """What chance decided in the recorded step."""
    options = state.objectives.chosen.cross_cpc
    if options is None:
        raise DataError(f"{case.path} records no Cross-CPC weights")
    modalities = list(state.model.modalities)
    length = case.array(f"in/{prefix}{modalities[0]}").shape[1]
    terms: dict[str, Any] = {
        "cross_cpc": cpc_draw(int(case.array(f"in/{prefix}cpc_t")), length, options)
    }
    if "club" in state.objectives:
        terms["club"] = {m: case.array(f"in/{prefix}perm_{m}") for m in modalities}
    return Draws(terms, recorded_reset(comparison, codebook_of(state), prefix))


@torch.no_grad()
def compare_before(comparison: Comparison, state: TrainingState, batch: Batch) -> None:
    """Eval-mode outputs at the initial weights."""
    state.model.eval()
    encoded = state.model.represent(batch)
    quantized = state.model.quantize(encoded)
    for m in state.model.modalities:
        comparison.check(f"out/eval_before/{m}_feature", encoded.inputs[m])
        comparison.check(f"out/eval_before/{m}_vq", quantized.vectors[m])
    state.model.train()


@torch.no_grad()
def compare_codes(comparison: Comparison, prefix: str, state: TrainingState, batch: Batch) -> None:
    """Codes that the coming step picks: without dropout, a look at them changes nothing."""
    encoded = state.model.represent(batch)
    for m, indices in state.model.quantize(encoded).indices.items():
        comparison.check(f"out/{prefix}indices_{m}", indices)
    margin = index_margin(state.model.codebook, encoded.semantic)
    comparison.check(f"out/{prefix}min_index_margin", margin)


def compare_log(
    comparison: Comparison,
    prefix: str,
    state: TrainingState,
    log: Mapping[str, float],
    batch_size: int,
    more: Mapping[str, str] = MappingProxyType({}),
    rounded: Collection[str] = (),
) -> None:
    """Terms, accuracies and gradient norms of a step: 0 of what was not computed."""
    modalities = list(state.model.modalities)
    losses = {"total": "loss/total", "cpc_loss": "loss/cross_cpc", "cmcm_loss": "loss/cmcm"}
    for m in modalities:
        losses[f"{m}_recon_loss"] = f"loss/reconstruction/{m}"
        losses[f"{m}_embed_loss"] = f"loss/commitment/{m}"
        losses[f"{m}_mine_loss"] = f"loss/club/{m}"
        losses[f"lld_{m}_loss"] = f"club_nll/{m}"
    letters = {slot[0] for slot in cpc_slots(modalities)} | {m[0] for m in modalities}
    for pair in product(letters, letters):
        losses[f"acc_{''.join(pair)}"] = f"cpc_accuracy/{accuracy_key(''.join(pair), modalities)}"
    for official, ours in (losses | dict(more)).items():
        tolerance = SINGLE if official in rounded else None
        comparison.check(f"out/{prefix}loss/{official}", log.get(ours, 0.0), tolerance)
    comparison.check(f"out/{prefix}loss/equal_num", batch_size * log["clip_agreement"])
    norms = {o: log.get(f"gradient_norm/{p}", 0.0) for o, p in GRADIENT_NORMS.items()}
    if "club" in state.objectives:
        club = state.objectives["club"]
        norms |= {CLUB_NETS[m].removesuffix("_parameters"): net_norm(club, m) for m in modalities}
    for official, norm in norms.items():
        comparison.check(f"out/{prefix}grad_norm_before_clip/{official}", norm)


def net_norm(club: nn.Module, name: str) -> float:
    """Gradient norm of a CLUB net after a step.

    Its gradient is that of the last inner iteration plus that of the outer loss, which the next
    step's inner fit zeroes unapplied.
    """
    assert isinstance(club, CLUBGroup)
    gradients = [p.grad.flatten() for p in club.nets[name].parameters() if p.grad is not None]
    return float(torch.cat(gradients).norm()) if gradients else 0.0


def compare_fingerprints(
    comparison: Comparison,
    suffix: str,
    prefix: str,
    tensors: dict[str, Tensor],
) -> None:
    """Sum and l2 norm of every official state_dict entry, each in units of its own norm."""
    sums, norms = f"out/{prefix}fp_sum{suffix}", f"out/{prefix}fp_l2{suffix}"
    if not comparison.expects(sums) and not comparison.expects(norms):
        return
    names = entry_names(comparison)
    unknown = [name for name in names if name not in tensors]
    if unknown or len(names) != len(tensors):
        raise DataError(
            f"{CASES} lists {len(names)} entries in 'fingerprint_names', the model exports "
            f"{len(tensors)}; not exported: {', '.join(unknown[:3]) or 'none'}"
        )
    scale = torch.stack([tensors[name].norm() for name in names])
    comparison.check_each(sums, torch.stack([tensors[name].sum() for name in names]), scale)
    comparison.check_each(norms, scale, scale)


def entry_names(comparison: Comparison) -> list[str]:
    """The recorded order of the state_dict entries.

    Raises:
        DataError: it was not recorded.
    """
    names = comparison.case.record.entry.get("fingerprint_names")
    if not isinstance(names, list):
        raise DataError(f"{comparison.case.path}: its entry has no list 'fingerprint_names'")
    return names
