"""Steps of the embedded set digits: scans, utterances and words."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE, load_spoken
from cmg.data.digits.media import wav_bytes
from cmg.data.digits.sentences import DIGIT_WORDS, words
from cmg.data.manifest import ClipRow
from cmg.report.html import data_uri
from cmg.report.media.base import Media, captioned, image, player, sentence
from cmg.report.samples import Place
from cmg.report.svg import waveform


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
        if place.modality == "text" and (said := self.words("text", place.clip)):
            return sentence(said, place.step)
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
        return _player(track, f"the sound of {row.id}, steps {first} to {last}", first)

    def words(self, modality: str, clip: int) -> list[str]:
        """The words of the sentence."""
        row = self.split.rows[clip]
        said = words(str(row.meta.get("sentence", "")))
        fits = modality == "text" and len(said) == row.lengths.get("text", 0)
        return said if fits else []

    def _scan(self, place: Place, row: ClipRow) -> Markup:
        feature = self.split.features("video", [place.clip])[0][0][place.step]
        if tuple(feature.shape) != (4, 4, 64):
            return self.drawn(place)
        ink = feature.float().sum((0, 1)).view(8, 8) * 16
        shown = _media_index(row, "scans", place.step) is not None
        alt = f"scan of a handwritten {_digit(row)}" if shown else "blank page with specks"
        return image("scan", ink.round().numpy(), alt)

    def _utterance(self, place: Place, row: ClipRow) -> Markup:
        utterance = _media_index(row, "utterances", place.step)
        if utterance is None:
            return Markup('<div class="example quiet">quiet room (noise)</div>')
        spoken = load_spoken()
        voice = spoken.voice_names[spoken.voices[utterance]]
        player = _player(spoken.wave(utterance), f"“{_digit(row)}”, voice {voice}")
        said = f"“{DIGIT_WORDS[spoken.digits[utterance]]}”, {voice}"
        return captioned(player, said)


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


def _player(wave: NDArray[np.float32], what: str, begins: float = 0.0) -> Markup:
    return player(data_uri("audio/wav", wav_bytes(wave)), what, begins)
