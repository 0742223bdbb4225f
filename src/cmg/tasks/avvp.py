"""AVVP: events in time."""

from __future__ import annotations

from typing import ClassVar

from cmg.data.clips import Clips
from cmg.errors import DataError
from cmg.evaluation.frozen import FrozenData
from cmg.evaluation.training import HeadOptions
from cmg.official.catalogue import AVVP_WEAK
from cmg.tasks.benchmark import TRIMODAL, Benchmark, Plan, benchmark
from cmg.tasks.paper import AA, AV, VA, VV, PaperFigures, Scored
from cmg.tasks.sides import held_out, side, video_id

SELECTION_SHARE = 0.2
AVVP_LABELS = {"video": "visual", "audio": "audio"}


@benchmark("avvp")
class AVVP(Benchmark):
    """25 events and the background, per second, seen and heard apart.

    The paper calls the precision "accuracy".
    """

    about = "AVVP: find the events of every second."
    title = "AVVP: localization of events"
    sets = ("avvp",)
    per = "step"
    headline = "precision"
    heads = HeadOptions(epochs=50)
    protocols = ("published", "clean")
    paper: ClassVar[PaperFigures] = {
        TRIMODAL: {VA: 63.4, AV: 71.0, VV: 71.0, AA: 72.9},
        "24k": {VA: 61.9, AV: 65.7},
        "40k": {VA: 64.0, AV: 65.6},
        "81k": {VA: 60.5, AV: 61.7},
    }
    scored = (Scored("avvp", "audio", "audio", 1_844), Scored("avvp", "video", "visual", 1_661))

    def plan(self, data: FrozenData) -> Plan:
        """See :meth:`Benchmark.plan`."""
        modalities = self.between(data)
        if data.published:
            both = {m: side(data, "avvp", m, AVVP_LABELS[m]) for m in modalities}
            notes: tuple[str, ...] = (
                "the same videos train and test",
                "the encoder's dropout is on while heads train",
                "precision and recall are means over batches of 64, background included, of the "
                "epoch with the highest precision on the target",
            )
            return Plan(self, both, {}, both, notes)
        source = data.source("avvp")
        refuse_unlisted(source, "val", "test")
        rows = [row for row in source.rows if row.split == "val"]
        chosen = held_out(map(video_id, rows), SELECTION_SHARE)
        train, select, test = {}, {}, {}
        for m in modalities:
            listed = side(data, "avvp", m, AVVP_LABELS[m], "val")
            train[m] = listed.subset(v not in chosen for v in listed.video_ids)
            select[m] = listed.subset(v in chosen for v in listed.video_ids)
            test[m] = side(data, "avvp", m, AVVP_LABELS[m], "test")
        notes = (
            f"trained on the videos of {AVVP_WEAK['val']}, a fifth of which is held out for "
            f"selection, tested on those of {AVVP_WEAK['test']}",
            "the epoch is chosen by F1 on the held-out videos in the modality that was trained on",
        )
        return Plan(self, train, select, test, notes, decides="f1")


def refuse_unlisted(source: Clips, *splits: str) -> None:
    """Refuse AVVP without the lists that say which videos are for what.

    Raises:
        DataError: naming the list.
    """
    for split in splits:
        if not source.splits.get(split):
            raise DataError(
                f"{source.path} has no clip of split {split!r}: {AVVP_WEAK[split]} is missing. The "
                "clean protocol splits AVVP by video with the lists of AVVP-ECCV20; give their "
                "folder with --lists (or choose --protocol published)"
            )
