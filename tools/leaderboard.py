"""Put what finished studies found into docs/results/leaderboard.json, .svg, and pages that show it.

python tools/leaderboard.py watch=studies/zoo-watch emoji=studies/zoo-emoji
python tools/leaderboard.py                    the table again, from the file

A study of the zoo, or `evidence`, whose row `codes` is the default. What is there of a set stays
where it is of a study of the same name and this one has no such row: methods may be run one after
the other, on the same folds. A row that is not finished is left out, and named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from demo_table import put
from evidence import RESULTS, by_direction, mean_of, score_of

from cmg.errors import ConfigError
from cmg.evaluation.scores import Score, plain
from cmg.report.charts import AxisScale, nice_ticks, tick_text
from cmg.report.colors import modality_colors
from cmg.report.html import standalone
from cmg.report.markdown import table
from cmg.report.svg import n, rule, svg, text
from cmg.report.tables import crossing, in_text, score_text
from cmg.report.tables import plain as texts
from cmg.studies.definition import COMPUTED as CONTROLS
from cmg.studies.ledger import (
    CHOICE,
    STUDY,
    finished_jobs,
    read_identity,
    read_job,
    unfinished_jobs,
)
from cmg.studies.summary import summarized

FILE, PAGE, PLACE = "leaderboard.json", Path("docs/leaderboard.md"), "leaderboard"
DEFAULT, INFONCE = "default", "infonce"
RENAMED = {"codes": DEFAULT}
"""Rows of `evidence` by the names that they have here."""
METRIC, EVIDENCE = "classification", "evidence"
"""The metric of stores; of an official folder its first benchmark's is taken."""
COMPUTED = ("ridge", "cca")
"""Of what needs no training, that are methods."""

Rows = dict[str, dict[str, Any]]
"""By method: ``study``, ``across``, ``paired_to_default``, ``paired_to_infonce``, ``seconds``,
``tries``, or ``not_applicable`` with the reason."""


def rows_of(folder: Path, before: Rows | None = None) -> Rows:
    """Every method of a study; controls, further reads and what is not finished are left out.

    Args:
        folder: Of the study.
        before: What is known of the set, with which methods are compared that this study lacks.

    Raises:
        ConfigError: it was run to choose, or the default or InfoNCE are neither finished in it nor
            known of as many folds.
        DataError: no study there, or damaged files.
    """
    summary = summarized(folder)
    left = {key.variant for key in unfinished_jobs(folder, summary.identity)}
    if left:
        print(f"{folder}: not finished, so left out: {', '.join(sorted(left))}")
    if summary.identity.base.data.test_split != "test":
        raise ConfigError(f"{folder} was scored on {summary.identity.base.data.test_split}")
    scores, told = {}, Rows()
    metric = METRIC if METRIC in summary.metrics() else summary.metrics()[0]
    for row in summary.rows:
        name = row.variant.name
        if name in left or "/" in name or (row.variant.control and name not in COMPUTED):
            continue
        found = mean_of(crossing(by_direction(row, metric)))
        if found is not None:
            scores[RENAMED.get(name, name)] = found
    study = summary.study.name
    usual = {n: scores.get(n) or score_before(before or {}, n, study) for n in (DEFAULT, INFONCE)}
    for name, other in usual.items():
        if other is None or any(other.n != own.n for own in scores.values()):
            raise ConfigError(f"{folder} has no row {name} of the folds that it has of others")
    for name, own in scores.items():
        paired = {
            f"paired_to_{n}": None if n == name else apart(own, other)
            for n, other in usual.items()
            if other is not None
        }
        told[name] = {
            "study": study,
            "across": plain(own, "values"),
            **paired,
            "seconds": seconds_of(folder, name),
            "tries": tries_of(folder, name),
        }
    for name, why in summary.study.unfit.items():
        if name != CONTROLS:
            told[name] = {"study": study, "not_applicable": why}
    return told


def score_before(before: Rows, name: str, study: str) -> Score | None:
    """What is known of a method from an earlier part of a study."""
    row = before.get(name, {})
    return score_of(row["across"]) if row.get("study") == study and "across" in row else None


def apart(own: Score, other: Score) -> dict[str, float | None]:
    """The difference, unit by unit, with its 95 % interval."""
    found = Score.of([a - b for a, b in zip(own.values, other.values, strict=False)])
    low, high = found.interval or (None, None)
    return {"mean": found.mean, "low": low, "high": high}


def seconds_of(folder: Path, name: str) -> float | None:
    """Mean seconds of a job, training and heads; None of what is not trained."""
    wanted = {name, *(old for old, new in RENAMED.items() if new == name)}
    records = [read_job(folder, k) for k in finished_jobs(folder) if k.variant in wanted]
    times = [record.seconds for record in records if record is not None]
    return round(fmean(times), 1) if times else None


def tries_of(folder: Path, name: str) -> int | None:
    """How many tries on the validation split it is the best of; None where none were told."""
    if not (folder / CHOICE / STUDY).is_file():
        return None
    return len(read_identity(folder / CHOICE).study.tries().get(name, ())) or None


