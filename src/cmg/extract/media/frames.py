"""The chosen frames of a video, decoding as little as the codec allows.

Which frames exist is known from the packets, before anything is decoded. Of those that are not
chosen, the decoder skips the ones that no other frame refers to, groups of pictures without a
chosen frame are left out, and so is the end of a group after its last chosen frame. Where packets
do not tell (no time stamps, hidden frames, damage), everything is decoded, twice: to know the
frames, and to take the chosen ones.

Shape legend: M chosen frames, H, W their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.extract.media.choice import Choice, FramePlan, choose, most_frames, refuse_large
from cmg.extract.media.container import SLACK, Packets, decoded
from cmg.extract.media.opening import pyav

HIDDEN = frozenset({"vp8"})
"""Codecs some of whose packets hold frames that are never shown."""
MILLISECOND = 1e-3
"""The clock of an edit list may be as coarse."""


@dataclass(frozen=True)
class Pictures:
    """The chosen frames of a clip.

    Attributes:
        frames: RGB, uint8 [M, H, W, 3].
        steps: The step that each stands for, int64 [M].
        times: When each begins to be shown, seconds after the clip's start, float64 [M].
        count: Number of steps.
        seconds: Duration of the clip.
    """

    frames: NDArray[np.uint8]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    count: int
    seconds: float


@dataclass(frozen=True)
class _Shown:
    """Frames in the order of presentation: what tells them apart, and their times."""

    keys: list[int]
    times: NDArray[np.float64]
    end: float


def video_frames(
    path: Path, part: Packets, plan: FramePlan, start: float, end: float | None
) -> Pictures:
    """Decode the frames that a plan chooses.

    Args:
        path: For messages.
        part: Packets of the video stream.
        plan: Which frames, and their size.
        start: Of the clip, seconds.
        end: Of the clip; None is the end of the video.

    Raises:
        DataError: there is no frame between start and end, too much cannot be decoded, or the
            frames would not fit into memory.
    """
    if part.stream.codec_context.name not in HIDDEN:
        shown = _by_packets(part)
        if shown is not None:
            choice, times, seconds = _choose(path, shown, plan, start, end)
            keys = [shown.keys[i] for i in choice.frames]
            frames = _take(_by_pts(part, set(keys)), keys, plan.size)
            if frames is not None:
                return Pictures(frames, choice.steps, times, choice.count, seconds)
    return _decode_twice(path, part, plan, start, end)


def _decode_twice(
    path: Path, part: Packets, plan: FramePlan, start: float, end: float | None
) -> Pictures:
    shown = _by_decoding(path, part, start)
    choice, times, seconds = _choose(path, shown, plan, start, end)
    keys = [shown.keys[i] for i in choice.frames]
    part.stream.codec_context.skip_frame = "DEFAULT"
    frames = _take(enumerate(decoded(part, part.packets, [])), keys, plan.size)
    assert frames is not None  # the same packets give the same frames
    return Pictures(frames, choice.steps, times, choice.count, seconds)


def _choose(
    path: Path, shown: _Shown, plan: FramePlan, start: float, end: float | None
) -> tuple[Choice, NDArray[np.float64], float]:
    """The choice, the times of the chosen frames, and the duration."""
    until = shown.end if end is None else min(end, shown.end)
    inside = shown.times < until
    if until <= start or not inside.any():
        raise DataError(f"{path}: no frame after {start:g} s; the video ends at {shown.end:.2f} s")
    refuse_large(path, most_frames(until - start, plan), plan)
    times = shown.times[inside] - start
    choice = choose(times, until - start, plan)
    return choice, times[choice.frames], until - start


def _by_packets(part: Packets) -> _Shown | None:
    """The frames by their packets; None where these do not tell."""
    stamps = [(p.pts, p.duration or 0) for p in part.packets if not p.is_discard]
    if not stamps or any(pts is None for pts, _ in stamps):
        return None
    stamps.sort()
    keys = [pts for pts, _ in stamps]
    if len(set(keys)) < len(keys):
        return None
    times = np.array([part.seconds(pts) for pts in keys])
    return _Shown(keys, times, _end(part, times, stamps[-1][1]))


def _by_decoding(path: Path, part: Packets, start: float) -> _Shown:
    """The frames by decoding all."""
    errors: list[str] = []
    part.stream.codec_context.skip_frame = "DEFAULT"
    rate = float(part.stream.average_rate or 25)
    times, duration = [], 0
    for number, frame in enumerate(decoded(part, part.packets, errors)):
        times.append(number / rate if frame.pts is None else part.seconds(frame.pts))
        duration = frame.duration or 0
    if not times or len(errors) / rate > SLACK:
        why = errors[0] if errors else part.reason or "it holds none"
        raise DataError(
            f"{path}: {len(errors)} of {len(part.packets)} frames cannot be decoded ({why}); "
            "it is damaged: restore it or leave it out"
        )
    order = np.argsort(times, kind="stable")
    ordered = np.array(times)[order]
    return _Shown(order.tolist(), ordered, _end(part, ordered, duration))


def _end(part: Packets, times: NDArray[np.float64], duration: int) -> float:
    """When the last frame ends: after its own duration, or the usual one where it has none.

    An mp4 gives each packet the time to the next one to be decoded. Where frames are reordered that
    is no frame's, and counts only if it is short; and an edit list may end within a frame.
    """
    if part.more:
        return float("inf")
    stream, scale = part.stream, float(part.stream.time_base)
    own, gaps = duration * scale, np.diff(times)
    usual = float(min(np.median(gaps), gaps[-1])) if len(gaps) else 0.0
    usual = usual or own or float(1 / (stream.average_rate or 25))
    last = float(times[-1])
    if not stream.container.format.name.startswith("mov"):
        return last + (own or usual)
    end = last + min(own or usual, usual if _reordered(part) else float("inf"))
    stated = part.seconds((stream.start_time or 0) + (stream.duration or 0))
    return stated if last + MILLISECOND < stated < end - MILLISECOND else end


def _reordered(part: Packets) -> bool:
    stamps = [packet.pts for packet in part.packets if packet.pts is not None]
    return any(after < before for before, after in pairwise(stamps))


def _by_pts(part: Packets, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """Decode what the wanted frames need, and give all frames that come out, by time stamp."""
    context, errors = part.stream.codec_context, list[str]()
    for run in needed_runs(part.packets, wanted):
        for frame in decoded(part, _skipping(context, run, wanted), errors):
            if frame.pts is not None:
                yield frame.pts, frame


def _skipping(context: Any, run: Sequence[Any], wanted: set[int]) -> Iterator[Any]:
    """Packets, with the decoder told before each whether it may skip it."""
    for packet in run:
        context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        yield packet


def needed_runs(packets: Sequence[Any], wanted: set[int]) -> list[list[Any]]:
    """Packets that the wanted frames need, in unbroken runs; between runs the decoder is emptied.

    A group of pictures begins with a key frame. Frames that are shown before the key frame of
    their group may refer to the group before, which is then needed whole.

    Args:
        packets: Of a video, in decoding order.
        wanted: Presentation time stamps.
    """
    groups: list[list[Any]] = []
    for packet in packets:
        if packet.is_keyframe or not groups:
            groups.append([])
        groups[-1].append(packet)
    runs: list[list[Any]] = []
    whole = False
    for group in reversed(groups):
        last = max((i for i, p in enumerate(group) if p.pts in wanted), default=-1)
        kept = group if whole else group[: last + 1]
        if whole and runs:
            runs[-1] = kept + runs[-1]
        elif kept:
            runs.append(kept)
        first = group[0].pts
        whole = any(p.pts in wanted and p.pts < first for p in group)
    return runs[::-1]


def _take(
    frames: Iterable[tuple[int, Any]], keys: Sequence[int], size: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Scale the frames of some keys as they come; None if one of them does not come."""
    places: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    out = np.empty((len(keys), *size, 3), np.uint8)
    scale = pyav().video.reformatter.VideoReformatter()
    for key, frame in frames:
        if key in places:
            out[places.pop(key)] = _scaled(scale, frame, size)
        if not places:
            break
    return None if places else out


def _scaled(scale: Any, frame: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame as RGB, upright: uint8 [H, W, 3]."""
    turns = round(frame.rotation / 90) % 4
    height, width = size if turns % 2 == 0 else size[::-1]
    picture = scale.reformat(
        frame, width, height, format="rgb24", interpolation="BILINEAR", threads=1
    )
    array: NDArray[np.uint8] = picture.to_ndarray()
    return np.rot90(array, turns) if turns else array
