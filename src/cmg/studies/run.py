"""Run a study: every job that is not finished yet, in worker processes; then write its files."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cmg.data.options import DataOptions
from cmg.decoders.heads import ProbeOptions
from cmg.errors import CmgError
from cmg.files import StrPath
from cmg.recipes.jobs import Job, trained_model
from cmg.runs.folder import CONFIG, RUN, versions
from cmg.studies.definition import COMPUTED
from cmg.studies.ledger import (
    Identity,
    JobRecord,
    finished_jobs,
    open_folder,
    unfinished,
)
from cmg.studies.plan import Place, StudyPlan, at_fold
from cmg.studies.scorers import Scorer, Scores, of_heads
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
        reads: What heads read, by name; that of the variant's own row first.
        until: Time after which it is not begun any more.
    """

    record: JobRecord
    scorer: Scorer
    run: Path | None
    reads: dict[str, ProbeOptions]
    until: float = math.inf


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
    plan: StudyPlan,
    out: StrPath,
    scorer: Scorer,
    keep_runs: bool = False,
    part: tuple[int, int] = (1, 1),
) -> Prepared:
    """Check everything that can be wrong before something is trained, and make the folder.

    Args:
        plan: From :func:`cmg.studies.plan.plan_study`.
        out: Folder, new or of the same study.
        scorer: How models are scored.
        keep_runs: Keep a run folder per job; an interrupted job then goes on from its last
            checkpoint instead of its beginning.
        part: Which share of all jobs is run here, and of how many.

    Raises:
        ConfigError: `out` is of something else, or of another configuration or other data.
        DataError: data that cannot be scored on, or damaged files in `out`.
    """
    out = Path(out)
    scored_on = checked(plan, scorer)
    variant, fold = next(iter(plan.configs))
    unlike = scorer.unlike_paper(at_fold(plan.base, fold)) if plan.study.paper is not None else ""
    identity = Identity(plan.study, plan.base, scorer.name, unlike, plan.seeds, plan.folds)
    known = open_folder(out, identity)  # with rows that were chosen before, of others than these
    share = set(identity.jobs[part[0] - 1 :: part[1]])
    left = [key for key in unfinished(out, known, plan, scored_on) if key in share]
    jobs = []
    for key in left:
        place = (variant, key.fold) if key.variant == COMPUTED else key.place
        record = JobRecord(key, identity.config(key), plan.hashes[place], scored_on[place])
        reads = reads_of(identity, key.variant)
        jobs.append(StudyJob(record, scorer, out / key.run if keep_runs else None, reads))
    clips = sum(plan.clips.get(key.place, 0) for key in left)
    return Prepared(out, identity, jobs, len(finished_jobs(out)), clips)


def reads_of(identity: Identity, variant: str) -> dict[str, ProbeOptions]:
    """The heads of a variant, by the name of what they read; computed controls have none."""
    if variant == COMPUTED:
        return {}
    one = next(v for v in identity.study.rows() if v.name == variant)
    names = list(one.reads) or [""]
    return {
        name: identity.config_of(row.name).probe
        for name, row in zip(names, one.rows(), strict=True)
    }


def checked(plan: StudyPlan, scorer: Scorer) -> dict[Place, str]:
    """Content hash of what each variant is scored on; variants of the same data are checked once.

    Raises:
        CmgError: see :meth:`cmg.studies.scorers.StoreScorer.check`.
    """
    known: dict[tuple[DataOptions, int], str] = {}
    found = {}
    for place, config in plan.configs.items():
        same = {"fraction": 1.0, "shuffled_pairs": False}  # scoring sees neither
        key = (config.data.model_copy(update=same), config.training.epochs)
        if key not in known:
            known[key] = scorer.check(config)
        found[place] = known[key]
    return found


def run_study(
    prepared: Prepared,
    report: Report,
    workers: int | None = None,
    finished: Callable[[JobRecord], None] | None = None,
    hours: float = math.inf,
) -> StudySummary:
    """Train and score what is left, then write results, table and plot.

    Every finished job is on disk before the next one is awaited, so a study that is killed goes on
    where it was.

    Args:
        prepared: From :func:`prepare_study`.
        report: Told of every step.
        workers: Processes, see :func:`cmg.workers.run_all`.
        finished: Told of every job that is done.
        hours: After which no further job is begun; those that run are ended.

    Raises:
        CmgError: of the first failing job, with its variant, fold and seed in front.
    """

    def keep(job: StudyJob, record: JobRecord | None) -> None:
        if record is None:
            return
        record.save(prepared.out)
        if finished is not None:
            finished(record)

    until = time.time() + 3600 * hours
    jobs = [replace(job, until=until if i else math.inf) for i, job in enumerate(prepared.jobs)]
    run_all(jobs, run_study_job, report, workers, keep)
    summary = summarized(prepared.out)
    write_study(prepared.out, summary)
    return summary


def run_study_job(job: StudyJob, send: Report) -> JobRecord | None:
    """Train and score one model in this process, or compute controls; None where it is too late.

    Raises:
        CmgError: by its own type, with variant, fold and seed in front.
    """
    if time.time() > job.until:
        return None
    started = time.perf_counter()
    key = job.record.key
    fold = "" if key.fold is None else f" fold {key.fold}"
    with naming(f"{key.variant}{fold} {key.seed}"):
        scores, reads = found_by(job, send)
    seconds = time.perf_counter() - started
    return replace(job.record, scores=scores, reads=reads, seconds=seconds, machine=versions())


def found_by(job: StudyJob, send: Report) -> tuple[Scores, dict[str, Scores]]:
    """The numbers of a job, and those of its further reads by their name."""
    config = job.record.config
    if not job.reads:
        return {}, job.scorer.controls(config)
    one = Job(f"{job.record.key.variant} {job.record.key.seed}", config, job.run)
    with trained_model(one, send, may_resume(job.run)) as model:
        found = job.scorer.score(model, config, list(job.reads.values()), config.training.seed)
    further = list(job.reads)[1:]
    return found[0], dict(zip(further, map(of_heads, found[1:]), strict=True))


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
