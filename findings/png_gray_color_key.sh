#!/bin/sh
# Best guess before running: Pillow, which scales the pixels of a gray PNG of 2 or 4 bits to 0..255, scales
#   the one transparent value of such a file (chunk tRNS) with them, as it does for 1 bit.
# Seen (Pillow 13.0.0): it does not. The key 3 of 15 is compared with pixels of 51, so what is transparent
#   stays opaque and dark; info["transparency"] is 3. With 1 and 8 bits, and with the key 0, it is right. A key of
#   16 bits is right for nothing but black: gray is clipped to 255 first, so every other level becomes
#   transparent with a white key.
# Why it matters: optimizers (optipng, pngcrush, oxipng) write such files from gray pictures with a
#   transparent ground; the ground of a frame, an icon or a stamp turns up as an object of its own.
# What cmg does: cmg.pictures scales the key with the pixels, compares keys of 16 bits before scaling, and
#   refuses 16-bit RGB with a key, of which Pillow keeps no more than the upper bytes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'pillow==13.0.0'
cd "$folder"
venv/bin/python - <<'PY'
import io
import struct
import zlib

import PIL
from PIL import Image


def png(depth, row, width, key):
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", key)),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts
    )


def alpha(content):
    picture = Image.open(io.BytesIO(content))
    seen = picture.convert("RGBA").getchannel("A").tobytes()
    print(picture.mode, picture.info, "alpha", list(seen))
    return list(seen)


print("Pillow", PIL.__version__)
print("8 bits, pixels 3 and 10, key 3: wanted alpha 0, 255")
assert alpha(png(8, bytes([3, 10]), 2, 3)) == [0, 255]
print("4 bits, pixels 3 and 10, key 3: wanted alpha 0, 255")
assert alpha(png(4, b"\x3a", 2, 3)) == [255, 255]
print("2 bits, pixels 0, 1, 2, 3, key 1: wanted alpha 255, 0, 255, 255")
assert alpha(png(2, b"\x1b", 4, 1)) == [255, 255, 255, 255]
print("16 bits, pixels 0, 300, 65535, key 65535: wanted alpha 255, 255, 0")
assert alpha(png(16, struct.pack(">3H", 0, 300, 65535), 3, 65535)) == [255, 0, 0]
PY
