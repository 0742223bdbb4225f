"""What a step looks like where nothing is known but its features, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from cmg.data.clips import Clips
from cmg.data.digits.media import png_bytes
from cmg.report.html import data_uri
from cmg.report.samples import Place
from cmg.types import Kind

_STRIP = 32
_SCALED_ON = 64


class Media:
    """Steps of any store: a strip of a vector's values, or the energy of a map's positions.

    Args:
        split: Whose clips.
    """

    def __init__(self, split: Clips) -> None:
        self.split = split
        self._scales: dict[str, float] = {}

    @property
    def remarks(self) -> list[str]:
        """What has to be said beside what is shown."""
        return []

    def thumbnail(self, place: Place) -> Markup:
        """A small picture of a step; empty where there is none."""
        return self.drawn(place)

    def example(self, place: Place) -> Markup:
        """A step on its own, with whatever there is to see, hear or read."""
        where = f"{self.split.rows[place.clip].id}, step {place.step}"
        return captioned(self.drawn(place), where)

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

    def drawn(self, place: Place) -> Markup:
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
        return image("map" if maps else "strip", np.round(ink), f"{what} of step {place.step}")

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


def image(cls: str, ink: NDArray[Any], alt: str) -> Markup:
    """A small gray picture, ink 0 to 16."""
    uri = data_uri("image/png", png_bytes(ink.astype(np.uint8), 1))
    return Markup('<img class="{}" src="{}" alt="{}">').format(cls, uri, alt)


def sentence(words: Sequence[str], step: int) -> Markup:
    """Words, of which one is marked."""
    said = [escape(word) for word in words]
    said[step] = Markup("<mark>{}</mark>").format(said[step])
    return Markup('<div class="example sentence">{}</div>').format(Markup(" ").join(said))


def player(source: str, what: str, begins: float = 0.0, load: str = "metadata") -> Markup:
    """What plays a sound.

    Args:
        source: Address.
        what: What a screen reader says.
        begins: Seconds after the clip's start at which it begins.
        load: What is loaded before it is played.
    """
    return Markup(
        '<audio controls controlslist="nodownload noplaybackrate" preload="{}" '
        'data-begins="{}" src="{}" aria-label="{}"></audio>'
    ).format(load, begins, source, what)


def captioned(shown: Markup, told: str) -> Markup:
    """Something to see or hear, with what it is beside it."""
    return Markup('<div class="example">{} <span>{}</span></div>').format(shown, told)
