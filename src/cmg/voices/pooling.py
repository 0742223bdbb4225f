"""Choosing which windows of the embedding make the feature of a word, on synthetic voices alone.

A linear head is trained on words of some accents and read on those of the other accents, as
synthesized and as if recorded. The training voices of the embedded set are all it sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.data.digits.archives import SAMPLE_RATE, load_spoken
from cmg.decoders.heads import ProbeOptions
from cmg.evaluation.probe import Labeled, accuracy, train_head
from cmg.extract.extractor import SoundExtractor
from cmg.voices.conditions import as_if_recorded
from cmg.voices.embedded import windows
from cmg.voices.sound import as_archived

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


def judge_poolings(extractor: SoundExtractor, takes: int = 6, seed: int = 0) -> list[Judged]:
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


def _take(
    extractor: SoundExtractor, wave: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    word = as_archived(as_if_recorded(wave, generator), SAMPLE_RATE, "a simulated recording")
    return windows(extractor, word, REACH)


def _judge(
    pooling: tuple[int, ...],
    clean: NDArray[np.float32],
    recorded: list[NDArray[np.float32]],
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


def single_words(features: NDArray[np.floating], digits: NDArray[np.int64]) -> Labeled:
    """Words [N, D] as clips of one step with their digits."""
    x = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))[:, None]
    mask = torch.ones(len(x), 1, dtype=torch.bool)
    return Labeled(x, mask, torch.from_numpy(digits), 10)
