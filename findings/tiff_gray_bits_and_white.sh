#!/bin/sh
# Best guess before running: gray TIFF of 12 and of 16 bits arrives in Pillow as a picture whose white is
#   65,535 (mode I;16), and a file that counts from white (PhotometricInterpretation 0) is inverted as with 8 bits.
# Seen (Pillow 13.0.0): 12 bits arrive as I;16 with a white of 4,095, which no attribute of the picture says (only the
#   file's tag 258), so scaling by 257 gives a nearly black picture; and 16 bits that count from white come out as a
#   negative, where 8 bits, the same numbers, are inverted.
# Why it matters: 12 bits are what sensors have, and counting from white is how scanners and some microscopes store;
#   frames would be too dark by 16, or negatives, and in a mask object and ground would change places.
# What cmg does: cmg.pictures scales by tag 258, and inverts 12 and 16 bits by tag 262.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'pillow==13.0.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PY'
import io
import struct

import numpy as np
import PIL
from PIL import Image


def tiff(pixels, width, bits, photometric):
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1}
    tags[279] = len(pixels)
    tags[273] = 14 + 12 * len(tags)
    told = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + told + b"\0" * 4 + pixels


def read(name, content):
    picture = Image.open(io.BytesIO(content))
    values = np.asarray(picture).ravel().tolist()
    print(f"{name}: mode {picture.mode}, values {values}")
    return picture.mode, values


print("Pillow", PIL.__version__)
assert read("12 bits, white and black", tiff(b"\xff\xf0\x00", 2, 12, 1)) == ("I;16", [4095, 0])
assert read("8 bits from white, 0 and 255", tiff(b"\x00\xff", 2, 8, 0)) == ("L", [255, 0])
sixteen = tiff(struct.pack("<2H", 0, 65535), 2, 16, 0)
assert read("16 bits from white, 0 and 65535", sixteen) == ("I;16", [0, 65535])
PY
