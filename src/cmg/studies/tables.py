"""A study's numbers as tables: the terminal, Markdown and HTML show the same ones."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.evaluation.scores import Score
from cmg.report.prose import SIMULATED, count_text
from cmg.report.tables import Table, arrow, plain, score_text
from cmg.studies.definition import PaperTable
from cmg.studies.summary import MEAN, StudySummary, SummaryRow
from cmg.tasks.benchmark import benchmarks

CODEBOOK = "codebook"
CODEBOOK_COLUMNS = {
    "used": "codes used",
    "perplexity": "perplexity",
    "shared": "% of used codes shared",
}


def study_tables(summary: StudySummary, short: bool = False) -> list[Table]:
    """Every table: a metric each, then the codebook, then the paper where nothing else has it.

    Args:
        summary: Of the study.
        short: Leave out the same-modality directions, and further splits and features.
    """
    metrics = [m for m in summary.metrics() if m != CODEBOOK]
    first = [m for m in metrics if is_headline(m)]
    tables = [metric_table(summary, metric) for metric in first]
    if not short:
        within = [within_table(summary, metric) for metric in first]
        tables += [table for table in within if table is not None]
        tables += [metric_table(summary, m) for m in metrics if m not in first]
    if CODEBOOK in summary.metrics():
        tables.append(codebook_table(summary))
    paper = summary.study.paper
    if paper is not None and not any(paper_figures(summary, m) for m in metrics):
        tables += [paper_table(summary, paper, name) for name in paper.lists]
    return tables


def metric_title(metric: str) -> str:
    """A metric as people read it: ``AVE accuracy``, ``Classification``."""
    head, comma, rest = metric.partition(", ")
    known = benchmarks.entries.get(head)
    shown = (
        head[:1].upper() + head[1:] if known is None else f"{head.upper()} {known.part.headline}"
    )
    return f"{shown}{comma}{rest}"


def is_headline(metric: str) -> bool:
    """Whether a metric is no further split or other features of another one."""
    return ", " not in metric


def metric_table(summary: StudySummary, metric: str) -> Table:
    """Directions between modalities, their mean first, and the paper's figures beside them."""
    columns = [c for c in summary.columns(metric) if not is_within(c)]
    paper = paper_figures(summary, metric)
    rows = []
    for row in summary.rows:
        told = [paper[d].get(row.variant.name) for d in paper]
        figures = ["–" if t is None else figure_text(t) for t in told]
        rows.append((row.variant.title, *cells(row, metric, columns), *figures))
    heads = ["mean across" if c == MEAN else arrow(c) for c in columns]
    heads += [f"paper {arrow(d)}" for d in paper]
    note = counts_note(summary)
    if paper and (source := summary.study.paper) is not None:
        note += f" The paper's figures: {source.source}, published protocol. {source.note}"
    return plain(metric_title(metric), ("", *heads), rows, note)


def within_table(summary: StudySummary, metric: str) -> Table | None:
    """Directions within a modality: what a head reaches without a change of modality."""
    columns = [c for c in summary.columns(metric) if is_within(c)]
    if not columns:
        return None
    rows = [(row.variant.title, *cells(row, metric, columns)) for row in summary.rows]
    heads = [c.partition("->")[0] for c in columns]
    title = f"{metric_title(metric)} within a modality"
    return plain(title, ("", *heads), rows, counts_note(summary))


def codebook_table(summary: StudySummary) -> Table:
    """Use of the codebook on held-out clips."""
    columns = [c for c in CODEBOOK_COLUMNS if c in summary.columns(CODEBOOK)]
    rows = []
    for row in summary.rows:
        book = summary.identity.config_of(row.variant.name).model.codebook
        size = getattr(book, "size", 0)
        rows.append((row.variant.title, count_text(size), *cells(row, CODEBOOK, columns)))
    heads = ("", "codes", *(CODEBOOK_COLUMNS[c] for c in columns))
    return plain("Use of the codebook", heads, rows, counts_note(summary, percent=False))


