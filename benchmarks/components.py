"""Where the time of a published step goes, per component, and at which rate it computes.

`python -m benchmarks --only components`

Whole steps run under torch's profiler. Every component's functions carry a scope; an operation of
the backward pass belongs to the scope of the forward operation that recorded its autograd node
(:func:`benchmarks.groups.forward_scopes`). Times are self times of the one thread that calls
operations, so nothing is counted twice and they add up to the step: what no scope covers, the
profiler's own cost included, is "rest". Nothing runs apart from its step, so caches and memory are
as in training. Rates are nominal operations (:mod:`benchmarks.flops`) per second, and their share
of what a matrix product of the dtype reaches in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.cases import Case
from benchmarks.figures import Figure, Section, markdown
from benchmarks.flops import (
    CLUB_FIT,
    CODEBOOK,
    COMPONENTS,
    MAP_DECODER,
    MAP_DETAIL,
    MAPS,
    OBJECTIVES,
    OPTIMIZER,
    REST,
    SEMANTIC,
    TOKENS,
    VECTORS,
    executed_flops,
    nominal_flops,
)
from benchmarks.groups import backward_ancestor, forward_scopes
from benchmarks.looped import LoopedTraining
from benchmarks.maps import DTYPES, matmul_rate
from benchmarks.published import (
    BF16,
    FLOAT32,
    LEAN,
    LOOPED,
    OURS,
    QUICK,
    Extent,
    on_a_line,
    our_case,
)
from benchmarks.step import looped_on, our_step
from cmg.training.options import Precision
from cmg.training.state import TrainingState
from cmg.types import Kind

PREFIX = "component: "
ACCUMULATE = "AccumulateGrad"
CONVOLUTIONAL, WHOLE = "convolutional part", "whole step"
SHOWN = (FLOAT32, BF16, LEAN)

Times = dict[str, float]
"""Seconds per component."""

Owners = list[tuple[Any, str, str]]
"""Object, name of its function, component."""


def module_scopes(state: TrainingState) -> Owners:
    """The functions of encoders and decoders, which both forms share."""
    found: Owners = []
    for m in state.model.modalities.values():
        maps = m.kind is Kind.MAPS
        found.append((state.model.semantic[m.name], "forward", SEMANTIC))
        found.append((state.model.detail[m.name], "forward", MAP_DETAIL if maps else VECTORS))
        found.append((state.model.decoder[m.name], "forward", MAP_DECODER if maps else VECTORS))
    return found + [(lstm, "forward", TOKENS) for lstm in state.model.tokens.values()]


def our_scopes(state: TrainingState) -> Owners:
    """The functions of our step."""
    return [
        *module_scopes(state),
        (state.model.codebook, "lookup", CODEBOOK),
        (state.model.codebook, "update", CODEBOOK),
        (state.objectives, "fit", CLUB_FIT),
        (state.objectives, "forward", OBJECTIVES),
        (state, "clip_gradients", OPTIMIZER),
        (state.optimizer, "step", OPTIMIZER),
    ]


def looped_scopes(looped: LoopedTraining) -> Owners:
    """The functions of the looped step."""
    return [
        *module_scopes(looped.state),
        (looped.book, "lookup", CODEBOOK),
        (looped, "quantized", CODEBOOK),
        (looped.book, "update", CODEBOOK),
        (looped, "fit_club", CLUB_FIT),
        (looped, "terms", OBJECTIVES),
        (looped, "clip_gradients", OPTIMIZER),
        (looped.optimizer, "step", OPTIMIZER),
    ]


@contextmanager
def scoped(owners: Owners) -> Iterator[None]:
    """Let every function run in the scope of its component."""
    with ExitStack() as stack:
        for owner, name, component in owners:
            inner = getattr(owner, name)

            def outer(*args: Any, _inner: Any = inner, _scope: str = component, **kw: Any) -> Any:
                with record_function(PREFIX + _scope):
                    return _inner(*args, **kw)

            stack.enter_context(patch.object(owner, name, outer))
        yield


def component_around(event: Any) -> str | None:
    """The component of the innermost scope around an operation, itself included."""
    while event is not None:
        if event.name.startswith(PREFIX):
            return str(event.name.removeprefix(PREFIX))
        event = event.cpu_parent
    return None


def component_times(events: Sequence[Any], wall: float) -> Times:
    """Seconds per component of one step.

    Args:
        events: ``torch.profiler.profile.events()`` of it.
        wall: Its seconds; what the events do not cover is the rest's.
    """
    recorded = forward_scopes(events, component_around)
    found = dict.fromkeys(COMPONENTS, 0.0)
    latest: str | None = None
    for event in sorted(events, key=lambda e: e.time_range.start):
        component = component_around(event)
        if component is None and (node := backward_ancestor(event)) is not None:
            # Autograd hands a gradient to its parameter before anything else, so that belongs to
            # the node that ran last: it copies where the layout is not the parameter's.
            if not node.name.endswith(ACCUMULATE):
                latest = recorded.get(node.sequence_nr)
            component = latest
        if component is not None:
            found[component] += 1e-6 * event.self_cpu_time_total
    found[REST] = max(0.0, wall - sum(found.values()))
    return found


def profiled(step: Callable[[int], object], owners: Owners, turn: int) -> Times:
    """Seconds per component of step number `turn`."""
    with (
        scoped(owners),
        profile(activities=[ProfilerActivity.CPU], acc_events=True) as found,
    ):
        start = time.perf_counter()
        step(turn)
        wall = time.perf_counter() - start
    return component_times(list(found.events() or []), wall)


def shares_of(case: Case, precision: Precision, looped: bool = False) -> Times:
    """Seconds per component of the second step of a training."""
    state = case.state(precision)
    if looped:
        training = LoopedTraining(state)
        step, owners = looped_on(training, case), looped_scopes(training)
    else:
        step, owners = our_step(case, precision, state), our_scopes(state)
    step(0)
    return profiled(step, owners, 1)


def measure(extent: Extent, turns: int) -> tuple[dict[str, list[Times]], dict[str, float]]:
    """Component times per turn of every form, and executed operations of a step of ours."""
    runs: dict[str, tuple[Callable[[int], object], Owners]] = {}
    for name, precision in LOOPED.items():
        looped = LoopedTraining(extent.case().state(precision))
        for clips in extent.few:
            step = looped_on(looped, extent.case(clips))
            runs[f"{name}, {clips} clips"] = (step, looped_scopes(looped))
        runs[f"{name}, {extent.few[0]} clips"][0](0)
    executed = {}
    for name in SHOWN:
        case = our_case(extent, name)
        state = case.state(OURS[name])
        step = our_step(case, OURS[name], state)
        runs[name] = (step, our_scopes(state))
        executed[name] = executed_flops(lambda step=step: step(0))  # warms it up, too
    times: dict[str, list[Times]] = {name: [] for name in runs}
    for turn in range(1, turns + 1):
        for name, (step, owners) in runs.items():
            times[name].append(profiled(step, owners, turn))
    for name in LOOPED:
        few, more = (times[f"{name}, {clips} clips"] for clips in extent.few)
        times[name] = [scaled_times(extent, a, b) for a, b in zip(few, more, strict=True)]
    return times, executed


def scaled_times(extent: Extent, few: Times, more: Times) -> Times:
    """The looped form's components on the whole batch, from two small ones."""
    return {
        c: scaled((extent.few[0], few[c]), (extent.few[1], more[c]), extent.batch)
        for c in COMPONENTS
    }


