"""Reading recorded digit words with heads that were trained on other modalities of other data."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cmg.clips import configured_clips, training_split
from cmg.config.load import load_config, override_config
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips
from cmg.data.digits import WordFeatures, build_digits, load_spoken
from cmg.decoders.heads import ProbeOptions
from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.encoding import FrozenEncoder, encode_split
from cmg.evaluation.probe import Labeled, train_head
from cmg.evaluation.scores import Score
from cmg.files import refuse_occupied, replace_file
from cmg.models.unified import UnifiedModel
from cmg.recipes.jobs import Job, clips_to_train, trained_model, variant_jobs
from cmg.voices.embedded import AUDIO, word_features
from cmg.voices.pooling import single_words
from cmg.voices.sources import SOURCES, Words
from cmg.workers import Report, run_all

RESULTS = "voices.json"
SYNTHETIC = "synthetic"
"""Source of the embedded set's held-out voices, read as the recordings are."""
TOGETHER = {
    "all recorded": tuple(s.name for s in SOURCES if s.origin == "recorded"),
    "all unknown": tuple(s.name for s in SOURCES if s.origin == "unknown"),
}
"""Sources that are also reported together: by whether people are known to have recorded them."""


@dataclass(frozen=True)
class Row:
    """What heads of one kind read.

    Attributes:
        audio: Features of the words.
        variant: Of the pre-training; ``no codebook`` for a head on the features themselves.
        head: Modality the head was trained on.
        said: By source, the digit read in every word, one list per seed.
    """

    audio: str
    variant: str
    head: str
    said: dict[str, list[list[int]]]


@dataclass(frozen=True)
class VoiceResults:
    """Words read by several models and heads.

    Attributes:
        rows: What each kind of head read.
        truth: By source, the digit of every word.
    """

    rows: list[Row]
    truth: dict[str, list[int]]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The sources, and those of :data:`TOGETHER` that are all there, by name."""
        single = {source: (source,) for source in self.truth}
        return single | {n: m for n, m in TOGETHER.items() if set(m) <= set(self.truth)}

    def count(self, group: str) -> int:
        """Words of a group."""
        return sum(len(self.truth[source]) for source in self.groups()[group])

    def accuracy(self, row: Row, group: str) -> Score:
        """Accuracy in percent over the words of a group, mean and deviation over seeds."""
        sources = self.groups()[group]
        right = [
            sum(
                said == digit
                for source in sources
                for said, digit in zip(row.said[source][seed], self.truth[source], strict=True)
            )
            for seed in range(len(row.said[sources[0]]))
        ]
        return Score.of([100.0 * n / self.count(group) for n in right])

    def misread(self, row: Row) -> dict[str, dict[str, int]]:
        """By recorded source, how many seeds read a digit as another: ``{"5 as 9": 1}``."""
        found: dict[str, dict[str, int]] = {}
        for source, seeds in row.said.items():
            for said in seeds if source != SYNTHETIC else ():
                for digit, read in zip(self.truth[source], said, strict=True):
                    if digit != read:
                        errors = found.setdefault(source, {})
                        errors[f"{digit} as {read}"] = errors.get(f"{digit} as {read}", 0) + 1
        return found

    def row(self, audio: str, variant: str = "trained", head: str = "video") -> Row:
        """The row of some features, variant and head."""
        wanted = (audio, variant, head)
        return next(r for r in self.rows if (r.audio, r.variant, r.head) == wanted)

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON: every digit read, and the accuracies with their intervals."""
        return {
            "truth": self.truth,
            "rows": [
                asdict(row) | {"accuracy": self._accuracies(row), "misread": self.misread(row)}
                for row in self.rows
            ],
        }

    def _accuracies(self, row: Row) -> dict[str, Any]:
        told = {}
        for group in self.groups():
            score, count = self.accuracy(row, group), self.count(group)
            told[group] = asdict(score) | {
                "words": count,
                "interval": list(wilson_interval(score.mean, count)),
            }
        return told

    def save(self, out: Path) -> None:
        """Write the results to a folder."""
        replace_file(out / RESULTS, (json.dumps(self.as_dict(), indent=1) + "\n").encode())


