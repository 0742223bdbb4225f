"""What recorded cases of successors have in common: weights, outputs and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cmg.codebook.codebook import SharedCodebook
from cmg.errors import DataError
from cmg.golden.cases import Case
from cmg.golden.compare import END_TO_END, Comparison
from cmg.golden.quantizer import (
    index_margin,
)
from cmg.golden.steps import (
    batch_of,
    compare_fingerprints,
    recorded_steps,
    state_of,
)
from cmg.interop.layout import build
from cmg.interop.successors import Successor
from cmg.models.unified import UnifiedModel
from cmg.objectives.draws import Draws
from cmg.objectives.second import SecondLayerTerms
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.types import Batch

Named = dict[str, Tensor]


def recorded_model(case: Case, files: Successor, more: Mapping[str, Tensor]) -> UnifiedModel:
    """A model at the recorded weights, in eval mode.

    Args:
        case: Its parameters by official full name.
        files: Whose they are.
        more: Tensors that sizes are inferred from, too.
    """
    size = case.array("in/video").shape[2]
    model, objectives = build(files.infer({**case.params, **more}, size, 0.0))
    model, objectives = model.double(), objectives.double()
    files.load(case.params, model, objectives)
    return model.eval()


def by_official_name(case: Case, files: Successor, model: UnifiedModel) -> Named:
    """The model's parameters by the names that gradients were recorded under."""
    found: Named = {}
    rules, own = files.rules(list(model.modalities)), dict(model.named_parameters())
    for official in case.params:
        if official.startswith(files.codebook):
            continue
        for there, here in rules.items():
            if here is not None and official.startswith(there):
                name = (here + official.removeprefix(there)).removeprefix("model.")
                found[f"out/grad_param/{official}"] = own[name]
                break
    return found


def compare_margin(comparison: Comparison, book: object, semantic: Mapping[str, Tensor]) -> None:
    """The smallest gap between nearest codes over all layers that were looked at."""
    assert isinstance(book, SharedCodebook)
    key, margin = "out/min_index_margin", float(index_margin(book, dict(semantic)))
    recorded = float(comparison.case.arrays.get(key, torch.tensor(margin)))
    if key not in comparison.errors or margin <= recorded * (1 + END_TO_END):
        comparison.check(key, margin)


def compare_outputs(
    case: Case,
    comparison: Comparison,
    outputs: Named,
    losses: list[Tensor],
    inputs: Named,
    parameters: Named,
) -> None:
    """Outputs, and the gradients of losses and projected outputs together."""
    projected = []
    for name, value in outputs.items():
        comparison.check(f"out/{name}", value)
        projected.append((value * case.array(f"in/weight_{name}")).sum())
    leaves = {f"out/grad_{m}": x for m, x in inputs.items()}
    comparison.check_gradients(torch.stack([*losses, *projected]).sum(), leaves | parameters)


def recorded_state(case: Case, files: Successor) -> tuple[TrainingState, Named]:
    """Training at the recorded initial weights, as coded but without dropout; and the extras."""
    first = recorded_steps(case)[0]
    size = case.array(f"in/{first}video").shape[2]
    state = state_of(files.infer(case.params, size, 0.0))
    extras, absent = files.load(case.params, state.model, state.objectives)
    if missing := [name for name in absent if not name.startswith(files.unused)]:
        raise DataError(f"{case.path} records no initial weights for {', '.join(missing[:3])}")
    return state, extras


def compare_two_layers(
    case: Case,
    comparison: Comparison,
    files: Successor,
    state: TrainingState,
    extras: Named,
    draws: Callable[[str], Draws],
    logged: Callable[[str, Mapping[str, float], int], None],
    epochs: Mapping[str, float],
) -> None:
    """Train on the recorded steps, and compare everything after each.

    Args:
        case: With the batches.
        comparison: Of the case.
        files: Whose state dicts these are.
        state: At the recorded initial weights.
        extras: Of it.
        draws: The choices of the step of a prefix.
        logged: Compares a step's log, of so many clips.
        epochs: Of the steps, by prefix.
    """

    def tensors() -> Named:
        return files.export(state.model, state.objectives, extras)

    compare_fingerprints(comparison, "_initial", "", tensors())
    compare_eval(comparison, state, batch_of(case, state, recorded_steps(case)[0]))
    for prefix in recorded_steps(case):
        batch = batch_of(case, state, prefix)
        log = pretraining_step(state, batch, draws(prefix), epoch=epochs.get(prefix, 0.0))
        logged(prefix, log, batch.size)
        compare_fingerprints(comparison, "", prefix, tensors())


@torch.no_grad()
def compare_eval(comparison: Comparison, state: TrainingState, batch: Batch) -> None:
    """What heads are given in eval mode at the initial weights."""
    model = state.model
    found = model.codebook.lookup(model.semantics(batch), batch.steps)
    for m, vectors in found.vectors.items():
        comparison.check(f"out/eval_before/{m}_cat", vectors)
        comparison.check(f"out/eval_before/{m}_split", vectors)
        comparison.check(f"out/eval_before/{m}_clip", vectors[:, 0])


def second_terms(state: TrainingState) -> SecondLayerTerms:
    """The terms of the second layer."""
    terms = state.objectives["second_layer"]
    assert isinstance(terms, SecondLayerTerms)
    return terms
