"""What a study found: mean and spread over seeds, and differences seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cmg.errors import DataError
from cmg.evaluation.scores import Score, plain
from cmg.files import StrPath
from cmg.studies.definition import Study, Variant
from cmg.studies.ledger import (
    Identity,
    JobKey,
    JobRecord,
    finished_jobs,
    identity_as_dict,
    read_identity,
    read_job,
)
from cmg.studies.scorers import Scores

MEAN = "mean"
"""In the place of a direction: the mean over the directions between different modalities."""


@dataclass(frozen=True)
class SummaryRow:
    """A variant's numbers.

    Attributes:
        variant: Which.
        seeds: Finished ones.
        scores: Mean and spread over seeds, by ``metric/direction``.
        differences: Mean and spread of the differences to the reference, each taken within a seed;
            empty for the reference itself and where no seed has both.
    """

    variant: Variant
    seeds: tuple[int, ...]
    scores: dict[str, Score]
    differences: dict[str, Score]


@dataclass(frozen=True)
class StudySummary:
    """A study's results.

    Attributes:
        identity: What it is.
        rows: Variants with a finished job, in the study's order.
        trained_on: Content hashes of the data.
        scored_on: Likewise.
    """

    identity: Identity
    rows: tuple[SummaryRow, ...]
    trained_on: dict[str, str]
    scored_on: dict[str, str]

    @property
    def study(self) -> Study:
        """What was compared."""
        return self.identity.study

    @property
    def missing(self) -> list[str]:
        """Variants without a finished job."""
        there = {row.variant.name for row in self.rows}
        return [v.name for v in self.study.rows() if v.name not in there]

    def metrics(self) -> list[str]:
        """Every metric, in the order in which scorers name them."""
        names = dict.fromkeys(key.rpartition("/")[0] for row in self.rows for key in row.scores)
        return list(names)

    def columns(self, metric: str) -> list[str]:
        """The directions or measures of a metric, the mean first where there is one."""
        keys = dict.fromkeys(key for row in self.rows for key in row.scores)
        found = [k.rpartition("/")[2] for k in keys if k.rpartition("/")[0] == metric]
        return sorted(found, key=lambda c: c != MEAN)

    def as_dict(self) -> dict[str, Any]:
        """For ``study.json``; the same for the same jobs, in whatever order they were run."""
        rows = {
            row.variant.name: {
                "title": row.variant.title,
                "seeds": list(row.seeds),
                "scores": plain(row.scores),
                "differences": plain(row.differences),
            }
            for row in self.rows
        }
        return identity_as_dict(self.identity) | {
            "trained_on": self.trained_on,
            "scored_on": self.scored_on,
            "reference": self.study.reference,
            "missing": self.missing,
            "rows": rows,
        }


def summarized(out: StrPath) -> StudySummary:
    """The results of the study in a folder, from its finished jobs.

    Raises:
        DataError: no study there, no finished job, or damaged files.
    """
    out = Path(out)
    identity = read_identity(out)
    known = {v.name for v in identity.study.rows()}
    records = [
        record
        for key in finished_jobs(out)
        if key.variant in known and (record := read_job(out, key)) is not None
    ]
    if not records:
        raise DataError(f"{out} has no finished job yet; go on with `cmg study run`")
    return summary_of(identity, records)


def summary_of(identity: Identity, records: Sequence[JobRecord]) -> StudySummary:
    """The results of some jobs.

    Args:
        identity: Of their study.
        records: One per variant and seed at most.
    """
    scores: dict[JobKey, Scores] = {r.key: with_mean(r.scores) for r in records}
    names = [v.name for v in identity.study.rows()]
    ordered = sorted(records, key=lambda r: (names.index(r.key.variant), r.key.seed))
    rows = []
    for variant in identity.study.rows():
        seeds = tuple(r.key.seed for r in ordered if r.key.variant == variant.name)
        if not seeds:
            continue
        own = {seed: scores[JobKey(variant.name, seed)] for seed in seeds}
        reference = {
            seed: scores[key]
            for seed in seeds
            if (key := JobKey(identity.study.reference, seed)) in scores
        }
        is_reference = variant.name == identity.study.reference
        differences = {} if is_reference else paired(own, reference)
        rows.append(SummaryRow(variant, seeds, over_seeds(list(own.values())), differences))
    return StudySummary(
        identity,
        tuple(rows),
        {r.key.variant: r.trained_on for r in ordered},
        {r.key.variant: r.scored_on for r in ordered},
    )


def with_mean(found: Scores) -> Scores:
    """Scores, with the mean over the directions between modalities of each metric."""
    crossing: dict[str, list[float]] = {}
    for key, value in found.items():
        metric, _, direction = key.rpartition("/")
        source, arrow, target = direction.partition("->")
        if arrow and source != target:
            crossing.setdefault(metric, []).append(value)
    return found | {f"{metric}/{MEAN}": fmean(values) for metric, values in crossing.items()}


def over_seeds(several: Sequence[Scores]) -> dict[str, Score]:
    """Mean and sample deviation of every number that all seeds have."""
    keys = [k for k in several[0] if all(k in one for one in several)]
    return {key: Score.of([one[key] for one in several]) for key in keys}


def paired(own: Mapping[int, Scores], reference: Mapping[int, Scores]) -> dict[str, Score]:
    """Mean and sample deviation of the differences within seeds.

    Args:
        own: Scores per seed.
        reference: Scores per seed, of the seeds that both have.
    """
    differences = [
        {key: own[seed][key] - value for key, value in scores.items() if key in own[seed]}
        for seed, scores in reference.items()
    ]
    return over_seeds(differences) if differences else {}
