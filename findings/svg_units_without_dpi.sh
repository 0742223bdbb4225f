#!/bin/sh
# Stamps drawn in mm or pt: resvg-py refuses the page, and draws lines of 1pt as nothing.
#
# Best guess before running: `svg_to_bytes` takes 96 pixels per inch as CSS does ("dpi: 0 =
#   SVG default", its documentation says), so a page of 20mm is 76 pixels wide, and a line of 1pt has
#   1.33 pixels. A file that it refuses has no size.
# Seen: with the default, every length in pt, pc, mm, cm or in is 0. A page in mm is refused ("SVG has
#   an invalid size"), which reads as if it had none, and inside a page in pixels whatever is given in
#   units vanishes without a word: lines of 1pt are not drawn, the rest is. With dpi=96 both are right.
# Why it matters: Inkscape writes pages in mm and pt, and lines in pt. Of the 248 svg stamps of Tux
#   Paint 38 are refused; 9 more are drawn without some of their lines, and nothing tells so. Pictures
#   for training or for reports that are made of svg files lose parts of what they show.
# What cmg does: draws with dpi=96 (projects/tuxpaint/pictures.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'resvg_py==0.5.0' 'pillow==13.0.0'
"$folder/venv/bin/python" - <<'PYTHON'
import io

import resvg_py
from PIL import Image

print("resvg_py", resvg_py.__version__, "resvg", resvg_py.__resvg_version__)


def drawn(size, content, **options):
    text = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{content}</svg>'
    try:
        picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=text, **options))))
    except ValueError as error:
        return f"refused: {error}"
    return picture.size, picture.convert("RGBA").getchannel("A").getbbox()


whole = '<rect width="5" height="5"/>'
for unit in ("pt", "pc", "mm", "cm", "in"):
    page = f'width="20{unit}" height="10{unit}" viewBox="0 0 20 10"'
    found = drawn(page, whole), drawn(page, whole, dpi=96)
    print(f"a page of 20{unit} x 10{unit}: {found[0]}; with dpi=96: {found[1]}")
    assert found[0] == "refused: SVG has an invalid size", "physical pages are drawn by default"
    assert not isinstance(found[1], str)
page = 'width="40" height="20"'
line = '<rect width="2" height="2"/><path d="M1 10 H39" stroke="black" stroke-width="1pt"/>'
found = drawn(page, line), drawn(page, line, dpi=96)
print("a square and a line of 1pt below, size and what is drawn:", found[0], "with dpi=96:", found[1])
assert found[0] == ((40, 20), (0, 0, 2, 2)), "lines in pt are drawn by default"
assert found[1] == ((40, 20), (0, 0, 39, 11))
PYTHON
