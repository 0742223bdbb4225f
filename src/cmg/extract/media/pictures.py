"""Pictures: one, or a folder of them as the frames of a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmg.errors import DataError
from cmg.extract.media.choice import FramePlan, choose, most_frames, refuse_large
from cmg.extract.media.frames import Pictures
from cmg.pictures.reader import picture_paths, read_picture
from cmg.suffixes import PICTURES


def one_picture(path: Path, plan: FramePlan) -> Pictures:
    """A picture as a clip of one step.

    Raises:
        DataError: it cannot be read.
    """
    frames = read_picture(path, plan.size)[None]
    zero = np.zeros(1, np.int64)
    return Pictures(frames, zero, zero.astype(np.float64), 1, plan.step_seconds)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names.

    Raises:
        DataError: the folder cannot be read, or holds no picture.
    """
    files = picture_paths(folder)
    if not files:
        names = ", ".join(sorted(suffix[1:] for suffix in PICTURES))
        raise DataError(f"{folder} holds no picture ({names})")
    return files


def picture_series(
    folder: Path, plan: FramePlan, fps: float | None, start: float, end: float | None
) -> Pictures:
    """A folder of pictures as a video.

    Args:
        folder: Of the pictures.
        plan: Which of them.
        fps: Pictures per second; None is one per step.
        start: Of the clip, seconds.
        end: Of the clip; None is after the last picture.

    Raises:
        DataError: there is no picture between start and end, or one cannot be read.
    """
    files = picture_files(folder)
    rate = fps or 1 / plan.step_seconds
    until = len(files) / rate if end is None else min(end, len(files) / rate)
    if until <= start:
        raise DataError(
            f"{folder}: no picture after {start:g} s; its {len(files)} pictures end at "
            f"{len(files) / rate:.2f} s"
        )
    once = fps is None and plan.rule == "time"  # not as often as a step has frames
    refuse_large(folder, len(files) if once else most_frames(until - start, plan), plan)
    times = np.arange(len(files)) / rate - start
    choice = choose(times[times < until - start], until - start, plan)
    chosen, steps = choice.frames, choice.steps
    if once:
        chosen, kept = np.unique(chosen, return_index=True)
        steps = steps[kept]
    pictures = {i: read_picture(files[i], plan.size) for i in np.unique(chosen).tolist()}
    frames = np.stack([pictures[i] for i in chosen.tolist()])
    return Pictures(frames, steps, times[chosen], choice.count, until - start)
