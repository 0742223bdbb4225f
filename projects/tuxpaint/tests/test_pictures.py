"""Stamps as pixels: svg in every unit and of any size, and nothing else opened."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmg.errors import DataError
from projects.tuxpaint.pictures import drawing, stamp_picture

LIME = '<rect x="2" y="1" width="6" height="3" fill="lime"/>'


def svg(path, size, content=LIME):
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    path.write_text(f"<svg {names} {size}>{content}</svg>")
    return path


def is_lime(picture):
    """Lime in the middle, twice as wide as high, on white."""
    lime = (picture == [0, 255, 0]).all(-1)
    rows, columns = np.flatnonzero(lime.any(1)), np.flatnonzero(lime.any(0))
    middles = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    close = np.abs(np.subtract(middles, 31.5)).max() <= 1
    return close and abs(len(columns) / len(rows) - 2) < 0.25 and (picture[0, 0] == 255).all()


@pytest.mark.parametrize("unit", ["", "px", "pt", "pc", "mm", "cm", "in", "em", "ex", "%"])
def test_a_stamp_is_the_same_in_every_unit(unit, tmp_path):
    size = f'width="20{unit}" height="{"20" if unit == "%" else "10"}{unit}"'  # % is of the box
    assert is_lime(stamp_picture(svg(tmp_path / "a.svg", f'{size} viewBox="0 0 10 5"'), (64, 64)))


@pytest.mark.parametrize("unit", ["pt", "mm"])
def test_lines_in_units_are_drawn_too(unit, tmp_path):
    line = f'<path d="M1 3 H9" stroke="lime" stroke-width="1{unit}"/>'
    path = svg(tmp_path / "a.svg", 'width="40" height="20"', line)
    wide = {"pt": 96 / 72, "mm": 96 / 25.4}[unit] * 448 / 40
    assert abs(np.asarray(drawing(path))[:, 56, 3].astype(bool).sum() - wide) <= 2


@pytest.mark.parametrize(
    "size",
    [
        'viewBox="0 0 10 5"',
        'width="10mm" viewBox="0 0 10 5"',
        "",  # as large as what is drawn
        'width="1e9" height="1e9" viewBox="0 0 10 5"',
        'width="NaN" height="?"',
        'width="40" height="20" viewBox="0 0 0 0"',
    ],
)
def test_a_stamp_of_no_or_of_any_size_is_drawn(size, tmp_path):
    assert is_lime(stamp_picture(svg(tmp_path / "a.svg", size), (64, 64)))


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ('width="1" height="1e6"', (1, 4480)),
        ('width="1e6" height="1"', (448, 1)),
        ('width="2in" height="10in"', (448, 2240)),
        ('width="1e30" height="1e30"', (448, 448)),
    ],
)
def test_no_size_is_taken_into_memory_as_a_stamp_asks_for_it(size, pixels, tmp_path):
    assert drawing(svg(tmp_path / "a.svg", size)).size == pixels


def test_no_other_file_is_opened_and_no_script_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "red").save("red.png")
    os.mkfifo("pipe")  # whoever opens it waits for ever
    inside = base64.b64encode(Path("red.png").read_bytes()).decode()
    for name in ("red.png", f"{tmp_path}/red.png", f"file://{tmp_path}/red.png", "pipe", " pipe"):
        over = '<image x="2" y="1" width="6" height="3" preserveAspectRatio="none" {}="{}"/>'
        script = "<script>document.documentElement.remove()</script>"
        filtered = f'<filter id="f"><feImage xlink:href="{name}"/></filter>'
        for attribute in ("href", "xlink:href"):
            path = svg(Path("a.svg"), "", LIME + filtered + over.format(attribute, name) + script)
            assert is_lime(stamp_picture(path, (64, 64)))
    path = svg(Path("a.svg"), "", over.format("href", f"data:image/png;base64,{inside}"))
    assert stamp_picture(path, (64, 64))[32, 32].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0"/>', "invalid size"),
        ('<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///e">]><svg>&e;</svg>', "undefined entity"),
        ("<svg>" + "<g>" * 300 + "</g>" * 300 + "</svg>", "nested 301 deep, more than 100"),
        ("<svg", "unclosed token"),
        ("<html/>", "SVG"),
        ("", "no element found"),
    ],
)
def test_what_cannot_be_drawn_is_named(text, why, tmp_path):
    (tmp_path / "a.svg").write_text(text)
    with pytest.raises(DataError, match=rf"cannot draw .*a\.svg: .*{why}"):
        stamp_picture(tmp_path / "a.svg", (8, 8))


def test_other_formats_are_not_tried(tmp_path):
    """Some readers of Pillow start programs."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", format="GIF")
    with pytest.raises(DataError, match=r"a\.png cannot be read: it is none of BMP"):
        stamp_picture(tmp_path / "a.png", (8, 8))
