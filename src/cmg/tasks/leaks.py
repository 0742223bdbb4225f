"""Videos that are on both sides of a benchmark, or that pre-training has seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cmg.data.manifest import ClipRow
from cmg.tasks.benchmark import Plan
from cmg.tasks.sides import VideoIds, video_id


def youtube_id(row: ClipRow) -> str:
    """A clip's video id without the start second that VGGSound's own clip names end with."""
    return re.sub(r"(?<=^.{11})_\d{6}$", "", video_id(row))


def leak_report(plan: Plan, lists: Mapping[str, VideoIds]) -> list[dict[str, Any]]:
    """How many test clips of every direction are of videos seen before.

    Args:
        plan: Of the benchmark.
        lists: Video ids per pre-training list.

    Returns:
        A row per direction: ``direction``, ``clips`` tested, how many of them are of a video that
        is ``in_training`` of the head, or ``in_pretraining`` (by list).
    """
    rows = []
    for source, target in plan.directions:
        tested = plan.test[target].video_ids
        trained = set(plan.train[source].video_ids)
        rows.append(
            {
                "direction": f"{source}->{target}",
                "clips": len(tested),
                "in_training": sum(v in trained for v in tested),
                "in_pretraining": {
                    name: sum(v in ids for v in tested) for name, ids in lists.items()
                },
            }
        )
    return rows
