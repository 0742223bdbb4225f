"""The sections of ``python -m benchmarks``, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import signature

from benchmarks.figures import Section


@dataclass(frozen=True)
class Entry:
    """Where a section is.

    Attributes:
        module: Has ``section(quick: bool = False) -> Section``, and may take ``repeats``, turns.
        about: One line for the reader.
        threads: Threads its process starts with, at most the machine's; None leaves the choice to
            torch or to the section. A demo step is too small for two threads.
    """

    module: str
    about: str
    threads: int | None = None


SECTIONS = {
    "published": Entry(
        "benchmarks.published", "a step at published size against the looped forms", threads=2
    ),
    "components": Entry(
        "benchmarks.components", "where that step's time goes, and at which rate", threads=2
    ),
    "demo": Entry("benchmarks.demo", "a step of the demo against the looped forms", threads=1),
    "compile": Entry("benchmarks.compiled", "torch.compile against the step without", threads=1),
    "codebook": Entry("benchmarks.codebook", "lookup and update, 400 to 65,536 codes", threads=1),
    "maps": Entry("benchmarks.maps", "the convolutional part alone, by form", threads=2),
    "memory": Entry("benchmarks.memory", "peak anonymous memory of a published step", threads=2),
    "keep-memory": Entry(
        "benchmarks.kept", "steps that keep freed memory, and steps that do not", threads=2
    ),
    "first-step": Entry("benchmarks.first_step", "from the start of the process to the first step"),
    "loading": Entry("benchmarks.loading", "clips per second against a zip per clip", threads=1),
    "waiting": Entry(
        "benchmarks.waiting", "how long a published step waits for its data", threads=2
    ),
    "heads": Entry(
        "benchmarks.encode_once", "heads on codes encoded once or in every epoch", threads=1
    ),
    "manifest": Entry("benchmarks.manifest", "opening a store of many clips"),
    "ranks": Entry("benchmarks.ranks", "several processes against one"),
    "costs": Entry("benchmarks.costs", "what a run costs"),
}
"""In the order in which they run."""


def run_here(name: str, quick: bool, repeats: int | None) -> Section:
    """Run a section in this process.

    Args:
        name: One of :data:`SECTIONS`.
        quick: Small sizes, to see that it works.
        repeats: Turns, where the section has turns; None takes its own number.
    """
    section = import_module(SECTIONS[name].module).section
    more = (
        {}
        if repeats is None or "repeats" not in signature(section).parameters
        else {"repeats": repeats}
    )
    found = section(quick=quick, **more)
    assert isinstance(found, Section)
    return found
