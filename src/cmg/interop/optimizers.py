"""The four Adams of official files: their parameters in order, and their states in both forms.

An official state counts parameters; ours names them. A state here is what ``torch.save`` writes of
an optimizer: ``{"state": {index: {step, exp_avg, exp_avg_sq}}, "param_groups": [...]}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cmg.errors import CheckpointError
from cmg.interop.names import (
    CLUB_NETS,
    CLUB_OPTIMIZERS,
    CPC,
    DECODER,
    ENCODER,
    MAIN_OPTIMIZER,
    OPTIMIZERS,
    QUANTIZER,
    TOKENS,
    NameMap,
)

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
STATES = "optimizers"
"""What the names of optimizer tensors begin with in ``official.safetensors``."""


def parameters_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Full names of what each of the four Adams trains, in its order.

    Args:
        names: Of all tensors, in the order of the file.
    """
    named = [name for name in names if not name.startswith(QUANTIZER)]

    def of(section: str) -> list[str]:
        return [name for name in named if name.startswith(f"{section}/")]

    main = [name for section in (TOKENS, ENCODER, CPC, DECODER) for name in of(section)]
    club = {optimizer: of(CLUB_NETS[m]) for m, optimizer in CLUB_OPTIMIZERS.items()}
    return {MAIN_OPTIMIZER: main} | club


def official_moments(
    training: Mapping[str, Tensor], names: NameMap
) -> dict[str, dict[str, Tensor]]:
    """Adam's moments by official full name, in the dtypes of official files.

    Args:
        training: Tensors of ``training.safetensors``.
        names: Of the run's modalities.
    """
    prefixes = {"optimizer": "", "club_optimizer": "objectives.club."}
    moments: dict[str, dict[str, Tensor]] = {}
    for key, tensor in training.items():
        optimizer, _, rest = key.partition(".")
        kind, _, parameter = rest.partition(".")
        if optimizer in prefixes and kind in MOMENTS:
            dtype = torch.float32 if kind == "step" else torch.float64
            name = names.official(prefixes[optimizer] + parameter)
            moments.setdefault(name, {})[kind] = tensor.to("cpu", dtype, copy=True)
    return moments


def optimizer_states(
    names: Iterable[str],
    moments: Mapping[str, Mapping[str, Tensor]],
    lr: float,
    club_lr: float,
) -> dict[str, dict[str, Any]]:
    """The four states, which ``torch.optim.Adam`` loads.

    Args:
        names: Of all tensors, in the order of the file.
        moments: By official full name; parameters without any were never trained.
        lr: Of the main Adam.
        club_lr: Of the CLUB nets' Adams.
    """
    states: dict[str, dict[str, Any]] = {}
    for optimizer, parameters in parameters_of(names).items():
        rate = lr if optimizer == MAIN_OPTIMIZER else club_lr
        fresh = torch.optim.Adam([nn.Parameter(torch.zeros(1))], rate).state_dict()
        group = fresh["param_groups"][0] | {"params": list(range(len(parameters)))}
        kept = {
            i: {kind: moments[name][kind] for kind in MOMENTS}
            for i, name in enumerate(parameters)
            if name in moments
        }
        states[optimizer] = {"state": kept, "param_groups": [group]}
    return states


def check_states(rest: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Refuse optimizer states that do not belong to the tensors beside them.

    Args:
        rest: What a file holds beside its state dicts.
        tensors: By official full name, in the order of :func:`cmg.interop.layout.in_layout`.

    Raises:
        CheckpointError: no Adam state, or moments of another shape than their parameter.
    """
    parameters = parameters_of(tensors)
    for optimizer in OPTIMIZERS:
        if optimizer not in rest:
            continue
        if not _is_state(rest[optimizer]):
            raise CheckpointError(f"{optimizer!r} is no state of an Adam optimizer")
        for index, moments in rest[optimizer]["state"].items():
            if index not in range(len(parameters[optimizer])):
                raise CheckpointError(
                    f"{optimizer!r} has a state for parameter {index}, but the file holds "
                    f"{len(parameters[optimizer])} parameters of it"
                )
            name = parameters[optimizer][index]
            for kind in ("exp_avg", "exp_avg_sq"):
                if moments[kind].shape != tensors[name].shape:
                    raise CheckpointError(
                        f"the tensors contradict each other: {name!r} has shape "
                        f"{list(tensors[name].shape)}, but its {kind} (number {index} of "
                        f"{optimizer!r}) has {list(moments[kind].shape)}"
                    )


def _is_state(state: object) -> bool:
    """Whether this has the form of an Adam's state, and nothing in it but tensors and numbers."""
    if not isinstance(state, dict) or state.keys() != {"state", "param_groups"}:
        return False
    moments, groups = state["state"], state["param_groups"]
    return (
        isinstance(moments, dict)
        and all(isinstance(index, int) and _are_moments(m) for index, m in moments.items())
        and isinstance(groups, list)
        and all(_is_plain(group) and isinstance(group, dict) for group in groups)
    )


def _are_moments(moments: object) -> bool:
    return (
        isinstance(moments, dict)
        and moments.keys() == set(MOMENTS)
        and all(isinstance(moments[kind], Tensor) for kind in ("exp_avg", "exp_avg_sq"))
        and isinstance(moments["step"], Tensor | int | float)
    )


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def packed_states(rest: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Checked optimizer states as named tensors and plain values, for safetensors and JSON.

    Returns:
        Tensors by ``optimizers/<optimizer>/<index>/<kind>``, and the parameter groups and the
        steps that are plain numbers, by optimizer.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for optimizer in (name for name in OPTIMIZERS if name in rest):
        steps = {}
        for index, moments in rest[optimizer]["state"].items():
            for kind, value in moments.items():
                if isinstance(value, Tensor):
                    tensors[f"{STATES}/{optimizer}/{index}/{kind}"] = value
                else:
                    steps[str(index)] = value
        plain[optimizer] = {"param_groups": rest[optimizer]["param_groups"], "steps": steps}
    return tensors, plain


def unpacked_states(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`packed_states`."""
    states: dict[str, Any] = {}
    for optimizer, told in plain.items():
        groups = [  # JSON has no tuples
            {key: tuple(x) if key == "betas" else x for key, x in group.items()}
            for group in told["param_groups"]
        ]
        state: dict[int, dict[str, Any]] = {}
        for key, tensor in tensors.items():
            start, _, kind = key.rpartition("/")
            owner, _, index = start.rpartition("/")
            if owner == f"{STATES}/{optimizer}":
                state.setdefault(int(index), {})[kind] = tensor
        for index, step in told["steps"].items():
            state[int(index)]["step"] = step
        ordered = {i: {kind: state[i][kind] for kind in MOMENTS} for i in sorted(state)}
        states[optimizer] = {"state": ordered, "param_groups": groups}
    return states
