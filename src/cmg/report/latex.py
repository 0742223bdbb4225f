"""A table in LaTeX, for a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cmg.report.tables import Table

_ESCAPES = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "[": "{[}",  # behind the end of a row it would begin a length, and * would belong to it
    "*": "{*}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
}


def latex(data: Table) -> str:
    """A ``tabular`` with the rules of the package booktabs; title and note are comments."""
    head, *rows = map(_row, data.texts)
    columns = "l" + "".join("r" if short else "l" for short in data.short)
    lines = [
        *(f"% {' '.join(told.split())}" for told in (data.title, data.note) if told),
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(map(escaped, cells))} \\"


def escaped(text: str) -> str:
    """Plain text in one line; signs that LaTeX would interpret, or whose letters it lacks."""
    signs = "|".join(map(re.escape, _ESCAPES))
    return re.sub(signs, lambda found: _ESCAPES[found[0]], " ".join(text.split()))
