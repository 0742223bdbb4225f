"""From media files to what extractors read: frames of each step, and a waveform.

Shape legend: N frames, H, W their size, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.extract.media.choice import FramePlan
from cmg.extract.media.container import MediaFile
from cmg.extract.media.frames import Pictures, video_frames
from cmg.extract.media.pictures import one_picture, picture_series
from cmg.extract.media.sound import resampled, waveform
from cmg.suffixes import medium_of

__all__ = ["Decoded", "FramePlan", "decode", "read_sound", "resampled"]


@dataclass(frozen=True)
class Decoded:
    """What a clip's files hold between its start and its end.

    Attributes:
        frames: RGB, uint8 [N, H, W, 3]; None where none were asked for, or the file that is to
            give both frames and sound has none.
        frame_steps: The step that each frame stands for, int64 [N], ascending.
        frame_times: When each frame begins to be shown, seconds after the start, float64 [N];
            equal times are one frame that was chosen more than once.
        steps: Number of steps of the frames; 0 without frames.
        wave: Mono, float32 [S]; None like `frames`.
        rate: Samples per second of `wave`.
        seconds: Duration of the longer of both.
        tracks: Which track was read where a file has several, e.g. ``sound: track 2 of 2 (eng)``.
    """

    frames: NDArray[np.uint8] | None
    frame_steps: NDArray[np.int64]
    frame_times: NDArray[np.float64]
    steps: int
    wave: NDArray[np.float32] | None
    rate: int | None
    seconds: float
    tracks: tuple[str, ...] = ()


def decode(
    video: Path | None,
    sound: Path | None,
    plan: FramePlan | None,
    rate: int | None,
    start: float = 0.0,
    end: float | None = None,
    *,
    picture_fps: float | None = None,
    threads: int = 1,
) -> Decoded:
    """Decode a clip; where both streams are of one file, in one pass over it.

    Args:
        video: Video file, picture, or folder of pictures; None for no frames.
        sound: Sound or video file; None for no sound.
        plan: Which frames, in which size; None for no frames.
        rate: Samples per second of the waveform; None for no sound.
        start: Where the clip begins, in seconds. A single picture has no time.
        end: Where it ends; None, or a time after the end of a file, is the end of the file.
        picture_fps: Pictures per second of a folder; None is one per step.
        threads: Of a video decoder.

    Raises:
        DataError: a file is missing, empty, truncated, damaged or without what is asked of it.
        ConfigError: PyAV is not installed.
    """
    if start < 0 or (end is not None and end <= start):
        raise DataError(f"{video or sound}: no time from {start:g} to {end:g} s")
    if plan is None:
        video = None
    if rate is None:
        sound = None
    pictures, wave = None, None
    tracks: list[str] = []
    if video is not None and plan is not None:
        if video.is_dir():
            pictures = picture_series(video, plan, picture_fps, start, end)
        elif medium_of(video) == "picture":
            pictures = one_picture(video, plan)
        else:
            both = rate if sound == video else None
            pictures, wave = _streams(video, plan, both, start, end, threads, tracks)
    if sound is not None and sound != video:
        _, wave = _streams(sound, None, rate, start, end, threads, tracks)
    return _joined(pictures, wave, rate, tuple(tracks))


def read_sound(path: Path, rate: int) -> NDArray[np.float32]:
    """A sound, or that of a video: mono, float32 [S].

    Args:
        path: The file.
        rate: Samples per second, to which it is resampled.

    Raises:
        DataError: it is missing, empty, truncated, damaged or has no sound.
        ConfigError: PyAV is not installed.
    """
    wave = decode(None, path, None, rate).wave
    assert wave is not None  # a file without sound is refused
    return wave


def _streams(
    path: Path,
    plan: FramePlan | None,
    rate: int | None,
    start: float,
    end: float | None,
    threads: int,
    tracks: list[str],
) -> tuple[Pictures | None, NDArray[np.float32] | None]:
    """Frames and sound of one file; `tracks` gets which they were, if there was a choice."""
    with MediaFile(path, threads) as file:
        video = file.video if plan is not None else None
        sound = file.sound if rate is not None else None
        wanted = [stream for stream in (video, sound) if stream is not None]
        if not wanted:
            asked = "pictures nor sound" if plan and rate else "pictures" if plan else "sound"
            raise DataError(f"{path} has no {asked} that ffmpeg can decode")
        tracks += [words for stream in wanted if (words := file.choice(stream))]
        parts = {part.stream.index: part for part in file.read(wanted, start, end)}
        pictures, wave = None, None
        if video is not None and plan is not None:
            pictures = video_frames(path, parts[video.index], plan, start, end)
        if sound is not None and rate is not None:
            wave = waveform(path, parts[sound.index], rate, start, end)
        return pictures, wave


def _joined(
    pictures: Pictures | None,
    wave: NDArray[np.float32] | None,
    rate: int | None,
    tracks: tuple[str, ...],
) -> Decoded:
    heard = 0.0 if wave is None or rate is None else len(wave) / rate
    if pictures is None:
        none, never = np.zeros(0, np.int64), np.zeros(0)
        return Decoded(None, none, never, 0, wave, rate, heard, tracks)
    return Decoded(
        pictures.frames,
        pictures.steps,
        pictures.times,
        pictures.count,
        wave,
        rate,
        max(pictures.seconds, heard),
        tracks,
    )
