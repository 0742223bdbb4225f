"""Run a study: every job that is not finished yet, in worker processes; then write its files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cmg.data.options import DataOptions
from cmg.errors import CmgError
from cmg.files import StrPath
from cmg.recipes.jobs import Job, trained_model
from cmg.runs.folder import CONFIG, RUN, versions
from cmg.studies.ledger import (
    Identity,
    JobRecord,
    finished_jobs,
    open_folder,
    unfinished,
)
from cmg.studies.plan import StudyPlan
from cmg.studies.scorers import Scorer
from cmg.studies.summary import StudySummary, summarized
from cmg.studies.write import write_study
from cmg.workers import Report, run_all


@dataclass(frozen=True)
class StudyJob:
    """One model to train and score.

    Attributes:
        record: What is known of it before.
        scorer: Of the study.
        run: Run folder; None keeps nothing on disk.
    """

    record: JobRecord
    scorer: Scorer
    run: Path | None


@dataclass(frozen=True)
class Prepared:
    """A study that is about to run.

    Attributes:
        out: Its folder.
        identity: What it is.
        jobs: Those that are not finished.
        finished: How many are.
        clips: Clips that the jobs train on, for the progress bar.
    """

    out: Path
    identity: Identity
    jobs: list[StudyJob]
    finished: int
    clips: int


def prepare_study(
    plan: StudyPlan, out: StrPath, scorer: Scorer, keep_runs: bool = False
) -> Prepared:
    """Check everything that can be wrong before something is trained, and make the folder.

    Args:
        plan: From :func:`cmg.studies.plan.plan_study`.
        out: Folder, new or of the same study.
        scorer: How models are scored.
        keep_runs: Keep a run folder per job; an interrupted job then goes on from its last
            checkpoint instead of its beginning.

    Raises:
        ConfigError: `out` is of something else, or of another configuration or other data.
        DataError: data that cannot be scored on, or damaged files in `out`.
    """
    out = Path(out)
    scored_on = checked(plan, scorer)
    unlike = scorer.unlike_paper(plan.base) if plan.study.paper is not None else ""
    identity = Identity(plan.study, plan.base, scorer.name, unlike)
    open_folder(out, identity)
    left = unfinished(out, identity, plan, scored_on)
    jobs = []
    for key in left:
        config, name = identity.config(key), key.variant
        record = JobRecord(key, config, plan.hashes[name], scored_on[name])
        jobs.append(StudyJob(record, scorer, out / key.run if keep_runs else None))
    clips = sum(plan.clips[key.variant] for key in left)
    return Prepared(out, identity, jobs, len(finished_jobs(out)), clips)


def checked(plan: StudyPlan, scorer: Scorer) -> dict[str, str]:
    """Content hash of what each variant is scored on; variants of the same data are checked once.

    Raises:
        CmgError: see :meth:`cmg.studies.scorers.Scorer.check`.
    """
    known: dict[tuple[DataOptions, int], str] = {}
    found = {}
    for name, config in plan.configs.items():
        same = {"fraction": 1.0, "shuffled_pairs": False}  # scoring sees neither
        key = (config.data.model_copy(update=same), config.training.epochs)
        if key not in known:
            known[key] = scorer.check(config)
        found[name] = known[key]
    return found


def run_study(
    prepared: Prepared,
    report: Report,
    workers: int | None = None,
    finished: Callable[[JobRecord], None] | None = None,
) -> StudySummary:
    """Train and score what is left, then write results, table and plot.

    Every finished job is on disk before the next one is awaited, so a study that is killed goes on
    where it was.

    Args:
        prepared: From :func:`prepare_study`.
        report: Told of every step.
        workers: Processes, see :func:`cmg.workers.run_all`.
        finished: Told of every job that is done.

    Raises:
        CmgError: of the first failing job, with its variant and seed in front.
    """

    def keep(job: StudyJob, record: JobRecord) -> None:
        record.save(prepared.out)
        if finished is not None:
            finished(record)

    run_all(prepared.jobs, run_study_job, report, workers, keep)
    summary = summarized(prepared.out)
    write_study(prepared.out, summary)
    return summary


def run_study_job(job: StudyJob, send: Report) -> JobRecord:
    """Train and score one model in this process.

    Raises:
        CmgError: by its own type, with variant and seed in front.
    """
    started = time.perf_counter()
    key, config = job.record.key, job.record.config
    one = Job(f"{key.variant} {key.seed}", config, job.run)
    with naming(one.name), trained_model(one, send, may_resume(job.run)) as model:
        scores = job.scorer.score(model, config, config.training.seed)
    seconds = time.perf_counter() - started
    return replace(job.record, scores=scores, seconds=seconds, machine=versions())


@contextmanager
def naming(job: str) -> Iterator[None]:
    """Put a job's name in front of what goes wrong in it."""
    try:
        yield
    except CmgError as error:
        raise type(error)(f"{job}: {error}") from error


def may_resume(run: Path | None) -> bool:
    """Whether a kept run was interrupted after its start; one without a start is removed."""
    if run is None or not run.exists():
        return False
    if (run / CONFIG).is_file() and (run / RUN).is_file():
        return True
    shutil.rmtree(run)
    return False
