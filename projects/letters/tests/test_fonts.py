"""Fonts drawn, and which of them are one font or one design."""

from __future__ import annotations

import numpy as np
import pytest

from cmg.errors import DataError
from projects.letters import fonts as drawing
from projects.letters.fonts import Font, dealt_designs, kept_fonts, read_font, read_fonts
from projects.letters.recordings import LETTERS
from projects.letters.tests.spoken import put_font


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (26, 24, 24)).astype(np.uint8)


def mixed(one, other, share):
    return ((1 - share) * one + share * other).astype(np.uint8)


def test_a_letter_fills_its_square_up_to_the_margin(tmp_path):
    font = read_font(put_font(tmp_path, "plain") / "plain.ttf")
    assert font.glyphs.shape == (26, 24, 24)
    assert font.glyphs.dtype == np.uint8
    for letter, glyph in zip(LETTERS, font.glyphs, strict=True):
        rows, columns = np.flatnonzero(glyph.any(1)), np.flatnonzero(glyph.any(0))
        assert max(np.ptp(rows), np.ptp(columns)) == 19, letter  # 20 pixels of 24
        assert min(rows[0], columns[0]) >= 2, letter
        assert max(rows[-1], columns[-1]) <= 21, letter
    tall, wide = font.glyphs[LETTERS.index("i")], font.glyphs[LETTERS.index("w")]
    assert np.ptp(np.flatnonzero(tall.any(0))) < 8
    assert np.ptp(np.flatnonzero(wide.any(1))) < 18
    middle = font.glyphs[LETTERS.index("t")]
    assert middle[2].sum() > 3 * middle[20].sum()  # the bar is on top


def test_the_same_letters_under_two_names_are_one_font(tmp_path):
    folder = put_font(tmp_path, "first", "second")
    (folder / "broken.ttf").write_bytes(b"no font")
    (folder / "readme.txt").write_text("no font either", encoding="utf-8")
    found = read_fonts(tmp_path)
    assert [(font.name, font.design) for font in found.kept] == [("first", "aileron")]
    assert any(line.startswith("broken cannot be read") for line in found.skipped)
    assert "second: the same letters as first" in found.skipped
    assert len(found.skipped) == 2


def test_no_fonts_name_the_package(tmp_path):
    with pytest.raises(DataError, match="apt-get download fonts-aenigma="):
        read_fonts(tmp_path)


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda letter: np.zeros((24, 24), np.uint8), "draws nothing for a, b"),
        (lambda letter: np.ones((24, 24), np.uint8), "draws the same for most letters"),
    ],
)
def test_a_font_that_draws_no_letters_is_left_out(tmp_path, monkeypatch, draw, says):
    folder = put_font(tmp_path, "plain")
    monkeypatch.setattr(drawing, "drawn", lambda _, letter: draw(letter))
    with pytest.raises(DataError, match=f"plain {says}"):
        read_font(folder / "plain.ttf")


def test_fonts_that_look_alike_are_one_or_of_one_design():
    one, other = noise(0), noise(1)
    found = kept_fonts(
        [
            Font("plain", "wager", one),
            Font("again", "wager", mixed(one, other, 0.05)),
            Font("like", "genotype", mixed(one, other, 0.25)),
            Font("other", "bocuma", other),
            Font("slanted", "bocuma", noise(2)),
        ]
    )
    assert [(font.name, font.design) for font in found.kept] == [
        ("plain", "genotype"),
        ("like", "genotype"),
        ("other", "bocuma"),
        ("slanted", "bocuma"),
    ]
    assert found.skipped == ["again: the same letters as plain"]


def test_designs_are_dealt_whole_and_evenly():
    fonts = [Font(f"f{k}", f"d{k // 3}", noise(k)) for k in range(48)]
    folds = dealt_designs(fonts, 8, seed=1)
    counts = np.bincount([folds[font.design] for font in fonts], minlength=8)
    assert counts.tolist() == [6] * 8
    assert folds == dealt_designs(fonts[::-1], 8, seed=1)
    assert folds != dealt_designs(fonts, 8, seed=2)