def scaled(few: tuple[int, float], more: tuple[int, float], clips: int) -> float:
    """On a line, and never less than what was measured: of components that do not grow."""
    return max(on_a_line(few, more, clips), few[1], more[1])


def with_sums(times: Mapping[str, float]) -> Times:
    """The components, the convolutional part and the whole."""
    return {
        **times,
        CONVOLUTIONAL: sum(times[c] for c in MAPS),
        WHOLE: sum(times.values()),
    }


def figures(
    times: Mapping[str, list[Times]],
    executed: Mapping[str, float],
    peaks: Mapping[str, float],
    extent: Extent,
) -> dict[str, Figure]:
    """Seconds, rates and shares of the peak."""
    found = {f"matmul peak, {k}": Figure.of([v], "GFLOP/s") for k, v in peaks.items()}
    for name, turns in times.items():
        own = [with_sums(t) for t in turns]
        for component in own[0]:
            told = f"{name}, {extent.batch} clips (scaled)" if name in LOOPED else name
            found[f"{component}: {told}"] = Figure.of([t[component] for t in own], "s")
        if name not in SHOWN:
            continue
        nominal = with_sums(nominal_flops(our_case(extent, name)))
        found[f"executed operations: {name}"] = Figure.count(1e-9 * executed[name], "GFLOP")
        for component, operations in nominal.items():
            if operations == 0:
                continue
            found[f"{component}: {name}, nominal"] = Figure.count(1e-9 * operations, "GFLOP")
            rates = [1e-9 * operations / t[component] for t in own if t[component] > 0]
            if rates:
                found[f"{component}: {name}, rate"] = Figure.of(rates, "GFLOP/s")
                share = [100 * r / peaks[OURS[name]] for r in rates]
                found[f"{component}: {name}, of the peak"] = Figure.of(share, "%")
    return found


