"""Recorded cases of SRCID: codebooks and encoder of two layers, and its training steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cmg.codebook.levels import LeveledCodebook, ProductCodebook, ProductOptions
from cmg.codebook.measures import clip_agreement
from cmg.golden.cases import Case
from cmg.golden.compare import END_TO_END, VALUES, Comparison
from cmg.golden.objectives import cpc_draw
from cmg.golden.quantizer import (
    compare_lookup,
    compare_losses,
    recorded_reset,
)
from cmg.golden.steps import (
    compare_log,
    net_norm,
    recorded_steps,
)
from cmg.golden.successors import (
    Named,
    by_official_name,
    compare_margin,
    compare_outputs,
    compare_two_layers,
    recorded_model,
    recorded_state,
    second_terms,
)
from cmg.interop.names import MODALITIES, TOKENS
from cmg.interop.srcid import CLUB_NETS_2, SRCID, codebook_to_ours, codebook_to_theirs
from cmg.models.published import AS_CODED_EMA, AS_CODED_RESET
from cmg.models.second import Layer
from cmg.models.unified import UnifiedModel
from cmg.objectives.commitment import commitment_loss
from cmg.objectives.draws import Draws
from cmg.objectives.reconstruction import reconstruction_loss
from cmg.types import Batch, Steps

PASSES = 6


def verify_layered_quantizer(case: Case, comparison: Comparison) -> None:
    """Replay recorded passes of both layers on one product codebook, a group for each."""
    steps = recorded_steps(case) if any(k.startswith("step") for k in case.inputs) else [""]
    size, width = case.size("embedding", 1), case.size("embedding", 2)
    options = ProductOptions(
        size=size, groups=2, start="uniform", ema=AS_CODED_EMA, reset=AS_CODED_RESET
    )
    book = ProductCodebook(MODALITIES, 2 * width, options).to(torch.float64)
    for name, tensor in codebook_to_ours(case.params, MODALITIES).items():
        book.get_buffer(name).copy_(tensor)
    for prefix in steps:
        for level, own in enumerate(book.books):
            here = f"{prefix}layer{level}/"
            z = {m: case.array(f"in/{here}{m}").clone().requires_grad_() for m in MODALITIES}
            quantized = own.lookup(z, Steps.of(z))
            compare_lookup(comparison, f"out/{here}", own, z, quantized)
            compare_losses(comparison, f"out/{here}", own, z, quantized)
            own.update(quantized, recorded_reset(comparison, own, here))
        compare_books(comparison, f"out/{prefix}state_after/", book)


def compare_books(comparison: Comparison, prefix: str, book: nn.Module) -> None:
    """Buffers of both layers in their official form."""
    for name, tensor in codebook_to_theirs(dict(book.named_buffers()), MODALITIES).items():
        comparison.check(prefix + name, tensor)


def verify_srcid_encoder(case: Case, comparison: Comparison) -> None:
    """Both layers of a batch: features, codes, reconstruction, and gradients of their sum."""
    inputs = {m: case.array(f"in/{m}").clone().requires_grad_() for m in MODALITIES}
    words = inputs["text"].shape[-1]
    lstm = {f"{TOKENS}/weight_ih_l0": torch.empty(2 * words, words)}
    lstm[f"{TOKENS}/weight_hh_l0"] = torch.empty(2 * words, words // 2)
    model = recorded_model(case, SRCID, lstm)
    model.tokens = nn.ModuleDict()  # what was recorded is the LSTM's output
    whole = model.represent(Batch(dict(inputs)))
    quantized = model.quantize(whole)
    assert model.second is not None
    outputs: Named = {}
    losses: list[Tensor] = []
    for level, layer in enumerate(model.second.layers(whole, quantized, model.codebook)):
        losses += compare_layer(comparison, model, layer, level, outputs)
    for m in MODALITIES:
        comparison.check(f"out/cat_{m}", quantized.vectors[m])
        comparison.check(f"out/indices_{m}", quantized.indices[m][..., 0])
        comparison.check(f"out/indices_{m}_2", quantized.indices[m][..., 1])
    compare_outputs(case, comparison, outputs, losses, inputs, by_official_name(case, SRCID, model))


def compare_layer(
    comparison: Comparison, model: UnifiedModel, layer: Layer, level: int, outputs: Named
) -> list[Tensor]:
    """One layer's losses; its outputs go to `outputs` by recorded name."""
    (own, codes, book), suffix = layer, "_2" if level else ""
    for m, z in own.semantic.items():
        outputs[f"{m[0]}_sem{suffix}"] = z
        outputs[f"{m[0]}_enc{suffix}"] = own.detail[m]
        outputs[f"{m[0]}_vq{suffix}"] = codes.vectors[m]
    if not level:
        outputs["v_club"] = own.private["video"]
    assert model.second is not None
    of = model.second if level else model
    rebuilt = reconstruction_loss(own.inputs, of.reconstruct(own, codes), own.steps, False)
    committed = commitment_loss(own.semantic, codes.codes, own.steps)
    for m in own.semantic:
        comparison.check(f"out/recon_{m}{suffix}", rebuilt[m])
        comparison.check(f"out/{m[0]}_commit{suffix}", committed[m])
    comparison.check(f"out/equal_num{suffix}", clip_agreement(codes.indices, own.steps))
    compare_margin(comparison, book, own.semantic)
    return [*rebuilt.values(), *committed.values()]


