"""Running sections one after the other, each in a process of its own.

Memory peaks, threads and warm caches of one section are none of the next one's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.registry import SECTIONS, run_here
from cmg.files import replace_file

ROOT = Path(__file__).parents[1]

Found = dict[str, dict[str, Any]]
"""Of every section that was run: its ``settings`` and ``figures``, or its ``error``."""


def run_sections(
    names: Sequence[str],
    quick: bool,
    repeats: int | None,
    done: Callable[[Found], None] = lambda found: None,
) -> Found:
    """Run sections and print the table of each as soon as it is there.

    Args:
        names: Of the sections, in their order.
        quick: Small sizes.
        repeats: Turns; None takes each section's own number.
        done: Told after every section of all that is there.
    """
    found: Found = {}
    for name in names:
        print(f"\n## {name}: {SECTIONS[name].about}\n", flush=True)
        start = time.perf_counter()
        told = run_apart(name, quick, repeats)
        text = told.pop("text", None)
        found[name] = told | {"seconds": round(time.perf_counter() - start, 1)}
        print(text or f"**failed**: {told['error']}")
        print(f"\n({found[name]['seconds']:.0f} s)", flush=True)
        done(found)
    return found


def run_apart(name: str, quick: bool, repeats: int | None) -> dict[str, Any]:
    """Run a section in a fresh process; what :func:`run_as_child` wrote, or an ``error``."""
    with tempfile.TemporaryDirectory(prefix="cmg-benchmark-") as folder:
        file = Path(folder) / "section.json"
        command = [sys.executable, "-m", "benchmarks", "--run-section", name, "--json", str(file)]
        command += ["--quick"] if quick else []
        command += [] if repeats is None else ["--repeats", str(repeats)]
        environment = dict(os.environ)
        threads = SECTIONS[name].threads
        if threads is not None:
            # Where nothing is measured, threads that wait for each other only cost time.
            threads = 1 if quick else min(threads, os.cpu_count() or 1)
            environment["OMP_NUM_THREADS"] = str(threads)
        # What a section prints besides is no part of the tables.
        code = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=sys.stderr.fileno(), check=False
        ).returncode
        if file.is_file():
            told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return told
    how = signal.Signals(-code).name if code < 0 else f"code {code}"
    return {"error": f"its process ended with {how} and left no result"}


def run_as_child(name: str, quick: bool, repeats: int | None, file: Path) -> int:
    """Run a section here and write what it found, or the error it ended with, to `file`."""
    try:
        section = run_here(name, quick, repeats)
        threads = os.environ.get("OMP_NUM_THREADS") if SECTIONS[name].threads else None
        told = section.as_dict() | {"text": section.text}
        told["settings"] = {"quick": quick, **({"threads": int(threads)} if threads else {})} | (
            told["settings"]
        )
        replace_file(file, json.dumps(told).encode())
    except Exception as error:  # told to the reader, while the other sections still run
        traceback.print_exc()
        replace_file(file, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return 1
    return 0


def figures_of(found: Found) -> dict[str, dict[str, Figure]]:
    """The figures of the sections that have any."""
    return {
        name: {key: Figure.from_dict(figure) for key, figure in told["figures"].items()}
        for name, told in found.items()
        if "figures" in told
    }
