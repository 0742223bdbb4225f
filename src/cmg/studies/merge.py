"""Parts of one study, run on several machines or one after the other, made into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cmg.errors import ConfigError
from cmg.files import StrPath, replace_file
from cmg.studies.agreement import refuse_other_config
from cmg.studies.ledger import (
    CHOICE,
    STUDY,
    JobKey,
    JobRecord,
    finished_jobs,
    open_folder,
    read_identity,
    read_job,
    refuse_other,
)
from cmg.studies.scorers import Scores
from cmg.studies.summary import StudySummary, summarized
from cmg.studies.write import write_study

ONE = "only parts of one study on the same data merge"


def merge_studies(out: StrPath, parts: Sequence[StrPath]) -> StudySummary:
    """Put the finished jobs of several folders into one, and write its results.

    Everything is checked before anything is written. Run folders stay where they are. Choices that
    lie in the parts are merged first; where there is nothing else yet, they are what is written.

    Args:
        out: Folder, new or of the same study.
        parts: Folders of the study.

    Raises:
        ConfigError: another study, configuration or data, or a job that two parts found different
            numbers for.
        DataError: a part that holds no study, or damaged files.
    """
    out, sources = Path(out), [Path(part) for part in parts]
    if chosen := [part / CHOICE for part in sources if (part / CHOICE / STUDY).is_file()]:
        found = merge_studies(out / CHOICE, chosen)
        sources = [part for part in sources if (part / STUDY).is_file()]
        if not sources and not (out / STUDY).is_file():
            return found
    if (out / STUDY).is_file():
        sources.insert(0, out)
    identity = read_identity(sources[0])
    for part in sources[1:]:
        other = read_identity(part)
        refuse_other(part, other, identity, ONE, f"in {sources[0]}")
        identity = identity.with_more(other)
    jobs = jobs_of(sources)
    open_folder(out, identity)
    for key, path in jobs.items():
        if path != out / key.file:
            replace_file(out / key.file, path.read_bytes())
    summary = summarized(out)
    write_study(out, summary)
    return summary


def jobs_of(parts: Sequence[Path]) -> dict[JobKey, Path]:
    """The file of every finished job of some folders, the first one that has it.

    Raises:
        ConfigError: a job with two outcomes, or jobs on different data.
    """
    found: dict[JobKey, Path] = {}
    seen: dict[JobKey, JobRecord] = {}
    data: dict[tuple[str | None, int | None], tuple[Path, JobRecord]] = {}
    for part in parts:
        for key in finished_jobs(part):
            path, record = part / key.file, read_job(part, key)
            if record is None:
                continue
            before = data.setdefault((record.config.data.list, key.fold), (path, record))
            refuse_other_content(before[0], before[1], path, record)
            if key in seen:
                refuse_other_outcome(found[key], seen[key], path, record)
            found.setdefault(key, path)
            seen.setdefault(key, record)
    return found


def refuse_other_content(a: Path, first: JobRecord, b: Path, second: JobRecord) -> None:
    """Refuse jobs of the same fold and list whose data are not the same.

    Raises:
        ConfigError: names both.
    """
    for verb, one, two in (
        ("trained", first.trained_on, second.trained_on),
        ("scored", first.scored_on, second.scored_on),
    ):
        if one != two:
            raise ConfigError(
                f"{a} was {verb} on data with content hash {one[:12]}, {b} on {two[:12]}; {ONE}"
            )


def refuse_other_outcome(a: Path, first: JobRecord, b: Path, second: JobRecord) -> None:
    """Refuse a job that was run twice with different numbers.

    Raises:
        ConfigError: names both files, and the first number that differs.
    """
    refuse_other_config(f"{b} was run", second.config, first.config, ONE, f"in {a}")
    one, two = flat(first.scores, first.reads), flat(second.scores, second.reads)
    for name in {**one, **two}:
        if one.get(name) != two.get(name):
            raise ConfigError(
                f"{a} and {b} are the same job, but {name} is {one.get(name)} in the one and "
                f"{two.get(name)} in the other; delete the one that is wrong"
            )


def flat(scores: Scores, reads: Mapping[str, Scores]) -> Scores:
    """The numbers of a job and of its reads, by one name each."""
    more = {f"{read}: {key}": value for read, own in reads.items() for key, value in own.items()}
    return scores | more
