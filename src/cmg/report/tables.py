"""Tables as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from cmg.evaluation.scores import Score, ScoreMap
from cmg.report.prose import CONTROLS, control_title
from cmg.report.svg import dot_strip

if TYPE_CHECKING:
    from cmg.evaluation.results import Results


FACTS = "facts"
NAMED = 4
"""Directions that a note names; of more it says how many."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: Plain text, not escaped.
        heat: Position on the color scale, :func:`above_chance`; None for a plain cell.
        marked: Whether it is set apart (same modality in a transfer matrix).
        code: The code whose color it has on the page.
        drawn: What the page has beside the text.
        cls: CSS class.
    """

    text: str
    heat: float | None = None
    marked: bool = False
    code: int | None = None
    drawn: Markup | None = None
    cls: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What it is.
        columns: Headers, that of the row headers first.
        rows: Cells, the row header first.
        note: Below the table.
        cls: CSS class; :data:`FACTS` are settings rather than results, which a terminal leaves out.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    cls: str = ""

    def filled(self) -> Table:
        """Without the columns that say nothing in any row."""
        said = [set(column) - {"", "–"} for column in zip(*self.texts[1:], strict=True)]
        kept = [i for i, found in enumerate(said) if found or i == 0]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in kept), rows=rows)

    @property
    def texts(self) -> list[list[str]]:
        """Headers and rows as plain texts."""
        return [list(self.columns), *([cell.text for cell in row] for row in self.rows)]

    @property
    def short(self) -> list[bool]:
        """Of every column but the first, whether it is of numbers or words as short as these."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        return [all(len(cell.text) <= 14 for cell in column) for column in columns[1:]]


def plain(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    note: str = "",
    cls: str = "",
) -> Table:
    """A table of texts, and of cells that are more than that."""
    cells = tuple(tuple(Cell(x) if isinstance(x, str) else x for x in row) for row in rows)
    return Table(title, tuple(columns), cells, note, cls)


def ends(direction: str) -> tuple[str, str]:
    """Where ``audio->video`` starts and where it ends."""
    source, _, target = direction.partition("->")
    return source, target


def arrow(direction: str) -> str:
    """``audio->video`` as people read it."""
    return direction.replace("->", " → ")


def score_text(score: Score | None) -> str:
    """Percent with one decimal; with the deviation where there is more than one value."""
    if score is None:
        return "–"
    spread = f" ± {score.std:.1f}" if score.n > 1 else ""
    return f"{score.mean:.1f}{spread}"


def interval_text(score: Score, form: str = "+.1f") -> str:
    """Both ends of the 95 % interval."""
    return (
        "–" if score.interval is None else " to ".join(in_text(end, form) for end in score.interval)
    )


def in_text(value: float, form: str = "+.1f") -> str:
    """A difference, or another number, with one decimal."""
    return f"{round(value, 1) + 0.0:{form}}".replace("-", "−")  # no minus before 0.0


def crossing(scores: Mapping[str, Found], same: bool = False) -> dict[str, Found]:
    """Only the directions between different modalities, or only those within one."""
    return {d: s for d, s in scores.items() if (len(set(ends(d))) == 1) == same}


def mean_of(scores: ScoreMap) -> float:
    """Mean of the directions' means, in percent.

    Args:
        scores: At least one direction.
    """
    return sum(s.mean for s in scores.values()) / len(scores)


def above_chance(percent: float, chance: float) -> float:
    """Where a percentage is between chance, 0, and 100 %, 1; below chance down to -1, at 0 %.

    What reads as chance, with one decimal, is chance.
    """
    if abs(percent - chance) < 0.05:
        return 0.0
    return (percent - chance) / (100 - chance if percent > chance else chance)


