"""The annotation lists of every data set, and how they are cut to a fraction of their size.

The same cut is made of the real lists and of our own: clips are taken in a fixed shuffled order of
their ids, so that an id that two lists share stays in both or in neither.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cmg.official.lists.ave import Annotation
from cmg.simulate.scripts import rank

Row = TypeVar("Row")
FEWEST = 2
"""Clips that a class keeps in every split, at any fraction."""

Clip = tuple[str, str, str]
"""(category, id, split) of VGGSound."""
Action = tuple[str, str]
"""(category, clip name) of UCF-101."""
Shown = tuple[str, str, str, str]
"""(name, start in seconds, category, split) of AVSBench-S4."""
Weak = tuple[str, str]
"""(filename, comma list of categories) of AVVP."""
Combined = tuple[str, str, str, str]
"""(filename, onsets, offsets, categories), comma lists, or of one event in AVVP's dense files."""


@dataclass(frozen=True)
class Lists:
    """Everything the annotation files say: an attribute for the files of that key in the catalogue.

    Names of categories are in the order of the classes; what differs by split or modality is by
    that. Of `more`, the ids of the 40k list are a part; of `avvp_dense` a row is an event, of
    `avvp_combined` and `shared_combined` a clip; `ucf_names` and `vggsound_names` are aligned.
    Without `avsbench` the set is left out.
    """

    vggsound: list[Clip]
    vggsound_categories: list[str]
    prompts: list[tuple[str, str]]
    more: list[str]
    ave: list[Annotation]
    ave_order: dict[str, list[int]]
    avvp_categories: list[str]
    avvp: dict[str, list[Weak]]
    avvp_dense: dict[str, list[Combined]]
    avvp_combined: dict[str, list[Combined]]
    shared_categories: list[str]
    shared_combined: dict[str, list[Combined]]
    ucf_names: list[str]
    vggsound_names: list[str]
    ucf: list[Action]
    vggsound2ucf: list[Clip]
    ucf51_categories: list[str]
    ucf51: list[Action]
    avsbench: list[Shown] = field(default_factory=list)
    avsbench_prompts: list[tuple[str, str]] = field(default_factory=list)

    def cut(self, fraction: float, of_avsbench: float | None = None) -> Lists:
        """The same lists at a fraction of their size; the order of rows is kept.

        Args:
            fraction: Of every set.
            of_avsbench: Of AVSBench, where it differs; 0 leaves none of its clips.
        """
        cut = self if fraction == 1.0 else self._cut_all(fraction)
        share = fraction if of_avsbench is None else of_avsbench
        shown = [] if share == 0 else self.avsbench
        if 0 < share < 1:
            shown = _keep(shown, share, lambda r: (r[2], r[3]), lambda r: r[0])
        return replace(cut, avsbench=shown)

    def _cut_all(self, fraction: float) -> Lists:
        """All lists but AVSBench's at a fraction of their size."""
        vggsound = _keep(self.vggsound, fraction, lambda r: (r[0], r[2]), lambda r: r[1])
        kept = {row[1] for row in vggsound}
        before = {row[1] for row in self.vggsound}
        beyond = [clip for clip in self.more if clip not in before]
        kept_beyond = set(_keep(beyond, fraction, lambda _: "", lambda clip: clip))
        return replace(
            self._cut_ave(fraction)._cut_avvp(fraction),
            vggsound=vggsound,
            more=[clip for clip in self.more if clip in kept or clip in kept_beyond],
            vggsound2ucf=[row for row in self.vggsound2ucf if row[1] in kept],
            ucf=_keep(self.ucf, fraction, lambda r: r[0], lambda r: r[1]),
            ucf51=_keep(self.ucf51, fraction, lambda r: r[0], lambda r: r[1]),
        )

    def _cut_ave(self, fraction: float) -> Lists:
        categories = [row.category for row in self.ave]
        ids = [row.video_id for row in self.ave]
        kept: set[int] = set()
        for order in self.ave_order.values():
            kept.update(_keep(order, fraction, categories.__getitem__, ids.__getitem__))
        number = {row: new for new, row in enumerate(sorted(kept))}
        return replace(
            self,
            ave=[self.ave[row] for row in sorted(kept)],
            ave_order={
                split: [number[row] for row in order if row in kept]
                for split, order in self.ave_order.items()
            },
        )

    def _cut_avvp(self, fraction: float) -> Lists:
        classes: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for modality, table in self.avvp_combined.items():
            for name, _, _, categories in table:
                classes[name] |= {(modality, category) for category in categories.split(",")}
        listed = {name for rows in self.avvp.values() for name, _ in rows}
        kept: set[str] = set()
        for split, rows in self.avvp.items():
            for name, categories in rows if split == "train" else ():
                classes[name] = {("weak", category) for category in categories.split(",")}
            kept.update(_cover([name for name, _ in rows], fraction, classes))
        unlisted = dict.fromkeys(
            row[0] for table in self.avvp_combined.values() for row in table if row[0] not in listed
        )
        kept.update(_keep(list(unlisted), fraction, lambda _: "", lambda name: name))

        def of_kept(tables: dict[str, list[Combined]]) -> dict[str, list[Combined]]:
            return {m: [row for row in rows if row[0] in kept] for m, rows in tables.items()}

        return replace(
            self,
            avvp={s: [row for row in rows if row[0] in kept] for s, rows in self.avvp.items()},
            avvp_dense=of_kept(self.avvp_dense),
            avvp_combined=of_kept(self.avvp_combined),
            shared_combined=of_kept(self.shared_combined),
        )


