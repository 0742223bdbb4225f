"""Draw what rounding adds or costs: heads on features and on their codes, across modalities.

python tools/rounding_figure.py docs/results/recipe-parts-watch.json docs/results/rounding-watch.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cmg.report.charts import nice_ticks, tick_text
from cmg.report.svg import n, rule, svg, text
from cmg.studies.scorers import UNQUANTIZED
from cmg.studies.summary import MEAN

CODES, FEATURES = f"classification/{MEAN}", f"classification, {UNQUANTIZED}/{MEAN}"
LABELS, WIDTH, TOP, LINE = 230.0, 420.0, 56.0, 26.0
STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#16202b}.small{font-size:11px;fill:#55616f}"
    ".grid{stroke:#d9dee5}.up{stroke:#0b5cad;stroke-width:2}.down{stroke:#b5541c;stroke-width:2}"
    "rect{fill:#fff}</style>"
)


def figure(rows: dict[str, Any]) -> str:
    """A line per row of a study, from its features to its codes."""
    found: list[tuple[str, float, float]] = [
        (row["title"], row["scores"][FEATURES]["mean"], row["scores"][CODES]["mean"])
        for row in rows.values()
        if {CODES, FEATURES} <= row["scores"].keys()
    ]
    if not found:
        raise SystemExit(f"no row has both {CODES!r} and {FEATURES!r}")
    values = [value for _, *pair in found for value in pair]
    low, high = min(values) - 1, max(values) + 1
    bottom = TOP + LINE * len(found)

    def at(value: float) -> float:
        return LABELS + WIDTH * (value - low) / (high - low)

    parts = [STYLE, '<rect width="100%" height="100%"/>']
    parts.append(text(LABELS, 18, "right across modalities, per cent"))
    parts.append(text(LABELS, 36, "ring: heads on features; dot: heads on codes", "small"))
    for tick in (tick for tick in nice_ticks(low, high) if low <= tick <= high):
        parts.append(rule((at(tick), TOP - 8), (at(tick), bottom), "grid"))
        parts.append(text(at(tick), bottom + 16, tick_text(tick), "small", "middle"))
    for i, (title, features, codes) in enumerate(found):
        y, kind = TOP + LINE * (i + 0.5), "up" if codes >= features else "down"
        color = {"up": "#0b5cad", "down": "#b5541c"}[kind]
        parts.append(text(LABELS - 14, y + 4, title, "", "end"))
        parts.append(rule((at(features), y), (at(codes), y), kind))
        parts.append(
            f'<circle cx="{n(at(features))}" cy="{n(y)}" r="4.5" fill="#fff" stroke="{color}"/>'
            f'<circle cx="{n(at(codes))}" cy="{n(y)}" r="4.5" fill="{color}"/>'
        )
        gain = f"{codes - features:+.1f}".replace("-", "−")
        parts.append(text(LABELS + WIDTH + 14, y + 4, gain))
    label = "Accuracy across modalities of heads on features and on codes"
    drawn = svg(LABELS + WIDTH + 60, bottom + 28, "".join(parts), label)
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    rows = json.loads(source.read_text(encoding="utf-8"))["rows"]
    target.write_text(figure(rows) + "\n", encoding="utf-8")
