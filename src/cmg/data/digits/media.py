"""Sound and image files from the embedded set, for reports."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE


def wav_bytes(waveform: NDArray[np.floating], rate: int = SAMPLE_RATE) -> bytes:
    """A mono 16-bit WAV file.

    Args:
        waveform: [samples] in [-1, 1], e.g. ``load_spoken().wave(7)``.
        rate: Samples per second.
    """
    import wave  # not at the top: whoever loads a model would wait for it

    samples = np.round(np.clip(waveform, -1, 1) * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def png_bytes(scan: NDArray[np.uint8], scale: int = 8) -> bytes:
    """A grayscale PNG file, dark ink on white paper.

    Args:
        scan: [H, W], ink 0 to 16, e.g. ``load_scans().images[7]``.
        scale: Side of the square that each pixel becomes.
    """
    from PIL import Image  # likewise

    gray = (255 - np.minimum(scan.astype(np.int64) * 16, 255)).astype(np.uint8)
    pixels = np.repeat(np.repeat(gray, scale, axis=0), scale, axis=1)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