def scaled(count: int, fraction: float) -> int:
    """How many of `count` clips a class keeps."""
    return max(min(FEWEST, count), math.floor(count * fraction + 0.5))


def exploded(rows: Iterable[Combined]) -> list[Combined]:
    """One event per row, from one clip per row."""
    return [
        (name, *event)
        for name, onsets, offsets, categories in rows
        for event in zip(onsets.split(","), offsets.split(","), categories.split(","), strict=True)
    ]


def combined(rows: Iterable[Combined]) -> list[Combined]:
    """One clip per row, from one event per row; clips in the order in which they first occur."""
    events: dict[str, list[tuple[str, str, str]]] = {}
    for name, onset, offset, category in rows:
        events.setdefault(name, []).append((onset, offset, category))
    found = []
    for name, several in events.items():
        onsets, offsets, categories = zip(*several, strict=True)
        found.append((name, ",".join(onsets), ",".join(offsets), ",".join(categories)))
    return found


def only(rows: Iterable[Combined], categories: Sequence[str]) -> list[Combined]:
    """The events of some categories; clips without any are left out."""
    return combined(row for row in exploded(rows) if row[3] in categories)


def _keep(
    rows: Sequence[Row],
    fraction: float,
    of_class: Callable[[Row], Hashable],
    of_id: Callable[[Row], str],
) -> list[Row]:
    """A fraction of every class, at least two of each, in the order of `rows`."""
    positions = defaultdict(list)
    for position, row in enumerate(rows):
        positions[of_class(row)].append(position)
    kept: set[int] = set()
    for members in positions.values():
        ranked = sorted(members, key=lambda position: rank(of_id(rows[position])))
        kept.update(ranked[: scaled(len(members), fraction)])
    return [row for position, row in enumerate(rows) if position in kept]


def _cover(
    names: Sequence[str], fraction: float, classes: dict[str, set[tuple[str, str]]]
) -> list[str]:
    """A fraction of clips of several classes each, and two clips at least of every class."""
    ranked = sorted(dict.fromkeys(names), key=lambda name: rank(name[:11]))
    kept = dict.fromkeys(ranked[: scaled(len(ranked), fraction)])
    found: dict[tuple[str, str], int] = defaultdict(int)
    for name in kept:
        for one in classes.get(name, ()):
            found[one] += 1
    for name in ranked:
        wanted = classes.get(name, set())
        if name not in kept and any(found[one] < FEWEST for one in wanted):
            kept[name] = None
            for one in wanted:
                found[one] += 1
    return list(kept)
