"""Localization as pictures: what is true and what was predicted, second by second."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.report.gather import evenly
from cmg.report.svg import legend, n, rule, svg, text
from cmg.tasks.outcome import Outcome

CLIPS = 12
COLORS = {"truth": "var(--m0)", "prediction": "var(--m1)", "both": "var(--m2)"}
CELL, ROW, LEFT = 30.0, 16.0, 168.0


@dataclass(frozen=True)
class EventTimeline:
    """One clip.

    Attributes:
        id: Of the clip.
        classes: Names of the classes that are true or predicted somewhere, background last.
        truth: Bool [C', T].
        predicted: Bool [C', T].
    """

    id: str
    classes: list[str]
    truth: Tensor
    predicted: Tensor


def event_timelines(outcome: Outcome, direction: str, wanted: int = CLIPS) -> list[EventTimeline]:
    """Some test clips, evenly spaced, as the first seed's head saw them.

    Args:
        outcome: Of localization.
        direction: For example "video->audio".
        wanted: How many clips at most.
    """
    said = outcome.predictions[direction]
    seed = min(said.probabilities)
    shown = []
    for i in evenly(len(said.rows), wanted):
        counts = (said.truth[i] >= 0).all(1)
        truth = (said.truth[i] > 0)[counts].T
        predicted = (said.probabilities[seed][i] > 0.5)[counts].T
        used = torch.nonzero((truth | predicted).any(1)).flatten().tolist()
        names = [outcome.classes[c] for c in used]
        shown.append(EventTimeline(said.rows[i].id, names, truth[used], predicted[used]))
    return shown


def timeline_picture(one: EventTimeline) -> str:
    """A row per class, a cell per second: truth above, prediction below, one block where both."""
    steps = one.truth.shape[1]
    width, height = LEFT + max(steps, 8) * CELL + 6, 44 + len(one.classes) * (ROW + 6) + 4
    parts = [text(0, 16, shortened(one.id), "title"), *legend(COLORS, LEFT, 0)]
    parts += [text(LEFT + (t + 0.5) * CELL, 36, str(t), "tick", "middle") for t in range(steps)]
    agreed = 0
    for row, name in enumerate(one.classes):
        top = 44 + row * (ROW + 6)
        parts.append(text(LEFT - 8, top + 12, shortened(name), "", "end"))
        parts.append(rule((LEFT, top + ROW + 2), (LEFT + steps * CELL, top + ROW + 2), "grid"))
        for t in range(steps):
            true, said = bool(one.truth[row, t]), bool(one.predicted[row, t])
            agreed += true and said
            parts.append(_cell(LEFT + t * CELL, top, true, said))
    label = (
        f"{one.id}: {int(one.truth.sum())} true cells, {int(one.predicted.sum())} predicted, "
        f"{agreed} both"
    )
    return svg(width, height, "".join(parts), label, "chart")


def _cell(x: float, top: float, true: bool, said: bool) -> str:
    if true and said:
        kind, y, height = "both", top, ROW
    elif true:
        kind, y, height = "truth", top, ROW / 2
    elif said:
        kind, y, height = "prediction", top + ROW / 2, ROW / 2
    else:
        return ""
    return (
        f'<rect x="{n(x + 1)}" y="{n(y)}" width="{n(CELL - 2)}" height="{n(height)}" rx="2" '
        f'style="fill:{COLORS[kind]}"><title>{kind}</title></rect>'
    )


def shortened(name: str, longest: int = 24) -> str:
    """A name that fits beside a row."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
