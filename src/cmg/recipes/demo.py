"""The whole story in one go: data, pre-training, evaluation with controls, report."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cmg.config.load import load_config, override_config
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError
from cmg.evaluation.results import Results
from cmg.files import StrPath, is_occupied, refuse_occupied, replace_file
from cmg.recipes.evaluate import RESULTS
from cmg.recipes.jobs import Job, by_variant, clips_to_train, run_jobs, variant_jobs
from cmg.workers import Report

RECIPES = {"default": "digits", "published": "digits-published"}
"""Named run of each recipe."""

MARKER = "demo.json"


@dataclass(frozen=True)
class DemoPlan:
    """What a demo will run.

    Attributes:
        jobs: Every variant with every seed.
        clips: Clips that all jobs together train on, for the progress bar.
        config: Of the first seed.
    """

    jobs: list[Job]
    clips: int
    config: RunConfig


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
    config = load_config(RECIPES[recipe])
    first, *others = variant_jobs(config, out, seeds)
    quiet = {"training.tensorboard": False}
    jobs = [first]
    jobs += [replace(job, config=override_config(job.config, changes=quiet)) for job in others]
    return DemoPlan(jobs, clips_to_train(jobs), config)


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
    out: StrPath,
    plan: DemoPlan,
    report: Report,
    workers: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Results:
    """Run the plan and keep results, runs and report in `out`.

    Args:
        out: From :func:`prepare_out`.
        plan: From :func:`plan_demo`.
        report: Told of every step.
        workers: Processes, see :func:`cmg.recipes.jobs.run_jobs`.
        clock: Seconds.

    Returns:
        Means over seeds, with every control.
    """
    out = Path(out)
    start = clock()
    found = by_variant(plan.jobs, run_jobs(plan.jobs, report, workers))
    merged = {name: Results.merged(seeds) for name, seeds in found.items()}
    trained = merged.pop("trained")
    controls = {name: found.transfer for name, found in merged.items()} | trained.controls
    results = replace(trained, controls=controls, seconds=clock() - start)
    results.save(out / RESULTS)
    return results
