"""UCF101 with VGGSound: classification of clips across data sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from cmg.data.manifest import ClipRow
from cmg.errors import DataError
from cmg.evaluation.frozen import FrozenData
from cmg.official.catalogue import OFFICIAL_COUNTS
from cmg.tasks.benchmark import TRIMODAL, Benchmark, Plan, benchmark
from cmg.tasks.paper import AA, AV, VA, VV, PaperFigures, Scored, all_of
from cmg.tasks.sides import Side, VideoIds, held_out, side

SELECTION_SHARE = 0.15
VGG_SPLIT = "ucf_split"
UCF_TEST_GROUPS = range(1, 8)
"""Groups that are tested in split 1 of UCF101; the groups of all splits are disjoint."""


@benchmark("ucf-vgg")
class UCFVGG(Benchmark):
    """UCF101 (video) and VGGSound (audio): actions of a clip, 16 classes."""

    about = "UCF101 by picture, VGGSound by sound."
    title = "UCF101 (video) and VGGSound (audio): classification across data sets"
    sets = ("ucf101", "vggsound40k")
    protocols = ("published", "clean")
    paper: ClassVar[PaperFigures] = {TRIMODAL: {VA: 67.1, AV: 60.6, VV: 80.0, AA: 85.4}}
    scored = (
        *all_of("ucf101", "ucf_vgg", "video"),
        Scored("vggsound40k", "audio", "ucf_vgg", sum(OFFICIAL_COUNTS["vggsound2ucf"].values())),
    )

    def plan(self, data: FrozenData) -> Plan:
        """See :meth:`Benchmark.plan`."""
        modalities = self.between(data)
        of, label = {"video": "ucf101", "audio": "vggsound40k"}, "ucf_vgg"
        if data.published:
            splits = {"video": None, "audio": "train+test+val"}
            both = {m: side(data, of[m], m, label, splits[m]) for m in modalities}
            notes: tuple[str, ...] = (
                "all clips of both sets train and test",
                "the encoder's dropout is on while heads train",
                "figures are of the epoch that is best on the test clips",
            )
            return Plan(self, both, {}, both, notes)
        chosen = held_groups(data.source("ucf101").rows)

        def sides(part: str) -> dict[str, Side]:
            where: dict[str, Callable[[ClipRow], bool]] = {
                "video": lambda row: ucf_part(row, chosen) == part,
                "audio": lambda row: row.meta.get(VGG_SPLIT) == part,
            }
            return {m: side(data, of[m], m, label, where=where[m]) for m in modalities}

        notes = (
            "VGGSound: clips marked train, val and test train, select and test",
            f"UCF101: groups 01 to 07 test, {', '.join(sorted(chosen))} select, the others train",
            "the epoch is chosen by accuracy on held-out clips of the modality that was trained on",
        )
        return Plan(self, sides("train"), sides("val"), sides("test"), notes)

    def marks(
        self, plan: Plan, lists: Mapping[str, VideoIds], pretraining: str | None
    ) -> dict[str, str]:
        """Every direction with VGGSound clips, if some that are tested were seen before."""
        tested = plan.test["audio"].video_ids if "audio" in plan.test else []
        if pretraining is None or pretraining not in lists:
            remark = "pre-training list unknown, VGGSound clips may have been seen"
        elif any(v in lists[pretraining] for v in tested):
            remark = f"seen in pre-training on {pretraining}"
        else:
            return {}
        return {f"{a}->{b}": remark for a, b in plan.directions if "audio" in (a, b)}


def ucf_group(row: ClipRow) -> str:
    """The group of a UCF101 clip, "01" to "25": clips of one group are of one video.

    Raises:
        DataError: another kind of name.
    """
    found = re.search(r"_g(\d{2})_c\d{2}", row.id)
    if found is None:
        raise DataError(
            f"UCF101 clip {row.id!r} has no group in its name; expected v_<Class>_g01_c01, because "
            "the clean protocol splits by group"
        )
    return found[1]


def is_test_group(group: str) -> bool:
    """Whether a group is tested in split 1."""
    return int(group) in UCF_TEST_GROUPS


def held_groups(rows: Iterable[ClipRow]) -> set[str]:
    """The groups of UCF101's training clips that select instead."""
    groups = [group for group in map(ucf_group, rows) if not is_test_group(group)]
    return held_out(groups, SELECTION_SHARE)


def ucf_part(row: ClipRow, chosen: set[str]) -> str:
    """What the clean protocol does with a clip; groups that are `chosen` select."""
    group = ucf_group(row)
    if is_test_group(group):
        return "test"
    return "val" if group in chosen else "train"
