"""What heads read in recorded words that were trained on other modalities of other data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn

import cmg
from cmg.config.schema import RunConfig
from cmg.data.digits import WordFeatures, build_digits
from cmg.decoders.heads import ProbeOptions
from cmg.errors import ConfigError, ModalityError
from cmg.evaluation.probe import Evaluation, Labeled, accuracy, train_head
from cmg.recipes.evaluate import evaluation_of
from cmg.report.tables import Table, plain, score_text
from cmg.studies.definition import Study, Variant
from cmg.studies.plan import plan_study
from cmg.studies.run import prepare_study, run_study
from cmg.studies.scorers import Scores, StoreScorer
from cmg.studies.summary import StudySummary
from projects.voices.embedded import AUDIO, single_words, word_features
from projects.voices.sources import LEARNED, SOURCES, SYNTHETIC, Words, synthetic_words

LABEL, STUDY = "digit", "study"
METHOD = "light"
"""What the comparison was fixed with, before recordings were read."""
READ, PLAIN = "heads on video", "heads without a codebook"
"""Metrics: the one that a goal is set for; of heads on features of the training voices' words."""
ALL_RECORDED = "all recorded"
TOGETHER = {
    ALL_RECORDED: tuple(s.name for s in SOURCES if s.origin == "recorded"),
    "all unknown": tuple(s.name for s in SOURCES if s.origin == "unknown"),
}
"""Sources that are also reported together: by whether people are known to have recorded them."""
VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "untrained encoders": {"training.codebook_only": True},
    "shuffled pairs": {"data.shuffled_pairs": True},
}
"""What is trained on every kind of features: the model in question, and its controls."""


def write_words(path: Path, features: WordFeatures, words: Sequence[Words]) -> cmg.Clips:
    """Spoken words as a store: a split per source, a clip of one step per word.

    Beside `words` it has all that the embedded set's voices say.

    Args:
        path: Folder to be; a store there is replaced.
        features: What a word becomes.
        words: Recordings.
    """
    every = [synthetic_words(held_out=False), synthetic_words(held_out=True), *words]
    found = np.concatenate([features.of(one.waves) for one in every])
    return cmg.write_store(
        path,
        {"audio": found[:, None]},
        split=[one.source for one in every for _ in one.waves],
        labels={LABEL: np.concatenate([one.digits for one in every])},
        notes=features.notes,
        overwrite=True,
    )


@dataclass(frozen=True)
class WordScorer(StoreScorer):
    """Heads on a model's codes of each modality, and one on audio features alone, read on words.

    Attributes:
        words: Stores of :func:`write_words`; a model reads the one whose features it takes.
    """

    name: str = "heads that are read on single spoken words"
    words: tuple[str, ...] = ()

    def score(
        self, model: cmg.UnifiedModel, config: RunConfig, reads: Sequence[ProbeOptions], seed: int
    ) -> list[Scores]:
        """Words read rightly, in percent, by ``heads on MODALITY/SOURCE``."""
        return [self._read(model, config, read, seed) for read in reads]

    def _read(
        self, model: cmg.UnifiedModel, config: RunConfig, read: ProbeOptions, seed: int
    ) -> Scores:
        learned, store = evaluation_of(model, config), self._words_of(model)
        sources = [name for name in store.splits if name != LEARNED]
        heard = Evaluation(model, store, LEARNED, "+".join(sources))
        words = heard.labeled(heard.test, "audio", LABEL, read)
        of = [row.split for row in heard.test.rows]
        found: Scores = {}
        for modality in model.modalities:
            head = train_head(learned.labeled(learned.train, modality, LABEL, read), read, seed)
            found |= by_source(f"heads on {modality}", head, words, of)
        voices, said = (
            single_words(part.features("audio")[0][:, 0].numpy(), part.label(LABEL).numpy())
            for part in (heard.train, heard.test)
        )
        return found | by_source(PLAIN, train_head(voices, read, seed), said, of)

    def _words_of(self, model: cmg.UnifiedModel) -> cmg.Clips:
        shape = model.modalities["audio"].shape
        stores = map(cmg.open_clips, self.words)
        return next(store for store in stores if store.modalities["audio"].shape == shape)


def by_source(metric: str, head: nn.Module, words: Labeled, sources: Sequence[str]) -> Scores:
    """The accuracy of a head on the words of each source, and of those that are told together."""
    found = {
        source: accuracy(head, words.subset(torch.tensor([one == source for one in sources])))
        for source in dict.fromkeys(sources)
    }
    for name, members in TOGETHER.items():  # of as many words each
        if set(members) <= set(found):
            found[name] = fmean(found[one] for one in members)
    return {f"{metric}/{source}": value for source, value in found.items()}


