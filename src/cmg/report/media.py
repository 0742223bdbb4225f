"""What a step looks or sounds like, as HTML with the media inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE, load_spoken
from cmg.data.digits.media import png_bytes, wav_bytes
from cmg.data.digits.sentences import DIGIT_WORDS, words
from cmg.data.manifest import ClipRow
from cmg.data.source import Split
from cmg.report.html import data_uri
from cmg.report.samples import Place
from cmg.report.svg import waveform
from cmg.types import Kind

_STRIP = 32
_SCALED_ON = 64


def media_of(split: Split) -> Media:
    """How to show the clips of a store."""
    return DigitsMedia(split) if split.store.media == "digits" else Media(split)


class Media:
    """Steps of any store: a strip of a vector's values, or the energy of a map's positions.

    Args:
        split: Whose clips.
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        self._scales: dict[str, float] = {}

    def thumbnail(self, place: Place) -> Markup:
        """A small picture of a step; empty where there is none."""
        return self._drawn(place)

    def example(self, place: Place) -> Markup:
        """A step on its own, with whatever there is to see, hear or read."""
        where = f"{self.split.rows[place.clip].id}, step {place.step}"
        return _example(self._drawn(place), where)

    def examples(self, places: Sequence[Place]) -> list[Markup]:
        """What there is to see of some steps: nothing twice, and at most two sounds."""
        shown = list(dict.fromkeys(map(self.example, places)))
        sounds = [html for html in shown if "<audio" in html]
        return [html for html in shown if html not in sounds[2:]]

    def sound(self, clip: int) -> Markup:
        """A player of the whole clip; empty where there is none, as features make no sound."""
        return Markup()

    def words(self, modality: str, clip: int) -> list[str]:
        """A word per token; empty where they are not known."""
        return []

    def _drawn(self, place: Place) -> Markup:
        """The strip or map of a step."""
        feature = self._feature(place.modality, place.clip)[place.step]
        maps = self.split.modalities[place.modality].kind is Kind.MAPS
        if maps:
            energy = np.sqrt((feature**2).mean(-1))
            ink = 16 * np.minimum(energy / self._scale(place.modality), 1)
        else:
            means = np.array([x.mean() for x in np.array_split(feature, min(_STRIP, len(feature)))])
            ink = 8 + 8 * np.clip(means / self._scale(place.modality), -1, 1)[None, :]
        what = "map energy" if maps else "feature values"
        return _image("map" if maps else "strip", np.round(ink), f"{what} of step {place.step}")

    def _feature(self, modality: str, clip: int) -> NDArray[np.float32]:
        feature: NDArray[np.float32] = self.split.features(modality, [clip])[0][0].float().numpy()
        return feature

    def _scale(self, modality: str) -> float:
        """What a full shade stands for: the 98th percentile of the magnitudes of some clips."""
        if modality not in self._scales:
            some = range(min(len(self.split), _SCALED_ON))
            values = self.split.features(modality, list(some))[0].float().numpy()
            high = float(np.quantile(np.abs(values), 0.98)) if values.size else 0.0
            self._scales[modality] = high or 1.0
        return self._scales[modality]


