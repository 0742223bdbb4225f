"""Recorded letters A to Z in Debian's packages, installed or unpacked.

Nothing of these packages is part of cmg, and nothing made of them is kept in its repository.

Shape legend: S samples.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.extract.decode import decode

Wave = NDArray[np.float32]

LETTERS = string.ascii_lowercase
INSTALLED = Path("/usr/share")
BELOW = ("usr/share", "share", ".")
"""Where a folder that a user names may hold what packages put into /usr/share."""
KLETTRES = "klettres-data=4:22.12.3-1"
ASTERISK = "asterisk-core-sounds-{language}-wav=1.6.1-1"

LOUDNESS = 0.02
"""Seconds over which loudness is taken."""
QUIET = 0.03
"""Ends of a recording below this part of its loudest moment are cut off, ..."""
NOISE = 3.0
"""... or below this multiple of its noise: the loudness that a tenth of it stays under, ..."""
HIGHEST = 0.2
"""... but never what is above this part of the loudest moment."""
KEPT = 0.02
"""Seconds kept before and behind a word."""
BAND = 4000.0
"""Hz that are kept: telephone recordings have no more, and a source is not told by its band."""
PEAK = 0.9


@dataclass(frozen=True)
class Voice:
    """One speaker's letters in one language.

    Attributes:
        name: Of the recordings.
        folder: Where they lie below /usr/share.
        language: As the package calls it.
        speaker: Who speaks, the same for all voices of one; the voice where a package names nobody.
        fold: Whose test part the speaker is in.
        package: Debian's, with the version that was read.
    """

    name: str
    folder: str
    language: str
    speaker: str
    fold: int
    package: str


def _klettres(language: str, fold: int) -> Voice:
    name = f"klettres-{language}"
    return Voice(name, f"klettres/{language}", language, name, fold, KLETTRES)


def _asterisk(language: str, folder: str, speaker: str, fold: int) -> Voice:
    package = ASTERISK.format(language=language)
    return Voice(
        f"asterisk-{language}", f"asterisk/sounds/{folder}", language, speaker, fold, package
    )


FOLDS = 8
VOICES = (
    _asterisk("en", "en_US_f_Allison", "allison-smith", 0),
    _asterisk("es", "es_MX_f_Allison", "allison-smith", 0),
    _klettres("tn", 0),
    # No package says that these three are one person, and none that they are not; a speaker
    # embedding finds them nearer to each other than the two languages of Allison Smith.
    _klettres("it", 1),
    _klettres("nb", 1),
    _klettres("pt_BR", 1),
    _asterisk("fr", "fr_CA_f_June", "june-wallack", 2),
    _klettres("de", 2),
    _asterisk("it", "it_IT_m_Carlo", "carlo-flora", 3),
    _klettres("cs", 3),
    _asterisk("ru", "ru_RU_f_IvrvoiceRU", "ivrvoice-ru", 4),
    _klettres("da", 4),
    _klettres("en", 5),
    _klettres("es", 5),
    _klettres("en_GB", 6),
    _klettres("hu", 6),
    _klettres("lt", 6),
    _klettres("fr", 7),
    _klettres("nds", 7),
    _klettres("nl", 7),
)
"""All voices; a speaker is in one fold, and every fold has every letter."""


@dataclass(frozen=True)
class SpokenLetter:
    """One letter as one voice says it.

    Attributes:
        id: ``klettres-de.a``.
        voice: Whose.
        letter: One of :data:`LETTERS`.
        path: The sound file.
    """

    id: str
    voice: Voice
    letter: str
    path: Path


@dataclass(frozen=True)
class Heard:
    """Recordings as waveforms.

    Attributes:
        recordings: Those kept.
        waves: Of each, see :func:`word`.
        skipped: Why others were left out.
    """

    recordings: list[SpokenLetter]
    waves: list[Wave]
    skipped: list[str]


def share_folder(source: Path | None, inside: Sequence[str]) -> Path:
    """The folder that holds what packages put into /usr/share.

    Args:
        source: It, or the root of unpacked packages; None is the system's own.
        inside: Folders of which it has at least one.

    Returns:
        It; where there is none, the first place that was looked at, for messages.
    """
    places = [INSTALLED] if source is None else [source / below for below in BELOW]
    found = (p for p in places if any((p / name).is_dir() for name in inside))
    return next(found, places[0])


def how_to_get(packages: Sequence[str]) -> str:
    """The command that downloads and unpacks packages."""
    return f'apt-get download {" ".join(packages)} && for p in *.deb; do dpkg -x "$p" FOLDER; done'


def find_recordings(
    source: Path | None = None, voices: Sequence[Voice] = VOICES
) -> list[SpokenLetter]:
    """The recordings of single letters A to Z, by voice and letter.

    Other letters of an alphabet (Ñ, Å, Hungarian DZS), other alphabets, syllables, digits and
    signs are left out: of KLettres what its own list of sounds calls an alphabet and names by one
    of the 26 letters, of Asterisk the files ``letters/a.wav`` to ``letters/z.wav``.

    Args:
        source: See :func:`share_folder`.
        voices: Whose.

    Raises:
        DataError: a package is missing (all that are missing are named), or its list is damaged.
    """
    root = share_folder(source, ["klettres", "asterisk"])
    named = {voice: _files(root, voice) for voice in voices}
    lacking = dict.fromkeys(
        voice.package
        for voice, files in named.items()
        if not files or not all(path.is_file() for path in files.values())
    )
    if lacking:
        raise DataError(
            f"no recordings of {', '.join(lacking)} in {root}; {how_to_get(list(lacking))}, "
            "then --source FOLDER"
        )
    return [
        SpokenLetter(f"{voice.name}.{letter}", voice, letter, files[letter])
        for voice, files in named.items()
        for letter in sorted(files)
    ]


def _files(root: Path, voice: Voice) -> dict[str, Path]:
    """A file by letter; empty where the voice's package is missing."""
    folder = root / voice.folder
    if voice.package != KLETTRES:
        files = {letter: folder / "letters" / f"{letter}.wav" for letter in LETTERS}
        return files if folder.is_dir() else {}
    index = folder / "sounds.xml"
    if not index.is_file():
        return {}
    try:
        alphabet = list(ElementTree.parse(index).getroot().iterfind(".//alphabet/sound"))
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{index} cannot be read ({error}); unpack {KLETTRES} again") from error
    found: dict[str, Path] = {}
    for sound in alphabet:
        letter, path = sound.get("name", "").lower(), root / "klettres" / sound.get("file", "")
        if len(letter) == 1 and letter in LETTERS:
            if not path.resolve().is_relative_to(root.resolve()):
                raise DataError(f"{index} names {path}, outside of it; unpack {KLETTRES} again")
            found.setdefault(letter, path)
    return found