def page_table(board: Mapping[str, Rows]) -> str:
    """A row per method, with its difference to the default; a column per set."""
    names = methods_of(board)
    rows = [(name, *(cell(found.get(name)) for found in board.values())) for name in names]
    return "\n" + table(texts("", ("method", *board), rows)) + "\n\n"


OWN = "figures"
PAGES = {
    Path("docs/methods/codaar.md"): ("codaar",),
    Path("docs/methods/fcid.md"): ("fcid",),
    Path("docs/methods/micu.md"): ("micu",),
    Path("docs/methods/srcid.md"): ("srcid",),
    Path("docs/methods/rivals.md"): (
        *("baseline", "cmcm", "s-mit", "mst", "codis", "turn", "siglip"),
    ),
}
"""Pages of methods, and whose rows of the table they repeat."""


def own_table(board: Mapping[str, Rows], names: Sequence[str]) -> str:
    """The rows of some methods, on the sets that any of them has."""
    some = {s: {n: r[n] for n in names if n in r} for s, r in board.items()}
    return page_table({title: rows for title, rows in some.items() if rows})


def cell(found: Mapping[str, Any] | None) -> str:
    """Mean and spread, and the difference to the default with its interval."""
    if found is None or "not_applicable" in found:
        return "–" if found is None else f"not applicable: {found['not_applicable']}".split(";")[0]
    told = score_text(score_of(found["across"]))
    paired = found["paired_to_default"]
    if paired is None or paired["low"] is None:
        return told
    half = (paired["high"] - paired["low"]) / 2
    return f"{told} ({in_text(paired['mean'])} ± {half:.1f})"


LABELS, PANEL, GAP, LINE, TOP = 120.0, 190.0, 30.0, 22.0, 40.0
"""Widths of the names, of a set's panel and between panels; heights of a row and above."""


def plot(board: Mapping[str, Rows]) -> str:
    """A row per method and a panel per set: means with their deviations, a line at the default."""
    names = [n for n in methods_of(board) if any("across" in r.get(n, {}) for r in board.values())]
    bottom = TOP + LINE * len(names)
    parts = [
        text(LABELS - 10, TOP + LINE * (i + 0.5) + 4, name, "", "end")
        for i, name in enumerate(names)
    ]
    color = modality_colors(["mean"])["mean"]
    for i, (title, rows) in enumerate(board.items()):
        found = {n: score_of(rows[n]["across"]) for n in names if "across" in rows.get(n, {})}
        edge = LABELS + i * (PANEL + GAP)
        ends = [x for s in found.values() for x in (s.mean - s.std, s.mean + s.std)]
        ticks = nice_ticks(max(0.0, min(ends)), min(100.0, max(ends)))
        scale = AxisScale(ticks[0], ticks[-1], edge, edge + PANEL)
        parts.append(text(edge, TOP - 20, f"{title}, %", "title"))
        for tick in ticks:
            parts.append(rule((scale.at(tick), TOP - 6), (scale.at(tick), bottom), "grid"))
            parts.append(text(scale.at(tick), bottom + 16, tick_text(tick), "tick", "middle"))
        if DEFAULT in found:
            x = scale.at(found[DEFAULT].mean)
            parts.append(rule((x, TOP - 6), (x, bottom), "threshold"))
        for name, own in found.items():
            y = TOP + LINE * (names.index(name) + 0.5)
            a, x, b = (scale.at(own.mean + k * own.std) for k in (-1, 0, 1))
            parts.append(
                f'<g><title>{name}: {score_text(own)}</title><line x1="{n(a)}" y1="{n(y)}" '
                f'x2="{n(b)}" y2="{n(y)}" style="stroke:{color};stroke-width:1.6"/>'
                f'<circle cx="{n(x)}" cy="{n(y)}" r="3.4" style="fill:{color}"/></g>'
            )
    width = LABELS + len(board) * (PANEL + GAP)
    said = f"Mean accuracy across modalities of {len(names)} methods on {len(board)} sets"
    return standalone(svg(width, bottom + 28, "".join(parts), said))


def methods_of(board: Mapping[str, Rows]) -> list[str]:
    """All methods of a board, in the order of its sets."""
    return list(dict.fromkeys(name for rows in board.values() for name in rows))


def main(arguments: Sequence[str]) -> None:
    """Read studies, write the file and the plot, put the table into the page."""
    path = RESULTS / FILE
    board: dict[str, Rows] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for argument in arguments:
        name, _, folder = argument.partition("=")
        before = board.get(name, {})
        found = rows_of(Path(folder), before)
        studies = {row["study"] for row in found.values()}
        kept = {n: row for n, row in before.items() if row.get("study", EVIDENCE) in studies}
        board[name] = kept | found
    path.write_text(json.dumps(board, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".svg").write_text(plot(board), encoding="utf-8")
    put(PAGE, PLACE, page_table(board))
    for page, names in PAGES.items():
        put(page, OWN, own_table(board, names))


if __name__ == "__main__":
    main(sys.argv[1:])