class DigitsMedia(Media):
    """Steps of the embedded set: scans, utterances and words."""

    def thumbnail(self, place: Place) -> Markup:
        """The scan, the waveform, or nothing for a word."""
        row = self.split.rows[place.clip]
        if place.modality == "video":
            return self._scan(place, row)
        if place.modality == "audio":
            utterance = _media_index(row, "utterances", place.step)
            return Markup("" if utterance is None else waveform(load_spoken().wave(utterance)))
        return Markup()

    def example(self, place: Place) -> Markup:
        """The scan, the utterance to play, or the word in its sentence."""
        row = self.split.rows[place.clip]
        if place.modality == "video":
            return self._scan(place, row)
        if place.modality == "audio":
            return self._utterance(place, row)
        if place.modality == "text" and self.words("text", place.clip):
            return _sentence(str(row.meta["sentence"]), place.step)
        return super().example(place)

    def sound(self, clip: int) -> Markup:
        """The utterances of the clip, one per second."""
        row = self.split.rows[clip]
        found = [_media_index(row, "utterances", t) for t in range(row.lengths.get("audio", 0))]
        spoken = [(t, u) for t, u in enumerate(found) if u is not None]
        if not spoken:
            return Markup()
        first, last = spoken[0][0], spoken[-1][0]
        track = np.zeros((last - first + 1) * SAMPLE_RATE, dtype=np.float32)
        for t, utterance in spoken:
            wave = load_spoken().wave(utterance)[:SAMPLE_RATE]
            start = (t - first) * SAMPLE_RATE
            track[start : start + len(wave)] = wave
        return _player(track, f"the sound of {row.id}, steps {first} to {last}")

    def words(self, modality: str, clip: int) -> list[str]:
        """The words of the sentence."""
        row = self.split.rows[clip]
        said = words(str(row.meta.get("sentence", "")))
        fits = modality == "text" and len(said) == row.lengths.get("text", 0)
        return said if fits else []

    def _scan(self, place: Place, row: ClipRow) -> Markup:
        feature = self.split.features("video", [place.clip])[0][0][place.step]
        if tuple(feature.shape) != (4, 4, 64):
            return self._drawn(place)
        ink = feature.float().sum((0, 1)).view(8, 8) * 16
        shown = _media_index(row, "scans", place.step) is not None
        alt = f"scan of a handwritten {_digit(row)}" if shown else "blank page with specks"
        return _image("scan", ink.round().numpy(), alt)

    def _utterance(self, place: Place, row: ClipRow) -> Markup:
        utterance = _media_index(row, "utterances", place.step)
        if utterance is None:
            return Markup('<div class="example quiet">quiet room (noise)</div>')
        spoken = load_spoken()
        voice = spoken.voice_names[spoken.voices[utterance]]
        player = _player(spoken.wave(utterance), f"“{_digit(row)}”, voice {voice}")
        said = f"“{DIGIT_WORDS[spoken.digits[utterance]]}”, {voice}"
        return _example(player, said)


def _media_index(row: ClipRow, key: str, step: int) -> int | None:
    """The scan or utterance of a step; None outside the event or where it is not known."""
    told = row.meta.get(key)
    if not isinstance(told, list) or step >= len(told) or not isinstance(told[step], int):
        return None
    known = 0 <= told[step] < (len(load_spoken().digits) if key == "utterances" else 1 << 30)
    return told[step] if known else None


def _digit(row: ClipRow) -> str:
    value = row.labels.get("digit")
    known = isinstance(value, int) and 0 <= value < len(DIGIT_WORDS)
    return DIGIT_WORDS[value] if known and isinstance(value, int) else "digit"


def _image(cls: str, ink: NDArray[Any], alt: str) -> Markup:
    uri = data_uri("image/png", png_bytes(ink.astype(np.uint8), 1))
    return Markup('<img class="{}" src="{}" alt="{}">').format(cls, uri, alt)


def _example(shown: Markup, told: str) -> Markup:
    return Markup('<div class="example">{} <span>{}</span></div>').format(shown, told)


def _player(wave: NDArray[np.float32], what: str) -> Markup:
    uri = data_uri("audio/wav", wav_bytes(wave))
    return Markup(
        '<audio controls controlslist="nodownload noplaybackrate" preload="metadata" '
        'src="{}" aria-label="{}"></audio>'
    ).format(uri, what)


def _sentence(sentence: str, step: int) -> Markup:
    said = [escape(word) for word in words(sentence)]
    said[step] = Markup("<mark>{}</mark>").format(said[step])
    return Markup('<div class="example sentence">{}</div>').format(Markup(" ").join(said))