def hear(recordings: Sequence[SpokenLetter], rate: int) -> Heard:
    """Recordings as words, each sound once.

    A damaged file is left out, and so is a sound that another recording has too, sample for
    sample; where they disagree about the letter, all of them are.

    Args:
        recordings: See :func:`find_recordings`.
        rate: Samples per second.

    Raises:
        ConfigError: PyAV is not installed.
    """
    skipped: list[str] = []
    same: dict[str, list[tuple[SpokenLetter, Wave]]] = {}
    for one in recordings:
        try:
            wave = word(decode(None, one.path, None, rate).wave, rate)
            same.setdefault(_digest(wave), []).append((one, wave))
        except DataError as error:
            skipped.append(f"{one.id}: {error}")
    kept = []
    for alike in same.values():
        first = alike[0][0]
        if len({one.letter for one, _ in alike}) > 1:
            names = ", ".join(one.id for one, _ in alike)
            skipped.append(f"one sound under several letters: {names}")
            continue
        kept.append(alike[0])
        skipped += [f"{one.id}: the same sound as {first.id}" for one, _ in alike[1:]]
    return Heard([one for one, _ in kept], [wave for _, wave in kept], skipped)


def _digest(wave: Wave) -> str:
    return hashlib.sha256(np.rint(wave * 32767).astype("<i2").tobytes()).hexdigest()


def word(wave: Wave | None, rate: int) -> Wave:
    """A recorded word [S] up to 4 kHz, without a constant part and the silence around it, peak 0.9.

    Args:
        wave: What was decoded.
        rate: Samples per second.

    Raises:
        DataError: it is silent, or its samples are not finite.
    """
    if wave is None or not np.isfinite(wave).all() or not len(wave):
        raise DataError("no sound, or samples that are not finite; leave it out")
    spectrum = np.fft.rfft(wave.astype(np.float64) - wave.mean())
    spectrum[np.fft.rfftfreq(len(wave), 1 / rate) > BAND] = 0.0
    band = np.fft.irfft(spectrum, len(wave))
    if np.abs(band).max() < 1e-4:
        raise DataError("it is silent; leave it out")
    spoken = band[spoken_part(band, rate)]
    return np.asarray(PEAK * spoken / np.abs(spoken).max(), dtype=np.float32)


def spoken_part(wave: NDArray[np.float64], rate: int) -> slice:
    """The samples of a wave [S] between the first and the last that are louder than its noise."""
    width = round(LOUDNESS * rate)
    power = np.convolve(wave**2, np.ones(width) / width, "same")
    loudness = np.sqrt(np.maximum(power, 0.0))
    peak = loudness.max()
    noise = NOISE * np.quantile(loudness, 0.1)
    loud = np.flatnonzero(loudness > min(max(QUIET * peak, noise), HIGHEST * peak))
    kept = round(KEPT * rate)
    return slice(max(0, int(loud[0]) - kept), int(loud[-1]) + kept + 1)
