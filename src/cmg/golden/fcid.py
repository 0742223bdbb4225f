"""Recorded cases of FCID: its codebook of clips, CLUB, encoder and training steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from cmg.codebook.measures import clip_agreement
from cmg.golden.cases import Case
from cmg.golden.compare import END_TO_END, VALUES, Comparison
from cmg.golden.modules import load_renamed
from cmg.golden.objectives import cpc_draw
from cmg.golden.quantizer import (
    verify_quantizer,
)
from cmg.golden.steps import (
    GRADIENT_NORMS,
    net_norm,
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
from cmg.interop.fcid import FCID, RESET, STACKED_NET
from cmg.interop.fcid import ORDER as FCID_ORDER
from cmg.interop.names import CLUB as CLUB_RULES
from cmg.interop.names import CLUB_NETS
from cmg.models.unified import UnifiedModel
from cmg.objectives.club import CLUB, CLUBGroup, CLUBOptions
from cmg.objectives.cmcm import cmcm_loss
from cmg.objectives.commitment import commitment_loss
from cmg.objectives.draws import Draws
from cmg.objectives.second import MOMENTS
from cmg.types import Batch

verify_coarse_quantizer = partial(verify_quantizer, reset=RESET, order=FCID_ORDER)
"""One codebook of clips, moved by video first."""


def verify_flat_club(case: Case, comparison: Comparison) -> None:
    """CLUB's bound of inputs without an axis of time, as coded, with its gradients."""
    options = CLUBOptions(hidden=case.size("p_mu.0.weight"), averages="features")
    x, y = (case.array(f"in/{name}").clone().requires_grad_() for name in "xy")
    group = CLUBGroup(x.shape[-1], {"y": y.shape[-1]}, options).to(torch.float64)
    net = group.nets["y"]
    assert isinstance(net, CLUB)
    parameters = load_renamed(net, case.params, CLUB_RULES)
    draw = {"y": case.array("in/permutation")}
    bound = group({"y": x}, {"y": y}, None, draw)["y"]
    comparison.check("out/mi_est", bound)
    comparison.check("out/neg_loglikeli", net.negative_log_likelihood(x[:, None], y[:, None]))
    leaves: Named = {"out/grad_x": x, "out/grad_y": y}
    leaves |= {f"out/grad_param/{k}": p for k, p in parameters.items()}
    comparison.check_gradients(bound, leaves)


def verify_fcid_encoder(case: Case, comparison: Comparison) -> None:
    """Fine and coarse features of a batch, its codes, and gradients of their sum."""
    inputs = {m: case.array(f"in/{m}").clone().requires_grad_() for m in FCID_ORDER}
    prefixed = Case(
        case.record,
        {
            f"param/Encoder_parameters/{k.removeprefix('param/')}"
            if k.startswith("param/")
            else k: x
            for k, x in case.arrays.items()
        },
    )
    model = recorded_model(prefixed, FCID, {})
    longest = max(x.shape[1] for x in inputs.values())
    lengths = {m: torch.full((len(x),), x.shape[1]) for m, x in inputs.items()}
    padded = {
        m: nn.functional.pad(x, [0, 0] * (x.dim() - 2) + [0, longest - x.shape[1]])
        for m, x in inputs.items()
    }
    whole = model.represent(Batch(padded, lengths))
    quantized = model.quantize(whole)
    fine, coarse = whole.layers
    outputs: Named = {}
    for m, z in coarse.semantic.items():
        c = f"coarse_{m[0]}"
        outputs |= {f"{c}_gen": z[:, 0], f"{c}_spe": coarse.detail[m][:, 0]}
        outputs |= {c: coarse.inputs[m][:, 0], f"c_{m[0]}_vq": quantized.vectors[m]}
        comparison.check(f"out/c_indices_{m}", quantized.indices[m][:, 0])
        comparison.check(f"out/clip_{m}", quantized.vectors[m][:, 0])
    for m, z in fine.semantic.items():
        outputs[f"{m[0]}_gen"] = z[:, : inputs[m].shape[1]]
        outputs[f"{m[0]}_spe"] = fine.detail[m][:, : inputs[m].shape[1]]
    outputs["v_club"] = fine.private["video"][:, : inputs["video"].shape[1]]
    committed = commitment_loss(coarse.semantic, quantized.codes, coarse.steps)
    cmcm = cmcm_loss(coarse.semantic, model.codebook.distances, coarse.steps)
    assert cmcm is not None
    comparison.check("out/c_commit", torch.stack(list(committed.values())).sum())
    comparison.check("out/c_cmcm", cmcm)
    comparison.check("out/c_equal_num", clip_agreement(quantized.indices, coarse.steps))
    compare_split(comparison, model, inputs)
    margin_of = model.codebook
    seen = {m: z.detach() for m, z in coarse.semantic.items()}
    compare_margin(comparison, margin_of, seen)
    losses = [*committed.values(), cmcm]
    names = by_official_name(prefixed, FCID, model)
    plain = {k.replace("Encoder_parameters/", ""): p for k, p in names.items()}
    compare_outputs(case, comparison, outputs, losses, inputs, plain)


