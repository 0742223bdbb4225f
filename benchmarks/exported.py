"""Loading an exported model beside importing torch: python -m benchmarks.exported DIR.

Each is a process of its own, in turn. A busy machine spreads wall times and only ever adds to them:
told are the ratio of the smallest ones, that of processor time, and the range over the turns.
"""

from __future__ import annotations

import subprocess
import sys
import time
from resource import RUSAGE_CHILDREN, getrusage

TURNS = 7
TARGET = 1.5


def seconds(program: str, *arguments: str) -> tuple[float, float]:
    """Wall time and processor time of a Python program."""
    start, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    wall, after = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    if len(sys.argv) != 2:
        sys.exit("python -m benchmarks.exported DIR, a folder of `cmg export`")
    load = "import sys, cmg; cmg.load(sys.argv[1])"
    turns = [(seconds("import torch"), seconds(load, sys.argv[1])) for _ in range(TURNS)]
    for place, what in enumerate(("wall", "processor")):
        torch = [one[place] for one, _ in turns]
        model = [one[place] for _, one in turns]
        ratio = min(model) / min(torch)
        each = sorted(m / t for t, m in zip(torch, model, strict=True))
        print(
            f"{what}: import torch {min(torch):.2f} s, cmg.load {min(model):.2f} s, "
            f"{ratio:.2f} times (turn by turn {each[0]:.2f} to {each[-1]:.2f}); "
            f"target: below {TARGET}, {'met' if ratio < TARGET else 'missed'}"
        )


if __name__ == "__main__":
    main()