def transfer_matrix(title: str, scores: ScoreMap, why: str = "", chance: float = 0.0) -> Table:
    """Rows are what heads were trained on, columns what they were read on.

    Args:
        title: Of the table.
        scores: By direction.
        why: A sentence on what is read, which begins the note.
        chance: Percentage from which cells are colored; 0 where it is not known.
    """
    pairs = [ends(direction) for direction in scores]
    sources, targets = (list(dict.fromkeys(side)) for side in zip(*pairs, strict=True))

    def cell(source: str, target: str) -> Cell:
        score = scores.get(f"{source}->{target}")
        heat = None if score is None else above_chance(score.mean, chance)
        return Cell(score_text(score), heat, heat is not None and source == target)

    rows = [(Cell(source), *(cell(source, target) for target in targets)) for source in sources]
    note = f"{why} {counts_note(scores)}".strip()
    if chance:
        note += f" Chance is {chance:.1f} %."
    if below := [arrow(d) for d, score in scores.items() if above_chance(score.mean, chance) < 0]:
        told = ", ".join(below) if len(below) <= NAMED else f"{len(below)} of {len(scores)}"
        note += f" Below chance: {told}."
    return plain(title, ("train on ↓ / test on →", *targets), rows, note, cls="matrix")


def counts_note(scores: ScoreMap) -> str:
    """What the numbers are, and of how many values."""
    counts = sorted({s.n for s in scores.values()})
    if counts == [1]:
        return "Accuracy in percent, one trained head per direction (n = 1)."
    shown = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    return f"Accuracy in percent, mean ± standard deviation of n = {shown} trained heads."


def control_rows(transfer: ScoreMap, controls: Mapping[str, ScoreMap]) -> dict[str, ScoreMap]:
    """The model's own transfer table, then its controls, in the order in which they are told."""
    known = [name for name in CONTROLS if name in controls]
    more = [name for name in controls if name not in CONTROLS]
    return {"codes": transfer} | {n: controls[n] for n in (*known, *more) if controls[n]}


def controls_table(rows: Mapping[str, ScoreMap]) -> Table:
    """A row per control: mean, lowest and highest direction, and what it controls for."""
    out: list[tuple[str | Cell, ...]] = []
    for name, scores in rows.items():
        across, within = crossing(scores), crossing(scores, same=True)
        means, inside = ([s.mean for s in found.values()] for found in (across, within))
        texts = ["–", "–", "–"]
        if across:
            texts = [f"{mean_of(across):.1f}", f"{min(means):.1f}", f"{max(means):.1f}"]
        strip = dot_strip(means, inside, f"{name}: {', '.join(f'{mean:.1f}' for mean in means)}")
        out.append(
            (
                control_title(name),
                Cell(texts[0], drawn=Markup(strip)),
                *texts[1:],
                f"{mean_of(within):.1f}" if within else "–",
                CONTROLS.get(name, ("", ""))[1],
            )
        )
    columns = ("heads read", "across, mean", "lowest", "highest", "within", "what it tells")
    return plain("Controls", columns, out, cls="controls")


def means_across(results: Results) -> dict[str, float]:
    """Mean over directions between modalities of codes and of every control, in percent."""
    rows = control_rows(results.transfer, results.controls)
    across = {name: crossing(scores) for name, scores in rows.items()}
    return {name: mean_of(scores) for name, scores in across.items() if scores}


def sets_table(sets: Mapping[str, Results]) -> Table:
    """A row per heads: their mean across modalities on each set, and how far codes are ahead."""
    of_sets = [means_across(results) for results in sets.values()]
    body = []
    for name in dict.fromkeys(name for means in of_sets for name in means):
        row = [control_title(name)]
        for means in of_sets:
            found, ahead = means.get(name), "–"
            if found is not None and name != "codes":
                ahead = f"{means['codes'] - found:+.1f}"
            row += ["–" if found is None else f"{found:.1f}", ahead]
        body.append(row)
    columns = ["heads read"]
    for name in sets:
        columns += [name, f"{name}: codes ahead by"]
    note = (
        "Accuracy on held-out clips in percent, mean of all directions between modalities and of "
        "all seeds; codes win where they are ahead by more than 0."
    )
    return plain("Mean across modalities", columns, body, note)


def directions_table(rows: Mapping[str, ScoreMap]) -> Table:
    """Every direction of the model and of every control."""
    names = list(dict.fromkeys(d for scores in rows.values() for d in scores))
    columns = ["direction", *map(control_title, rows)]
    body = []
    for direction in names:
        found = [score_text(scores.get(direction)) for scores in rows.values()]
        body.append([arrow(direction), *found])
    return plain("Every direction", columns, body)
