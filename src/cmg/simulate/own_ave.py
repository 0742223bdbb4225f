"""AVE annotations of our own: official categories and counts, made-up ids and intervals."""

from __future__ import annotations

from collections import defaultdict

from cmg.official.lists.ave import Annotation
from cmg.official.names import SPLITS
from cmg.simulate.lists import Clip
from cmg.simulate.scripts import STEPS, generator, made_id
from cmg.simulate.vocabulary import concepts_of, has_category, read_table

_DURATIONS = {2: 214, 3: 220, 4: 217, 5: 196, 6: 200, 7: 139, 8: 111, 9: 95, 10: 2750}
"""Events by their length in seconds; one more event is empty, as in the official file."""
_IN_40K = 342
"""Rows whose ids are in the 40k list."""
_TWICE = {"train": 28, "val": 10, "test": 8}
"""Ids that occur a second time, by the split of the second; the first is in ``train``."""


def ave_lists(vggsound: list[Clip]) -> tuple[list[Annotation], dict[str, list[int]]]:
    """Annotations by category, and the rows of every split.

    Args:
        vggsound: Some ids are taken from here.
    """
    rng = generator("own lists", "ave")
    rows: list[tuple[str, str]] = []
    order: dict[str, list[int]] = {split: [] for split in SPLITS}
    for line in read_table("ave"):
        splits = [split for split in SPLITS for _ in range(int(line[split]))]
        shuffled = [splits[i] for i in rng.permutation(len(splits))]
        numbers = range(len(rows), len(rows) + len(splits))
        for row in rng.permutation(numbers):
            order[shuffled[row - numbers[0]]].append(int(row))
        rows += [(line["category"], made_id("ave", row)) for row in numbers]
    ids = _with_shared_ids(rows, order, vggsound)
    durations = [length for length, count in _DURATIONS.items() for _ in range(count)]
    lengths = [durations[i] for i in rng.permutation(len(durations))]
    lengths.insert(order["train"][0], 0)
    annotations = []
    for (category, _), video_id, length in zip(rows, ids, lengths, strict=True):
        onset = int(rng.integers(0, STEPS + 1 - length)) if length else 0
        annotations.append(Annotation(category, video_id, onset, onset + length))
    return annotations, order


def _with_shared_ids(
    rows: list[tuple[str, str]], order: dict[str, list[int]], vggsound: list[Clip]
) -> list[str]:
    """The id of every row, some taken from the 40k list and some used twice."""
    rng = generator("own lists", "ave ids")
    ids = [video_id for _, video_id in rows]
    by_category: dict[str, list[str]] = defaultdict(list)
    for category, video_id, _ in vggsound:
        by_category[category].append(video_id)
    taken = 0
    for row in rng.permutation(len(rows)):
        concept = concepts_of("ave", rows[row][0])[0]
        partner = has_category("vggsound", concept)
        if partner is not None and by_category[partner] and taken < _IN_40K:
            ids[row] = by_category[partner].pop()
            taken += 1
    firsts = [int(row) for row in rng.permutation(order["train"])]
    for split, count in _TWICE.items():
        later = [int(row) for row in rng.permutation(order[split])]
        for _ in range(count):
            second = firsts.pop() if split == "train" else later.pop()
            ids[second] = ids[firsts.pop()]
    return ids
