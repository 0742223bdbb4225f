"""Properties over generated inputs: the same ones in every run, and no file kept of them."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

settings.register_profile(
    "house",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("house")

MEMORY = 1 << 30
"""Bytes that a small file may make the process ask for."""
SECONDS = 5.0
"""Processor time that it may cost."""


def _asked_for() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@contextmanager
def bounded():
    """Fail what asks for much memory, with a MemoryError, or takes long."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_asked_for() + MEMORY, limits[1]))
    before = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.process_time() - before < SECONDS


def or_refused(read, error, path=""):
    """What `read` returns; None if it is refused, in words that name the file."""
    with bounded():
        try:
            return read()
        except error as refused:
            said = str(refused)
    assert said
    assert str(path) in said
    return None


@pytest.fixture
def new_folder(tmp_path):
    """Folders of single examples."""
    return lambda: Path(tempfile.mkdtemp(dir=tmp_path))


def damaged(data, whole):
    """Bytes with some of them replaced, cut off, taken out or doubled; drawn from `data`."""
    found = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(len(found) - 1, 0)))
        kind = data.draw(st.sampled_from(["flip", "set", "cut", "out", "twice", "in"]))
        some = slice(at, at + data.draw(st.integers(1, 8)))
        if kind == "flip" and found:
            found[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "set":
            width = len(found[some])
            found[some] = data.draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b"9"])) * width
        elif kind == "cut":
            del found[at:]
        elif kind == "out":
            del found[some]
        elif kind == "twice":
            found[at:at] = found[some]
        else:
            found[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    return bytes(found)