def features_for(model: cmg.UnifiedModel) -> WordFeatures:
    """The features that a model's modality `audio` takes.

    Raises:
        ModalityError: it has none, or of another width than a word's features.
    """
    shape = model.modalities["audio"].shape if "audio" in model.modalities else None
    for audio in reversed(AUDIO):  # the one that needs no package first
        if ((features := word_features(audio)).width,) == shape:
            return features
    raise ModalityError(
        f"this run has audio of shape {shape}; recorded words can be read by a run on `digits` or "
        "on a store of `python -m projects.voices build`"
    )


def stores_of(out: Path, audio: str, words: Sequence[Words]) -> tuple[Path, Path]:
    """The set `digits` with some features, and words as the same; what is there is kept.

    Raises:
        ConfigError: what is there has other words.
    """
    digits, said = out / audio / "digits", out / audio / "words"
    if not (digits.exists() and said.exists()):
        features = word_features(audio)
        build_digits(digits, words=features, overwrite=True)
        write_words(said, features, words)
    asked = {LEARNED, SYNTHETIC, *(one.source for one in words)}
    if set(cmg.open_clips(said).splits) != asked:
        raise ConfigError(
            f"{said} has other words than were asked for; name another --out, or give --sources "
            "and --own as before"
        )
    return digits, said


def word_study(stores: Mapping[str, Path], counts: Mapping[str, int]) -> Study:
    """Trained models and their controls, on every store.

    Args:
        stores: By the name of their audio features; the first is what the others are compared to.
        counts: Words per source.
    """
    variants = [
        Variant(
            name="-".join([audio, *title.split()[:1]]),
            title=", ".join(filter(None, [audio, title])),
            changes={"data.store": str(store)} | changes,
            control=bool(title),
        )
        for audio, store in stores.items()
        for title, changes in VARIANTS.items()
    ]
    said = ", ".join(f"{count} {source}" for source, count in counts.items())
    return Study(
        name="voices",
        title="Spoken digits",
        about=f"Words read rightly; no head has heard a recording. Words: {said}.",
        reference=variants[0].name,
        variants=tuple(variants),
    )


def run_comparison(
    out: Path,
    words: Sequence[Words],
    overrides: Sequence[str] = (),
    seeds: int = 3,
    workers: int | None = None,
) -> tuple[StudySummary, dict[str, int]]:
    """Train and score what is not finished yet; writes the files of a study.

    Args:
        out: Folder of stores and study.
        words: Recordings; the held-out synthetic voices are read too.
        overrides: ``key=value`` for the preset ``digits`` with :data:`METHOD`.
        seeds: Pre-trainings per variant.
        workers: Processes; None is one per core.

    Returns:
        The results, and the words per source.

    Raises:
        CmgError: no seed, overrides that do not fit, or another comparison in `out`.
    """
    if out.exists() and not (out / AUDIO[0]).exists():
        raise ConfigError(f"{out} exists and is no comparison; name another --out")
    chosen = [f"method={METHOD}", *overrides]
    cmg.load_config("digits", chosen)  # refuses a wrong one before anything is read
    stores = {audio: stores_of(out, audio, words) for audio in AUDIO}
    heard = cmg.open_clips(stores[AUDIO[0]][1]).splits
    counts = {source: n for source, n in heard.items() if source != LEARNED}
    study = word_study({audio: digits for audio, (digits, _) in stores.items()}, counts)
    plan = plan_study(study, str(stores[AUDIO[0]][0]), "digits", chosen, seeds)
    scorer = WordScorer(words=tuple(str(said) for _, said in stores.values()))
    prepared = prepare_study(plan, out / STUDY, scorer, keep_runs=True)
    return run_study(prepared, lambda *_: None, workers), counts


def intervals_table(summary: StudySummary, counts: Mapping[str, int]) -> Table:
    """What the image-trained heads of the trained models read, with 95 % intervals."""
    words = dict(counts) | {
        name: sum(counts[one] for one in members)
        for name, members in TOGETHER.items()
        if set(members) <= set(counts)
    }
    rows = []
    for row in (row for row in summary.rows if not row.variant.control):
        for source, count in words.items():
            score = row.scores[f"{READ}/{source}"]
            low, high = wilson_interval(score.mean, count)
            told = (row.variant.title, source, f"{count}", score_text(score))
            rows.append((*told, f"{low:.0f}–{high:.0f}"))
    columns = ("audio", "source", "words", "read rightly (%)", "95 % interval")
    note = "Wilson intervals over words, which do not count for how few the speakers are."
    return plain("Image-trained heads", columns, rows, note)


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
