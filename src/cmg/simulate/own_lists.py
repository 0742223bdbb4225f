"""Lists of our own at the official sizes: real category names, made-up ids and intervals.

They do not depend on the world's seed, so two worlds can be compared on the same clips.
"""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from cmg.official.catalogue import AVVP_WEAK, OFFICIAL_COUNTS, SPLITS
from cmg.official.lengths import STEPS
from cmg.official.lists.ave import Annotation
from cmg.simulate.lists import Action, Clip, Combined, Lists, Shown, Weak, combined, only
from cmg.simulate.scripts import generator, made_id, rank
from cmg.simulate.vocabulary import categories_of, concepts, concepts_of, has_category, read_table

BEYOND_40K = 40_199
"""Clips of the 81k list that are not in the 40k list."""
_UCF_GROUPS = 25
_UNUSED = {"Bowling", "playing frisbee"}
"""Names of the 16-line lists that have no row in the official csv files."""
_TEMPLATES = (
    "in this clip you can clearly hear {} not far away",
    "a short recording of {} that goes on for several seconds",
    "somebody filmed {} on an ordinary day with a phone camera",
    "this is what {} looks and sounds like from close by",
    "the scene shows {} while the microphone stands right beside it",
    "we listen to {} and watch it from across the room",
)


def own_lists() -> Lists:
    """All lists at their full size."""
    vggsound = _vggsound()
    ave, order = ave_lists(vggsound)
    avvp, dense = avvp_lists(ave, vggsound)
    by_clip = {modality: combined(rows) for modality, rows in dense.items()}
    shared = _in_order("avvp", "shared")
    ucf = {row["category"]: row["vggsound"] for row in read_table("ucf") if row["vggsound"]}
    categories = [row["category"] for row in read_table("vggsound")]
    return Lists(
        vggsound=vggsound,
        vggsound_categories=categories,
        prompts=[(name, prompt(name)) for name in categories],
        more=beyond_40k(vggsound),
        ave=ave,
        ave_order=order,
        avvp_categories=[row["category"] for row in read_table("avvp")],
        avvp=avvp,
        avvp_dense=dense,
        avvp_combined=by_clip,
        shared_categories=shared,
        shared_combined={m: only(rows, shared) for m, rows in by_clip.items()},
        ucf_names=list(ucf),
        vggsound_names=list(ucf.values()),
        ucf=_ucf([name for name in ucf if name not in _UNUSED]),
        vggsound2ucf=[clip for clip in vggsound if clip[0] in ucf.values()],
        ucf51_categories=_in_order("ucf", "ucf51"),
        ucf51=sorted(_ucf(_in_order("ucf", "ucf51")), key=lambda row: rank(row[1])),
        avsbench=avsbench_clips(),
        avsbench_prompts=avsbench_prompts(),
    )


def beyond_40k(vggsound: list[Clip]) -> list[str]:
    """Ids of the 81k list: those of the 40k list, and as many made-up ones as it has more."""
    return [clip[1] for clip in vggsound] + [made_id("81k", i) for i in range(BEYOND_40K)]


def _in_order(table: str, column: str) -> list[str]:
    """Categories by the number they have in a column, those without one left out."""
    rows = [row for row in read_table(table) if row[column]]
    return [row["category"] for row in sorted(rows, key=lambda row: int(row[column]))]


def _vggsound() -> list[Clip]:
    """Rows by category, and within a category by split."""
    return [
        (row["category"], made_id("vggsound", row["category"], split, i), split)
        for row in read_table("vggsound")
        for split in SPLITS
        for i in range(int(row[split]))
    ]


def _ucf(categories: list[str]) -> list[Action]:
    """Rows by category, named as UCF-101 names clips: 25 groups, a few clips in each."""
    counts = {row["category"]: int(row["clips"]) for row in read_table("ucf")}
    return [
        (name, f"v_{name}_g{i % _UCF_GROUPS + 1:02d}_c{i // _UCF_GROUPS + 1:02d}")
        for name in categories
        for i in range(counts[name])
    ]


def avsbench_clips() -> list[Shown]:
    """Rows of AVSBench-S4, by split and within a split by category, of each as many as can be."""
    categories = categories_of("avsbench")
    found = []
    for split, clips in OFFICIAL_COUNTS["avsbench"].items():
        for place, category in enumerate(categories):
            for i in range(place, clips, len(categories)):
                name = made_id("avsbench", category, split, i)
                found.append((name, str(rank(name) % 6), category, split))
    return found


def avsbench_prompts() -> list[tuple[str, str]]:
    """A sentence for each of AVSBench's categories, in the words of VGGSound's for the concept.

    The simulation's text encoder is random: it knows no likeness of words, and what was learned of
    one sentence says nothing of another about the same thing, as it does with real vectors.
    """
    known = {
        c.names["avsbench"]: c.names.get("vggsound") for c in concepts() if "avsbench" in c.names
    }
    return [(name, prompt(name, known[name])) for name in categories_of("avsbench")]


def prompt(label: str, frame_of: str | None = None) -> str:
    """A sentence of about ten words that contains the words of a category.

    Args:
        label: The category.
        frame_of: Another category whose words around the name are taken.
    """
    words = re.sub(r"[^a-z0-9-]+", " ", label.lower()).split()
    return _TEMPLATES[rank(frame_of or label) % len(_TEMPLATES)].format(" ".join(words))


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


def avvp_lists(
    ave: list[Annotation], vggsound: list[Clip]
) -> tuple[dict[str, list[Weak]], dict[str, list[Combined]]]:
    """Weak rows per split, and dense ones, an event a row, for ``audio`` and ``visual``.

    Some of their ids are AVE's or VGGSound's, where the concept agrees.
    """
    rng = generator("own lists", "avvp")
    table = read_table("avvp")
    names = [row["category"] for row in table]
    splits: dict[str, list[Weak]] = {}
    ids = _Ids(ave, vggsound)
    for split in AVVP_WEAK:
        column = "train" if split == "train" else "eval"
        weights = np.array([float(row[column]) for row in table])
        splits[split] = []
        for clip in range(OFFICIAL_COUNTS["avvp"][split]):
            many = int(rng.choice(list(_HOW_MANY), p=list(_HOW_MANY.values())))
            drawn = rng.choice(names, size=many, replace=False, p=weights / weights.sum())
            categories = [str(name) for name in drawn]
            start = 10 * int(rng.integers(0, 60))
            video_id = ids.take(split, categories) or made_id("avvp", split, clip)
            splits[split].append((f"{video_id}_{start}_{start + 10}", ",".join(categories)))
    evaluated = [*splits["test"], *splits["val"], *_unlisted(splits["test"])]
    return splits, _dense(evaluated)


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
