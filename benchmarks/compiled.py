"""``training.compile`` against the same step without it, and what compiling costs at first.

`python -m benchmarks --only compile`

The compiler's cache is an empty folder, so that the first step is one that a user meets once.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence

from benchmarks.cases import DEMO, Case, Sizes, case_of
from benchmarks.figures import Figure, Section, markdown, timing_figures
from benchmarks.step import our_step
from benchmarks.timing import side_by_side
from cmg.training.compiling import compile_parts

EAGER, COMPILED = "float32", "compiled"
CACHE = "TORCHINDUCTOR_CACHE_DIR"


def compiled_step(case: Case) -> Callable[[int], object]:
    """A function that runs our step number `turn` with compiled encoders and decoders.

    Raises:
        RuntimeError: the compiler does not work here.
    """
    state = case.state()
    refused = compile_parts(state.model)
    if refused is not None:
        raise RuntimeError(f"torch.compile does not work here: {refused}")
    return our_step(case, "float32", state)


def measure(case: Case, turns: int) -> dict[str, Figure]:
    """Both forms in turns, after the first compiled step, which is told apart."""
    compiled = compiled_step(case)
    start = time.perf_counter()
    compiled(0)
    first = time.perf_counter() - start
    forms = {EAGER: our_step(case, "float32"), COMPILED: compiled}
    found = timing_figures(case.name, side_by_side(forms, turns, "wall", warmup=2))
    return found | {f"{case.name}: first compiled step": Figure.of([first], "s")}


def section(
    quick: bool = False, repeats: int | None = None, sizes: Sequence[str] = (DEMO, "audio-text")
) -> Section:
    """Steps with and without the compiler.

    Args:
        quick: The demo only, few clips.
        repeats: Turns.
        sizes: Names of cases.
    """
    batch, sizes = (8, (DEMO,)) if quick else (80, sizes)
    found: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ[CACHE] = cache
        try:
            for name in sizes:
                case = case_of(name, Sizes(batch=batch))
                found |= measure(case, repeats or (2 if quick else 7))
        finally:
            del os.environ[CACHE]
    head = (f"step, {batch} clips", "float32, ms", "compiled, ms", "compiled / float32", "first, s")
    rows = [
        [
            name,
            found[f"{name}: {EAGER}"].told(),
            found[f"{name}: {COMPILED}"].told(),
            found[f"{name}: {COMPILED} / {EAGER}"].told(),
            found[f"{name}: first compiled step"].told(),
        ]
        for name in sizes
    ]
    return Section(found, markdown(head, rows), {"sizes": list(sizes), "batch": batch})