SRCID_LOSSES = {
    f"{official}_2": f"{ours}"
    for m in MODALITIES
    for official, ours in {
        f"{m}_recon_loss": f"loss/second_layer/reconstruction/{m}",
        f"{m}_embed_loss": f"loss/second_layer/commitment/{m}",
        f"{m}_mine_loss": f"loss/second_layer/club/{m}",
        f"lld_{m}_loss": f"second_layer/club_nll/{m}",
        "cpc_loss": "loss/second_layer/cross_cpc",
        "cmcm_loss": "loss/second_layer/cmcm",
    }.items()
}


def verify_srcid_steps(case: Case, comparison: Comparison) -> None:
    """Six passes a step, and the second layer's terms from epoch 3 on."""
    state, extras = recorded_state(case, SRCID)
    state.passes = PASSES
    book, terms = state.model.codebook, second_terms(state)
    assert isinstance(book, LeveledCodebook)
    prefixes = recorded_steps(case)
    recorded = case.record.entry["ctor"]["epochs_of_the_steps"]

    def draws(prefix: str) -> Draws:
        length = case.array(f"in/{prefix}audio").shape[1]

        def of(suffix: str, options: object) -> dict[str, object]:
            t = int(case.array(f"in/{prefix}cpc_t{suffix}"))
            return {
                "cross_cpc": cpc_draw(t, length, options),  # type: ignore[arg-type]
                "club": {m: case.array(f"in/{prefix}perm_{m}{suffix}") for m in MODALITIES},
            }

        chosen = state.objectives.chosen
        first = of("", chosen.cross_cpc)
        second = of("_2", terms.options.terms.cross_cpc)
        return Draws(first | {"second_layer": second}, None)

    def logged(prefix: str, log: Mapping[str, float], clips: int) -> None:
        compare_log(comparison, prefix, state, log, clips, SRCID_LOSSES, {"total"})
        norms = {"CPC_2": log.get("gradient_norm/cpc_second", 0.0)}
        club = terms.parts["club"]
        norms |= {CLUB_NETS_2[m].removesuffix("_parameters"): net_norm(club, m) for m in MODALITIES}
        for official, norm in norms.items():
            comparison.check(f"out/{prefix}grad_norm_before_clip/{official}", norm)
        compare_books(comparison, f"out/{prefix}quantizer/", book)

    epochs = dict(zip(prefixes, recorded, strict=True))
    compare_two_layers(case, comparison, SRCID, state, extras, draws, logged, epochs)


SRCID_CASES: dict[str, tuple[Callable[[Case, Comparison], None], float]] = {
    r"Cross_MLVQEmbeddingEMA_AVT( \(reset\))?": (verify_layered_quantizer, VALUES),
    r"AVT_MLVQVAE_Encoder \+ AVT_MLVQVAE_Decoder": (verify_srcid_encoder, VALUES),
    r"SRCID pretraining step": (verify_srcid_steps, END_TO_END),
}
"""Patterns of the recorded `cls`: how it is verified, and the tolerance of its arrays."""
