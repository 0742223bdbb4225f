"""The one opener of picture files: formats by name, checked sizes, one meaning of every mode.

Frames of a training, of an extraction and of a use are read here, and masks through `open_picture`,
so one file is the same pixels wherever it is read. The rules are a table of docs/extract-media.md.

Shape legend: H, W size of a picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base

from cmg.errors import DataError
from cmg.suffixes import FORMATS, PICTURES

LARGEST = 178_956_970
"""Pixels of a picture; from twice its own limit on Pillow takes a file for an attack."""
TURNED = range(5, 9)
"""Orientations (EXIF) that exchange width and height."""
WHITE_16 = 0xFFFF
"""White of the mode I;16, to which fewer bits are scaled."""


def read_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture as RGB, upright, on white where it is transparent.

    Args:
        path: The file.
        size: Height and width to scale to, bilinear; None keeps the picture's own.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: it cannot be read, or its values have no plain meaning.
    """
    picture = in_eight_bits(path, open_picture(path))
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    if size is not None:
        picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.array(picture, np.uint8)


def open_picture(path: Path) -> Image.Image:
    """A picture, decoded and upright, in the mode of its file.

    Raises:
        DataError: it cannot be read, is too large, or holds several pictures.
    """
    with _opened(path) as file:
        _scale_color_key(path, file)
        return _scale_tiff(file, ImageOps.exif_transpose(file))


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, upright; of most formats without decoding it.

    Raises:
        DataError: see :func:`open_picture`.
    """
    with _opened(path) as file:
        if file.format != "TIFF":  # which size Pillow gives of a turned one depends on its version
            width, height = file.size
            turned = file.getexif().get(Base.Orientation, 1) in TURNED
            return (height, width) if turned else (width, height)
    width, height = open_picture(path).size
    return width, height


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A picture's file, checked and not decoded."""
    # Opened by its name, an uncompressed gray TIFF with an orientation comes out scrambled.
    with (
        _refused(path),
        path.open("rb") as content,
        Image.open(content, formats=tuple(FORMATS)) as file,
    ):
        if file.width * file.height > LARGEST:
            raise _refusal(path, f"{file.width} x {file.height} pixels; {LARGEST:,} at most")
        # The further pictures of a photograph (MPO) are its preview, depth or brightness.
        if file.format != "MPO" and (count := getattr(file, "n_frames", 1)) > 1:
            raise _refusal(
                path, f"it holds {count} pictures; save the one that is meant, or make a video"
            )
        yield file


def in_eight_bits(path: Path, picture: Image.Image) -> Image.Image:
    """A picture as RGB, or as RGBA where its file has transparency.

    Args:
        path: For messages.
        picture: From `open_picture`.

    Raises:
        DataError: its values have no known white, or Pillow cannot convert them.
    """
    if picture.mode == "I;16":
        values = np.asarray(picture)
        key = picture.info.get("transparency")
        picture = Image.fromarray((values // (WHITE_16 // 255)).astype(np.uint8))
        if key is not None:
            picture.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    if picture.mode in ("I", "F"):
        numbers = "integers (signed, or of 32 bits)" if picture.mode == "I" else "floating point"
        raise _refusal(path, f"nobody knows what is white in its {numbers}; save it with 16 bits")
    with _refused(path):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def picture_paths(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names; none without a folder.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        files = [p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.name[0] != "."]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
    return sorted(files, key=_numbers_first)


_SCALES = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies the pixels of small depths by."""


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """What Pillow says of a file as a :class:`DataError` that names it."""
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, *bombs) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = f"it is none of {', '.join(FORMATS)} that Pillow knows"
        raise _refusal(path, f"{reason}; restore it or leave it out") from error


def _refusal(path: Path, why: str) -> DataError:
    return DataError(f"{path} cannot be read: {why}")


def _scale_color_key(path: Path, file: Any) -> None:
    """Bring the transparent value of a PNG to the scale of its pixels, which Pillow does not."""
    key = file.info.get("transparency")
    if file.format != "PNG" or key is None:
        return
    stored = file.tile[0][3]
    if stored == "RGB;16B":
        raise _refusal(path, "its transparent color has 16 bits; save it with 8, or with alpha")
    if stored in _SCALES:
        file.info["transparency"] = key * _SCALES[stored]


def _scale_tiff(file: Any, picture: Image.Image) -> Image.Image:
    """Bring 12 bits to 16, and black where a file counts from white; Pillow does 8 bits only."""
    if file.format != "TIFF" or not picture.mode.startswith("I;16"):
        return picture
    white = 2 ** file.tag_v2.get(258, (16,))[0] - 1
    values = np.asarray(picture, np.uint32)
    if file.tag_v2.get(262) == 0:
        values = white - values
    scaled: Image.Image = Image.fromarray((values * WHITE_16 // white).astype(np.uint16))
    return scaled


def _numbers_first(path: Path) -> list[tuple[int, str]]:
    """A key that sorts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]
