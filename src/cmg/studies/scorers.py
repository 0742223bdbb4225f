"""How a study scores a model: any picklable object that gives numbers by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cmg.clips import open_clips
from cmg.config.schema import RunConfig
from cmg.errors import DataError
from cmg.evaluation.results import CodebookStats
from cmg.evaluation.scores import ScoreMap
from cmg.models.unified import UnifiedModel
from cmg.recipes.evaluate import evaluate

Scores = dict[str, float]
"""A number by ``metric/direction``, e.g. ``classification/audio->video``, or by
``codebook/measure``. Metrics are in percent, and higher is better."""


class Scorer(Protocol):
    """Scores a trained model."""

    @property
    def name(self) -> str:
        """What is measured, in words; part of a study's identity."""

    def check(self, config: RunConfig) -> str:
        """Refuse, before anything is trained, what cannot be scored.

        Returns:
            Content hash of the data it scores on.

        Raises:
            CmgError: data or labels are missing.
        """

    def unlike_paper(self, config: RunConfig) -> str:
        """Why the paper's figures cannot stand beside these; empty if they can."""

    def score(self, model: UnifiedModel, config: RunConfig, seed: int) -> Scores:
        """The numbers of one model.

        Args:
            model: Left untouched.
            config: Its run's.
            seed: Of the heads.
        """


@dataclass(frozen=True)
class StoreScorer:
    """Heads on the store that the model was trained on, read on its held-out split.

    With several heads per direction (``probe.seeds``) a score is their mean.
    """

    name: str = "heads on the store's held-out split"

    def check(self, config: RunConfig) -> str:
        """The store has labels and both splits; see :meth:`Scorer.check`."""
        source = open_clips(config.data)
        if not source.labels:
            raise DataError(
                f"{source.path} has no labels; a study scores heads, which need a label per clip "
                "or step (import the store again with a label column)"
            )
        for split in (config.data.train_split, config.data.test_split):
            source.split(split)
        return source.content_hash

    def unlike_paper(self, config: RunConfig) -> str:
        """A store is none of the paper's benchmarks."""
        return "it was scored on other data"

    def score(self, model: UnifiedModel, config: RunConfig, seed: int) -> Scores:
        """Classification and localization per direction, and use of the codebook."""
        tables = evaluate(model, config, seed)
        found = {
            **by_direction("classification", tables.transfer),
            **by_direction("localization", tables.localization),
            **by_direction("classification, continuous features", tables.controls["continuous"]),
        }
        for split, table in tables.extra_splits.items():
            found |= by_direction(f"classification, {split}", table)
        return found | codebook_scores(tables.codebook)


def codebook_scores(stats: CodebookStats) -> Scores:
    """Codes in use, perplexity, and the share of the used codes that are shared, in percent."""
    return {
        "codebook/used": float(stats.used),
        "codebook/perplexity": float(stats.perplexity),
        "codebook/shared": 100.0 * stats.shared_share,
    }


def by_direction(metric: str, table: ScoreMap) -> Scores:
    """A table of accuracies as scores; several heads are averaged."""
    return {f"{metric}/{direction}": score.mean for direction, score in table.items()}
