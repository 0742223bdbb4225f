"""What is seen and heard of a clip, small enough for a picture of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.extract.decode import Decoded, FramePlan, decode
from cmg.extract.media.opening import pyav
from cmg.extract.media.pictures import picture_files
from cmg.pictures.reader import read_picture
from cmg.suffixes import medium_of

HEIGHT = 96
"""Of a thumbnail, in pixels."""
RATE = 16000
"""Of the waveform, in samples per second."""
SHORTEST, LONGEST = 0.5, 2.0
"""Seconds that a thumbnail stands for."""
PIXELS = "yuvj444p"
"""How a thumbnail's file keeps colors: all of them, in the full range, as browsers expect."""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of what is seen for a while.

    Attributes:
        start: Seconds after the clip's start.
        end: Likewise.
        jpeg: The picture as a file.
    """

    start: float
    end: float
    jpeg: bytes


@dataclass(frozen=True)
class Shown:
    """What a picture shows of a clip.

    Attributes:
        thumbnails: In order of time; empty without pictures.
        wave: Mono, float32 [S], `RATE` samples per second; None without sound.
        seconds: Duration.
    """

    thumbnails: tuple[Thumbnail, ...]
    wave: NDArray[np.float32] | None
    seconds: float


def shown(
    video: Path | None,
    sound: Path | None,
    step_seconds: float,
    start: float,
    end: float | None,
    picture_fps: float | None = None,
) -> Shown:
    """Thumbnails and waveform of a clip, in one pass over its file.

    Args:
        video: What is seen: a video, a picture, a folder of pictures; None for nothing.
        sound: What is heard: a sound or a video; None for nothing.
        step_seconds: Duration of a step of what is seen.
        start: Where the clip begins, in seconds.
        end: Where it ends; None is the end of the file.
        picture_fps: Pictures per second of a folder; None is one per step.

    Raises:
        DataError: a file is missing or damaged.
        ConfigError: PyAV is not installed.
    """
    if video is None and sound is None:
        return Shown((), None, 0.0)
    still = video is not None and medium_of(video) == "picture"
    every = step_seconds if still else thumbnail_seconds(step_seconds)
    plan = None if video is None else FramePlan(1, thumbnail_size(video), every)
    if picture_fps is None and video is not None and video.is_dir():
        picture_fps = 1 / step_seconds
    rate = None if sound is None else RATE
    found = decode(video, sound, plan, rate, start, end, picture_fps=picture_fps)
    return Shown(_thumbnails(found, every), found.wave, found.seconds)


def thumbnail_seconds(step_seconds: float) -> float:
    """Whole steps, or whole parts of a step, that are neither too short nor too long to see."""
    if step_seconds < SHORTEST:
        return step_seconds * math.ceil(SHORTEST / step_seconds)
    return step_seconds / math.ceil(step_seconds / LONGEST)


def thumbnail_size(video: Path) -> tuple[int, int]:
    """Height and width of the thumbnails of a video, picture or folder of pictures.

    Raises:
        DataError: it cannot be read.
    """
    if video.is_dir():
        return thumbnail_size(picture_files(video)[0])
    if medium_of(video) == "picture":
        height, width = read_picture(video).shape[:2]
    else:
        height, width = _upright_size(video)
    return HEIGHT, max(1, min(round(HEIGHT * width / height), 4 * HEIGHT))


def _upright_size(video: Path) -> tuple[int, int]:
    """Height and width of the first frame as it is shown; square where there is none.

    What is wrong with a file is said by those who decode it.
    """
    av = pyav()
    try:
        with av.open(str(video)) as file:
            frame = next(file.decode(video=0), None)
    except (av.FFmpegError, IndexError, OSError, ValueError):
        return HEIGHT, HEIGHT
    if frame is None:
        return HEIGHT, HEIGHT
    turned = round(frame.rotation / 90) % 2
    return (frame.width, frame.height) if turned else (frame.height, frame.width)


def _thumbnails(found: Decoded, every: float) -> tuple[Thumbnail, ...]:
    if found.frames is None:
        return ()
    kept = []
    for step, frame in zip(found.frame_steps.tolist(), found.frames, strict=True):
        start, end = step * every, min((step + 1) * every, found.seconds)
        if end > start:
            kept.append(Thumbnail(start, end, jpeg_bytes(frame)))
    return tuple(kept)


def jpeg_bytes(picture: NDArray[np.uint8]) -> bytes:
    """An RGB picture [H, W, 3] as a JPEG file.

    Raises:
        ConfigError: PyAV is not installed.
    """
    av = pyav()
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = PIXELS, Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = frame.reformat(format=PIXELS)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