def wilson_interval(percent: float, words: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in percent.

    Seeds read the same words, so they do not make the sample larger.

    Args:
        percent: Share found, 0 to 100.
        words: Words it was found on.
    """
    z, p = 1.959964, percent / 100
    center = (p + z * z / (2 * words)) / (1 + z * z / words)
    half = z * math.sqrt(p * (1 - p) / words + (z / (2 * words)) ** 2) / (1 + z * z / words)
    return max(0.0, 100 * (center - half)), min(100.0, 100 * (center + half))


STORE = "store"
"""Folder, within that of a comparison, of the store with the speech embedding."""
METHOD = "light"
"""What the comparison was fixed with, before recordings were read."""


@dataclass(frozen=True)
class WordSet:
    """Spoken words as features.

    Attributes:
        source: Name of where they are from.
        digits: int64 [N].
        features: float32 [N, D].
    """

    source: str
    digits: NDArray[np.int64]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class VoicesJob:
    """A model to train, and words to read with it; picklable."""

    job: Job
    sets: list[WordSet]


def synthetic_words(held_out: bool = True) -> Words:
    """Every word of the embedded set's held-out voices (160), or of its training voices (480)."""
    spoken = load_spoken()
    chosen = np.flatnonzero(spoken.test_voices[spoken.voices] == held_out)
    return Words(SYNTHETIC, spoken.digits[chosen], [spoken.wave(int(i)) for i in chosen])


def truth_of(words: Sequence[Words]) -> dict[str, list[int]]:
    """By source, the digit of every word."""
    return {w.source: w.digits.tolist() for w in words}


def word_sets(features: WordFeatures, words: Sequence[Words]) -> list[WordSet]:
    """The features of some words."""
    return [WordSet(w.source, w.digits, features.of(w.waves)) for w in words]


def read_words(
    model: UnifiedModel, store: Clips, config: RunConfig, sets: Sequence[WordSet]
) -> dict[str, dict[str, list[int]]]:
    """Read words with heads trained on each modality's codes.

    A word is a clip of one step.

    Args:
        model: Left untouched.
        store: With labels; its training split's labels train the heads.
        config: The run's, for splits, probe options and the seed of the heads.
        sets: Words as features of the model's modality `audio`.

    Returns:
        By modality and source, the digit read in every word.

    Raises:
        DataError: the store lacks the label ``digit``.
    """
    if "digit" not in store.labels:
        raise DataError(f"{store.path} has no label 'digit'; build it with `cmg data digits`")
    split = store.split(training_split(config.data))
    labels = split.label("digit")
    vectors = {s.source: word_codes(model, s.features) for s in sets}
    found: dict[str, dict[str, list[int]]] = {}
    for modality, encoded in encode_split(model, split).items():
        data = Labeled(encoded.codes, encoded.mask, labels, 10)
        head = train_head(data, config.probe, config.training.seed)
        found[modality] = {name: digits_read(head, x) for name, x in vectors.items()}
    return found


@torch.no_grad()
def word_codes(model: UnifiedModel, features: NDArray[np.float32]) -> torch.Tensor:
    """Code vectors [N, 1, D] of words, float32 [N, C]."""
    encoder = FrozenEncoder(model, "audio")
    lengths = torch.ones(len(features), dtype=torch.int64)
    inputs = encoder.inputs(torch.from_numpy(features)[:, None], lengths)
    codes = encoder.codes(encoder.semantic(inputs, lengths), lengths)
    return model.codebook.vectors("audio", codes).float().cpu()


@torch.no_grad()
def digits_read(head: nn.Module, words: torch.Tensor) -> list[int]:
    """The digit that a head reads in each of some words [N, 1, D]."""
    mask = torch.ones(words.shape[:2], dtype=torch.bool)
    return [int(d) for d in head(words, mask).argmax(-1)]


def run_voices_job(job: VoicesJob, send: Report) -> dict[str, dict[str, list[int]]]:
    """Train one model in this process and read the words with it."""
    config = job.job.config
    with trained_model(job.job, send) as model:
        return read_words(model, configured_clips(config.data), config, job.sets)


@dataclass(frozen=True)
class VoicesPlan:
    """What a comparison will run.

    Attributes:
        jobs: Every kind of features with every variant and seed.
        baselines: Rows of heads without a codebook.
        clips: Clips that all jobs together train on.
        truth: By source, the digit of every word.
    """

    jobs: list[VoicesJob]
    baselines: list[Row]
    clips: int
    truth: dict[str, list[int]]


def plan_voices(
    out: Path, words: Sequence[Words], overrides: Sequence[str] = (), seeds: int = 3
) -> VoicesPlan:
    """Build the store with the speech embedding, and all that is read, as features.

    Args:
        out: An empty folder or none yet.
        words: Recordings; the held-out synthetic voices are read too.
        overrides: ``key=value`` for the preset ``digits`` with :data:`METHOD`.
        seeds: Pre-trainings per variant.

    Raises:
        ConfigError: `out` is not empty, no seed, or overrides that do not fit.
        DataError: `out` cannot be written.
    """
    refuse_occupied(out)
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} must be at least 1")
    base = override_config(
        load_config("digits", method=METHOD), [*overrides, "training.tensorboard=false"]
    )
    everything = [synthetic_words(), *words]
    jobs, baselines, clips = [], [], 0
    for audio in AUDIO:
        features = word_features(audio)
        sets = word_sets(features, everything)
        baselines.append(plain_heads(features, sets, base.probe, seeds))
        store = "digits" if audio == AUDIO[0] else str(out / STORE)
        if audio != AUDIO[0]:
            build_digits(out / STORE, words=features)
        made = variant_jobs(
            override_config(base, [f"data.store={store}"]), out, seeds, prefix=audio
        )
        clips += clips_to_train(made)
        jobs += [VoicesJob(job, sets) for job in made]
    return VoicesPlan(jobs, baselines, clips, truth_of(everything))


