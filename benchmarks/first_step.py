"""From the start of the process to the first finished step of `cmg pretrain digits`.

`python -m benchmarks --only first-step`

The command itself runs in a fresh process, with clocks around the functions it calls, and ends
after its first step. What is left is the reading of the configuration, the run folder and
TensorBoard's writer. A first process that fills the page cache is not counted. Beside it: how long
the published audio-video-text model takes to build.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Section, markdown
from benchmarks.running import ROOT

IMPORT, DATA, MODEL = "interpreter and imports", "opening the data", "building the model"
START, STEP, REST = "start of the codebook", "first step", "rest"
PARTS = (IMPORT, DATA, MODEL, START, STEP, REST)
WHOLE, PUBLISHED = "whole", "published audio-video-text model, built"


def run_timed(started: float, folder: Path) -> dict[str, float]:
    """Run the command in this process, up to its first step.

    Args:
        started: ``time.time()`` before this process was started.
        folder: For the run.
    """
    from cmg.cli.main import main as cmg
    from cmg.recipes import pretrain
    from cmg.runs.loop import Pretraining

    seconds = {IMPORT: time.time() - started}

    def clocked(part: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*args: Any, **more: Any) -> Any:
            start = time.perf_counter()
            found = inner(*args, **more)
            seconds[part] = time.perf_counter() - start
            return found

        return outer

    train = clocked(STEP, Pretraining.train)

    def first_step(training: Pretraining) -> None:
        train(training, lambda position: True)
        seconds[WHOLE] = time.time() - started
        raise SystemExit(0)  # what follows a whole run looks for its checkpoint

    for part, name in (
        (DATA, "training_clips"),
        (MODEL, "TrainingState"),
        (START, "start_codebook"),
    ):
        setattr(pretrain, name, clocked(part, getattr(pretrain, name)))
    Pretraining.train = first_step  # type: ignore[assignment, method-assign]
    sys.argv = ["cmg", "pretrain", "digits", "--out", str(folder / "run")]
    try:
        cmg()
    except SystemExit as ended:
        if WHOLE not in seconds:
            raise RuntimeError(
                f"the command ended with {ended.code} before its first step"
            ) from ended
    seconds[REST] = seconds[WHOLE] - sum(seconds[part] for part in PARTS[:-1])
    return seconds


def run_apart(folder: Path) -> dict[str, float]:
    """The same in a fresh process."""
    file = folder / "seconds.json"
    command = [sys.executable, "-m", "benchmarks.first_step", str(time.time()), str(folder)]
    subprocess.run([*command, str(file)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(file.read_text())
    return found


def measure(turns: int) -> dict[str, list[float]]:
    """Seconds of every part, per turn."""
    from cmg.models.published import published_model

    found: dict[str, list[float]] = {part: [] for part in (*PARTS, WHOLE, PUBLISHED)}
    for turn in range(turns + 1):
        with tempfile.TemporaryDirectory(prefix="cmg-first-step-") as folder:
            seconds = run_apart(Path(folder))
        start = time.perf_counter()
        published_model("audio", "video", "text")
        seconds[PUBLISHED] = time.perf_counter() - start
        for part, own in found.items():
            if turn > 0:
                own.append(seconds[part])
    return found


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """Time to the first step.

    Args:
        quick: A single turn.
        repeats: Turns.
    """
    seconds = measure(repeats or (1 if quick else 3))
    found = {part: Figure.of(own, "s") for part, own in seconds.items()}
    rows = [[part, figure.told()] for part, figure in found.items()]
    return Section(found, markdown(["cmg pretrain digits", "s (range)"], rows), {"run": "digits"})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command here and write its parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_step")
    parser.add_argument("started", type=float)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    seconds = run_timed(given.started, given.folder)
    given.file.write_text(json.dumps(seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
