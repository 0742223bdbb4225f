"""Building a fold of the embedded set **watch**: two sensors of one wrist, paired by time.

A clip is 5 s of a recording, every 2.5 s of it one: 10 steps of 0.5 s. A step has 13 samples of the
three axes of a sensor, their mean and their standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.embedded import EMBEDDED, EmbeddedSet
from cmg.data.manifest import FeatureSpec, LabelSpec
from cmg.data.parts import GROUP, refuse_absent_classes, refuse_leak
from cmg.data.scaling import Standardizer
from cmg.data.store import open_store
from cmg.data.watch.archive import AXES, PER_UNIT, RATE, Recording, load_recordings
from cmg.data.writer import Clip, StoreWriter
from cmg.errors import ConfigError
from cmg.files import StrPath
from cmg.types import Kind

VERSION = 1
"""Raised whenever a fold becomes other data, so that caches are built anew."""
SUBJECTS = 10
FOLDS = SUBJECTS
STEPS, HOP = 10, 5
"""Steps of a clip, and from the start of one to the start of the next."""
STEP_SECONDS = 0.5
SAMPLES = 13
"""Of a step: 0.5 s are 12.5 samples, so every other step shares one with the next."""
WIDTH = AXES * (SAMPLES + 2)
VALIDATION = 2
LABEL = "exercise"
NOTES = (
    "Recorded with a smartwatch by David M. Burns and others (arXiv 1802.01489), as distributed in "
    "the Python package seglearn 1.2.5 (BSD-3-Clause): accelerometer and gyroscope of one wrist, "
    "10 people, 7 shoulder exercises with either arm. Nothing is constructed: what is paired was "
    "measured at the same time. Validation and test clips are of people unseen in training."
)


@dataclass(frozen=True)
class Parts:
    """Who is in which part of a fold.

    Attributes:
        train: Numbers of subjects.
        val: Likewise.
        test: Likewise.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    @classmethod
    def of(cls, fold: int) -> Parts:
        """Of a fold, 0 to 9, the test part is subject `fold` + 1.

        The subjects sit in a circle drawn at random, the same for every fold; the two that follow
        the one for testing are for validation. So everyone is that in two folds.

        Raises:
            ConfigError: there is no such fold.
        """
        if not 0 <= fold < FOLDS:
            raise ConfigError(f"watch has {FOLDS} folds, 0 to {FOLDS - 1}; got {fold}")
        circle = (permutation(SUBJECTS, 0) + 1).tolist()
        first = circle.index(fold + 1)
        turned = circle[first:] + circle[:first]
        test, val, train = turned[:1], turned[1 : 1 + VALIDATION], turned[1 + VALIDATION :]
        return cls(tuple(sorted(train)), tuple(sorted(val)), tuple(test))


@dataclass(frozen=True)
class WatchWindow:
    """A clip before its features are scaled.

    Attributes:
        recording: Its number.
        start: Seconds from the start of the recording.
        features: By sensor, float64 [10, 45].
    """

    recording: int
    start: float
    features: dict[str, NDArray[np.float64]]


def build_watch(path: StrPath, fold: int = 0, overwrite: bool = False) -> Clips:
    """Build a fold of the embedded set as a store.

    Splits: ``train`` (7 people), ``val`` (2) and ``test`` (1). Label: ``exercise`` per clip. `meta`
    has the person as ``group``, side and number of the recording, and the second it starts at.
    Of the clips of ``train``, each of the 45 numbers of a sensor has mean 0 and variance 1; the
    others are shifted and scaled alike.

    Args:
        path: Folder to be.
        fold: 0 to 9; fold f tests on subject f + 1.
        overwrite: Whether a store at `path` may be replaced.

    Raises:
        ConfigError: there is no such fold.
        DataError: `path` is occupied or cannot be written.
    """
    parts, recordings = Parts.of(fold), load_recordings()
    people = {"train": parts.train, "val": parts.val, "test": parts.test}
    spec = FeatureSpec(kind=Kind.VECTORS, shape=(WIDTH,), step_seconds=STEP_SECONDS)
    labels = {LABEL: LabelSpec(classes=recordings.exercises)}
    modalities = dict.fromkeys(PER_UNIT, spec)
    with StoreWriter(
        path, modalities, labels, media="watch", notes=NOTES, overwrite=overwrite
    ) as writer:
        found = {
            split: [
                window
                for number, one in enumerate(recordings.each)
                if one.subject in chosen
                for window in windows(number, one)
            ]
            for split, chosen in people.items()
        }
        scales = {s: Standardizer.of([w.features[s] for w in found["train"]]) for s in PER_UNIT}
        for split, of_split in found.items():
            for window in of_split:
                writer.add(_clip(window, split, scales))
    store = open_store(Path(path))
    refuse_leak(store, *people)
    refuse_absent_classes(store.rows, LABEL, recordings.exercises)
    return store


def windows(number: int, recording: Recording) -> list[WatchWindow]:
    """The clips of a recording, given with its number, in the order of time."""
    features = {s: steps(recording.samples[s], PER_UNIT[s]) for s in PER_UNIT}
    count = len(next(iter(features.values())))
    return [
        WatchWindow(number, at * STEP_SECONDS, {s: x[at : at + STEPS] for s, x in features.items()})
        for at in range(0, count - STEPS + 1, HOP)
    ]


def steps(samples: NDArray[np.int16], per_unit: int) -> NDArray[np.float64]:
    """The steps of a recording of one sensor.

    Step j has the 13 samples from :func:`first_sample` on. Mean and variance are of exact sums of
    whole numbers, so that every machine finds the same.

    Args:
        samples: int16 [N, 3] at 25 Hz.
        per_unit: Counts per physical unit.

    Returns:
        float64 [steps, 45] in that unit: 13 samples x 3 axes, 3 means, 3 standard deviations.
    """
    count = max(0, (2 * (len(samples) - SAMPLES) + 1) // RATE + 1)
    starts = np.array([first_sample(j) for j in range(count)], np.int64)
    counts = samples.astype(np.int64)[starts[:, None] + np.arange(SAMPLES)]
    sums, squares = counts.sum(1), (counts**2).sum(1)
    spread = np.sqrt(SAMPLES * squares - sums**2) / SAMPLES
    found = [counts.reshape(count, SAMPLES * AXES), sums / SAMPLES, spread]
    return np.concatenate(found, axis=1) / per_unit


def first_sample(step: int) -> int:
    """Number of the first sample of a step, floor(12.5 step)."""
    return step * RATE // 2


def _clip(window: WatchWindow, split: str, scales: dict[str, Standardizer]) -> Clip:
    recordings = load_recordings()
    one = recordings.each[window.recording]
    where = f"{one.subject:02d}-{one.side}-{one.exercise}"
    return Clip(
        id=f"{where}-{window.start:05.1f}",
        split=split,
        features={s: scales[s](x) for s, x in window.features.items()},
        labels={LABEL: recordings.exercises.index(one.exercise)},
        meta={
            GROUP: f"subject {one.subject}",
            "side": one.side,
            "recording": window.recording,
            "start": window.start,
        },
    )


EMBEDDED["watch"] = EmbeddedSet("watch", VERSION, FOLDS, build_watch, "one person")
