"""Choosing which windows of the embedding make the feature of a word, on synthetic voices alone.

A linear head is trained on words of some accents and read on those of the other accents, as
synthesized and as if recorded. The training voices of the embedded set are all it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.digits import SAMPLE_RATE, load_spoken
from cmg.decoders.heads import ProbeOptions
from cmg.evaluation.probe import accuracy, train_head
from cmg.extract.decode import resampled
from cmg.report.tables import Table, plain
from projects.voices.embedded import HOP_SECONDS, POOLING, single_words, windows
from projects.voices.sources import Wave, as_archived

CANDIDATES: tuple[tuple[int, ...], ...] = (
    (0,),
    (-1, 0, 1),
    (-2, 0, 2),
    (-3, 0, 3),
    (-4, 0, 4),
    (-2, -1, 0, 1, 2),
    (-3, -2, -1, 0, 1, 2, 3),
    (-4, -3, -2, -1, 0, 1, 2, 3, 4),
)
"""Hops from the middle; the mean of the windows keeps the embedding's width."""
REACH = max(hop for candidate in CANDIDATES for hop in candidate)
HEAD = ProbeOptions(lr=0.005, epochs=40, batch_size=40)

_SPEED = (0.8, 1.25)
"""Played slower or faster, which moves pitch and formants too."""
_TILT = (-6.0, 6.0)
"""Decibels per octave, at most 20 dB either way."""
_SILENCE = (0.0, 0.5)
"""Seconds before and after."""
_ABOVE_NOISE = (25.0, 50.0)
"""Decibels from the room's noise to the word."""
_LEVEL = (0.1, 0.9)
"""Peak."""


@dataclass(frozen=True)
class Judged:
    """How a pooling does on accents that its head has not seen.

    Attributes:
        pooling: Hops from the middle.
        clean: Accuracy in percent on words as synthesized.
        recorded: On the same words as if recorded, which decides.
    """

    pooling: tuple[int, ...]
    clean: float
    recorded: float


def judge_poolings(extractor: Any, takes: int = 6, seed: int = 0) -> list[Judged]:
    """Every candidate, the best one first; of equals, the one that reads fewer windows.

    Args:
        extractor: With a window every 80 ms.
        takes: Recordings simulated of each word.
        seed: Of the simulated recordings and of the heads.
    """
    spoken = load_spoken()
    chosen = np.flatnonzero(~spoken.test_voices[spoken.voices])
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 7])))
    waves = [spoken.wave(int(i)) for i in chosen]
    clean = np.stack([windows(extractor, wave, REACH) for wave in waves])
    recorded = [np.stack([_take(extractor, w, generator) for w in waves]) for _ in range(takes)]
    accents = np.array([spoken.voice_names[v].split("+")[0] for v in spoken.voices[chosen]])
    found = [
        _judge(pooling, clean, recorded, spoken.digits[chosen], accents, seed)
        for pooling in CANDIDATES
    ]
    return sorted(found, key=lambda one: (-one.recorded, len(one.pooling)))


def _take(extractor: Any, wave: Wave, generator: np.random.Generator) -> Wave:
    word = as_archived(as_if_recorded(wave, generator), SAMPLE_RATE, "a simulated recording")
    return windows(extractor, word, REACH)


def _judge(
    pooling: tuple[int, ...],
    clean: Wave,
    recorded: list[Wave],
    digits: NDArray[np.int64],
    accents: NDArray[np.str_],
    seed: int,
) -> Judged:
    pooled = [x[:, [REACH + hop for hop in pooling]].mean(axis=1) for x in (clean, *recorded)]
    scores = []
    for accent in sorted(set(accents.tolist())):
        unseen = accents == accent
        mean, scale = pooled[0][~unseen].mean(axis=0), pooled[0][~unseen].std(axis=0) + 1e-6
        scaled = [(x - mean) / scale for x in pooled]
        head = train_head(single_words(scaled[0][~unseen], digits[~unseen]), HEAD, seed)
        scores.append([accuracy(head, single_words(x[unseen], digits[unseen])) for x in scaled])
    means = np.mean(scores, axis=0)
    return Judged(pooling, float(means[0]), float(means[1:].mean()))


def as_if_recorded(
    wave: NDArray[np.floating], generator: np.random.Generator
) -> NDArray[np.float64]:
    """A word under recording conditions that are drawn at random.

    Args:
        wave: [samples], 8 kHz.
        generator: Of all draws.

    Returns:
        float64 [more samples], 8 kHz: silence with noise, the word, silence with noise.
    """
    speed = generator.uniform(*_SPEED)
    spoken = resampled(wave.astype(np.float32), round(SAMPLE_RATE * speed), SAMPLE_RATE)
    hertz = np.maximum(np.fft.rfftfreq(len(spoken), 1 / SAMPLE_RATE), 100.0)
    gain = 10 ** (generator.uniform(*_TILT) / 20 * np.log2(hertz / 1000))
    word = np.fft.irfft(np.fft.rfft(spoken) * np.clip(gain, 0.1, 10), len(spoken))
    before, after = (generator.uniform(*_SILENCE, 2) * SAMPLE_RATE).astype(int)
    line = np.pad(word, (before, after))
    noise = 10 ** (-generator.uniform(*_ABOVE_NOISE) / 20) * np.sqrt(np.mean(word**2))
    line = line + noise * generator.standard_normal(len(line))
    return np.asarray(line * (generator.uniform(*_LEVEL) / np.abs(line).max()))


def poolings_table(judged: Sequence[Judged]) -> Table:
    """The candidates for pooling, best first."""
    rows = []
    for one in judged:
        milliseconds = ", ".join(f"{round(1000 * HOP_SECONDS * hop):+d}" for hop in one.pooling)
        used = "in use" if one.pooling == POOLING else ""
        rows.append((milliseconds, f"{one.clean:.1f}", f"{one.recorded:.1f}", used))
    columns = ("windows at (ms)", "as synthesized", "as if recorded", "")
    note = "Accuracy in percent on unseen accents of the training voices; no recording is read."
    return plain("Mean of windows around the middle of a word", columns, rows, note)
