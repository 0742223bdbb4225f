"""Pictures, voices and captions of stamps: what transfers to stamps never seen, with controls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cmg.clips import open_clips, training_split
from cmg.config.load import load_config, override_config
from cmg.config.schema import RunConfig
from cmg.data.source import ClipSource
from cmg.data.store import FeatureStore
from cmg.errors import ConfigError
from cmg.evaluation.encoding import encode_split
from cmg.evaluation.probe import Labeled, accuracy, train_head
from cmg.evaluation.results import Results
from cmg.evaluation.scores import Score, merged
from cmg.files import replace_file
from cmg.models.unified import UnifiedModel
from cmg.recipes.evaluate import evaluate
from cmg.recipes.jobs import Job, by_variant, clips_to_train, trained_model, variant_jobs
from cmg.recipes.retrieval import retrieval_of
from cmg.retrieval.evaluate import Directions, chance_figures, over_seeds
from cmg.tuxpaint.store import LABEL
from cmg.workers import Report, run_all

RESULTS = "tuxpaint.json"
CAPTIONS, PROMPTS = "captions", "prompts"


@dataclass(frozen=True)
class StampTables:
    """What one model scores; picklable."""

    tables: Results
    retrieval: Directions


@dataclass(frozen=True)
class TuxPaintPlan:
    """What a comparison will run.

    Attributes:
        jobs: Every variant with every seed.
        clips: Clips that all jobs together train on.
        plain: Heads without a codebook, by modality.
        majority: Share of the most frequent class among the test clips, percent.
        counts: Clips and classes, by what they are.
    """

    jobs: list[Job]
    clips: int
    plain: dict[str, Score]
    majority: float
    counts: dict[str, int]


@dataclass(frozen=True)
class TuxPaintResults:
    """What was measured.

    Attributes:
        transfer: Scores per direction, by variant.
        continuous: Of the trained models' features before they are quantized.
        plain: Heads on features, without a codebook, by modality.
        retrieval: By variant, direction and figure (``R@1``, ``mAP``, ...).
        retrieval_chance: By direction and figure, of a random order.
        majority: Baseline, percent.
        counts: Clips and classes.
    """

    transfer: dict[str, dict[str, Score]]
    continuous: dict[str, Score]
    plain: dict[str, Score]
    retrieval: dict[str, dict[str, dict[str, Score]]]
    retrieval_chance: dict[str, dict[str, float]]
    majority: float
    counts: dict[str, int]

    def save(self, out: Path) -> None:
        """Write them to a folder."""
        replace_file(out / RESULTS, (json.dumps(asdict(self), indent=1) + "\n").encode())

    def failing(self) -> list[str]:
        """Directions between modalities that are not above the controls.

        Transfer has to beat the majority and the shuffled pairs, retrieval (R@1 and mAP) the
        shuffled pairs.
        """
        trained, shuffled = self.transfer["trained"], self.transfer["shuffled_pairs"]
        failing = [
            direction
            for direction, score in trained.items()
            if len(set(direction.split("->"))) == 2
            and score.mean <= max(self.majority, shuffled[direction].mean)
        ]
        found, wrong = self.retrieval["trained"], self.retrieval["shuffled_pairs"]
        return failing + [
            f"retrieval {direction} {name}"
            for direction, figures in found.items()
            for name in ("R@1", "mAP")
            if figures[name].mean <= wrong[direction][name].mean
        ]


def plan_tuxpaint(
    out: Path,
    stores: dict[str, Path],
    overrides: Sequence[str] = (),
    seeds: int = 3,
) -> TuxPaintPlan:
    """The jobs of a comparison: each variant with each seed, and prompts instead of captions.

    Args:
        out: Folder of the runs.
        stores: With captions and, if that is wanted, with prompts.
        overrides: ``key=value`` for the run ``tuxpaint``.
        seeds: Pre-trainings per variant.

    Raises:
        ConfigError: no seed, or overrides that do not fit.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} must be at least 1")
    told = [f"data.store={stores[CAPTIONS]}", "training.tensorboard=false"]
    base = override_config(load_config("tuxpaint"), [*told, *overrides])
    jobs = variant_jobs(base, out, seeds)
    if PROMPTS in stores:
        other = override_config(base, [f"data.store={stores[PROMPTS]}"])
        jobs += variant_jobs(other, out, seeds, {PROMPTS: {}})
    store, clips = FeatureStore.open(stores[CAPTIONS]), clips_to_train(jobs)
    return TuxPaintPlan(
        jobs, clips, plain_heads(store, base, seeds), *_test_facts(store, base.data.test_split)
    )


def _test_facts(store: ClipSource, test: str) -> tuple[float, dict[str, int]]:
    split = store.split(test)
    seen = Counter(int(label) for label in split.labels(LABEL) if label >= 0)
    counts = {f"{name} clips": n for name, n in store.splits.items()}
    counts["test stamps"] = len({row.meta["stamp"] for row in split.rows})
    counts["nouns"] = len(store.labels[LABEL].classes)
    return 100.0 * max(seen.values()) / sum(seen.values()), counts


def plain_heads(store: ClipSource, config: RunConfig, seeds: int) -> dict[str, Score]:
    """Linear heads on the features themselves: supervised, within one modality, no codebook."""
    train, test = (store.split(s) for s in (training_split(config.data), config.data.test_split))
    classes = len(store.labels[LABEL].classes)
    found = {}
    for m in config.data.modalities or store.modalities:
        sets = []
        for split in (train, test):
            features, lengths = split.features(m)
            mask = torch.arange(features.shape[1]) < lengths[:, None]
            sets.append(Labeled(features.float(), mask, split.labels(LABEL), classes))
        heads = [train_head(sets[0], config.probe, seed) for seed in range(seeds)]
        found[m] = Score.of([accuracy(head, sets[1]) for head in heads])
    return found


def run_stamp_job(job: Job, send: Report) -> StampTables:
    """Train and evaluate one model in this process."""
    with trained_model(job, send) as model:
        tables = evaluate(model, job.config, job.config.training.seed)
        return StampTables(tables, stamp_retrieval(model, job.config))


def stamp_retrieval(model: UnifiedModel, config: RunConfig) -> Directions:
    """Retrieval of test stamps by mean code vector; the recordings of a language are a gallery."""
    split = open_clips(config.data).split(config.data.test_split)
    languages: dict[str, list[int]] = {}
    for index, row in enumerate(split.rows):
        languages.setdefault(row.meta["language"], []).append(index)
    groups = [torch.tensor(members) for members in languages.values()]
    found = retrieval_of(model, split, encode_split(model, split), ["mean"], LABEL, groups)
    return found.scores["mean"][0]


def run_tuxpaint(plan: TuxPaintPlan, report: Report, workers: int | None = None) -> TuxPaintResults:
    """Train and evaluate everything planned."""
    of = by_variant(plan.jobs, run_all(plan.jobs, run_stamp_job, report, workers))
    trained = of["trained"]
    return TuxPaintResults(
        {name: merged([one.tables.transfer for one in many]) for name, many in of.items()},
        merged([one.tables.controls["continuous"] for one in trained]),
        plan.plain,
        {name: over_seeds([one.retrieval for one in many]) for name, many in of.items()},
        {d: chance_figures(scores) for d, scores in trained[0].retrieval.items()},
        plan.majority,
        plan.counts,
    )


def as_dict(results: TuxPaintResults) -> dict[str, Any]:
    """Everything as JSON."""
    return asdict(results) | {"failing": results.failing()}
