"""A study's files: results, tables, plot and page."""

from __future__ import annotations

from pathlib import Path

from cmg.config.compare import changed_keys
from cmg.config.load import to_yaml
from cmg.report.document import Block, Box, Code, Document, Figure, Fold, Items, Section, Text
from cmg.report.prose import SIMULATED
from cmg.report.write import HTML, PARTS, replace_files, report_files
from cmg.studies.ledger import STUDY
from cmg.studies.plots import panels, study_plot
from cmg.studies.summary import StudySummary
from cmg.studies.tables import study_tables

TABLE, PLOT, REPORT = "table.md", "plot.svg", HTML


def write_study(out: Path, summary: StudySummary) -> list[Path]:
    """Write ``study.json``, ``table.md``, ``plot.svg``, ``report.html`` and its tables and figures.

    Args:
        out: Folder of the study.
        summary: Its results.

    Raises:
        DataError: a file cannot be written.
    """
    files = report_files(study_document(summary), TABLE)
    if (drawn := f"{PARTS}/{PLOT}") in files:
        files[PLOT] = files[drawn]
    return replace_files(out, {STUDY: summary.as_dict(), **files})


def study_document(summary: StudySummary, short: bool = False) -> Document:
    """Plot, tables and configuration.

    Args:
        summary: Of the study.
        short: Of the tables, those that a terminal shows.
    """
    drawn: Block = Text("No direction was scored.")
    if panels(summary):
        drawn = Figure("Plot", study_plot(summary), plot_note(summary))
    sections = {
        "plot": Section("Plot", [drawn]),
        "tables": Section("Tables", [Box([t], "apart") for t in study_tables(summary, short)]),
        "setup": Section("Configuration", setup(summary)),
    }
    lead = [summary.study.about, f"Scored by {summary.identity.scorer}."]
    if tries := summary.study.tries():
        lead.append(f"Tries: {', '.join(f'{len(n)} for {group}' for group, n in tries.items())}.")
    title, texts = summary.study.title, [Text(line) for line in lead]
    return Document(title, "Study", texts, sections, remarks(summary))


def remarks(summary: StudySummary) -> list[str]:
    """What has to be said before the tables."""
    found = [SIMULATED] if "simulated data" in summary.identity.scorer else []
    if summary.identity.base.data.test_split == "val":
        found.append("A choice: scored on the validation split; the test split was not opened.")
    found += [f"Not applicable: {name}: {why}" for name, why in summary.study.unfit.items()]
    if summary.missing:
        found.append(f"Not run yet: {', '.join(summary.missing)}.")
    return found


def plot_note(summary: StudySummary) -> str:
    """What the marks of the plot are."""
    over = "folds" if summary.identity.folds else "seeds"
    if summary.study.axis is not None:
        return f"Whiskers: standard deviation over {over}. Dashed: the mean of a control."
    return (
        f"Whiskers: standard deviation over {over}. Upright bars: the mean across the directions."
    )


def setup(summary: StudySummary) -> list[Block]:
    """The base, and what each variant changes in it."""
    changed = []
    names = {row.name for v in summary.study.rows() for row in v.rows()}
    for row in (row for row in summary.rows if row.variant.name in names):
        config = summary.identity.config_of(row.variant.name)
        changes = changed_keys(summary.identity.base, config)
        told = ", ".join(f"{key} = {now!r}" for key, (_, now) in changes.items()) or "nothing"
        changed.append(f"{row.variant.title}: {told}")
    base = Fold("Base configuration", [Code(to_yaml(summary.identity.base))])
    return [Fold("What each row changes in the base", [Items(changed)]), base]
