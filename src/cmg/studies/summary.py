"""What a study found: mean and spread over seeds or folds, and differences within each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cmg.errors import DataError
from cmg.evaluation.scores import Score, plain
from cmg.files import StrPath
from cmg.studies.definition import COMPUTED, Study, Variant
from cmg.studies.ledger import (
    Identity,
    JobRecord,
    finished_jobs,
    identity_as_dict,
    read_identity,
    read_job,
)
from cmg.studies.scorers import Scores

MEAN = "mean"
"""In the place of a direction: the mean over the directions between different modalities."""

Cells = dict[tuple[int | None, int], Scores]
"""Scores by fold (None of data without folds) and seed."""


@dataclass(frozen=True)
class SummaryRow:
    """The numbers of a variant, of a further read of it, or of a computed control.

    What is resampled is the fold, with seeds averaged inside it; the seed where there are no folds.

    Attributes:
        variant: Which, by the row's own name.
        seeds: Finished ones.
        folds: Likewise.
        scores: Mean and spread, by ``metric/direction``.
        differences: Mean and spread of the differences to the reference, each taken within a seed
            and a fold; empty for the reference itself and where none has both.
    """

    variant: Variant
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    scores: dict[str, Score]
    differences: dict[str, Score]


@dataclass(frozen=True)
class StudySummary:
    """A study's results.

    Attributes:
        identity: What it is.
        rows: Those with a finished job, in the study's order.
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

    @property
    def paired(self) -> set[str]:
        """What differences are taken of fold by fold, by ``metric/direction``."""
        return {key for row in self.rows if row.folds for key in row.differences}

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
        rows = {row.variant.name: row_as_dict(row) for row in self.rows}
        return identity_as_dict(self.identity) | {
            "trained_on": self.trained_on,
            "scored_on": self.scored_on,
            "reference": self.study.reference,
            "missing": self.missing,
            "tries": self.study.tries(),
            "rows": rows,
        }


def summarized(out: StrPath) -> StudySummary:
    """The results of the study in a folder, from its finished jobs.

    Raises:
        DataError: no study there, no finished job, or damaged files.
    """
    out = Path(out)
    identity = read_identity(out)
    known = {COMPUTED, *(v.name for v in identity.study.rows())}
    records = [
        record
        for key in finished_jobs(out)
        if key.variant in known and (record := read_job(out, key)) is not None
    ]
    if not any(r.key.variant != COMPUTED for r in records):
        raise DataError(f"{out} has no finished job yet; go on with `cmg study run`")
    return summary_of(identity, records)


def row_as_dict(row: SummaryRow) -> dict[str, Any]:
    """For ``study.json``; with folds, also what each fold has and the intervals of differences."""
    told: dict[str, Any] = {"title": row.variant.title, "seeds": list(row.seeds)}
    if not row.folds:
        return told | {"scores": plain(row.scores), "differences": plain(row.differences)}
    return told | {
        "folds": list(row.folds),
        "scores": plain(row.scores, "values"),
        "differences": plain(row.differences, "values", "interval"),
    }


def summary_of(identity: Identity, records: Sequence[JobRecord]) -> StudySummary:
    """The results of some jobs.

    Args:
        identity: Of their study.
        records: One per variant, fold and seed at most.
    """
    found, variants = cells_by_row(records), identity.study.rows()
    reference = found.get(identity.study.reference, {})
    names = dict.fromkeys(n for r in records if r.key.variant == COMPUTED for n in r.reads)
    for name in names:  # whatever the seed, they are the same
        once = found[name]
        found[name] = {(fold, seed): once[fold, 0] for fold, seed in reference if (fold, 0) in once}
    computed = [variants[0].model_copy(update=of_computed(name)) for name in names]
    rows = [
        summary_row(row, own, reference if row.name != identity.study.reference else {})
        for row in [row for v in variants for row in v.rows()] + computed
        if (own := found.get(row.name))
    ]
    order = [v.name for v in variants]
    trained = [r for name in order for r in records if r.key.variant == name]
    return StudySummary(
        identity,
        tuple(rows),
        hashes([(r, r.trained_on) for r in trained]),
        hashes([(r, r.scored_on) for r in trained]),
    )


def of_computed(name: str) -> dict[str, Any]:
    """What the row of a computed control has in the place of a variant's."""
    return {"name": name, "title": f"computed: {name}", "control": True, "x": None, "group": ""}


def cells_by_row(records: Sequence[JobRecord]) -> dict[str, Cells]:
    """The numbers of some jobs, with means over directions, by the row that they stand in."""
    found: dict[str, Cells] = {}
    for record in records:
        key = record.key
        first = {key.variant: record.scores} if key.variant != COMPUTED else {}
        prefix = f"{key.variant}/" if first else ""
        for row, scores in (first | {f"{prefix}{n}": s for n, s in record.reads.items()}).items():
            found.setdefault(row, {})[key.fold, key.seed] = with_mean(scores)
    return found


def summary_row(variant: Variant, own: Cells, reference: Cells) -> SummaryRow:
    """A row, with its differences to the reference where both have a seed and fold."""
    apart = {
        cell: {key: own[cell][key] - value for key, value in scores.items() if key in own[cell]}
        for cell, scores in sorted(reference.items())
        if cell in own
    }
    folds = sorted({fold for fold, _ in own if fold is not None})
    seeds = sorted({seed for _, seed in own})
    scores = over_units(dict(sorted(own.items())))
    return SummaryRow(variant, tuple(seeds), tuple(folds), scores, over_units(apart))


def hashes(found: Sequence[tuple[JobRecord, str]]) -> dict[str, str]:
    """Content hashes by variant, or by variant and fold."""
    return {
        r.key.variant + ("" if r.key.fold is None else f"/fold-{r.key.fold}"): told
        for r, told in found
    }


def with_mean(found: Scores) -> Scores:
    """Scores, with the mean over the directions between modalities of each metric."""
    crossing: dict[str, list[float]] = {}
    for key, value in found.items():
        metric, _, direction = key.rpartition("/")
        source, arrow, target = direction.partition("->")
        if arrow and source != target:
            crossing.setdefault(metric, []).append(value)
    return found | {f"{metric}/{MEAN}": fmean(values) for metric, values in crossing.items()}


def over_units(cells: Cells) -> dict[str, Score]:
    """Mean and spread over folds of the means over seeds; over seeds where there are no folds."""
    units: dict[int, list[Scores]] = {}
    for (fold, seed), scores in cells.items():
        units.setdefault(seed if fold is None else fold, []).append(scores)
    within = [mean_scores(several) for several in units.values()]
    shared = [k for k in within[0] if all(k in one for one in within)] if within else []
    return {key: Score.of([one[key] for one in within]) for key in shared}


def mean_scores(several: Sequence[Scores]) -> Scores:
    """The mean of every number that all of them have."""
    keys = [k for k in several[0] if all(k in one for one in several)]
    return {key: fmean(one[key] for one in several) for key in keys}
