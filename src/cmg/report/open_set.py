"""Tables and pages of an open set."""

from __future__ import annotations

from collections.abc import Iterator

from cmg.evaluation.open_set import AUROC, CLOSED, FALSE_POSITIVES, H_SCORE, ORACLE, SCORES
from cmg.recipes.open_set import OpenSetResults
from cmg.report.document import Document, Text, of_tables
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


def open_set_tables(results: OpenSetResults) -> Iterator[Table]:
    """Accuracy and the oracle, then a table per metric with a column per score."""
    found, about = results.scores, results.about
    known, unknown = len(about["known"]), len(about["unknown"])
    note = (
        f"Percent of clips {about['split']} of {known} known classes, without rejection; the "
        f"oracle is the largest H of ten thresholds tried on these clips themselves, {unknown} "
        "unknown classes among them, as the authors report it."
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


def open_set_document(results: OpenSetResults) -> Document:
    """The whole report."""
    lead = [Text(WHAT, "headline")]
    tables = list(open_set_tables(results))
    return Document(
        TITLE, "cmg evaluate open-set", lead, of_tables(tables), results.about["remarks"]
    )


def open_set_files(results: OpenSetResults) -> Files:
    """``open-set.json`` and the report."""
    return {RESULTS: results.told(), **report_files(open_set_document(results))}
