"""One updating line in a notebook, and nothing in scripts unless it is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Showing = bool | None
"""Whether a call tells how far it is; None: in notebooks alone."""
Tell = Callable[[int, int, str], None]
"""What is told: how much is done, of how much, and what else there is to say."""

EVERY = 0.2
"""Seconds between two updates."""


def in_notebook() -> bool:
    """Whether this is a notebook's kernel; a terminal's IPython is none."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def shown_line(name: str, wanted: Showing) -> Iterator[Tell | None]:
    """What is called as work goes on; None where nothing is to be shown.

    In a notebook it is a line of plain text that is replaced, which needs no widgets; elsewhere one
    on stderr.

    Args:
        name: Of the work, in front of the line.
        wanted: See :data:`Showing`.
    """
    notebook = in_notebook()
    if not (notebook if wanted is None else wanted):
        yield None
        return
    write = _cell() if notebook else _terminal()
    start = last = time.perf_counter()
    line = ""

    def tell(done: int, of: int, more: str) -> None:
        nonlocal last, line
        now = time.perf_counter()
        left = (of - done) * (now - start) / done if done else 0.0
        eta = f", {left:.0f} s left" if 0 < done < of else ""
        line = f"{name}: {done}/{of}{eta}{', ' if more else ''}{more}"
        if now - last >= EVERY or not done:
            last = now
            write(line)

    try:
        yield tell
    finally:
        write(f"{line} ({time.perf_counter() - start:.1f} s)")
        if not notebook:
            print(file=sys.stderr)


def _cell() -> Callable[[str], None]:
    """The output of a cell, replaced by every line."""
    from IPython.display import display

    handle = display({"text/plain": ""}, raw=True, display_id=True)
    return lambda line: handle.update({"text/plain": line}, raw=True)


def _terminal() -> Callable[[str], None]:
    """A line on stderr: written over by the next."""
    width = 0

    def write(line: str) -> None:
        nonlocal width
        print(f"\r{line:<{width}}", end="", file=sys.stderr, flush=True)
        width = len(line)

    return write
