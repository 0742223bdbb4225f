"""The whole story in one go: data, pre-training, evaluation with controls, report."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmg.baselines.infonce import infonce_changes
from cmg.baselines.record import INFONCE
from cmg.baselines.rows import computed_controls
from cmg.clips import configured_clips
from cmg.config.load import load_config, override_config
from cmg.config.schema import RunConfig
from cmg.data.batches import Batches
from cmg.data.embedded import EMBEDDED, set_name
from cmg.data.store import open_store
from cmg.errors import ConfigError
from cmg.evaluation.results import Results
from cmg.evaluation.scores import ScoreMap, merged
from cmg.files import StrPath, is_occupied, refuse_occupied, replace_file
from cmg.process import thread_count
from cmg.recipes.evaluate import RESULTS, evaluate_transfer
from cmg.recipes.jobs import Job, run_job, trained_model
from cmg.workers import Report, run_all

RECIPES: dict[str, tuple[str, ...]] = {
    "default": ("digits", "watch"),
    "published": ("digits-published",),
}
"""Presets of each recipe, each with a set of its own; the first is what the report is of."""

TRAINED = "trained"
CONTROLS: dict[str, dict[str, Any]] = {
    "shuffled_pairs": {"data.shuffled_pairs": True},
    "untrained_encoders": {"training.codebook_only": True},
}
"""What each control changes in the configuration of the models in question."""
SEEDS, SEEDS_BESIDE = 3, 2
"""Pre-trainings of the first set, and of those beside it: two sets have to end in two minutes."""
MARKER = "demo.json"
BASELINES = "baselines"
"""Name of the job that trains nothing."""


@dataclass(frozen=True)
class DemoSet:
    """What a demo runs on one set.

    Attributes:
        name: Of the set, without a fold.
        out: Folder of its runs and results.
        jobs: Every variant with every seed, and what is computed without training.
    """

    name: str
    out: Path
    jobs: list[Job]


@dataclass(frozen=True)
class DemoPlan:
    """What a demo will run.

    Attributes:
        sets: One after the other.
        clips: Clips that all jobs together train on, for the progress bar.
    """

    sets: list[DemoSet]
    clips: int


def plan_demo(out: StrPath, recipe: str = "default", seeds: int | None = None) -> DemoPlan:
    """The jobs of a demo: each variant with each seed.

    Args:
        out: Folder of the demo.
        recipe: One of :data:`RECIPES`.
        seeds: Pre-trainings of each set; None takes :data:`SEEDS` and :data:`SEEDS_BESIDE`.

    Raises:
        ConfigError: an unknown recipe or no seed.
    """
    out = Path(out)
    if recipe not in RECIPES:
        raise ConfigError(f"unknown recipe {recipe!r}; valid: {', '.join(RECIPES)}")
    if seeds is not None and seeds < 1:
        raise ConfigError(f"seeds must be at least 1, got {seeds}")
    first, *others = map(load_config, RECIPES[recipe])
    sets = [demo_set(first, out, seeds or SEEDS)]
    sets += [demo_set(one, out / set_name(one.data.store), seeds or SEEDS_BESIDE) for one in others]
    return DemoPlan(sets, sum(clips_to_train(one.jobs) for one in sets))


def demo_set(config: RunConfig, out: Path, seeds: int) -> DemoSet:
    """The jobs on a set; of the first alone there are scalars for TensorBoard.

    Controls have one seed: a demo of two sets has to end in two minutes.

    Args:
        config: Of the models in question.
        out: Folder of the set.
        seeds: Pre-trainings of these, and of InfoNCE.
    """
    compared = {TRAINED: {}, INFONCE: infonce_changes(config)} | CONTROLS
    jobs: list[Job] = []
    for name, changes in compared.items():
        for seed in range(1 if name in CONTROLS else seeds):
            own = changes | {"training.seed": seed, "training.tensorboard": not jobs}
            run = out / f"seed-{seed}" if name == TRAINED else None
            jobs.append(Job(f"{name} {seed}", override_config(config, changes=own), run))
    jobs.append(Job(BASELINES, config))
    return DemoSet(set_name(config.data.store), out, jobs)


def clips_to_train(jobs: Sequence[Job]) -> int:
    """Clips that some jobs train on; they differ in what changes no number.

    Raises:
        DataError: their store cannot be opened, or lacks the split.
    """
    config = jobs[0].config
    split = open_store(config.data.store).split(config.data.train_split)
    trained = sum(job.name != BASELINES for job in jobs)
    return Batches(split, config.data.batch_size).count * config.training.epochs * trained


def prepare_out(out: StrPath, overwrite: bool) -> None:
    """An empty folder for a demo.

    Raises:
        ConfigError: it is not empty, and no earlier demo that may be overwritten.
        DataError: it cannot be written.
    """
    out = Path(out)
    if not overwrite:
        refuse_occupied(out, "choose another --out or --overwrite")
    if is_occupied(out):
        if not (out / MARKER).is_file():
            raise ConfigError(f"{out} holds no earlier demo, so it is not overwritten")
        shutil.rmtree(out)
    replace_file(out / MARKER, json.dumps({"format": "cmg-demo"}).encode())


def run_demo(
    plan: DemoPlan,
    report: Report,
    workers: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Results]:
    """Run the plan and keep results and runs.

    Args:
        plan: From :func:`plan_demo`, of a folder from :func:`prepare_out`.
        report: Told of every step.
        workers: Processes, see :func:`cmg.workers.run_all`.
        clock: Seconds.

    Returns:
        By set, means over seeds, with every control; `seconds` are those of the whole demo.
    """
    start = clock()
    found = iter(run_all([j for one in plan.sets for j in one.jobs], run_demo_job, report, workers))
    of_sets = [merged_results([next(found) for _ in one.jobs]) for one in plan.sets]
    results = {}
    for one, result in zip(plan.sets, of_sets, strict=True):
        remarks = [*fold_remarks(one.jobs[0].config.data.store), *seed_remarks(result)]
        remarks += result.remarks
        results[one.name] = replace(result, remarks=remarks, seconds=clock() - start)
        results[one.name].save(one.out / RESULTS)
    return results


def run_demo_job(job: Job, send: Report) -> Results | dict[str, ScoreMap]:
    """Train and evaluate one model, or compute what needs none, in this process.

    Returns:
        Everything of a model in question; the transfer table of a control, by name.
    """
    if job.name == BASELINES:
        with thread_count(job.config.training.threads):
            return computed_controls(configured_clips(job.config.data), job.config)
    variant, _, seed = job.name.rpartition(" ")
    if variant == TRAINED:
        return run_job(job, send)
    with trained_model(job, send) as model:
        return {variant: evaluate_transfer(model, job.config, int(seed))}


def merged_results(found: Sequence[Results | dict[str, ScoreMap]]) -> Results:
    """The trained models' results over seeds, with those of all others as controls."""
    own = Results.merged([one for one in found if isinstance(one, Results)])
    tables: dict[str, list[ScoreMap]] = {}
    for one in found:
        for name, table in {} if isinstance(one, Results) else one.items():
            tables.setdefault(name, []).append(table)
    controls = {name: merged(several) for name, several in tables.items()}
    return replace(own, controls=controls | own.controls)


def seed_remarks(results: Results) -> list[str]:
    """What has to be said where controls are of fewer seeds than the model."""
    of_all = max((score.n for score in results.transfer.values()), default=0)
    few = [
        name.replace("_", " ")
        for name in CONTROLS
        if any(score.n < of_all for score in results.controls.get(name, {}).values())
    ]
    if not few:
        return []
    return [f"{' and '.join(few)} are of one seed, all else that is trained of {of_all}."]


def fold_remarks(store: str) -> list[str]:
    """What has to be said of a set that is shown by one of its folds."""
    name, _, fold = store.partition(":")
    found = EMBEDDED[name]
    if found.folds == 1:
        return []
    return [
        f"fold {fold or 0} of {found.folds} alone, tested on {found.tested}: that is no verdict. "
        f"Over all of them (docs/{name}.md, docs/evidence.md): "
        f"cmg study run evidence --data {name} --folds {found.folds} --out STUDY"
    ]
