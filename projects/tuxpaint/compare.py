"""What transfers to stamps never seen: a study with controls, and prompts instead of captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cmg
from cmg.config.schema import RunConfig
from cmg.decoders.heads import ProbeOptions
from cmg.recipes.retrieval import retrieval_of
from cmg.retrieval.evaluate import figures
from cmg.studies.definition import Study, Variant, load_study
from cmg.studies.plan import plan_study
from cmg.studies.run import prepare_study, run_study
from cmg.studies.scorers import Scores, StoreScorer
from cmg.studies.summary import StudySummary
from projects.tuxpaint.store import LABEL

FIGURES = ("R@1", "R@10", "mAP")
"""Of retrieval, that are told."""
JUDGED = ("classification", "retrieval R@1", "retrieval mAP")
"""Metrics that have to be above the controls."""


@dataclass(frozen=True)
class StampScorer(StoreScorer):
    """Heads on unseen stamps, and retrieval of them where a gallery is one language."""

    name: str = "heads on unseen stamps; retrieval by mean vector, a gallery per language"

    def score(
        self, model: cmg.UnifiedModel, config: RunConfig, reads: Sequence[ProbeOptions], seed: int
    ) -> list[Scores]:
        """See :meth:`cmg.studies.scorers.Scorer.score`; retrieval asks no head."""
        first, *more = super().score(model, config, reads, seed)
        return [first | retrieval_scores(model, config), *more]


def retrieval_scores(model: cmg.UnifiedModel, config: RunConfig) -> Scores:
    """How well test stamps find each other, by figure and direction."""
    split = cmg.open_clips(config.data.store).split(config.data.test_split)
    codes = config.model.codebook.kind != "none"
    by: Literal["mean", "continuous"] = "mean" if codes else "continuous"
    found = retrieval_of(model, split, [by], LABEL, galleries="language").scores[by][0]
    return {
        f"retrieval {name}/{direction}": figures(told)[name]
        for name in FIGURES
        for direction, told in found.items()
    }


def majority(store: cmg.Clips) -> float:
    """Share of the most frequent noun among the test clips, percent."""
    seen = Counter(int(label) for label in store.split("test").label(LABEL) if label >= 0)
    return 100.0 * max(seen.values()) / sum(seen.values())


def stamp_study(captions: cmg.Clips, prompts: cmg.Clips) -> Study:
    """The named study `evidence`, and its codes on text that contains the label.

    Args:
        captions: What all variants but one are trained on.
        prompts: What that one is trained on.
    """
    stamps = len({row.meta["stamp"] for row in captions.split("test").rows})
    about = (
        f"{captions.splits['test']} clips of {stamps} unseen stamps, "
        f"{len(captions.labels[LABEL].classes)} nouns. Of the clips "
        f"{majority(captions):.1f} % have the most frequent noun; of {stamps} stamps "
        f"{100 / stamps:.1f} % of random orders begin with the right one (R@1)."
    )
    written = Variant(name="prompts", title="prompts", changes={"data.store": str(prompts.path)})
    evidence = load_study("evidence")
    own = {"name": "tuxpaint", "title": "Tux Paint stamps", "about": about}
    return evidence.model_copy(update=own | {"variants": (*evidence.variants, written)})


def run_comparison(
    captions: cmg.Clips,
    prompts: cmg.Clips,
    out: Path,
    overrides: Sequence[str] = (),
    seeds: int = 3,
    workers: int | None = None,
) -> StudySummary:
    """Train and score what is not finished yet; writes the files of a study.

    Args:
        captions: What people wrote.
        prompts: The same stamps with sentences made of their nouns.
        out: Folder of the study; runs are kept in it.
        overrides: ``key=value`` for the preset ``tuxpaint``.
        seeds: Pre-trainings per variant.
        workers: Processes; None is one per core.

    Raises:
        CmgError: no seed, overrides that do not fit, or another comparison in `out`.
    """
    study = stamp_study(captions, prompts)
    plan = plan_study(study, str(captions.path), "tuxpaint", overrides, seeds)
    prepared = prepare_study(plan, out, StampScorer(), keep_runs=True)
    return run_study(prepared, lambda *_: None, workers)


def failing(summary: StudySummary, least: float) -> list[str]:
    """What is not above the controls, of the directions between modalities.

    Args:
        summary: Of a comparison.
        least: Accuracy that transfer has to be above, percent.

    Returns:
        ``metric/direction`` of each: heads have to beat `least` and the shuffled pairs, retrieval
        the shuffled pairs.
    """
    scores = {row.variant.name: row.scores for row in summary.rows}
    found = []
    for key, score in scores["codes"].items():
        metric, _, direction = key.rpartition("/")
        source, arrow, target = direction.partition("->")
        if metric in JUDGED and arrow and source != target:
            bar = scores["shuffled"][key].mean
            if score.mean <= (max(bar, least) if metric == "classification" else bar):
                found.append(key)
    return found
