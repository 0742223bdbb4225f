"""Tables as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cmg.evaluation.scores import Score, ScoreMap
from cmg.report.prose import CONTROLS

if TYPE_CHECKING:
    from cmg.evaluation.results import Results


FACTS = "facts"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: Plain text, not escaped.
        heat: Position on the color scale, 0..1; None for a plain cell.
        marked: Whether it is set apart (same modality in a transfer matrix).
    """

    text: str
    heat: float | None = None
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What it is.
        columns: Headers, that of the row headers first.
        rows: Cells, the row header first.
        note: Below the table.
        cls: CSS class; :data:`FACTS` are settings rather than results, which a terminal leaves out.
        drawn: A further column of the page, its header first: SVG.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    cls: str = ""
    drawn: Sequence[str] = ()

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
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "", cls: str = ""
) -> Table:
    """A table of texts."""
    cells = tuple(tuple(Cell(text) for text in row) for row in rows)
    return Table(title, tuple(columns), cells, note, cls)


def arrow(direction: str) -> str:
    """``audio->video`` as people read it."""
    return direction.replace("->", " → ")


def score_text(score: Score) -> str:
    """Percent with one decimal; with the deviation where there is more than one value."""
    spread = f" ± {score.std:.1f}" if score.n > 1 else ""
    return f"{score.mean:.1f}{spread}"


def crossing(scores: Mapping[str, Found], same: bool = False) -> dict[str, Found]:
    """Only the directions between different modalities, or only those within one."""
    return {d: s for d, s in scores.items() if (len(set(_pair(d))) == 1) == same}


def mean_of(scores: ScoreMap) -> float:
    """Mean of the directions' means, in percent.

    Args:
        scores: At least one direction.
    """
    return sum(s.mean for s in scores.values()) / len(scores)


def _pair(direction: str) -> tuple[str, str]:
    source, _, target = direction.partition("->")
    return source, target


def transfer_matrix(title: str, scores: ScoreMap, why: str = "") -> Table:
    """Rows are what heads were trained on, columns what they were read on.

    Args:
        title: Of the table.
        scores: By direction.
        why: A sentence on what is read, which begins the note.
    """
    sources = list(dict.fromkeys(_pair(direction)[0] for direction in scores))
    targets = list(dict.fromkeys(_pair(direction)[1] for direction in scores))
    rows = []
    for source in sources:
        row = [Cell(source)]
        for target in targets:
            score = scores.get(f"{source}->{target}")
            if score is None:
                row.append(Cell("–"))
            else:
                row.append(Cell(score_text(score), score.mean / 100, source == target))
        rows.append(tuple(row))
    columns = ("train on ↓ / test on →", *targets)
    note = f"{why} {counts_note(scores)}".strip()
    return Table(title, columns, tuple(rows), note, cls="matrix")


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
    out = []
    for name, scores in rows.items():
        across, within = crossing(scores), crossing(scores, same=True)
        texts = ["–", "–", "–"]
        if across:
            means = [s.mean for s in across.values()]
            texts = [f"{mean_of(across):.1f}", f"{min(means):.1f}", f"{max(means):.1f}"]
        texts.append(f"{mean_of(within):.1f}" if within else "–")
        title, why = CONTROLS.get(name, (name.replace("_", " "), ""))
        out.append((title, *texts, why))
    columns = ("heads read", "across, mean", "lowest", "highest", "within", "what it tells")
    return plain("Controls", columns, out)


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
        row = [CONTROLS.get(name, (name, ""))[0]]
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
    columns = ["direction", *(CONTROLS.get(n, (n, ""))[0] for n in rows)]
    body = []
    for direction in names:
        found = [scores.get(direction) for scores in rows.values()]
        texts = ["–" if s is None else score_text(s) for s in found]
        body.append([arrow(direction), *texts])
    return plain("Every direction", columns, body)
