"""Put what finished studies found into docs/results/evidence.json and docs/evidence.md.

python tools/evidence.py watch=studies/watch emoji=studies/emoji digits=studies/digits
python tools/evidence.py digits-steps=studies/digits@localization
python tools/evidence.py                       the tables again, from the file

Sets that are not named stay as they are. Beside it lies the study.json of every set, whole.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from demo_table import put

from cmg.errors import CmgError, ConfigError
from cmg.evaluation.scores import Score, ScoreMap, plain, t_quantile
from cmg.report.markdown import table
from cmg.report.tables import Table, crossing, directions_table, in_text, interval_text, score_text
from cmg.report.tables import plain as texts
from cmg.studies.ledger import unfinished_jobs
from cmg.studies.scorers import CODEBOOK, UNQUANTIZED
from cmg.studies.summary import MEAN, StudySummary, SummaryRow, summarized
from cmg.studies.tables import verdict

RESULTS, PAGE = Path("docs/results"), Path("docs/evidence.md")
FILE, PLACE = "evidence.json", "evidence"
CODES, REFERENCE = "codes", "infonce"
TITLES = {
    CODES: "codes, the default",
    "continuous": "the same models, continuous features",
    REFERENCE: "InfoNCE, equal budget",
    "ridge": "ridge regression, raw features",
    "cca": "CCA, raw features",
    "linear": "linear head on the target's raw features",
    "shuffled": "control: shuffled pairs",
    "untrained": "control: untrained encoders",
    "majority": "the most frequent class",
    "before": "the defaults of commit 409785a",
    "codes/hard": "codes, read hard",
    "codes/soft": "codes, read soft",
}
"""Of the rows, in the order of the tables; others come after them, by their own names."""

Evidence = dict[str, dict[str, dict[str, Any]]]
"""By set and row: ``across``, ``within``, ``directions``, ``paired_to_infonce``."""


def evidence_of(folder: Path, metric: str = "classification") -> dict[str, dict[str, Any]]:
    """Every row of a finished study.

    Raises:
        ConfigError: it is not finished, was run to choose, or is not compared with InfoNCE.
        DataError: no study there, or damaged files.
    """
    summary = summarized(folder)
    refuse_unfit(folder, summary, metric)
    scores = {row.variant.name: by_direction(row, metric) for row in summary.rows}
    scores.pop(f"{CODES}/continuous", None)
    codes = next(row for row in summary.rows if row.variant.name == CODES)
    scores["continuous"] = by_direction(codes, f"{metric}, {UNQUANTIZED}")
    known = [name for name in TITLES if name in scores]
    names = [*known, *(name for name in scores if name not in TITLES)]
    return {n: told(scores[n], scores[REFERENCE], n == REFERENCE) for n in names if scores[n]}


def refuse_unfit(folder: Path, summary: StudySummary, metric: str) -> None:
    """Refuse a study that is no evidence.

    Raises:
        ConfigError: see :func:`evidence_of`.
    """
    left = unfinished_jobs(folder, summary.identity)
    if left:
        raise ConfigError(f"{folder} is not finished: {len(left)} jobs, from {left[0].name} on")
    if summary.identity.base.data.test_split != "test":
        raise ConfigError(f"{folder} was scored on {summary.identity.base.data.test_split}")
    if summary.study.reference != REFERENCE or CODES not in {r.variant.name for r in summary.rows}:
        raise ConfigError(f"{folder} does not compare a variant {CODES!r} with {REFERENCE!r}")
    if f"{metric}/{MEAN}" not in summary.rows[0].scores:
        known = [name for name in summary.metrics() if name != CODEBOOK]
        raise ConfigError(f"{folder} has no {metric!r} across; it has {', '.join(known)}")


def by_direction(row: SummaryRow, metric: str) -> ScoreMap:
    """The directions of a metric, those within a modality included."""
    found = {key.rpartition("/"): score for key, score in row.scores.items()}
    return {
        name: score for (own, _, name), score in found.items() if own == metric and "->" in name
    }


def told(own: ScoreMap, reference: ScoreMap, is_reference: bool) -> dict[str, Any]:
    """One row of one set."""
    across, within = mean_of(crossing(own)), mean_of(crossing(own, same=True))
    other, paired = mean_of(crossing(reference)), None
    if across is not None and other is not None and not is_reference:
        # Of a set without folds units are seeds, from 0 on, of which controls may have fewer.
        apart = Score.of([a - b for a, b in zip(across.values, other.values, strict=False)])
        low, high = apart.interval or (None, None)
        paired = {"mean": apart.mean, "low": low, "high": high}
    return {
        "across": None if across is None else plain(across, "values"),
        "within": None if within is None else plain(within, "values"),
        "directions": plain(own),
        "paired_to_infonce": paired,
    }


def mean_of(scores: ScoreMap) -> Score | None:
    """The mean over directions in each fold, then its mean and spread over folds."""
    units = zip(*(score.values for score in scores.values()), strict=True)
    return Score.of([fmean(unit) for unit in units]) if scores else None


def page_tables(evidence: Evidence) -> str:
    """The tables of the page, as Markdown."""
    if not evidence:
        return "No set has been run yet.\n"
    names = {name: None for rows in evidence.values() for name in rows}
    order = [*(n for n in TITLES if n in names), *(n for n in names if n not in TITLES)]
    parts = ["Across modalities, per cent, mean ± standard deviation over folds:"]
    parts.append(table(over_sets(evidence, order, "across")))
    parts += ["Within a modality:", table(over_sets(evidence, order, "within"))]
    parts.append("Difference to InfoNCE at equal budget across modalities, in points, paired:")
    parts.append(table(paired_table(evidence, order)))
    for name, rows in evidence.items():
        scores = {TITLES.get(n, n): directions(rows[n]) for n in order if n in rows}
        parts += [f"Every direction of {name}:", table(directions_table(scores))]
    return "\n" + "\n\n".join(parts) + "\n\n"


def over_sets(evidence: Evidence, order: Sequence[str], key: str) -> Table:
    """A row each, a column per set."""
    rows = []
    for name in order:
        found = [rows_of.get(name, {}).get(key) for rows_of in evidence.values()]
        cells = ["–" if one is None else score_text(score_of(one)) for one in found]
        rows.append((TITLES.get(name, name), *cells))
    counts = {name: rows_of[REFERENCE]["across"]["n"] for name, rows_of in evidence.items()}
    note = (
        "Folds, or seeds of a set without folds: "
        + ", ".join(f"{name} {n}" for name, n in counts.items())
        + "."
    )
    return texts("", ("", *evidence), rows, note)


def paired_table(evidence: Evidence, order: Sequence[str]) -> Table:
    """A row per row and set: difference, interval, and what the interval says."""
    rows = []
    for name in order:
        for one, rows_of in evidence.items():
            paired = rows_of.get(name, {}).get("paired_to_infonce")
            if paired is not None:
                apart = score_of_interval(paired, rows_of[name]["across"]["n"])
                cells = (in_text(apart.mean), interval_text(apart), verdict(apart))
                rows.append((TITLES.get(name, name), one, *cells))
    return texts("", ("", "set", "difference", "95 % interval", "what it says"), rows)


def directions(row: Mapping[str, Any]) -> ScoreMap:
    """The directions of a row of the file."""
    return {name: score_of(score) for name, score in row["directions"].items()}


def score_of(found: Mapping[str, Any]) -> Score:
    """A number of the file."""
    values = tuple(found.get("values", ()))
    return Score(found["mean"], found["std"], found["n"], values=values)


def score_of_interval(paired: Mapping[str, Any], n: int) -> Score:
    """A difference of the file; its deviation follows from its interval."""
    if paired["low"] is None:
        return Score(paired["mean"], 0.0, 1)
    half = (paired["high"] - paired["low"]) / 2
    return Score(paired["mean"], half * math.sqrt(n) / t_quantile(n - 1), n)


def main(arguments: Sequence[str]) -> None:
    """Read studies, write the file, put its tables into the page."""
    path = RESULTS / FILE
    evidence: Evidence = json.loads(path.read_text(encoding="utf-8"))
    for argument in arguments:
        name, _, where = argument.partition("=")
        folder, _, metric = where.partition("@")
        evidence[name] = evidence_of(Path(folder), metric or "classification")
        if not metric:
            whole = (Path(folder) / "study.json").read_bytes()
            (RESULTS / f"evidence-{name}.json").write_bytes(whole)
    path.write_text(json.dumps(evidence, indent=1) + "\n", encoding="utf-8")
    put(PAGE, PLACE, page_tables(evidence))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CmgError as error:
        sys.exit(str(error))
