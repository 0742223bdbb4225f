"""The files of features and pictures: a zip per clip, and PNG files."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ZIP_LEVEL = 6
"""Of deflate; the default of the zip tools."""
_MODULE, _OLD_MODULE = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
PNG_LEVEL = 3
"""Of deflate; half the time of the default for a few percent more bytes."""


def pickled(array: NDArray[Any]) -> bytes:
    """A plain pickle of an array, in the words of the NumPy of the official files' time."""
    # Protocol 3 names modules in clear text at its start, so the old name can simply be put in.
    return pickle.dumps(array, protocol=3).replace(_MODULE, _OLD_MODULE, 1)


def write_zip(path: Path, array: NDArray[Any]) -> None:
    """Write ``<stem>.zip`` with one member, ``<stem>.pkl``; equal arrays give equal bytes."""
    member = zipfile.ZipInfo(f"{path.stem}.pkl", date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, pickled(array), compresslevel=ZIP_LEVEL)
    path.write_bytes(stream.getvalue())


def write_frame(path: Path, frame: NDArray[np.uint8]) -> None:
    """Write a picture [H, W, 3]."""
    Image.fromarray(frame).save(path, "PNG", compress_level=PNG_LEVEL)


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a mask [H, W] as a picture of one bit a pixel, white where it is true."""
    Image.fromarray(mask).save(path, "PNG", compress_level=PNG_LEVEL)
