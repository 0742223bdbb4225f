"""The Tux Paint stamps as a feature store: a clip per stamp and language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

import cmg
from cmg.errors import ConfigError, DataError
from cmg.extract.decode import read_sound
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor
from cmg.text.templates import prompts_of, read_templates
from projects.tuxpaint.nouns import classes_of, is_letter, noun_of, part_of, split_stamps
from projects.tuxpaint.pictures import stamp_picture
from projects.tuxpaint.stamps import LANGUAGES, Stamp, find_stamps
from projects.tuxpaint.views import (
    Array,
    Scale,
    components_of,
    picture_views,
    sentence_views,
    word_views,
)

LABEL = "noun"
HOP_SECONDS = 0.08
SILENCE = 0.03
"""Ends of a recording below this part of its loudest moment are cut off."""
SMOOTHED, KEPT, PADDED = 320, 1600, 3200
"""Samples at 16 kHz: of loudness, kept before and behind a word, and silence put around it."""


class Written(StrEnum):
    """What stands for the text of a stamp: what people wrote, or a sentence made of its noun."""

    CAPTIONS = "captions"
    PROMPTS = "prompts"


@dataclass(frozen=True)
class StampReaders:
    """The extractors, anything with their protocols."""

    video: Any
    audio: Any
    text: Any


@dataclass(frozen=True)
class ReadStamp:
    """One stamp as features, before they become views.

    Attributes:
        stamp: Which.
        map: Of its picture, [H, W, C].
        spoken: Windows of its recordings [P, C], by language.
    """

    stamp: Stamp
    map: Array
    spoken: Mapping[str, Array]


@dataclass(frozen=True)
class ReadStamps:
    """What was read.

    Attributes:
        stamps: At least one.
        skipped: Why files were left out.
        readers: What read them.
    """

    stamps: list[ReadStamp]
    skipped: list[str]
    readers: StampReaders


def packaged_readers() -> StampReaders:
    """The encoders whose weights come inside packages.

    Raises:
        ConfigError: one is not installed, and how to install it.
    """
    return StampReaders(
        load_extractor("efficientnet-lite0"),
        load_extractor("speech-embedding", LoadOptions(step_seconds=HOP_SECONDS)),
        load_extractor("minilm"),
    )


def chosen_stamps(
    source: Path | None = None, languages: Sequence[str] = LANGUAGES, count: int | None = None
) -> list[Stamp]:
    """The stamps that are read: those that show a thing.

    Args:
        source: See :func:`projects.tuxpaint.stamps.stamps_folder`.
        languages: Whose recordings are read.
        count: How many at most; None is all.

    Raises:
        ConfigError: no stamp or no language is asked for.
        DataError: there are no stamps, or too few for a class.
    """
    if not languages or (count is not None and count < 1):
        raise ConfigError(f"--languages {','.join(languages)!r} and --stamps {count}: name one")
    found = [s for s in find_stamps(source, languages) if not is_letter(s.caption)]
    if count is not None:
        found = part_of(found, count)
    classes_of(found)
    return found


def read_stamps(
    stamps: Sequence[Stamp],
    readers: StampReaders | None = None,
    told: Callable[[int], None] | None = None,
) -> ReadStamps:
    """Pictures and recordings as features; what is damaged is left out.

    Args:
        stamps: See :func:`chosen_stamps`.
        readers: Extractors; None takes those of packages.
        told: Called with the number of stamps that are read.

    Raises:
        ConfigError: a package is missing.
    """
    use = readers or packaged_readers()
    skipped: list[str] = []
    read = []
    for count, stamp in enumerate(stamps, start=1):
        one = _read(stamp, use, skipped)
        if one is not None:
            read.append(one)
        if told is not None:
            told(count)
    return ReadStamps(read, skipped, use)


def _read(stamp: Stamp, readers: StampReaders, skipped: list[str]) -> ReadStamp | None:
    """The features of one stamp; None where its text, picture or all recordings are damaged."""
    if stamp.unread:
        skipped.append(stamp.unread)
        return None
    try:
        pixels = stamp_picture(stamp.picture, readers.video.size)
    except DataError as error:
        skipped.append(str(error))
        return None
    spoken = {}
    for language, path in stamp.spoken.items():
        try:
            wave = read_sound(path, readers.audio.rate)
        except DataError as error:
            skipped.append(str(error))
            continue
        windows = readers.audio.extract(trimmed(wave))
        if len(windows):
            spoken[language] = windows
    if not spoken:
        return None
    return ReadStamp(stamp, readers.video.extract(pixels[None])[0], spoken)


def trimmed(wave: Array) -> Array:
    """A recording [S] without the silence at its ends, and with a little of it put back."""
    loudness = np.sqrt(np.convolve(wave.astype(np.float64) ** 2, np.ones(SMOOTHED), "same"))
    loud = np.flatnonzero(loudness > SILENCE * loudness.max(initial=0.0))
    if len(loud):
        wave = wave[max(0, loud[0] - KEPT) : loud[-1] + KEPT + 1]
    return np.pad(wave, (PADDED, PADDED)).astype(np.float32)


def sentence_of(stamp: Stamp, text: Written) -> str:
    """The written description of a stamp, or the prompt of its noun."""
    noun = noun_of(stamp.caption)
    if text is Written.CAPTIONS or noun is None:
        return stamp.caption
    return prompts_of([noun], read_templates())[noun]


def write_stamps(
    found: ReadStamps,
    out: Path,
    text: Written = Written.CAPTIONS,
    seed: int = 0,
    overwrite: bool = False,
) -> cmg.Clips:
    """A store of stamps.

    Steps are ten views of a clip's picture, recording and sentence. Splits are by stamp; what is
    standardized or projected takes its numbers from the training stamps.

    Args:
        found: What was read.
        out: Folder to be.
        text: Of a stamp; prompts leak the label.
        seed: Of the splits, the components and the views.
        overwrite: Whether a store at `out` may be replaced.

    Raises:
        DataError: too few stamps could be read, or `out` is occupied.
    """
    stamps = [one.stamp for one in found.stamps]
    classes = classes_of(stamps)
    splits = split_stamps(stamps, classes, seed)
    clips = list(clips_of(found, splits, text, seed))
    nouns = [noun_of(stamp.caption) for stamp, _, _ in clips]
    return cmg.write_store(
        out,
        {m: [features[m] for _, _, features in clips] for m in ("audio", "video", "text")},
        split=[splits[stamp.id] for stamp, _, _ in clips],
        labels={LABEL: [noun if noun in classes else None for noun in nouns]},
        classes={LABEL: classes},
        ids=[f"{stamp.id}.{language}" for stamp, language, _ in clips],
        meta=[
            {"stamp": stamp.id, "language": language, "caption": stamp.caption}
            for stamp, language, _ in clips
        ],
        notes=_notes(text, found.readers),
        overwrite=overwrite,
    )


def clips_of(
    found: ReadStamps, splits: Mapping[str, str], text: Written, seed: int
) -> Iterator[tuple[Stamp, str, dict[str, Any]]]:
    """Stamp, language and features (views, float16 [N, C] by modality) of every clip."""
    read = found.stamps
    said = [found.readers.text.extract(sentence_of(one.stamp, text)) for one in read]
    known = [k for k, one in enumerate(read) if splits[one.stamp.id] == "train"]
    maps = np.concatenate([read[k].map.reshape(-1, read[k].map.shape[-1]) for k in known])
    components = components_of(maps, seed)
    voice = Scale.of(np.concatenate([x for k in known for x in read[k].spoken.values()]))
    words = Scale.of(np.concatenate([said[k] for k in known]))
    for k, one in enumerate(read):
        video = picture_views(components(one.map), _draw(seed, 0, k)).astype(np.float16)
        sentence = sentence_views(words.apply(said[k]), _draw(seed, 1, k)).astype(np.float16)
        for j, (language, x) in enumerate(one.spoken.items()):
            audio = word_views(voice.apply(x), _draw(seed, 2, k, j)).astype(np.float16)
            yield one.stamp, language, {"audio": audio, "video": video, "text": sentence}


def _draw(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(list(numbers))


def _notes(text: Written, readers: StampReaders) -> str:
    written = "Written descriptions." if text is Written.CAPTIONS else "Prompts made of the nouns."
    return (
        "Tux Paint stamps (GPL-2, by the Tux Paint contributors): pictures, recorded descriptions. "
        f"{written} Steps are views. video: {readers.video.notes} Principal components. audio: "
        f"{readers.audio.notes} Ten parts of a recording. text: {readers.text.notes}"
    )
