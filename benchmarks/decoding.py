"""Decoding raw clips: `cmg.extract.decode` beside a plain loop that decodes and scales everything.

`OMP_NUM_THREADS=1 python -m benchmarks.decoding [--clips 6] [--json FILE]`

The clips are drawn: 10 s of a moving texture with some noise, 320x240, 25 frames per second,
H.264 as x264 encodes by default, with stereo AAC at 44.1 kHz. Both ways give the same: frames of
224x224 by a plan, and 16 kHz mono sound. The plain loop takes one clip at a time, turns every frame
into an RGB array, scales each with Pillow, picks the wanted ones, and opens the file again for the
sound. One thread; ways take turns, clip by clip.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.cases import machine, machine_line
from benchmarks.timing import CLOCKS, Timing, side_by_side
from cmg.extract.decode import FramePlan, decode
from cmg.extract.media.choice import choose

SECONDS, FPS, SIZE = 10, 25, (240, 320)
RATE, SCALED = 16000, (224, 224)
PLANS = {
    "16 frames per second": FramePlan(16, SCALED),
    "16 frames per second, published rule": FramePlan(16, SCALED, rule="count"),
    "4 frames per second": FramePlan(4, SCALED),
    "1 frame per second": FramePlan(1, SCALED),
}
OURS, PLAIN = "cmg", "plain loop"
PHASES = {
    "decoding": ("'decode' of",),
    "scaling": ("'reformat' of",),
    "resampling": ("'resample' of",),
    "opening, reading": ("'demux'", "av.open", "core.open", "'close' of", "__next__"),
}
"""Functions told apart in the profile; everything else is Python and numpy."""


def write_clip(path: Path, seed: int) -> None:
    """Draw and encode a clip."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    texture = np.asarray(small.resize((2 * SIZE[1], 2 * SIZE[0]), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=FPS)
        video.height, video.width = SIZE
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream("aac", rate=44100, layout="stereo")
        for index in range(SECONDS * FPS):
            moved = np.roll(texture, (index, 3 * index), (0, 1))[: SIZE[0], : SIZE[1]]
            noisy = moved + rng.normal(0, 4, SIZE)[..., None]
            frame = av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = rng.normal(0, 0.1, (2, SECONDS * 44100)).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts = 44100, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def plain_loop(path: Path, plan: FramePlan) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """What a plain script does with one clip."""
    times, frames = [], []
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
            frames.append(np.asarray(picture.resize(plan.size[::-1], Image.Resampling.BILINEAR)))
            times.append(float(frame.pts * frame.time_base))
    choice = choose(np.array(times), SECONDS, plan)
    chosen = np.stack([frames[i] for i in choice.frames])
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    pieces = []
    with av.open(str(path)) as container:
        for heard in container.decode(audio=0):
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(heard)]
    pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    return chosen, np.concatenate(pieces)[: SECONDS * RATE]


def difference(path: Path, plan: FramePlan) -> float:
    """Mean absolute difference of the frames of both ways, in levels of 255.

    Raises:
        AssertionError: they are not the same frames, or not as much sound.
    """
    ours = decode(path, path, plan, RATE)
    frames, wave = plain_loop(path, plan)
    assert ours.frames is not None
    assert ours.wave is not None
    assert (frames.shape, wave.shape) == (ours.frames.shape, ours.wave.shape)
    apart = np.abs(frames.astype(np.float32) - ours.frames).mean()
    assert apart < 6  # neighboring frames of these clips differ by 19
    return round(float(apart), 3)


def profile(paths: Sequence[Path], plan: FramePlan) -> dict[str, float]:
    """Shares of the time by what it is spent on; the profiler makes Python's share larger."""
    profiler = cProfile.Profile()
    for path in paths:
        profiler.runcall(decode, path, path, plan, RATE)
    seconds = dict.fromkeys([*PHASES, "Python and numpy"], 0.0)
    stats: Any = pstats.Stats(profiler)
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():
        where = f"{file} {function}"
        fitting = (name for name, marks in PHASES.items() if any(m in where for m in marks))
        seconds[next(fitting, "Python and numpy")] += own
    total = sum(seconds.values())
    return {name: round(spent / total, 3) for name, spent in seconds.items()}


def summary(timing: Timing) -> dict[str, Any]:
    """Times real time of both ways, and their ratio turn by turn."""
    found: dict[str, Any] = {}
    for name, own in timing.seconds.items():
        found[name] = {
            "ms_per_clip": round(1e3 * timing.median(name), 1),
            "times_real_time": round(SECONDS / timing.median(name), 1),
            "slowest": round(SECONDS / max(own), 1),
            "fastest": round(SECONDS / min(own), 1),
        }
    ratios = sorted(timing.ratios(PLAIN))
    found["ratio"] = round(float(np.median(ratios)), 2)
    found["ratio_min"], found["ratio_max"] = round(ratios[0], 2), round(ratios[-1], 2)
    return found


def measure(folder: Path, clips: int, turns: int, clock: str) -> dict[str, Any]:
    """Everything, on clips written into `folder`."""
    paths = [folder / f"clip{n}.mp4" for n in range(clips)]
    for seed, path in enumerate(paths):
        write_clip(path, seed)
    told: dict[str, Any] = {
        "kilobits_per_s": round(np.mean([p.stat().st_size for p in paths]) * 8e-3 / SECONDS),
        "mean_difference": difference(paths[0], PLANS["16 frames per second"]),
        "plans": {},
    }
    for name, plan in PLANS.items():
        timing = side_by_side(
            {
                OURS: lambda n, plan=plan: decode(paths[n % clips], paths[n % clips], plan, RATE),
                PLAIN: lambda n, plan=plan: plain_loop(paths[n % clips], plan),
            },
            turns,
            clock,
        )
        told["plans"][name] = summary(timing) | {"profile": profile(paths, plan)}
    return told


def table(result: dict[str, Any]) -> str:
    """A Markdown table of :func:`measure`."""
    lines = ["| frames, with 16 kHz sound | cmg, x real time | plain loop | ratio (range) |"]
    lines.append("|" + "---|" * 4)
    for name, found in result["plans"].items():
        spread = f"{found['ratio_min']:.1f}–{found['ratio_max']:.1f}"
        lines.append(
            f"| {name} | {found[OURS]['times_real_time']:.0f} | "
            f"{found[PLAIN]['times_real_time']:.0f} | **{found['ratio']:.1f}** ({spread}) |"
        )
    lines.append("")
    for name, found in result["plans"].items():
        shares = sorted(found["profile"].items(), key=lambda item: -item[1])
        lines.append(f"{name}: " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in shares))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding")
    parser.add_argument("--clips", type=int, default=6, help="clips that are drawn")
    parser.add_argument("--turns", type=int, default=12, help="a clip each; medians are told")
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    facts = machine()
    with tempfile.TemporaryDirectory(prefix="cmg-decoding-") as folder:
        result = measure(Path(folder), given.clips, given.turns, given.clock)
    facts |= {"load_after": machine()["load"], "av": av.__version__}
    print(machine_line(facts))
    print(
        f"\n{given.clips} clips of {SECONDS} s, {SIZE[1]}x{SIZE[0]}, {FPS} fps, "
        f"{result['kilobits_per_s']} kbit/s; the frames of both ways differ by "
        f"{result['mean_difference']} levels in the mean\n"
    )
    print(table(result))
    if given.json is not None:
        told = {"machine": facts, "clock": given.clock, "turns": given.turns} | result
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
