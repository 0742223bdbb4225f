"""Loading an exported model beside importing torch: python -m benchmarks.exported DIR.

Each is a process of its own, in turn; what is told is the ratio of the smallest times, as a busy
machine only ever adds to them.
"""

from __future__ import annotations

import subprocess
import sys
import time

TURNS = 3
TARGET = 1.5


def seconds(program: str, *arguments: str) -> float:
    """Wall time of a Python program."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    if len(sys.argv) != 2:
        sys.exit("python -m benchmarks.exported DIR, a folder of `cmg export`")
    load = "import sys, cmg; cmg.load(sys.argv[1])"
    turns = [(seconds("import torch"), seconds(load, sys.argv[1])) for _ in range(TURNS)]
    torch, model = (min(column) for column in zip(*turns, strict=True))
    print(f"import torch {torch:.2f} s, cmg.load {model:.2f} s: {model / torch:.2f} times")
    print(f"target: below {TARGET}, {'met' if model < TARGET * torch else 'missed'}")


if __name__ == "__main__":
    main()
