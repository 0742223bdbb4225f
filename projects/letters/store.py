"""Recorded letters beside drawn ones as a feature store: a clip is a recording and a font.

Shape legend: N recordings or clips, S samples, T steps of an extractor, L the 26 letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import cmg
from cmg.errors import ConfigError, DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import card_for, load_extractor
from projects.letters.fonts import PACKAGE, Font, dealt_designs, read_fonts
from projects.letters.recordings import FOLDS, LETTERS, SpokenLetter, Wave, find_recordings, hear

Array = NDArray[np.float32]
Part = Literal["train", "val", "test"]

PARTS: tuple[Part, ...] = ("train", "val", "test")
PAIRED: Mapping[Part, int] = {"train": 12, "val": 6, "test": 6}
"""Fonts that a recording is paired with."""
FONT_SEED = 17
"""Of the order in which designs of fonts are dealt to folds."""


@dataclass(frozen=True)
class Reading:
    """How an extractor reads a word.

    Attributes:
        step_seconds: Of its steps; None is the extractor's own.
        seconds: Of the line of silence into which every word is laid; what does not fit is cut off.
        lead: Where in it words begin, in seconds.
        components: Principal components that are kept of all steps side by side; 0 keeps all.
    """

    step_seconds: float | None = None
    seconds: float = 1.6
    lead: float = 0.5
    components: int = 0


READINGS: Mapping[str, Reading] = {
    # Eleven windows, of which a word of the usual 0.5 s is in nearly all.
    "speech-embedding": Reading(step_seconds=0.08, seconds=1.582),
    "whisper-tiny-en": Reading(step_seconds=0.2, seconds=1.2, lead=0.0, components=256),
}
"""By extractor; others are read as :class:`Reading` says."""


@dataclass(frozen=True)
class Letters:
    """What was read.

    Attributes:
        recordings: N of them.
        sounds: A feature each [N, C]: the steps of its word side by side.
        fonts: At least one.
        skipped: Why recordings and fonts were left out.
        audio: The extractor's name and what it says of itself.
        components: See :class:`Reading`.
    """

    recordings: list[SpokenLetter]
    sounds: Array
    fonts: list[Font]
    skipped: list[str]
    audio: tuple[str, str]
    components: int


def read_letters(
    source: Path | None = None,
    audio: str = "speech-embedding",
    components: int | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Letters:
    """All recordings and fonts of the packages.

    Args:
        source: The root of unpacked packages; None is this system.
        audio: An extractor of sound.
        components: See :class:`Reading`; None is what suits the extractor.
        told: Called before what takes a while.

    Raises:
        ConfigError: no such extractor, or what it needs is missing.
        DataError: a package is missing.
    """
    card_for("audio", audio)
    recordings = find_recordings(source)
    reading = READINGS.get(audio, Reading())
    extractor = load_extractor(audio, LoadOptions(step_seconds=reading.step_seconds))
    told("reading fonts")
    fonts = read_fonts(source)
    told(f"reading {len(recordings)} recordings")
    heard = hear(recordings, extractor.rate)
    return Letters(
        heard.recordings,
        sound_features(heard.waves, extractor, reading),
        fonts.kept,
        heard.skipped + fonts.skipped,
        (audio, extractor.notes),
        reading.components if components is None else components,
    )


def sound_features(waves: Sequence[Wave], extractor: Any, reading: Reading) -> Array:
    """Words [S] as an extractor reads them, its steps side by side: [N, T * C]."""
    samples, lead = (round(x * extractor.rate) for x in (reading.seconds, reading.lead))
    line = np.zeros(samples, np.float32)
    rows = []
    for wave in waves:
        line[:] = 0.0
        line[lead : lead + len(wave)] = wave[: samples - lead]
        rows.append(extractor.extract(line).reshape(-1))
    return np.stack(rows).astype(np.float32)


def part_of(fold: int, tested: int) -> Part:
    """The part that a fold is in where another is tested: the one after that is for choices."""
    if fold == tested:
        return "test"
    return "val" if fold == (tested + 1) % FOLDS else "train"


@dataclass(frozen=True)
class Scaling:
    """Features at a common scale, projected where asked for; made of training rows.

    Attributes:
        mean: [C].
        weights: What centered features are divided by [C], or multiplied with [C, components].
    """

    mean: Array
    weights: Array

    @classmethod
    def of(cls, rows: Array, components: int = 0, *, jointly: bool = False) -> Scaling:
        """Of training rows [R, C].

        Args:
            rows: Of the training part alone.
            components: How many principal components of the standardized rows are kept, at most
                as many as there are; 0 keeps the channels.
            jointly: Whether all channels have one deviation, as pixels do.
        """
        wide = rows.astype(np.float64)
        mean = wide.mean(0)
        deviation = (wide - mean).std(0 if not jointly else None) + 1e-6
        scale = 1 / np.broadcast_to(deviation, mean.shape)
        if not components:
            return cls(mean.astype("f4"), scale.astype("f4"))
        _, sizes, axes = np.linalg.svd((wide - mean) * scale, full_matrices=False)
        axes, sizes = axes[:components], sizes[:components]
        # The sign of a component is arbitrary: its largest entry is made positive.
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
        size = np.sqrt((sizes**2).mean() / len(rows)) + 1e-6  # on the whole 1
        return cls(mean.astype("f4"), (scale[:, None] * axes.T * signs / size).astype("f4"))

    def apply(self, rows: Array) -> Array:
        """[R, C] as [R, C] or [R, components]."""
        centered = rows - self.mean
        scaled = centered * self.weights if self.weights.ndim == 1 else centered @ self.weights
        return np.asarray(scaled, dtype=np.float32)


@dataclass(frozen=True)
class Pair:
    """One clip: which recording, which font, in which part."""

    recording: int
    font: int
    part: Part


def chosen_folds(fold: str) -> list[int]:
    """Folds by what a user says: a number, or ``all``.

    Raises:
        ConfigError: there is no such fold.
    """
    known = {str(k): [k] for k in range(FOLDS)} | {"all": list(range(FOLDS))}
    if fold not in known:
        raise ConfigError(f"--fold {fold}: it is a number from 0 to {FOLDS - 1}, or all")
    return known[fold]


def pairs_of(letters: Letters, fold: int, seed: int = 0) -> list[Pair]:
    """The clips of a fold; speakers and designs of fonts are in one part each.

    Args:
        letters: What was read.
        fold: Whose speakers and fonts are tested; those of the next fold are for choices.
        seed: Of the fonts that are drawn for a recording, with the fold.

    Raises:
        DataError: a part lacks a letter or has too few fonts.
    """
    designs = dealt_designs(letters.fonts, FOLDS, FONT_SEED)
    pairs = []
    for k, part in enumerate(PARTS):
        spoken = [
            i for i, x in enumerate(letters.recordings) if part_of(x.voice.fold, fold) == part
        ]
        drawn = [i for i, x in enumerate(letters.fonts) if part_of(designs[x.design], fold) == part]
        silent = sorted(set(LETTERS) - {letters.recordings[i].letter for i in spoken})
        if silent:
            raise DataError(
                f"fold {fold}, {part}: no recording of {', '.join(silent).upper()}; unpack the "
                "packages again, or see which recordings were left out"
            )
        if len(drawn) < PAIRED[part]:
            raise DataError(
                f"fold {fold}, {part}: {len(drawn)} fonts, but a recording is paired with "
                f"{PAIRED[part]}; unpack {PACKAGE} again"
            )
        rng = np.random.default_rng([seed, fold, k])
        for i in spoken:
            pairs += [Pair(i, int(j), part) for j in rng.choice(drawn, PAIRED[part], replace=False)]
    return pairs


def write_letters(
    letters: Letters, out: Path, fold: int, seed: int = 0, overwrite: bool = False
) -> cmg.Clips:
    """A fold as a store with modalities ``audio`` and ``image``, one step each.

    Args:
        letters: What was read.
        out: Folder to be.
        fold: See :func:`pairs_of`.
        seed: See :func:`pairs_of`.
        overwrite: Whether a store at `out` may be replaced.

    Raises:
        DataError: see :func:`pairs_of`, or `out` is occupied.
    """
    pairs = pairs_of(letters, fold, seed)
    known = [pair for pair in pairs if pair.part == "train"]
    glyphs = np.stack([font.glyphs for font in letters.fonts]).astype(np.float32) / 255
    pixels = glyphs.reshape(len(letters.fonts), len(LETTERS), -1)
    heard = Scaling.of(letters.sounds[sorted({p.recording for p in known})], letters.components)
    seen = Scaling.of(
        np.concatenate([pixels[i] for i in sorted({p.font for p in known})]), jointly=True
    )
    sounds = heard.apply(letters.sounds)
    said = [LETTERS.index(letters.recordings[p.recording].letter) for p in pairs]
    images = seen.apply(np.stack([pixels[p.font, c] for p, c in zip(pairs, said, strict=True)]))
    name, notes = letters.audio
    return cmg.write_store(
        out,
        {
            "audio": sounds[[p.recording for p in pairs], None].astype(np.float16),
            "image": images[:, None].astype(np.float16),
        },
        split=[p.part for p in pairs],
        labels={"letter": said},
        classes={"letter": list(LETTERS.upper())},
        ids=[f"{letters.recordings[p.recording].id}.{letters.fonts[p.font].name}" for p in pairs],
        meta=[_meta(letters, p) for p in pairs],
        notes=(
            f"Recorded letters, fold {fold} of {FOLDS}, seed {seed}: klettres-data (GPL-2+), "
            "asterisk-core-sounds (CC BY-SA 3.0; it and ru CC BY 3.0), paired by letter with "
            f"glyphs of fonts-aenigma (Brian Kent). audio: {name}. {notes} image: 24 x 24 pixels."
        ),
        overwrite=overwrite,
    )


def _meta(letters: Letters, pair: Pair) -> dict[str, str]:
    recording, font = letters.recordings[pair.recording], letters.fonts[pair.font]
    return {
        "group": recording.voice.speaker,
        "voice": recording.voice.name,
        "language": recording.voice.language,
        "recording": recording.id,
        "font": font.name,
        "design": font.design,
    }
