"""Memory that a step frees is kept for the next one, on Linux with glibc.

Large tensors are otherwise given back to the system when they are freed and are cleared, page by
page, when the next step asks for them: a published float32 step of 40 clips takes 1.8 million page
faults, a fifth of its time (docs/speed.md), and the frames of 8 clips of 4 s 1.5 million in
EfficientNet-Lite0, a third of it.

The settings are of the whole process and cannot be read back, so training and
extraction ask for them only where the process is cmg's own: a command or a worker. A program that
trains from Python asks itself: ``with kept_memory(): cmg.pretrain(config)``.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers that ``mallopt`` has for them."""

LARGEST_KEPT = 1 << 30
"""Blocks above this size are still given back, in bytes."""

USUAL = (64 << 20, 32 << 20)
"""Where glibc's own thresholds (trim, mmap) end up in a process that has freed large blocks."""


@contextmanager
def kept_memory(wanted: bool = True) -> Iterator[bool]:
    """Keep freed memory within the block, and give it back after it.

    Args:
        wanted: False changes nothing.

    Yields:
        Whether memory is kept; False where the C library is not glibc.
    """
    libc = glibc() if wanted else None
    if libc is None:
        yield False
        return
    libc.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
    try:
        yield True
    finally:
        libc.mallopt(TRIM_THRESHOLD, USUAL[0])
        libc.mallopt(MMAP_THRESHOLD, USUAL[1])
        libc.malloc_trim(0)


def glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
