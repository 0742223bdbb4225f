"""AVE: classification of clips."""

from __future__ import annotations

from typing import ClassVar

from cmg.evaluation.frozen import FrozenData
from cmg.tasks.benchmark import TRIMODAL, Benchmark, Plan, benchmark
from cmg.tasks.paper import AA, AV, VA, VV, PaperFigures, all_of
from cmg.tasks.sides import side


@benchmark("ave")
class AVE(Benchmark):
    """Events of a clip, 28 classes."""

    about = "AVE: classify the event of a clip, by sound or by picture."
    title = "AVE: classification of events"
    sets = ("ave",)
    more_modalities = True
    protocols = ("published", "clean")
    paper: ClassVar[PaperFigures] = {
        TRIMODAL: {VA: 54.1, AV: 55.0, VV: 64.8, AA: 65.8},
        "24k": {VA: 44.0, AV: 49.7},
        "40k": {VA: 47.7, AV: 52.3},
        "81k": {VA: 41.2, AV: 45.6},
    }
    scored = all_of("ave", "event", "audio", "video")

    def plan(self, data: FrozenData) -> Plan:
        """See :meth:`Benchmark.plan`."""
        modalities = self.between(data)
        if data.published:
            both = {m: side(data, "ave", m, "event", "train") for m in modalities}
            notes: tuple[str, ...] = (
                "trained and evaluated on the training split",
                "the encoder's dropout is on while heads train",
                "figures are those of the last epoch",
            )
            return Plan(self, both, {}, both, notes, last_epoch=True)
        train, select, test = (
            {m: side(data, "ave", m, "category", split) for m in modalities}
            for split in ("train", "val", "test")
        )
        notes = (
            "trained on the training split, tested on test",
            "the epoch is chosen by val accuracy of the modality that was trained on",
        )
        return Plan(self, train, select, test, notes)
