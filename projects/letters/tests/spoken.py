"""Folders like those of the packages: letters that the test sings, a font that Pillow has."""

from __future__ import annotations

import wave as wave_file
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import ImageFont

from projects.letters.fonts import FOLDER, Font
from projects.letters.recordings import LETTERS, SpokenLetter, Voice
from projects.letters.store import Letters

RATE = 8000
KLETTRES_XML = """<klettres><language code="de"><alphabet>{letters}</alphabet>
<syllables><sound name="B" file="de/syllab/b.wav"/></syllables></language></klettres>"""


def sing(path: Path, hertz: float, silence: float = 0.1) -> Path:
    """A tone of 0.2 s between silences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(RATE // 5) / RATE)
    rest = np.zeros(round(silence * RATE))
    with wave_file.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.concatenate([rest, tone, rest]) * 32767).astype("<i2").tobytes())
    return path


def sing_asterisk(root: Path, voice: Voice, base: float = 200.0) -> None:
    """All letters of a voice, and two files that are none."""
    folder = root / "usr" / "share" / voice.folder / "letters"
    for k, letter in enumerate(LETTERS):
        sing(folder / f"{letter}.wav", base + 25 * k)
    sing(folder / "zed.wav", 300)
    sing(folder / "ascii34.wav", 300)


def sing_klettres(root: Path, names: dict[str, str]) -> None:
    """Sounds of German, by name in its list."""
    folder = root / "usr" / "share" / "klettres"
    for k, file in enumerate(names.values()):
        sing(folder / file, 220 + 30 * k)
    sounds = "".join(f'<sound name="{name}" file="{file}"/>' for name, file in names.items())
    (folder / "de" / "sounds.xml").write_text(KLETTRES_XML.format(letters=sounds), encoding="utf-8")


def put_font(root: Path, *names: str) -> Path:
    """The font inside Pillow, under other names."""
    folder = root / "usr" / "share" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    for name in names:
        (folder / f"{name}.ttf").write_bytes(font.font_bytes)
    return folder


def made_up_letters(folds: int = 8, fonts: int = 64, lacking: str = "") -> Letters:
    """A speaker per fold who says every letter; fonts of noise.

    Args:
        folds: How many speakers.
        fonts: Two of every design.
        lacking: ``fold:letter`` that nobody of the fold says.
    """
    rng = np.random.default_rng(0)
    voices = [Voice(f"v{k}", "", "en", f"s{k}", k, "p") for k in range(folds)]
    recordings = [
        SpokenLetter(f"{voice.name}.{letter}", voice, letter, Path())
        for voice in voices
        for letter in LETTERS
        if f"{voice.fold}:{letter}" != lacking
    ]
    return Letters(
        recordings,
        rng.normal(3.0, 2.0, (len(recordings), 6)).astype(np.float32),
        [
            Font(f"f{k}", f"d{k // 2}", rng.integers(0, 256, (26, 24, 24)).astype(np.uint8))
            for k in range(fonts)
        ],
        [],
        ("ears", "Made up."),
        0,
    )


def ears() -> SimpleNamespace:
    """An extractor: loudness of each tenth of a second, and how often the sign changes."""

    def extract(wave: np.ndarray) -> np.ndarray:
        steps = wave[: len(wave) // 1600 * 1600].reshape(-1, 1600)
        signs = np.diff(np.signbit(steps).astype(np.float32), axis=1)
        return np.stack([np.abs(steps).mean(1), np.abs(signs).mean(1)], 1).astype(np.float32)

    return SimpleNamespace(rate=16000, notes="Made up.", extract=extract)
