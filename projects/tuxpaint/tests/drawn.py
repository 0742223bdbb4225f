"""A folder like that of the stamps, drawn and sung by the test, and extractors to read it."""

from __future__ import annotations

import wave as wave_file
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from projects.tuxpaint.store import StampReaders

COLORS = {"truck": (200, 30, 30), "hat": (30, 30, 200), "flower": (240, 200, 40)}
PITCH = {"truck": 220, "hat": 440, "flower": 880}
RATE = 16000


def draw_stamps(folder: Path, each: int = 5, languages: tuple[str, ...] = ("es", "fr")) -> Path:
    """`each` stamps of three nouns and two of none, in a package's layout."""
    stamps = folder / "usr" / "share" / "tuxpaint" / "stamps"
    rng = np.random.default_rng(0)
    for noun, color in COLORS.items():
        for k in range(each):
            path = stamps / "things" / f"{noun}{k}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if k % 2:
                _svg(path.with_suffix(".svg"), color)
            else:
                _png(path.with_suffix(".png"), color, rng)
            _described(path, f"A little {noun} of number {k}.", languages, PITCH[noun], rng)
    for k, caption in enumerate(("The letter A.", "Nothing in particular, really.")):
        path = stamps / "others" / f"other{k}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _png(path.with_suffix(".png"), (90, 90, 90), rng)
        _described(path, caption, languages, 300, rng)
    return stamps


def _png(path: Path, color: tuple[int, int, int], rng: np.random.Generator) -> None:
    page = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    left = int(rng.integers(5, 20))
    ImageDraw.Draw(page).rectangle((left, 10, left + 20, 30), fill=(*color, 255))
    page.save(path)


def _svg(path: Path, color: tuple[int, int, int]) -> None:
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><rect x="10" y="10" '
        f'width="20" height="30" fill="rgb{color}"/></svg>'
    )


def _described(
    path: Path, caption: str, languages: tuple[str, ...], pitch: int, rng: np.random.Generator
) -> None:
    path.with_suffix(".txt").write_text(f"{caption}\nes.utf8=Algo.\n", encoding="utf-8")
    for index, language in enumerate(languages):
        time = np.arange(int(RATE * rng.uniform(0.3, 0.5))) / RATE
        wave = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.03 * index) * time)
        wave = np.concatenate([np.zeros(700), wave, np.zeros(1000)])
        with wave_file.open(str(path.with_name(f"{path.name}_desc_{language}.ogg")), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))  # what it is decides, not what it is called
            file.writeframes((wave * 32767).astype("<i2").tobytes())


class Pixels:
    """Means of 7 x 7 blocks of pixels."""

    notes, size = "pixels.", (56, 56)

    def extract(self, frames):
        """Float32 [N, 7, 7, 3]."""
        blocks = frames.reshape(len(frames), 7, 8, 7, 8, 3).astype(np.float32)
        return blocks.mean((2, 4)) / 255


class Spectra:
    """Log energy of 16 bands of every 80 ms."""

    notes, rate = "spectra.", 16000

    def extract(self, wave):
        """Float32 [P, 16]."""
        whole = wave[: len(wave) // 1280 * 1280].reshape(-1, 1280)
        power = np.abs(np.fft.rfft(whole, axis=1))[:, :160].reshape(len(whole), 16, 10).sum(2)
        return np.log(power + 0.1).astype(np.float32)


class Letters:
    """Counts of letters of every word."""

    notes = "letters."

    def extract(self, text):
        """Float32 [P, 26]."""
        words = text.lower().split()
        found = np.zeros((len(words), 26), dtype=np.float32)
        for row, word in zip(found, words, strict=True):
            for letter in word:
                if letter.isascii() and letter.isalpha():
                    row[ord(letter) - 97] += 1
        return found


READERS = StampReaders(Pixels(), Spectra(), Letters())
