"""Picture files as their bytes: what no writer at hand makes."""

import struct
import zlib

import numpy as np


def png(depth, color, width, rows, key=None, height=None):
    """A PNG file.

    Args:
        depth: Bits of a sample.
        color: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA.
        width: Pixels of a row.
        rows: Bytes of each row.
        key: Content of tRNS.
        height: What the header claims; the number of rows where not said.
    """
    header = struct.pack(">IIBBBBB", width, height or len(rows), depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    chunks += [(b"tRNS", key)] if key is not None else []
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    made = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def tiff(pixels, width, bits, photometric=1, sample_format=1, order="<"):
    """A gray TIFF file of one row, uncompressed.

    Args:
        pixels: Its bytes.
        width: How many.
        bits: Of a pixel.
        photometric: 0 counts from white, 1 from black.
        sample_format: 1 unsigned, 2 signed, 3 floating point.
        order: Of bytes, ``<`` or ``>``.
    """
    entries = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1}
    entries |= {279: len(pixels), 339: sample_format}
    entries[273] = 10 + 12 * len(entries) + 4
    told = b"".join(struct.pack(order + "HHII", tag, 4, 1, v) for tag, v in entries.items())
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IH", 8, len(entries)) + told + b"\0" * 4 + pixels


def row(values, dtype):
    """Numbers as bytes."""
    return np.array(values, dtype).tobytes()
