"""Pictures: one, or a folder of them as the frames of a video."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError, DataError
from cmg.extract.media.choice import FramePlan, choose, most_frames, refuse_large
from cmg.extract.media.frames import Pictures
from cmg.extract.media.suffixes import medium_of

FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""What Pillow may try; some of its other readers start programs."""


def read_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture as RGB, upright, on white where it is transparent.

    Args:
        path: The file.
        size: Height and width to scale to, bilinear; None keeps the picture's own.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: it cannot be read.
        ConfigError: Pillow is not installed.
    """
    image = _pillow()
    try:
        with image.open(path, formats=FORMATS) as file:
            picture = _upright_rgb(file)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path} cannot be read: {reason}; restore it or leave it out") from error
    if size is not None:
        picture = picture.resize(size[::-1], image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError(
            "reading pictures needs Pillow: pip install 'cmg-torch[extract]'"
        ) from error
    return Image


def _upright_rgb(picture: Any) -> Any:
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits of gray, which convert would clip to 255
        return Image.fromarray((np.asarray(picture, np.float64) / 257).astype(np.uint8)).convert(
            "RGB"
        )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


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
    try:
        files = [path for path in folder.iterdir() if medium_of(path) == "picture"]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
    if not files:
        raise DataError(f"{folder} holds no picture (png, jpg, webp, bmp, tif)")
    return sorted(files, key=_numbers_first)


def _numbers_first(path: Path) -> list[tuple[int, str]]:
    """A key that sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


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
