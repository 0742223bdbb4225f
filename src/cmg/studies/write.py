"""A study's files: results, tables, plot and page."""

from __future__ import annotations

from html import escape
from pathlib import Path

from cmg.config.load import to_yaml
from cmg.files import replace_file
from cmg.report.html import details, page, paragraph, table, tag
from cmg.report.markdown import fenced, text
from cmg.report.markdown import table as markdown_table
from cmg.studies.ledger import STUDY
from cmg.studies.plan import changed_keys
from cmg.studies.plots import panels, standalone, study_plot
from cmg.studies.summary import StudySummary, study_json
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
    files = {
        STUDY: study_json(summary),
        TABLE: markdown(summary).encode(),
        REPORT: html(summary, drawing).encode(),
    }
    if drawing is not None:
        files[PLOT] = standalone(drawing).encode()
    for name, content in files.items():
        replace_file(out / name, content)
    return [out / name for name in files]


def markdown(summary: StudySummary) -> str:
    """The tables as Markdown."""
    parts = [f"# {text(summary.study.title)}", *(text(line) for line in headlines(summary))]
    for one in study_tables(summary):
        parts += [f"## {text(one.title)}", markdown_table(one)]
    parts += ["## Base configuration", fenced(to_yaml(summary.identity.base), "yaml")]
    return "\n\n".join(parts) + "\n"


def html(summary: StudySummary, drawing: str | None) -> str:
    """Plot, tables and configuration as one page."""
    head = [tag("p", "Study", cls="kicker"), tag("h1", escape(summary.study.title))]
    head += [paragraph(line) for line in headlines(summary)]
    shown = "".join(
        tag("div", table(one), style="margin-bottom: 2.2rem") for one in study_tables(summary)
    )
    figure = tag("figure", drawing) if drawing else paragraph("No direction was scored.")
    sections = {
        "plot": ("Plot", figure + paragraph(plot_note(summary), "note")),
        "tables": ("Tables", shown),
        "setup": ("Configuration", setup(summary)),
    }
    return page(summary.study.title, "".join(head), sections)


def plot_note(summary: StudySummary) -> str:
    """What the marks of the plot are."""
    if summary.study.axis is not None:
        return "Whiskers: standard deviation over seeds. Dashed: the mean of a control."
    return "Whiskers: standard deviation over seeds. Upright bars: the mean across the directions."


def setup(summary: StudySummary) -> str:
    """The base, and what each variant changes in it."""
    items = []
    for row in summary.rows:
        config = summary.identity.config_of(row.variant.name)
        changes = changed_keys(summary.identity.base, config)
        told = ", ".join(f"{key} = {now!r}" for key, (_, now) in changes.items()) or "nothing"
        items.append(tag("li", escape(f"{row.variant.title}: {told}")))
    code = tag("pre", tag("code", escape(to_yaml(summary.identity.base))))
    return "".join(
        [
            paragraph("What each row changes in the base:"),
            tag("ul", *items),
            details("Base configuration", code),
        ]
    )
