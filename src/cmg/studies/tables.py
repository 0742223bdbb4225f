"""A study's numbers as tables: the terminal, Markdown and HTML show the same ones."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.evaluation.scores import Score
from cmg.report.prose import count_text
from cmg.report.tables import (
    Table,
    arrow,
    ends,
    in_text,
    interval_text,
    plain,
    score_text,
)
from cmg.studies.definition import PaperTable
from cmg.studies.scorers import CODEBOOK
from cmg.studies.summary import MEAN, StudySummary, SummaryRow
from cmg.tasks.benchmark import benchmarks

CODEBOOK_COLUMNS = {
    "used": "codes used",
    "perplexity": "perplexity",
    "shared": "% of used codes shared",
}
DECIDES = 2.0
"""Half-width of the 95 % interval of a difference, in points, from which on it says nothing."""


def study_tables(summary: StudySummary, short: bool = False) -> list[Table]:
    """Every table: a metric each, then the codebook, then the paper where nothing else has it.

    Args:
        summary: Of the study.
        short: Leave out the same-modality directions, and further splits and features.
    """
    metrics = [m for m in summary.metrics() if m != CODEBOOK]
    first = [m for m in metrics if is_headline(m)]
    tables = [metric_table(summary, metric) for metric in first]
    tables += [paired_table(summary, m) for m in first if f"{m}/{MEAN}" in summary.paired]
    if not short:
        inside = [m for m in first if any(map(is_within, summary.columns(m)))]
        tables += [metric_table(summary, metric, within=True) for metric in inside]
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


def metric_table(summary: StudySummary, metric: str, within: bool = False) -> Table:
    """Directions between modalities, their mean first, and the paper's figures beside them.

    Args:
        summary: Of the study.
        metric: One of its metrics.
        within: Take those within a modality: what a head reaches without a change of modality.
    """
    columns = [c for c in summary.columns(metric) if is_within(c) == within]
    paper = {} if within else paper_figures(summary, metric)
    rows = []
    for row in summary.rows:
        told = [paper[d].get(row.variant.name) for d in paper]
        figures = ["–" if t is None else figure_text(t) for t in told]
        rows.append((row.variant.title, *cells(row, metric, columns), *figures))
    heads = ["mean across" if c == MEAN else ends(c)[0] if within else arrow(c) for c in columns]
    heads += [f"paper {arrow(d)}" for d in paper]
    note = counts_note(summary)
    if paper and (source := summary.study.paper) is not None:
        note += f" The paper's figures: {source.source}, published protocol. {source.note}"
    title = metric_title(metric) + " within a modality" * within
    return plain(title, ("", *heads), rows, note)


def paired_table(summary: StudySummary, metric: str) -> Table:
    """The mean over the directions between modalities against the reference, fold by fold."""
    rows = []
    for row in summary.rows:
        apart = row.differences.get(f"{metric}/{MEAN}")
        if apart is not None:
            told = (in_text(apart.mean), interval_text(apart), str(apart.n), verdict(apart))
            rows.append((row.variant.title, *told))
    reference = summary.study.variant(summary.study.reference).title
    title = f"{metric_title(metric)}, mean across, against “{reference}”"
    note = "Differences in points within each fold, seeds averaged inside it; 95 % t-interval."
    return plain(title, ("", "difference", "95 % interval", "folds", "what it says"), rows, note)


def verdict(apart: Score) -> str:
    """What the interval of a difference says, or how many units would say something."""
    if apart.interval is None:
        return "one fold says nothing of others"
    low, high = apart.interval
    side = "above" if low > 0 else "below" if high < 0 else ""
    if (high - low) / 2 > DECIDES:
        open_still = f"not decidable at this size: {apart.enough(DECIDES)} would decide"
        return f"{side}; by how much is {open_still}" if side else open_still
    return side or "no difference found"


def codebook_table(summary: StudySummary) -> Table:
    """Use of the codebook on held-out clips."""
    columns = [c for c in CODEBOOK_COLUMNS if c in summary.columns(CODEBOOK)]
    rows = []
    for row in summary.rows:
        if f"{CODEBOOK}/{columns[0]}" not in row.scores:
            continue
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
        shown = score_text(row.scores.get(key))
        apart = row.differences.get(key)
        if apart is not None:
            shown = f"{shown} ({difference_text(apart, bool(row.folds))})"
        found.append(shown)
    return found


def difference_text(score: Score, folded: bool) -> str:
    """A signed difference, with its interval over folds or its deviation over seeds."""
    if folded:
        return f"{in_text(score.mean)}; {interval_text(score)}"
    return in_text(score.mean) + (f" ± {score.std:.1f}" if score.n > 1 else "")


def counts_note(summary: StudySummary, percent: bool = True) -> str:
    """How many seeds and folds, and what the brackets hold."""
    folded = bool(summary.identity.folds)
    seeds = [len(row.seeds) for row in summary.rows]
    units = [len(row.folds) for row in summary.rows] if folded else seeds
    many = max(units) > 1
    unit = "Percent, mean" if percent else "Mean"
    spread = " ± standard deviation" if many else ""
    over = counted(units, "fold" if folded else "pre-training seed")
    inside = f", {counted(seeds, 'pre-training seed')} averaged inside each" if folded else ""
    reference = summary.study.variant(summary.study.reference).title
    own = (
        "fold by fold, with its 95 % interval" if folded else "seed by seed, with its own deviation"
    )
    return f"{unit}{spread} over {over}{inside}; in brackets the difference to “{reference}”" + (
        f", {own}." if many else "."
    )


def counted(counts: Sequence[int], what: str) -> str:
    """``2 to 3 folds``, of rows that differ."""
    shown = " to ".join(str(n) for n in dict.fromkeys((min(counts), max(counts))))
    return f"{shown} {what}{'s' if max(counts) > 1 else ''}"


def is_within(column: str) -> bool:
    """Whether a direction stays within a modality."""
    source, target = ends(column)
    return source == target
