#!/bin/sh
# Best guess before running: an upright picture does not depend on whether Pillow was given a file's
#   name or the open file; for a TIFF, Pillow turns it on loading, and ImageOps.exif_transpose adds nothing.
# Seen (Pillow 13.0.0): an uncompressed gray TIFF (8 or 16 bits) with orientation 6 is right from an open
#   file and SCRAMBLED from its name: it is then mapped into memory, with the width that the picture has
#   after the turn (rows of 3 where the file has rows of 5), and turned afterwards. No error, no warning.
# Why it matters: frames and masks exported by cameras and microscopes are such files; a mask of noise
#   trains, and scores, like any other. Color and compressed TIFF are right both ways.
# What cmg does: cmg.pictures opens every picture from an open file, never by its name.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'pillow==13.0.0' 'numpy==2.4.6'
cd "$folder"
venv/bin/python - <<'PY'
import PIL
import numpy as np
from PIL import Image, ImageOps

print("Pillow", PIL.__version__)
exif = Image.Exif()
exif[0x0112] = 6  # shown, it is turned clockwise by a quarter
for dtype in ("uint8", "uint16"):
    stored = np.arange(15).reshape(3, 5).astype(dtype)
    Image.fromarray(stored).save("a.tif", exif=exif)
    with open("a.tif", "rb") as stream:
        by_stream = np.asarray(ImageOps.exif_transpose(Image.open(stream)))
    by_name = np.asarray(ImageOps.exif_transpose(Image.open("a.tif")))
    wanted = np.rot90(stored, -1)
    print(f"{dtype}: wanted\n{wanted}\nfrom the open file\n{by_stream}\nfrom its name\n{by_name}")
    assert np.array_equal(by_stream, wanted)
    assert by_name.shape != wanted.shape
for kind, stored, options in (
    ("compressed", np.arange(15, dtype="uint8").reshape(3, 5), {"compression": "tiff_lzw"}),
    ("color", np.arange(45, dtype="uint8").reshape(3, 5, 3), {}),
):
    Image.fromarray(stored).save("a.tif", exif=exif, **options)
    by_name = np.asarray(ImageOps.exif_transpose(Image.open("a.tif")))
    print(f"{kind}, from its name: right {np.array_equal(by_name, np.rot90(stored, -1))}")
    assert np.array_equal(by_name, np.rot90(stored, -1))
PY
