"""The targets of the benchmarks beside what was measured: told, never asserted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.figures import Figure, markdown

Found = Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True)
class Target:
    """A number to be reached.

    Attributes:
        text: What it is about.
        section: Where it is measured.
        figure: Its name there.
        goal: To be reached.
        unit: Of the goal.
        side: Whether the median has to be at least or at most the goal.
    """

    text: str
    section: str
    figure: str
    goal: float
    unit: Literal["x", " %"] = "x"
    side: Literal["at least", "at most"] = "at least"

    def row(self, found: Found, judged: bool = True) -> list[str]:
        """Of the table.

        Args:
            found: Figures by section.
            judged: Whether to say that the goal is met or not.
        """
        goal = f"{self.side} {self.goal:g}{self.unit}"
        figure = found.get(self.section, {}).get(self.figure)
        if figure is None:
            return [self.text, goal, "not measured", "–"]
        least = self.side == "at least"
        met = figure.value >= self.goal if least else figure.value <= self.goal
        verdict = ("yes" if met else "**no**") if judged else "–"
        return [self.text, goal, figure.told() + self.unit, verdict]


TARGETS = (
    Target("published step, float32, against looped float64", "published", "faster: float32", 12),
    Target("published step, bf16, unchanged mathematics", "published", "faster: bf16", 25),
    Target("published step, lean and bf16", "published", "faster: lean bf16", 100),
    *(
        Target(
            f"convolutional part, {name}, of the matmul peak",
            "components",
            f"convolutional part: {name}, of the peak",
            60,
            " %",
        )
        for name in ("float32", "bf16")
    ),
    *(
        Target(
            f"peak anonymous memory, {name}, of looped float64's",
            "memory",
            f"{name} / looped float64",
            50,
            " %",
            "at most",
        )
        for name in ("float32", "bf16", "lean bf16")
    ),
    *(
        Target(
            f"reading, warm, {form}, against a zip per clip",
            "loading",
            f"reading: warm: {form}: ratio",
            10,
        )
        for form in ("dense float32", "compact float32")
    ),
    Target(
        "import of zips, ISA-L against zlib",
        "loading",
        "import: 1 worker, ISA-L: ratio",
        1.2,
    ),
    Target(
        "two ranks on a core each, lean, float32, 80 clips",
        "ranks",
        "lean float32, 80 clips: efficiency",
        85,
        " %",
    ),
    *(
        Target(
            f"published step, {name}, waits for data",
            "waiting",
            f"{name}, read ahead: waiting",
            1,
            " %",
            "at most",
        )
        for name in ("bf16", "lean bf16")
    ),
)


def targets_table(found: Found, quick: bool = False) -> str:
    """Every target, measured or not.

    Args:
        found: Figures by section.
        quick: Whether sizes were tiny, so that nothing of this means anything.
    """
    rows = [target.row(found, judged=not quick) for target in TARGETS]
    lines = [markdown(("target", "goal", "measured", "met"), rows)]
    given = parts_line(found.get("published", {}))
    lines += ["", given] if given else []
    if quick:
        lines = ["(tiny sizes: these say only that everything runs)", "", *lines]
    return "\n".join(lines)


def parts_line(published: Mapping[str, Figure]) -> str:
    """What gives the lean bf16 step its factor."""
    parts = [
        f"{name.removeprefix('part: ')} {figure.value:.3g}x"
        for name, figure in published.items()
        if name.startswith("part: ")
    ]
    return f"Of lean and bf16: {'; '.join(parts)}." if parts else ""
