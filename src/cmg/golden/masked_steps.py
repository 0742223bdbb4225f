"""Recorded steps of masked contrast and jigsaw: two passes, whose first alone these terms read."""

from __future__ import annotations

from torch import Tensor

from cmg.errors import DataError
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.golden.contrast import AS_CODED
from cmg.golden.jigsaw import fill_jigsaw, jigsaw_draw, jigsaw_options
from cmg.golden.steps import PUBLISHED, compare_steps, recorded_draws, recorded_steps
from cmg.interop.architecture import infer_architecture
from cmg.interop.layout import build_objectives
from cmg.interop.micu import deaf_options
from cmg.interop.names import ENCODER
from cmg.interop.official import export_official, load_official
from cmg.objectives.draws import Draws
from cmg.objectives.jigsaw import Jigsaw
from cmg.objectives.masked_contrast import MaskedContrastOptions
from cmg.training.state import TrainingState

CLASSIFIER = "Jigsaw_parameters/"
"""Section of the jigsaw's classifier, which official files do not hold."""
LOSSES = {
    "jigsaw_loss": "loss/jigsaw",
    "infonce_fine_loss": "loss/masked_contrast/steps",
    "infonce_coarse_loss": "loss/masked_contrast/clips",
}


def verify_masked_steps(case: Case, comparison: Comparison) -> None:
    """Train as many steps as were recorded, and compare everything after each.

    Cross-CPC, CMCM and CLUB were computed for the log: their weights are 0, and CLUB's nets are
    never fitted.
    """
    first = recorded_steps(case)[0]
    maps = case.array(f"in/{first}video").shape[2]
    own = {n.removeprefix(CLASSIFIER): x for n, x in case.params.items() if CLASSIFIER in n}
    weights = {name: x for name, x in case.params.items() if CLASSIFIER not in name}
    architecture = infer_architecture(weights, maps, dropout=0.0)
    usual = architecture.objectives
    if usual.club is None or usual.cross_cpc is None:
        raise DataError(f"{case.path} records no weights of Cross-CPC or CLUB")
    options = MaskedContrastOptions.model_validate({"ratio": case.setting("mask_prob")} | AS_CODED)
    terms = {
        "cross_cpc": usual.cross_cpc.model_copy(update={"weight": 0.0, "accuracy": "rows"}),
        "club": usual.club.model_copy(update={"weight": 0.0, "inner_steps": 0}),
        "cmcm": usual.cmcm.model_copy(update={"weight": 0.0}),
        "masked_contrast": options,
        "jigsaw": jigsaw_options(case),
    }
    book = deaf_options(weights[f"{ENCODER}/Cross_quantizer.embedding"].shape[0])
    state = TrainingState(
        architecture.modalities,
        architecture.model.model_copy(update={"codebook": book}),
        usual.model_copy(update=terms),
        PUBLISHED,
        precision="float64",
    )
    state.passes = 2
    jigsaw = state.objectives["jigsaw"]
    assert isinstance(jigsaw, Jigsaw)
    classifier = fill_jigsaw(jigsaw, case, own)
    known = build_objectives(architecture)  # official files know these alone
    for name in known:
        known[name] = state.objectives[name]
    extras, absent = load_official(weights, state.model, known)
    if absent:
        raise DataError(f"{case.path} records no initial weights for {', '.join(absent[:3])}")

    def tensors() -> dict[str, Tensor]:
        jigsaws = {CLASSIFIER + name: p.detach() for name, p in classifier.items()}
        return export_official(state.model, known, extras) | jigsaws

    def draws(prefix: str) -> Draws:
        usual = recorded_draws(case, comparison, state, prefix)
        usual.terms["masked_contrast"] = case.array(f"in/{prefix}keep")
        usual.terms["jigsaw"] = jigsaw_draw(case, prefix, len(state.model.modalities))
        return usual

    rounded = {"total", "infonce_fine_loss"}
    compare_steps(case, comparison, state, tensors, draws, LOSSES, rounded)
