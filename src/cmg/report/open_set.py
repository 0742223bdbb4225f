"""Tables and pages of an open set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cmg.evaluation.open_set import AUROC, CLOSED, FALSE_POSITIVES, H_SCORE, ORACLE, SCORES
from cmg.recipes.open_set import OpenSetResults
from cmg.report.document import Document, Text, of_tables
from cmg.report.evaluation import leak_table
from cmg.report.prose import SIMULATED
from cmg.report.tables import Table, arrow, plain, score_text
from cmg.report.write import Files, report_files

RESULTS = "open-set.json"
TITLE = "Known and unknown classes"
WHAT = (
    "Heads learn the known classes in one modality and are read in another, on clips of known and "
    "of unknown classes; what scores too low should be rejected. Scores: the largest probability, "
    "negative entropy, energy (log of the sum of the exponentials of the logits), and nearness of "
    "features to their codes, which needs no head."
)
METRICS = {
    AUROC: "Chance that a clip of a known class scores above one of an unknown class, percent; 50 "
    "is chance.",
    FALSE_POSITIVES: "Clips of unknown classes that are accepted where 95 % of the known ones are, "
    "percent; lower is better, 95 is chance.",
    H_SCORE: "Harmonic mean of known clips named rightly and unknown ones rejected, percent; the "
    "threshold is the best of validation clips.",
}


PARTS = {
    "training": "train",
    "validation": "choose the threshold",
    "known": "tested, known",
    "unknown": "tested, unknown",
}
"""Clips of a plan, and the headers of their columns."""


def open_set_tables(results: OpenSetResults) -> Iterator[Table]:
    """Accuracy and the oracle, then a table per metric with a column per score."""
    found, about = results.scores, results.about
    known, unknown = len(about["known"]), len(about["unknown"])
    epochs = " and all epochs" if about.get("protocol") == "published" else ""
    note = (
        f"Percent of clips of {known} known classes, without rejection; the oracle is the largest "
        f"H of ten thresholds{epochs} tried on these clips themselves, {unknown} unknown classes "
        "among them, as the authors report it."
    )
    rows = [
        (arrow(d), score_text(s), score_text(found[ORACLE][d])) for d, s in found[CLOSED].items()
    ]
    yield plain("Heads", ("head trained on → read on", CLOSED, ORACLE), rows, note)
    for metric, meaning in METRICS.items():
        names = [name for name in SCORES if f"{metric}, {name}" in found]
        if names:
            told = [
                [arrow(d), *(score_text(found[f"{metric}, {name}"][d]) for name in names)]
                for d in found[CLOSED]
            ]
            yield plain(metric, ("head trained on → read on", *names), told, meaning)
    if "plan" in about:
        yield clips_table(about["clips"], about["notes"])
        yield leak_table([(about["protocol"], row) for row in about["leaks"]])


def clips_table(counts: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> Table:
    """What a plan trains heads on, chooses thresholds on and tests."""
    rows = [[arrow(row["direction"]), *(str(row[part]) for part in PARTS)] for row in counts]
    return plain("Clips", ("head trained on → read on", *PARTS.values()), rows, "; ".join(notes))


def open_set_document(results: OpenSetResults) -> Document:
    """The whole report."""
    lead = [Text(WHAT, "headline")]
    about, tables = results.about, list(open_set_tables(results))
    title = f"{TITLE}: {about['plan']}, {about['protocol']}" if "plan" in about else TITLE
    remarks = [*([SIMULATED] if about.get("simulated") else []), *about["remarks"]]
    return Document(title, "cmg evaluate open-set", lead, of_tables(tables), remarks)


def open_set_files(results: OpenSetResults) -> Files:
    """``open-set.json`` and the report."""
    return {RESULTS: results.told(), **report_files(open_set_document(results))}
