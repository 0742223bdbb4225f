"""Steps of the embedded set watch: what the three axes of a sensor measured."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cmg.data.watch.archive import PER_UNIT, load_recordings
from cmg.data.watch.build import SAMPLES, STEP_SECONDS, STEPS, first_sample
from cmg.report.media.base import Media, captioned
from cmg.report.samples import Place
from cmg.report.svg import axes

FULL = {"accelerometer": (2.0, "g"), "gyroscope": (4.0, "rad/s")}
"""Half the height of a picture: so much, of what."""


class WatchMedia(Media):
    """Curves of a sensor's axes."""

    def thumbnail(self, place: Place) -> Markup:
        """The curves of the step."""
        found = self._curves(place)
        if found is None:
            return super().thumbnail(place)
        curves, at = found
        return Markup(axes(curves[:, at], (46, 20), f"{place.modality}, step {place.step}"))

    def example(self, place: Place) -> Markup:
        """The curves of the whole clip, and which of it the step is."""
        found = self._curves(place)
        if found is None:
            return super().example(place)
        what = f"{place.modality} of the clip, step {place.step} marked"
        (curves, at), (high, unit) = found, FULL[place.modality]
        told = f"{self.split.rows[place.clip].id}, step {place.step} (±{high:g} {unit})"
        return captioned(Markup(axes(curves, (132, 36), what, at)), told)

    def _curves(self, place: Place) -> tuple[NDArray[np.float64], slice] | None:
        """Curves [3, samples] of a clip, -1..1, and where its step is; None if they are unknown."""
        meta, known = self.split.rows[place.clip].meta, load_recordings().each
        number, start = meta.get("recording"), meta.get("start")
        if not (isinstance(number, int) and isinstance(start, int | float)):
            return None
        if place.modality not in FULL or not 0 <= number < len(known):
            return None
        step = round(start / STEP_SECONDS)
        first, last, here = (first_sample(step + k) for k in (0, STEPS - 1, place.step))
        counts = known[number].samples[place.modality][first : last + SAMPLES]
        if not 0 <= here - first <= len(counts) - SAMPLES:
            return None
        high = PER_UNIT[place.modality] * FULL[place.modality][0]
        return counts.T / high, slice(here - first, here - first + SAMPLES)
