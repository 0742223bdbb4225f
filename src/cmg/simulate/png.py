"""Frames and masks as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError

PNG_LEVEL = 3
"""Of deflate; half the time of the default for a few percent more bytes."""


def import_pillow() -> None:
    """Make sure that PNG files can be written.

    Raises:
        ConfigError: Pillow is missing.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the frames of AVSBench need Pillow; pip install 'cmg-torch[avs]', or leave the set "
            "out with --avs-fraction 0"
        ) from error


def write_frame(path: Path, frame: NDArray[np.uint8]) -> None:
    """Write a picture [H, W, 3]."""
    from PIL import Image

    Image.fromarray(frame).save(path, "PNG", compress_level=PNG_LEVEL)


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a mask [H, W] as a picture of one bit a pixel, white where it is true."""
    from PIL import Image

    Image.fromarray(mask).save(path, "PNG", compress_level=PNG_LEVEL)
