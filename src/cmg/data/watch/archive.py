"""The embedded recordings of a smartwatch, at 25 Hz.

``tools/make_watch.py`` made the archive; ``NOTICE.md`` says where they are from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cmg.data.embedded import read_archive

SHA256 = "bcd2174fca42a45a35eafe5743fd2063c701bf782b038d37c4669a57d03e4ac1"
RATE = 25
"""Samples per second."""
PER_UNIT = {"accelerometer": 4096, "gyroscope": 1024}
"""Counts of a sample per g, and per radian per second."""
AXES = 3


@dataclass(frozen=True)
class Recording:
    """One person doing one exercise with one arm.

    Attributes:
        subject: Number of the person, from 1.
        side: Arm that wears the watch, ``left`` or ``right``.
        exercise: Abbreviation, as in the source.
        samples: Counts by sensor, int16 [N, 3]: axes x, y, z at 25 Hz; see :data:`PER_UNIT`.
    """

    subject: int
    side: str
    exercise: str
    samples: dict[str, NDArray[np.int16]]


@dataclass(frozen=True)
class Recordings:
    """All recordings, in the order of the source.

    Attributes:
        exercises: Their abbreviations, in the order of the source.
        each: The recordings.
    """

    exercises: tuple[str, ...]
    each: tuple[Recording, ...]


@lru_cache(maxsize=1)
def load_recordings() -> Recordings:
    """The embedded recordings.

    Raises:
        DataError: the archive is missing or damaged.
    """
    return unpacked(read_archive(__package__, "recordings.npz", SHA256))


def unpacked(arrays: dict[str, NDArray[np.generic]]) -> Recordings:
    """The recordings of an archive's arrays, in which differences compress well.

    Args:
        arrays: ``planes`` uint8 [2, 6, all samples], low bytes apart from high ones; ``lengths``,
            ``subjects``, ``rights`` and ``labels`` of each recording; names of the ``exercises``.
    """
    low, high = arrays["planes"].astype(np.uint16)
    differences = (low | high << 8).view(np.int16)
    samples = np.cumsum(differences, axis=1, dtype=np.int16).T
    exercises = tuple(map(str, arrays["exercises"]))
    parts = np.split(samples, np.cumsum(arrays["lengths"])[:-1])
    facts = zip(arrays["subjects"], arrays["rights"], arrays["labels"], parts, strict=True)
    each = (
        Recording(int(n), "right" if right else "left", exercises[label], _by_sensor(part))
        for n, right, label, part in facts
    )
    return Recordings(exercises, tuple(each))


def _by_sensor(samples: NDArray[np.int16]) -> dict[str, NDArray[np.int16]]:
    return {s: samples[:, AXES * i : AXES * (i + 1)] for i, s in enumerate(PER_UNIT)}