def paper_table(summary: StudySummary, paper: PaperTable, name: str) -> Table:
    """The paper's figures for the same rows on its own data, with differences to the reference."""
    found = paper.lists[name]
    reference = found.get(summary.study.reference)
    rows = []
    for variant in summary.study.variants:
        if variant.name in found:
            apart = None if variant.name == summary.study.reference else reference
            shown = [
                figure_text(figure) + ("" if apart is None else f" ({figure - apart[i]:+.1f})")
                for i, figure in enumerate(found[variant.name])
            ]
            rows.append((variant.title, *(cell.replace("-", "−") for cell in shown)))
    heads = [f"{b.upper()} {arrow(d)}" for b, _, d in (c.partition("/") for c in paper.columns)]
    why = f" ({summary.identity.unlike})" if summary.identity.unlike else ""
    note = f"Other data than above{why}: compare the order of the rows, not the figures. "
    title = f"The paper: {paper.source}, VGGSound {name}"
    return plain(title, ("", *heads), rows, f"{note}{paper.note}".strip())


def paper_figures(summary: StudySummary, metric: str) -> dict[str, dict[str, float]]:
    """The paper's figure per direction and variant, for a metric that it reports."""
    paper = summary.study.paper
    if paper is None or summary.identity.unlike:
        return {}
    name = summary.identity.base.data.list
    rows = paper.lists.get(name or "", {})
    if len(paper.lists) == 1:
        rows = next(iter(paper.lists.values()))
    found: dict[str, dict[str, float]] = {}
    for i, column in enumerate(paper.columns):
        benchmark, _, direction = column.partition("/")
        if benchmark == metric and rows:
            found[direction] = {variant: figures[i] for variant, figures in rows.items()}
    return found


def figure_text(figure: float) -> str:
    """A figure as the paper prints it, with one decimal or two."""
    shown = f"{figure:.2f}"
    return shown.removesuffix("0")


def cells(row: SummaryRow, metric: str, columns: Sequence[str]) -> list[str]:
    """The scores of a metric, and in brackets their differences to the reference."""
    found = []
    for key in (f"{metric}/{column}" for column in columns):
        shown = score_text(row.scores[key]) if key in row.scores else "–"
        apart = row.differences.get(key)
        found.append(shown if apart is None else f"{shown} ({difference_text(apart)})")
    return found


def difference_text(score: Score) -> str:
    """A signed difference with its deviation where there is more than one seed."""
    spread = f" ± {score.std:.1f}" if score.n > 1 else ""
    return f"{round(score.mean, 1) + 0.0:+.1f}{spread}".replace("-", "−")  # no minus before 0.0


def counts_note(summary: StudySummary, percent: bool = True) -> str:
    """How many seeds, and what the brackets hold."""
    counts = sorted({len(row.seeds) for row in summary.rows})
    shown = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    unit = "Percent, mean" if percent else "Mean"
    spread = " ± standard deviation" if counts[-1] > 1 else ""
    reference = summary.study.variant(summary.study.reference).title
    return (
        f"{unit}{spread} over {shown} pre-training seed{'s' if counts[-1] > 1 else ''}; in "
        f"brackets the difference to “{reference}”"
        + (", seed by seed, with its own deviation." if counts[-1] > 1 else ".")
    )


def is_within(column: str) -> bool:
    """Whether a direction stays within a modality."""
    source, found, target = column.partition("->")
    return bool(found) and source == target


def headlines(summary: StudySummary) -> Sequence[str]:
    """What a study is, in a few lines for the terminal and the top of the files."""
    scorer = summary.identity.scorer
    lines = [summary.study.about, f"Scored by {scorer}."]
    if "simulated data" in scorer:
        lines.append(SIMULATED)
    if summary.missing:
        lines.append(f"Not run yet: {', '.join(summary.missing)}.")
    return lines
