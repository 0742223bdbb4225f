"""Freed memory is kept for the next step, and given back when training ends."""

import subprocess
import sys

import pytest

from cmg.allocation import glibc

SCRIPT = """
import resource
import torch
from cmg.allocation import kept_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill():  # three blocks of 64 MiB, as a step has several at once: 48 k pages
    before = faults()
    kept = [torch.ones(64 << 18) for _ in range(3)]
    return faults() - before

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1])

fill()
plain = fill()
with kept_memory({wanted}) as keeps:
    for _ in range(8):  # blocks are cut to fit at first: alignment makes each a bit larger
        fill()
    within = [fill() for _ in range(3)]
    held = anonymous()
print(keeps, plain, max(within), held - anonymous())
"""


def told(wanted):
    script = SCRIPT.replace("{wanted}", str(wanted))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    keeps, *numbers = done.stdout.split()
    return keeps, *map(int, numbers)


@pytest.mark.skipif(glibc() is None, reason="needs glibc")
def test_kept_memory_is_not_faulted_in_again_and_goes_back_afterwards():
    keeps, plain, within, given_back = told(wanted=True)
    assert keeps == "True"
    assert plain > 1000  # 48 k pages, or 96 huge ones with what is small
    assert within < 0.1 * plain
    assert given_back > 150_000  # of 196,608 kB


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults")
def test_what_is_not_wanted_changes_nothing():
    keeps, plain, within, _ = told(wanted=False)
    assert keeps == "False"
    assert within > 0.5 * plain
