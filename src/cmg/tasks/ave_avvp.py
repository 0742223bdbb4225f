"""AVE to AVVP: events in time across data sets."""

from __future__ import annotations

from typing import ClassVar

from cmg.evaluation.frozen import FrozenData
from cmg.evaluation.training import HeadOptions
from cmg.official.catalogue import AVVP_WEAK
from cmg.tasks.avvp import refuse_unlisted
from cmg.tasks.benchmark import TRIMODAL, Benchmark, Plan, benchmark
from cmg.tasks.paper import AV, VA, PaperFigures, Scored
from cmg.tasks.sides import side, video_id

SHARED_LABELS = {"video": "shared_visual", "audio": "shared_audio"}


@benchmark("ave-avvp")
class AVEtoAVVP(Benchmark):
    """12 shared events and the background, per second, across data sets."""

    about = "Train on AVE, find the events of AVVP."
    title = "AVE to AVVP: localization across data sets"
    sets = ("ave", "avvp")
    per = "step"
    headline = "f1"
    heads = HeadOptions(epochs=50, clip_alpha=True)
    protocols = ("published", "clean")
    paper: ClassVar[PaperFigures] = {TRIMODAL: {VA: 53.0, AV: 52.4}}
    scored = (
        Scored("ave", "audio", "shared", 1_831),
        Scored("avvp", "audio", "shared_audio", 1_085),
        Scored("avvp", "video", "shared_visual", 1_032),
    )

    def plan(self, data: FrozenData) -> Plan:
        """See :meth:`Benchmark.plan`."""
        modalities = self.between(data)
        if data.published:
            train = {m: side(data, "ave", m, "shared") for m in modalities}
            test = {m: side(data, "avvp", m, SHARED_LABELS[m]) for m in modalities}
            notes: tuple[str, ...] = (
                "the encoder's dropout is on while heads train",
                "F1 of precision and recall that are means over batches of 64, background "
                "included, of the epoch with the highest F1 on the target",
            )
            return Plan(self, train, {}, test, notes)
        refuse_unlisted(data.source("avvp"), "test")
        known = {video_id(row) for row in data.source("ave").rows}
        train = {m: side(data, "ave", m, "shared", "train") for m in modalities}
        select = {m: side(data, "ave", m, "shared", "val") for m in modalities}
        listed = {m: side(data, "avvp", m, SHARED_LABELS[m], "test") for m in modalities}
        test = {m: s.subset(v not in known for v in s.video_ids) for m, s in listed.items()}
        left_out = " and ".join(str(len(listed[m].clips) - len(test[m].clips)) for m in modalities)
        senses = " and ".join({"video": "seen", "audio": "heard"}[m] for m in modalities)
        notes = (
            f"trained on AVE's training split, tested on the videos of {AVVP_WEAK['test']} that "
            f"are not in AVE ({left_out} clips with {senses} events are left out)",
            "the epoch is chosen by F1 on AVE's val split in the modality that was trained on",
        )
        return Plan(self, train, select, test, notes)