def table(found: Mapping[str, Figure], extent: Extent) -> str:
    """Markdown."""
    head = [f"component, {extent.batch} clips", "nominal GFLOP"]
    head += [f"{name} (scaled), s" for name in LOOPED]
    for name in SHOWN:
        head += [f"{name}, s", "GFLOP/s", "of peak"]
    rows = []
    for component in (*COMPONENTS, CONVOLUTIONAL, WHOLE):
        nominal = found.get(f"{component}: {FLOAT32}, nominal")
        row = [component, "–" if nominal is None else f"{nominal.value:.4g}"]
        for name in LOOPED:
            slow = found[f"{component}: {name}, {extent.batch} clips (scaled)"]
            row.append(f"{slow.value:.3g}")
        for name in SHOWN:
            rate = found.get(f"{component}: {name}, rate")
            share = found.get(f"{component}: {name}, of the peak")
            row.append(f"{found[f'{component}: {name}'].value:.3g}")
            row.append("–" if rate is None else f"{rate.value:.3g}")
            row.append("–" if share is None else f"{share.value:.3g} %")
        rows.append(row)
    peaks = ", ".join(f"{k} {found[f'matmul peak, {k}'].value:.0f}" for k in DTYPES)
    counts = ", ".join(f"{k} {found[f'executed operations: {k}'].value:.0f}" for k in SHOWN)
    less = found[f"{CONVOLUTIONAL}: {LEAN}, nominal"].value
    return (
        f"{markdown(head, rows)}\n\nMatrix products reach, GFLOP/s: {peaks}. Rates of the lean "
        f"path count its own operations ({less:.0f} GFLOP in the convolutional part). Executed in "
        f"matrix products and convolutions, GFLOP: {counts}."
    )


def short_table(parts: Mapping[str, Times]) -> str:
    """Milliseconds per component of several forms, and how many times faster the first is."""
    first, *others = parts
    names = list(parts)
    rows = []
    for component in (*COMPONENTS, WHOLE):
        own = [with_sums(parts[name])[component] for name in names]
        if not any(own):
            continue
        cells = [f"{1e3 * s:.3g}" for s in own]
        rows.append([component, *cells])
        rows[-1] += [f"{slow / own[0]:.3g}" if own[0] else "–" for slow in own[1:]]
    head = ["component, one profiled step", *(f"{n}, ms" for n in names)]
    return markdown([*head, *(f"{n} / {first}" for n in others)], rows)


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """The components of the published step.

    Args:
        quick: Narrow and on few clips.
        repeats: Turns.
    """
    extent = QUICK if quick else Extent()
    times, executed = measure(extent, repeats or 1)
    size = 256 if quick else 2048
    peaks = {name: matmul_rate(dtype, size) for name, dtype in DTYPES.items()}
    found = figures(times, executed, peaks, extent)
    return Section(found, table(found, extent), extent.settings() | {"matmul": size})
