"""The whole story in one go: data, pre-training, evaluation with controls, report."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmg.baselines.infonce import infonce_changes
from cmg.baselines.record import INFONCE
from cmg.baselines.rows import computed_controls
from cmg.clips import open_clips
from cmg.config.load import load_config, override_config
from cmg.errors import ConfigError
from cmg.evaluation.results import Results
from cmg.evaluation.scores import ScoreMap
from cmg.files import StrPath, is_occupied, refuse_occupied, replace_file
from cmg.process import thread_count
from cmg.recipes.evaluate import RESULTS
from cmg.recipes.jobs import VARIANTS, Job, by_variant, clips_to_train, run_job, variant_jobs
from cmg.workers import Report, run_all

RECIPES: dict[str, tuple[str, ...]] = {"default": ("digits",), "published": ("digits-published",)}
"""Presets of each recipe, each with a set of its own; the first is what the report is of."""

MARKER = "demo.json"
BASELINES = "baselines"
"""Name of the job that trains nothing."""


@dataclass(frozen=True)
class DemoSet:
    """What a demo runs on one set.

    Attributes:
        name: Preset.
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


def plan_demo(out: StrPath, recipe: str = "default", seeds: int = 3) -> DemoPlan:
    """The jobs of a demo: each variant with each seed.

    Raises:
        ConfigError: an unknown recipe or no seed.
    """
    out = Path(out)
    if recipe not in RECIPES:
        raise ConfigError(f"unknown recipe {recipe!r}; valid: {', '.join(RECIPES)}")
    if seeds < 1:
        raise ConfigError(f"seeds must be at least 1, got {seeds}")
    first, *others = RECIPES[recipe]
    sets = [demo_set(first, out, seeds)] + [demo_set(n, out / n, seeds) for n in others]
    return DemoPlan(sets, sum(clips_to_train(one.jobs[:-1]) for one in sets))


def demo_set(name: str, out: Path, seeds: int) -> DemoSet:
    """The jobs on the set of a preset; of the first alone there are scalars for TensorBoard."""
    config = load_config(name)
    variants = VARIANTS | {INFONCE: infonce_changes(config)}
    jobs = [*variant_jobs(config, out, seeds, variants), Job(BASELINES, config)]
    quiet = {"training.tensorboard": False}
    rest = [replace(job, config=override_config(job.config, changes=quiet)) for job in jobs[1:]]
    return DemoSet(name, out, [jobs[0], *rest])


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
    of_sets = [merged_results(one.jobs, [next(found) for _ in one.jobs]) for one in plan.sets]
    results = {}
    for one, result in zip(plan.sets, of_sets, strict=True):
        results[one.name] = replace(result, seconds=clock() - start)
        results[one.name].save(one.out / RESULTS)
    return results


def run_demo_job(job: Job, send: Report) -> Results | dict[str, ScoreMap]:
    """Train and evaluate one model, or compute what needs none, in this process."""
    if job.name != BASELINES:
        return run_job(job, send)
    with thread_count(job.config.training.threads):
        return computed_controls(open_clips(job.config.data), job.config)


def merged_results(jobs: Sequence[Job], found: Sequence[Results | dict[str, ScoreMap]]) -> Results:
    """The trained models' results over seeds, with those of all others as controls."""
    tables: dict[str, ScoreMap] = {}
    trained: list[Job] = []
    results: list[Results] = []
    for job, one in zip(jobs, found, strict=True):
        if isinstance(one, Results):
            trained.append(job)
            results.append(one)
        else:
            tables |= one
    several = by_variant(trained, results)
    merged = {name: Results.merged(seeds) for name, seeds in several.items()}
    own = merged.pop("trained")
    controls = {name: found.transfer for name, found in merged.items()} | own.controls | tables
    return replace(own, controls=controls)
