"""``training.keep_memory``: steps that keep what was freed before, against steps that do not.

`python -m benchmarks --only keep-memory`

Each form runs in a fresh process, one after the other; its first step is not counted.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import torch

from benchmarks.anonymous import anonymous_bytes
from benchmarks.figures import Figure, Section, markdown
from benchmarks.published import BF16, FLOAT32, LEAN, OURS, QUICK, Extent, our_case
from benchmarks.step import our_step
from cmg.allocation import kept_memory

FORMS = (FLOAT32, BF16, LEAN)
WAYS = {"kept": True, "given back": False}


def steps_of(
    extent: Extent, name: str, keep: bool, turns: int, threads: int
) -> tuple[list[float], list[int], int]:
    """Seconds and page faults per step, and anonymous memory after the last, in bytes."""
    torch.set_num_threads(threads)
    run = our_step(our_case(extent, name), OURS[name])
    seconds, faults = [], []
    with kept_memory(keep):
        run(0)
        for turn in range(1, turns + 1):
            before, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
            run(turn)
            seconds.append(time.perf_counter() - start)
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        held = anonymous_bytes()
    return seconds, faults, held


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """Steps of every form, both ways.

    Args:
        quick: Narrow and on few clips.
        repeats: Counted steps.
    """
    extent = QUICK if quick else Extent(batch=40)
    turns, threads = repeats or 3, torch.get_num_threads()
    context = multiprocessing.get_context("spawn")
    found: dict[str, Figure] = {}
    rows = []
    for name in FORMS:
        slow: list[float] = []
        for way in reversed(WAYS):
            with ProcessPoolExecutor(1, context) as fresh:
                job = fresh.submit(steps_of, extent, name, WAYS[way], turns, threads)
                seconds, faults, held = job.result()
            slow = slow or seconds
            own = {
                "step": Figure.of(seconds, "s"),
                "faster": Figure.of([a / b for a, b in zip(slow, seconds, strict=True)], "times"),
                "page faults": Figure.of([float(n) for n in faults], "faults"),
                "held": Figure.of([held / 2**20], "MiB"),
            }
            found |= {f"{name}, {way}: {key}": figure for key, figure in own.items()}
            rows.append([f"{name}, {way}", *(figure.told() for figure in own.values())])
    head = (f"published size, {extent.batch} clips", "step, s", "times faster", "page faults")
    return Section(found, markdown((*head, "held afterwards, MiB"), rows), extent.settings())
