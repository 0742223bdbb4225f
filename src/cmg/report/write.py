"""Writing the report of a run or a demo."""

from __future__ import annotations

from pathlib import Path

from cmg.files import StrPath, replace_file
from cmg.report.gather import gather
from cmg.report.markdown import markdown_report
from cmg.report.media import media_of
from cmg.report.sections import html_report
from cmg.report.story import Story

HTML, MARKDOWN = "report.html", "report.md"


def write_report(folder: StrPath, out: StrPath | None = None) -> list[Path]:
    """Write ``report.html``, one self-contained file, and ``report.md``.

    A run that has not been evaluated is evaluated first, if its store has labels.

    Args:
        folder: A run folder of ``cmg pretrain`` or the folder of ``cmg demo``.
        out: Folder for the two files; None for `folder`. Earlier reports in it are replaced.

    Returns:
        The two files.

    Raises:
        CheckpointError: `folder` is no run and no demo, or a checkpoint is damaged.
        DataError: the store or the results are missing or damaged, or `out` cannot be written.
    """
    data = gather(Path(folder))
    story = Story(data)
    target = Path(folder) if out is None else Path(out)
    pages = {HTML: html_report(story, media_of(data.split)), MARKDOWN: markdown_report(story)}
    for name, content in pages.items():
        replace_file(target / name, content.encode())
    return [target / name for name in pages]
