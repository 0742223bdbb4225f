"""A study's files: results, tables, plot and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from cmg.config.load import to_yaml
from cmg.report.document import Block, Box, Code, Document, Fold, Grid, Items, Section, Text
from cmg.report.html import on_page, page
from cmg.report.markdown import markdown
from cmg.report.write import replace_files
from cmg.studies.ledger import STUDY
from cmg.studies.plan import changed_keys
from cmg.studies.plots import panels, standalone, study_plot
from cmg.studies.summary import StudySummary
from cmg.studies.tables import headlines, study_tables

TABLE, PLOT, REPORT = "table.md", "plot.svg", "report.html"


def write_study(out: Path, summary: StudySummary) -> list[Path]:
    """Write ``study.json``, ``table.md``, ``plot.svg`` and ``report.html``.

    Args:
        out: Folder of the study.
        summary: Its results.

    Raises:
        DataError: a file cannot be written.
    """
    drawing = study_plot(summary) if panels(summary) else None
    document = study_document(summary, drawing)
    files: dict[str, Any] = {
        STUDY: summary.as_dict(),
        TABLE: markdown(document),
        REPORT: page(document),
    }
    if drawing is not None:
        files[PLOT] = standalone(drawing)
    return replace_files(out, files)


def study_document(summary: StudySummary, drawing: str | None) -> Document:
    """Plot, tables and configuration; Markdown has no plot and not what the rows change."""
    figure = Markup("<figure>{}</figure>").format(Markup(drawing)) if drawing else None
    plot = figure or on_page(Text("No direction was scored."))
    apart = {"style": "margin-bottom: 2.2rem"}
    tables = [Box([Grid(one, one.title)], apart) for one in study_tables(summary)]
    sections = {
        "plot": Section("Plot", [plot, on_page(Text(plot_note(summary), "note"))]),
        "tables": Section("Tables", tables, headed=False),
        "setup": Section("Configuration", setup(summary), headed=False),
    }
    opening = [Text(line) for line in headlines(summary)]
    return Document(summary.study.title, "Study", opening, sections)


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
    base = "Base configuration"
    return [
        on_page(Text("What each row changes in the base:"), Items(changed)),
        Fold(base, [Code(to_yaml(summary.identity.base))], base),
    ]
