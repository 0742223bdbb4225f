"""Extraction of a folder: where the time goes, and `cmg extract` beside a plain loop over clips.

`python -m benchmarks.extraction [--clips 8] [--json FILE]`

The clips are those of `benchmarks.decoding`, 10 s each. The extractors are small ones whose weights
come in packages (docs/extractors.md): EfficientNet-Lite0, 4 frames per second, and a speech
embedding. The plain loop decodes every frame of one clip, scales them, runs both networks and saves
an npz, in one process; `cmg extract` is given the same cores. Ways take turns; wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.cases import machine, machine_line
from benchmarks.decoding import PLANS, SECONDS, plain_loop, write_clip
from benchmarks.timing import side_by_side
from cmg.extract import source
from cmg.extract.registry import load_extractor
from cmg.recipes.extract import ExtractOptions, extract

EXTRACTORS = {"video": "efficientnet-lite0", "audio": "speech-embedding"}
CHUNK = 16
PLAN = PLANS["4 frames per second"]


def options(workers: int) -> ExtractOptions:
    """Of an extraction with both extractors."""
    return ExtractOptions(EXTRACTORS, workers=workers, chunk=CHUNK)


def plain(folder: Path, out: Path, networks: dict[str, Any]) -> None:
    """What a plain script does with a folder."""
    out.mkdir()
    for path in sorted(folder.iterdir()):
        frames, wave = plain_loop(path, PLAN)
        maps = networks["video"].extract(frames)
        video = maps.reshape(SECONDS, PLAN.frames_per_step, *maps.shape[1:]).mean(1)
        np.savez(out / f"{path.stem}.npz", video=video, audio=networks["audio"].extract(wave))


def shares(folder: Path, out: Path) -> dict[str, float]:
    """Shares of the wall time of one process: decoding, the networks, and everything else."""
    spent = {"decoding": 0.0, "networks": 0.0}

    def timed(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args)
            finally:
                spent[name] += time.perf_counter() - start

        return call

    readers = {m: load_extractor(name) for m, name in EXTRACTORS.items()}
    decoding = timed("decoding", source.decode_clip)
    found: dict[str, float] = {}
    with patch.object(source, "decode_clip", decoding):
        for one in readers.values():
            one.extract = timed("networks", one.extract)
        loaded = {name: readers[m] for m, name in EXTRACTORS.items()}
        with patch.object(source, "load_extractor", lambda name, options: loaded[name]):
            start = time.perf_counter()
            extract(folder, out, options(workers=1))
            total = time.perf_counter() - start
    found = {name: round(seconds / total, 3) for name, seconds in spent.items()}
    found["everything else"] = round(1 - sum(found.values()), 3)
    return found


def busy(folder: Path, out: Path, workers: int) -> float:
    """Cores kept busy: CPU seconds of this process and its workers over wall seconds."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    def used() -> float:
        told = [resource.getrusage(kind) for kind in kinds]
        return sum(t.ru_utime + t.ru_stime for t in told)

    before, start = used(), time.perf_counter()
    extract(folder, out, options(workers))
    return round((used() - before) / (time.perf_counter() - start), 2)


def measure(folder: Path, clips: int, turns: int) -> dict[str, Any]:
    """Everything, in `folder`."""
    media, made = folder / "media", folder / "made"
    media.mkdir()
    made.mkdir()
    drawn = min(clips, 4)
    for seed in range(drawn):
        write_clip(media / f"{seed:04d}.mp4", seed)
    for clip in range(drawn, clips):
        os.link(media / f"{clip % drawn:04d}.mp4", media / f"{clip:04d}.mp4")
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(1)
    networks = {m: load_extractor(name) for m, name in EXTRACTORS.items()}
    names = iter(range(10**6))

    def place() -> Path:
        return made / str(next(names))

    timing = side_by_side(
        {
            f"cmg extract, {cores} workers": lambda _: extract(media, place(), options(cores)),
            "cmg extract, 1 worker": lambda _: extract(media, place(), options(1)),
            "plain loop": lambda _: plain(media, place(), networks),
        },
        turns,
        "wall",
        warmup=0,
    )
    seconds = {name: timing.median(name) for name in timing.seconds}
    return {
        "clips": clips,
        "cores": cores,
        "ways": timing.as_dict(),
        "clips_per_s": {name: round(clips / s, 2) for name, s in seconds.items()},
        "times_real_time": {name: round(clips * SECONDS / s, 1) for name, s in seconds.items()},
        "shares_of_one_process": shares(media, place()),
        "cores_busy": busy(media, place(), cores),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="cmg-extraction-") as folder:
        result = measure(Path(folder), given.clips, given.turns)
    facts |= {"load_after": machine()["load"]}
    print(machine_line(facts))
    for name, own in result["ways"].items():
        print(
            f"{name}: {result['clips_per_s'][name]} clips/s, "
            f"{result['times_real_time'][name]} x real time, "
            f"{own['ratio']} ({own['ratio_min']}-{own['ratio_max']}) of the first's time"
        )
    parts = ", ".join(f"{k} {100 * v:.1f} %" for k, v in result["shares_of_one_process"].items())
    print(f"one process: {parts}; {result['cores']} workers keep {result['cores_busy']} cores busy")
    if given.json is not None:
        told = {"machine": facts, "turns": given.turns} | result
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
