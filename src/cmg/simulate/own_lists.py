"""Lists of our own at the official sizes: real category names, made-up ids and intervals.

They do not depend on the world's seed, so two worlds can be compared on the same clips.
"""

from __future__ import annotations

import re

from cmg.official.names import SPLITS
from cmg.simulate.lists import Action, Clip, Lists, Shown, combined, only
from cmg.simulate.own_ave import ave_lists
from cmg.simulate.own_avvp import avvp_lists
from cmg.simulate.scripts import made_id, rank
from cmg.simulate.vocabulary import categories_of, concepts, read_table

BEYOND_40K = 40_199
"""Clips of the 81k list that are not in the 40k list."""
_UCF_GROUPS = 25
_AVSBENCH = {"train": 3_452, "val": 740, "test": 740}
"""Clips per split; how many a category has officially is not known, so they are spread evenly."""
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
    avvp = avvp_lists(ave, vggsound)
    by_clip = {modality: combined(rows) for modality, rows in avvp.dense.items()}
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
        avvp=avvp.splits,
        avvp_dense=avvp.dense,
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
    """Rows of AVSBench-S4, by split and within a split by category."""
    categories = categories_of("avsbench")
    found = []
    for split, clips in _AVSBENCH.items():
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
