"""Reports: one self-contained HTML file and one Markdown file per run."""

from cmg.report.run import write_report

__all__ = ["write_report"]
