"""Recorded objectives with parameters: Cross-CPC and CLUB."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.golden.modules import load_renamed
from cmg.golden.quantizer import modalities_in
from cmg.interop.architecture import infer_cpc
from cmg.interop.names import CLUB as CLUB_RULES
from cmg.interop.names import cpc_rules, cpc_slots
from cmg.objectives.club import CLUB, CLUBGroup, CLUBOptions
from cmg.objectives.cross_cpc import CrossCPC, CrossCPCOptions
from cmg.types import Steps

ACCURACIES = {
    2: ("va", "av", "vv", "aa"),
    3: ("av", "at", "vt", "va", "ta", "tv", "aa", "vv", "tt"),
}
"""Order of the recorded accuracies by number of modalities: target, then source of prediction."""


def verify_cross_cpc(case: Case, comparison: Comparison) -> None:
    """Value, accuracies, and gradients by features and weights."""
    modalities = modalities_in(case.inputs, "")
    if len(modalities) not in ACCURACIES:
        raise DataError(f"{case.path}: Cross-CPC needs two or three of in/audio, in/video, in/text")
    slot = next(iter(cpc_slots(modalities)))
    options = infer_cpc(case.params, slot, int(case.setting("min_start_steps", 1)))
    width = case.array("in/" + modalities[0]).shape[-1]
    module = CrossCPC(modalities, width, options).to(torch.float64)
    parameters = load_renamed(module, case.params, cpc_rules(modalities))
    semantic = {m: case.array(f"in/{m}").clone().requires_grad_() for m in modalities}
    first = semantic[modalities[0]]
    steps = Steps(first.shape[0], first.shape[1])
    result = module(semantic, steps, cpc_draw(int(case.array("in/t")), first.shape[1], options))
    if result.cross_cpc is None:
        raise DataError(f"{case.path}: clips of {first.shape[1]} steps are too short to predict")
    comparison.check("out/nce", result.cross_cpc)
    pairs = [accuracy_key(pair, modalities) for pair in ACCURACIES[len(modalities)]]
    comparison.check("out/accuracies", torch.stack([result.accuracy[pair] for pair in pairs]))
    leaves: dict[str, Tensor] = {f"out/grad_{m}": z for m, z in semantic.items()}
    leaves |= {f"out/grad_param/{name}": p for name, p in parameters.items()}
    comparison.check_gradients(result.cross_cpc, leaves)


def cpc_draw(t: int, length: int, options: CrossCPCOptions) -> float:
    """The draw in [0, 1) that makes clips of `length` steps predict from step `t`.

    Raises:
        DataError: a step that no draw reaches.
    """
    choices = length - options.prediction_steps - options.min_start
    place = t - options.min_start
    if not 0 <= place < choices:
        raise DataError(
            f"recorded step {t} is outside {options.min_start} .. "
            f"{options.min_start + choices - 1}, where prediction can start"
        )
    return (place + 0.5) / choices


def accuracy_key(pair: str, modalities: list[str]) -> str:
    """Our name of an accuracy that is recorded as two letters: target, source of prediction."""
    by_letter = {slot[0]: m for slot, m in cpc_slots(modalities).items()}
    by_letter |= {m[0]: m for m in modalities}
    return f"{by_letter[pair[0]]}_from_{by_letter[pair[1]]}"


def verify_club(case: Case, comparison: Comparison) -> None:
    """Nets, likelihood and bound with gradients; or the inner fit, whichever was recorded."""
    content, private = case.array("in/x"), case.array("in/y")
    options = CLUBOptions(hidden=case.size("p_mu.0.weight"))
    group = CLUBGroup(content.shape[-1], {"y": private.shape[-1]}, options)
    group.to(torch.float64)
    net = group.nets["y"]
    assert isinstance(net, CLUB)
    parameters = load_renamed(net, case.params, CLUB_RULES)
    x, y = content.clone().requires_grad_(), private.clone().requires_grad_()
    comparison.check("out/mu", net.mean(x))
    comparison.check("out/logvar", net.log_variance(x))
    scalars = {"loglikeli": -net.negative_log_likelihood(x, y)}
    if comparison.expects("in/permutation"):
        permutation = case.array("in/permutation")
        scalars["mi"] = net.estimate(x, y, permutation)
        comparison.check("out/mi_est", scalars["mi"])
    comparison.check("out/loglikeli", scalars["loglikeli"])
    for name, scalar in scalars.items():
        leaves: dict[str, Tensor] = {f"out/{name}_grad_x": x, f"out/{name}_grad_y": y}
        leaves |= {f"out/{name}_grad_param/{k}": p for k, p in parameters.items()}
        comparison.check_gradients(scalar, leaves)
    if comparison.expects("out/neg_loglikeli"):
        _verify_inner_fit(case, comparison, group)
        for official, parameter in parameters.items():
            comparison.check(f"out/param_after/{official}", parameter)


def _verify_inner_fit(case: Case, comparison: Comparison, group: CLUBGroup) -> None:
    """As many iterations as losses were recorded."""
    content, private = {"y": case.array("in/x")}, {"y": case.array("in/y")}
    steps = Steps(content["y"].shape[0], content["y"].shape[1])
    optimizer = group.inner_optimizer()
    losses = [
        group.fit_nets(content, private, steps, optimizer, 1)["y"]
        for _ in range(case.array("out/neg_loglikeli").numel())
    ]
    comparison.check("out/neg_loglikeli", torch.stack(losses))