def plain_heads(
    features: WordFeatures, sets: Sequence[WordSet], options: ProbeOptions, seeds: int
) -> Row:
    """Linear heads trained on the training voices' words themselves: supervised, no codebook."""
    training = synthetic_words(held_out=False)
    data = single_words(features.of(training.waves), training.digits)
    heads = [train_head(data, options, seed) for seed in range(seeds)]
    said = {
        s.source: [digits_read(head, torch.from_numpy(s.features)[:, None]) for head in heads]
        for s in sets
    }
    return Row(features.name, "no codebook", "audio", said)


def run_voices(plan: VoicesPlan, report: Report, workers: int | None = None) -> VoiceResults:
    """Train everything planned and read the words; the image-trained heads come first."""
    results = run_all(plan.jobs, run_voices_job, report, workers)
    rows: dict[tuple[str, str, str], Row] = {}
    for job, found in zip(plan.jobs, results, strict=True):
        audio, variant, _ = job.job.name.split()
        for head, said in found.items():
            key = (audio, variant, head)
            row = rows.setdefault(key, Row(*key, {source: [] for source in said}))
            for source, digits in said.items():
                row.said[source].append(digits)
    order = sorted(rows.values(), key=lambda r: (AUDIO.index(r.audio) == 0, r.head != "video"))
    return VoiceResults([*order, *reversed(plan.baselines)], plan.truth)


def read_run(model: UnifiedModel, config: RunConfig, words: Sequence[Words]) -> VoiceResults:
    """Read words with one trained model.

    Raises:
        CheckpointError: the run's audio is not what :func:`word_features` makes.
    """
    audio = features_of(model)
    everything = [synthetic_words(), *words]
    sets = word_sets(word_features(audio), everything)
    found = read_words(model, configured_clips(config.data), config, sets)
    rows = [
        Row(audio, "trained", head, {source: [digits] for source, digits in said.items()})
        for head, said in found.items()
    ]
    return VoiceResults(sorted(rows, key=lambda r: r.head != "video"), truth_of(everything))


def features_of(model: UnifiedModel) -> str:
    """Name of the features that a model's modality `audio` takes.

    Raises:
        CheckpointError: it has none, or of another width than a word's features.
    """
    shape = model.modalities["audio"].shape if "audio" in model.modalities else None
    for audio in AUDIO:
        if word_features(audio).spec.shape == shape:
            return audio
    raise CheckpointError(
        f"this run has audio of shape {shape}; recorded words can be read by a run on `digits` or "
        "on a store of `cmg data digits --audio speech-embedding`"
    )
