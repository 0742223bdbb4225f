"""Letters A to Z in the fonts of the Debian package ``fonts-aenigma``, installed or unpacked.

Shape legend: L the 26 letters, H, W a glyph of 24 x 24.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from cmg.errors import DataError
from projects.letters.recordings import LETTERS, how_to_get, share_folder

Glyphs = NDArray[np.uint8]

PACKAGE = "fonts-aenigma=0.0.20080511+dfsg-4"
FOLDER = "fonts/truetype/aenigma"
SIDE = 24
"""H and W."""
MARGIN = 2
"""Pixels around a glyph."""
DRAWN = 96
"""Points in which a letter is drawn before it is scaled."""
LARGEST = 4096
"""Pixels beyond which it is not drawn."""
SAME, ALIKE = 0.99, 0.9
"""Likeness from which two fonts are one, and from which they are of one design."""
TOLD_APART = 13
"""Different pictures among its 26 that a font has at least."""


@dataclass(frozen=True)
class Font:
    """A font that draws all letters.

    Attributes:
        name: Of its file, without suffix.
        design: What its variants have in common, see :func:`kept_fonts`.
        glyphs: White on black, uint8 [L, H, W].
    """

    name: str
    design: str
    glyphs: Glyphs


@dataclass(frozen=True)
class Fonts:
    """The fonts of a package.

    Attributes:
        kept: By file name.
        skipped: Why others were left out.
    """

    kept: list[Font]
    skipped: list[str]


def read_fonts(source: Path | None = None) -> Fonts:
    """The fonts of the package, without those that cannot be read or do not draw letters.

    Args:
        source: See :func:`projects.letters.recordings.share_folder`.

    Raises:
        DataError: the package is missing.
    """
    folder = share_folder(source, [FOLDER]) / FOLDER
    files = sorted(folder.glob("*.[to]tf")) if folder.is_dir() else []
    if not files:
        raise DataError(f"no fonts in {folder}; {how_to_get([PACKAGE])}, then --source FOLDER")
    fonts, skipped = [], []
    for path in files:
        try:
            fonts.append(read_font(path))
        except DataError as error:
            skipped.append(str(error))
    found = kept_fonts(fonts)
    return Fonts(found.kept, skipped + found.skipped)


def kept_fonts(fonts: Sequence[Font]) -> Fonts:
    """Every font once, and fonts that look alike of one design.

    A font that is the same as one before, or nearly (``Draggle`` and ``Draggle over kerned``), is
    left out. The design is the first word of its name (``Bocuma Angle Dent BRK``: bocuma); designs
    with fonts that look alike are joined. Unlike fonts may share a design: that only keeps them
    together.
    """
    likeness = likeness_of(fonts)
    kept: list[int] = []
    skipped = []
    for i, font in enumerate(fonts):
        twin = next((j for j in kept if likeness[i, j] >= SAME), None)
        if twin is None:
            kept.append(i)
        else:
            skipped.append(f"{font.name}: the same letters as {fonts[twin].name}")
    joined = {font.design: font.design for font in fonts}
    for i in kept:
        for j in kept:
            one, other = joined[fonts[i].design], joined[fonts[j].design]
            if likeness[i, j] >= ALIKE and one != other:
                first = min(one, other)
                joined = {k: first if x in (one, other) else x for k, x in joined.items()}
    return Fonts([replace(fonts[i], design=joined[fonts[i].design]) for i in kept], skipped)


def likeness_of(fonts: Sequence[Font]) -> NDArray[np.float32]:
    """The mean correlation of the pixels of a letter, over letters: [fonts, fonts]."""
    pixels = np.stack([font.glyphs.reshape(len(LETTERS), -1) for font in fonts]).astype(np.float32)
    pixels -= pixels.mean(-1, keepdims=True)
    pixels /= np.maximum(np.linalg.norm(pixels, axis=-1, keepdims=True), 1e-6)
    flat = pixels.reshape(len(fonts), -1)
    return np.asarray(flat @ flat.T / len(LETTERS), dtype=np.float32)


def read_font(path: Path) -> Font:
    """The letters of one font.

    Raises:
        DataError: it cannot be read, or does not draw letters.
    """
    try:
        font = ImageFont.truetype(path, DRAWN)
        glyphs = [drawn(font, letter.upper()) for letter in LETTERS]
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{path.stem} cannot be read ({error})") from error
    blank = [c for c, glyph in zip(LETTERS, glyphs, strict=True) if not glyph.any()]
    if blank:
        raise DataError(f"{path.stem} draws nothing for {', '.join(blank)}")
    if len({glyph.tobytes() for glyph in glyphs}) < TOLD_APART:
        raise DataError(f"{path.stem} draws the same for most letters")
    name = font.getname()[0] or path.stem
    return Font(path.stem, name.split()[0].lower(), np.stack(glyphs))


def drawn(font: ImageFont.FreeTypeFont, letter: str) -> Glyphs:
    """A letter [H, W], as large as its shape allows within the margin.

    Raises:
        ValueError: it is drawn larger than any letter.
    """
    left, top, right, bottom = font.getbbox(letter)
    if max(right - left, bottom - top) > LARGEST:
        raise ValueError(f"{letter} is drawn larger than {LARGEST} pixels")
    mask = font.getmask(letter, mode="L")
    picture = Image.frombytes("L", mask.size, bytes(mask))
    box = picture.getbbox() if min(mask.size) else None
    if box is None:
        return np.zeros((SIDE, SIDE), np.uint8)
    wide, high = box[2] - box[0], box[3] - box[1]
    scale = (SIDE - 2 * MARGIN) / max(wide, high)
    fitted = (max(1, round(wide * scale)), max(1, round(high * scale)))
    ink = picture.crop(box).resize(fitted, Image.Resampling.BOX)
    square = Image.new("L", (SIDE, SIDE))
    square.paste(ink, ((SIDE - fitted[0]) // 2, (SIDE - fitted[1]) // 2))
    return np.asarray(square, np.uint8)


def dealt_designs(fonts: Sequence[Font], folds: int, seed: int) -> dict[str, int]:
    """The fold of every design, in numbers of fonts as equal as they come.

    Args:
        fonts: Of all designs.
        folds: How many.
        seed: Of the order in which designs are dealt; each goes to the smallest fold.
    """
    sizes: dict[str, int] = {}
    for font in fonts:
        sizes[font.design] = sizes.get(font.design, 0) + 1
    order = sorted(sizes)
    np.random.default_rng(seed).shuffle(order)
    filled, folds_of = [0] * folds, dict[str, int]()
    for design in order:
        folds_of[design] = int(np.argmin(filled))
        filled[folds_of[design]] += sizes[design]
    return folds_of
