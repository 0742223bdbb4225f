"""AVVP lists of our own: official categories and counts, made-up names and events."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from cmg.official.lists.ave import Annotation
from cmg.simulate.lists import Clip, Combined, Weak
from cmg.simulate.scripts import STEPS, generator, made_id
from cmg.simulate.vocabulary import concepts_of, read_table

_CLIPS = {"val": 649, "test": 1200, "train": 10_000}
_UNLISTED = 4
"""Clips of the dense files that are in no split."""
_NO_AUDIO, _NO_VISUAL = 6, 191
"""Clips of the dense files without any audio event, and without any visual one."""
_FROM_AVE = {"val": 23, "test": 33, "train": 338}
_FROM_40K = {"val": 23, "test": 49, "train": 471}
"""Ids that are AVE's, and that are in the 40k list."""
_HOW_MANY = {1: 0.34, 2: 0.53, 3: 0.11, 4: 0.02}
"""Categories of a clip and their frequency."""

Interval = tuple[int, int]


@dataclass(frozen=True)
class AvvpLists:
    """What the AVVP files say.

    Attributes:
        splits: Weak rows per split.
        dense: One event per row, for ``audio`` and ``visual``.
    """

    splits: dict[str, list[Weak]]
    dense: dict[str, list[Combined]]


def avvp_lists(ave: list[Annotation], vggsound: list[Clip]) -> AvvpLists:
    """Weak and dense lists; some of their ids are AVE's or VGGSound's, where the concept agrees."""
    rng = generator("own lists", "avvp")
    table = read_table("avvp")
    names = [row["category"] for row in table]
    splits: dict[str, list[Weak]] = {}
    ids = _Ids(ave, vggsound)
    for split, count in _CLIPS.items():
        column = "train" if split == "train" else "eval"
        weights = np.array([float(row[column]) for row in table])
        splits[split] = []
        for clip in range(count):
            many = int(rng.choice(list(_HOW_MANY), p=list(_HOW_MANY.values())))
            drawn = rng.choice(names, size=many, replace=False, p=weights / weights.sum())
            categories = [str(name) for name in drawn]
            start = 10 * int(rng.integers(0, 60))
            video_id = ids.take(split, categories) or made_id("avvp", split, clip)
            splits[split].append((f"{video_id}_{start}_{start + 10}", ",".join(categories)))
    evaluated = [*splits["test"], *splits["val"], *_unlisted(splits["test"])]
    return AvvpLists(splits, _dense(evaluated))


def _unlisted(listed: list[Weak]) -> list[Weak]:
    """Names of the dense files that no split has; one cuts to the key of a listed clip."""
    odd = (f"{listed[7][0][:11]}_30_400", listed[7][1])
    return [odd, *((f"{made_id('unlisted', i)}_30_40", "Speech") for i in range(1, _UNLISTED))]


class _Ids:
    """Ids of other data sets that a clip of some categories may carry, up to the official count."""

    def __init__(self, ave: list[Annotation], vggsound: list[Clip]) -> None:
        self.left = {"ave": dict(_FROM_AVE), "vggsound": dict(_FROM_40K)}
        self.ids: dict[tuple[str, str], list[str]] = defaultdict(list)
        in_40k = {video_id for _, video_id, _ in vggsound}
        in_ave = {row.video_id for row in ave}
        for row in ave:
            known = self.ids["ave", concepts_of("ave", row.category)[0]]
            if row.video_id not in in_40k and row.video_id not in known:
                known.append(row.video_id)
        for category, video_id, _ in vggsound:
            if video_id not in in_ave:
                self.ids["vggsound", concepts_of("vggsound", category)[0]].append(video_id)
        self.used: set[str] = set()

    def take(self, split: str, categories: list[str]) -> str | None:
        """An id of another set, or None once there are enough of them."""
        for dataset, left in self.left.items():
            for category in categories if left[split] else ():
                for concept in concepts_of("avvp", category):
                    known = self.ids[dataset, concept]
                    while known:
                        video_id = known.pop()
                        if video_id not in self.used:
                            self.used.add(video_id)
                            left[split] -= 1
                            return video_id
        return None


def _dense(clips: list[Weak]) -> dict[str, list[Combined]]:
    """Events of every clip; most categories are heard and seen, at times of their own."""
    rng = generator("own lists", "avvp events")
    shuffled = [int(i) for i in rng.permutation(len(clips))]
    mute, blind = set(shuffled[:_NO_AUDIO]), set(shuffled[_NO_AUDIO : _NO_AUDIO + _NO_VISUAL])
    rows: dict[str, list[Combined]] = {"audio": [], "visual": []}
    for clip, (name, categories) in enumerate(clips):
        several = categories.split(",")
        draws = rng.random(len(several))
        draws[0] = 0.5  # The first is heard and seen, so that only the chosen clips lack a file.
        for category, draw in zip(several, draws, strict=True):
            if clip not in mute and (draw < 0.95 or clip in blind):
                rows["audio"] += _events(rng, name, category, longest=0.45)
            if clip not in blind and (draw > 0.4 or clip in mute):
                rows["visual"] += _events(rng, name, category, longest=0.68)
    first = rows["audio"][0]
    rows["audio"].insert(1, (first[0], "9", "9", first[3]))  # empty, as a few official ones are
    return rows


def _events(rng: np.random.Generator, name: str, category: str, longest: float) -> list[Combined]:
    """The intervals of one category in one clip, one per row."""
    intervals: list[Interval] = [(0, STEPS)]
    if rng.random() >= longest:
        cuts = sorted(
            int(c) for c in rng.choice(STEPS + 1, size=2 * int(rng.integers(1, 4)), replace=False)
        )
        intervals = list(zip(cuts[::2], cuts[1::2], strict=True))
    return [(name, str(onset), str(offset), category) for onset, offset in intervals]
