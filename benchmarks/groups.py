"""Which part of a step a profiled operation belongs to.

Time is self CPU time, so that nothing is counted twice. An operation belongs to the scope it was
called in (``aten::dropout`` inside attention is dropout, a product inside
``scaled_dot_product_attention`` is attention); a backward operation to the scope of the forward
operation that recorded its autograd node, found by the node's sequence number. Outside scopes
only the kernels themselves count: views, copies, Python and autograd around a matrix product are
"rest", like everything that is in no group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

REST = "rest"
DROPOUT = "dropout"

SCOPES = {
    "aten::dropout": DROPOUT,
    "aten::native_dropout": DROPOUT,
    "aten::scaled_dot_product_attention": "attention",
    "aten::lstm": "recurrent",
    "aten::layer_norm": "normalization",
    "Optimizer.step#Adam.step": "optimizer",
    "Optimizer.zero_grad#Adam.zero_grad": "optimizer",
}
"""Operations whose whole inside, and its backward, is one group."""

KERNELS = {
    **dict.fromkeys(
        ["mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "mkldnn_linear"], "matrix products"
    ),
    **dict.fromkeys(["mkldnn_rnn_layer", "mkldnn_rnn_layer_backward"], "recurrent"),
    **dict.fromkeys(
        ["mkldnn_convolution", "convolution", "convolution_backward", "slow_conv_transpose2d"],
        "convolution",
    ),
    **dict.fromkeys(["native_layer_norm", "native_layer_norm_backward"], "normalization"),
    **dict.fromkeys(["_fused_adam_"], "optimizer"),
}
"""Operations that are a group's kernel wherever they run."""

GROUPS = (*dict.fromkeys([*KERNELS.values(), "attention"]), DROPOUT, REST)
"""All groups; dropout and the rest last."""


def group_times(events: Iterable[Any]) -> tuple[Counter[str], Counter[str]]:
    """Self CPU microseconds per group, and of the rest per operation.

    Args:
        events: ``torch.profiler.profile.events()`` of whole steps.
    """
    events = list(events)
    scope_of_node = forward_scopes(events)
    groups: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for event in events:
        group = group_of(event, scope_of_node)
        groups[group] += event.self_cpu_time_total
        if group == REST:
            rest[event.name] += event.self_cpu_time_total
    return groups, rest


def forward_scopes(
    events: Sequence[Any], scope: Callable[[Any], str | None] | None = None
) -> dict[int, str | None]:
    """The scope in which each autograd node was recorded, by the node's sequence number.

    `scope` says where an operation is, :func:`scope_around` unless told. Every operation carries
    the number that the next node will take, so the last forward operation with a number is the one
    that recorded the node.
    """
    forward = [e for e in events if e.sequence_nr >= 0 and backward_ancestor(e) is None]
    forward.sort(key=lambda e: e.time_range.start)
    find = scope or scope_around
    return {e.sequence_nr: find(e) for e in forward}


def group_of(event: Any, scope_of_node: dict[int, str | None]) -> str:
    """The group of one operation."""
    scope = scope_around(event) or kernel_around(event)
    if scope is None:
        node = backward_ancestor(event)
        scope = None if node is None else scope_of_node.get(node.sequence_nr)
    return scope or REST


def scope_around(event: Any) -> str | None:
    """The group of the innermost scope around an operation, itself included."""
    while event is not None:
        if event.name in SCOPES:
            return SCOPES[event.name]
        event = event.cpu_parent
    return None


def kernel_around(event: Any) -> str | None:
    """The group of the kernel an operation is part of: the copied bias of ``addmm`` is its own."""
    while event is not None:
        kernel = KERNELS.get(event.name.removeprefix("aten::"))
        if kernel is not None:
            return kernel
        event = event.cpu_parent
    return None


def backward_ancestor(event: Any) -> Any | None:
    """The autograd node an operation runs for, if it runs in a backward pass."""
    while event is not None:
        if event.name.startswith("autograd::engine::evaluate_function"):
            return event
        event = event.cpu_parent
    return None
