"""How long an explorer lets wait: its first view of 1,000 clips, a search among 100,000.

    python -m benchmarks.explorer

`cmg explore` as it is typed, a process of its own, asked over HTTP: from the command to its
address, the first view after that, and after 3 searches that make indices and warm up, the median
and the slowest of 20 by codes, each of another clip. Clips are random: 10 steps of two modalities,
32 wide, 10 classes; the model has 400 codes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np

from cmg.data.inmemory import write_store

VIEWED, SEARCHED, STEPS, WIDTH, CLASSES, CODES = 1_000, 100_000, 10, 32, 10, 400
WARM, ASKED = 3, 20
VIEW, SEARCH = 2.0, 0.3
"""Targets in seconds."""


def store(path: Path, clips: int) -> Path:
    """Clips whose modalities both follow a class."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    kinds = rng.integers(0, CLASSES, clips)
    shape = (clips, STEPS, WIDTH)
    features = {
        m: centers[kinds][:, None] + rng.normal(size=shape).astype(np.float32)
        for m in ("video", "audio")
    }
    labels = {"kind": kinds.tolist()}
    write_store(path, features, split="test", labels=labels, step_seconds=1.0)
    return path


def explored(run: Path, data: Path) -> tuple[float, float, list[float]]:
    """Seconds to the address, of the first view, and of searches by codes.

    Raises:
        RuntimeError: an answer that is none.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "cmg", "explore", run, "--data", data]
    more = ["--split", "test", "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True) as explorer:
        try:
            assert explorer.stdout is not None
            address = json.loads(explorer.stdout.readline())["address"]
            opened = time.perf_counter() - start
            start = time.perf_counter()
            if b"<h1>Codes</h1>" not in urlopen(address).read():
                raise RuntimeError("no view")
            viewed = time.perf_counter() - start
            asked = [_searched(address, f"clip-{number:05d}") for number in range(WARM + ASKED)]
        finally:
            explorer.terminate()
    return opened, viewed, asked


def _searched(address: str, clip: str) -> float:
    form = {"source": "video", "target": "audio", "by": "codes", "clip": clip}
    start = time.perf_counter()
    hits = json.loads(urlopen(address + "retrieve", urlencode(form).encode()).read())["hits"]
    if len(hits) != 10:
        raise RuntimeError(f"{len(hits)} hits")
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clips", type=int, default=SEARCHED, help="among which is searched")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        few, many = store(root / "few", VIEWED), store(root / "many", args.clips)
        keys = [f"data={few}", "data.train_split=test", "training.epochs=1"]
        command = [sys.executable, "-m", "cmg", "pretrain", *keys, f"model.codebook.size={CODES}"]
        subprocess.run([*command, "--out", root / "run"], check=True, stdout=subprocess.DEVNULL)
        for name, data in ((f"{VIEWED:,}", few), (f"{args.clips:,}", many)):
            opened, viewed, asked = explored(root / "run", data)
            warm = asked[WARM:]
            print(
                f"{name} clips: address after {opened:.1f} s, first view {viewed:.2f} s, "
                f"searches {1000 * median(warm):.0f} ms (slowest {1000 * max(warm):.0f}), the "
                f"first one {asked[0]:.1f} s"
            )
            if data is few:
                print(f"  target of the view {VIEW} s: {'met' if viewed < VIEW else 'missed'}")
        met = "met" if median(warm) < SEARCH else "missed"
        print(f"  target of a search {SEARCH} s: {met}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