def compare_split(comparison: Comparison, model: UnifiedModel, inputs: Named) -> None:
    """What heads are given of moments."""
    moments = {m: x.detach() for m, x in inputs.items() if m != "text"}
    features = model.semantics(Batch(moments))
    found = model.codebook.lookup(features)
    for m in moments:
        comparison.check(f"out/split_{m}", found.vectors[m])
        comparison.check(f"out/split_indices_{m}", found.indices[m])
    compare_margin(comparison, model.codebook, features)


FCID_PAIRS = {
    "acc1": "video_from_audio",
    "acc2": "audio_from_video",
    "acc3": "video_from_video",
    "acc4": "audio_from_audio",
}


def verify_fcid_steps(case: Case, comparison: Comparison) -> None:
    """Fine and coarse terms of a step."""
    state, extras = recorded_state(case, FCID)
    terms = second_terms(state)

    def draws(prefix: str) -> Draws:
        length = case.array(f"in/{prefix}audio").shape[1]
        t = int(case.array(f"in/{prefix}cpc_t"))
        perm = {m: case.array(f"in/{prefix}perm_{m}") for m in FCID_ORDER}
        coarse = {MOMENTS: case.array(f"in/{prefix}perm_audiovisual"), "text": perm["text"]}
        own = {"cross_cpc": cpc_draw(t, length, state.objectives.chosen.cross_cpc), "club": perm}
        return Draws(own | {"second_layer": {"club": coarse}}, state.model.codebook.draw())

    def logged(prefix: str, log: Mapping[str, float], clips: int) -> None:
        second = "loss/second_layer/"

        def total(start: str) -> float:
            return sum(x for key, x in log.items() if key.startswith(start))

        values = {
            "fine_recon_loss": total("loss/reconstruction/"),
            "coarse_recon_loss": total(f"{second}reconstruction/"),
            "c_embedding_loss": total(f"{second}commitment/"),
            "f_embedding_loss": total("loss/commitment/"),
            "f_cmcm_loss": total("loss/cmcm"),
            "c_cmcm_loss": log[f"{second}cmcm"],
            "mi_audio_loss": log["loss/club/audio"],
            "mi_video_loss": log["loss/club/video"],
            "mi_text_loss": log[f"{second}club/text"],
            "mi_audiovisual_loss": log[f"{second}club/{MOMENTS}"],
            "cpc_loss": log["loss/cross_cpc"],
            "infonce_loss": log[f"{second}clip_info_nce"],
            "lld_video_loss": log["club_nll/video"],
            "lld_audio_loss": log["club_nll/audio"],
            "lld_text_loss": log["second_layer/club_nll/text"],
            "lld_audiovisual_loss": log[f"second_layer/club_nll/{MOMENTS}"],
            "total": log["loss/total"],
        }
        values |= {o: log[f"cpc_accuracy/{ours}"] for o, ours in FCID_PAIRS.items()}
        for official, value in values.items():
            tolerance = 1e-6 if official == "total" else None
            comparison.check(f"out/{prefix}loss/{official}", value, tolerance)
        norms = {o: log.get(f"gradient_norm/{p}", 0.0) for o, p in GRADIENT_NORMS.items()}
        fine, coarse = state.objectives["club"], terms.parts["club"]
        nets = {CLUB_NETS[m]: net_norm(fine, m) for m in ("video", "audio")}
        nets |= {CLUB_NETS["text"]: net_norm(coarse, "text")}
        nets |= {STACKED_NET: net_norm(coarse, MOMENTS)}
        norms |= {section.removesuffix("_parameters"): norm for section, norm in nets.items()}
        for official, norm in norms.items():
            comparison.check(f"out/{prefix}grad_norm_before_clip/{official}", norm)

    compare_two_layers(case, comparison, FCID, state, extras, draws, logged, {})


FCID_CASES: dict[str, tuple[Callable[[Case, Comparison], None], float]] = {
    r"CLUBSample_group on inputs without time \(FCID\)": (verify_flat_club, VALUES),
    r"AVT_VQVAE_Encoder \(FCID\)": (verify_fcid_encoder, VALUES),
    r"Cross_VQEmbeddingEMA_AVT \(FCID release\)": (verify_coarse_quantizer, VALUES),
    r"FCID pretraining step": (verify_fcid_steps, END_TO_END),
}
"""Patterns of the recorded `cls`: how it is verified, and the tolerance of its arrays."""
