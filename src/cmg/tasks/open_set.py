"""Open sets of the authors' data (OSCMG, ICCV 2025, arXiv 2507.14935): some classes are unknown.

Heads learn the first K classes of a list in one modality and are read in the other, on clips of all
classes. The lists are those of :mod:`cmg.official.open_set`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from cmg.data.manifest import ClipRow
from cmg.errors import ConfigError, ModalityError, did_you_mean
from cmg.evaluation.features import Readable
from cmg.evaluation.frozen import FrozenData
from cmg.evaluation.open_set import Measured, ScoredClips, part_of
from cmg.evaluation.stack import HeadStack
from cmg.evaluation.training import HeadOptions
from cmg.official.catalogue import KNOWN
from cmg.official.collection import OfficialCollection
from cmg.official.layout import Layout
from cmg.official.open_set import ave_cut, check_known, ucf51_cut, ucf_vggsound_cut
from cmg.tasks.ave import AVE
from cmg.tasks.benchmark import Benchmark, Plan
from cmg.tasks.run import HeadRunner, kept_for
from cmg.tasks.sides import Side, VideoIds, side
from cmg.tasks.ucf_vgg import UCFVGG, held_groups, ucf_part


@dataclass(frozen=True)
class OpenSetPlan(Plan):
    """A plan whose heads know some classes.

    Training clips, and those that choose the epoch, are of known classes alone; `test` has all.

    Attributes:
        known: K; the first K classes are known.
        choose: Clips of all classes, which choose the threshold, by modality; empty where it is
            chosen on the clips that are reported.
    """

    known: int = 0
    choose: dict[str, Side] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the known classes, which are a head's outputs."""
        return super().classes[: self.known]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the others."""
        return super().classes[self.known :]

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(trained on, read on); as published those across modalities alone."""
        pairs = super().directions
        return [(a, b) for a, b in pairs if a != b] if self.data.published else pairs

    @cached_property
    def unlearned(self) -> dict[str, list[int]]:
        """Known classes that no training clip of a modality is of, which no head of it can know.

        Of the first 8 and 12 classes that UCF101 and VGGSound share there are some.
        """
        every = range(self.known)
        return {
            m: sorted(set(every) - set(one.clip_labels().tolist())) for m, one in self.train.items()
        }

    def targets(self, labels: Tensor, source: str) -> Tensor:
        """Labels as the heads of a modality are judged by: known classes, or K; int64 [N].

        Returns:
            -1 for clips that do not count: clean, of known classes that the head was never shown.
        """
        found = labels.clamp_max(self.known)
        if self.data.published:
            return found
        return found.masked_fill(torch.isin(found, found.new_tensor(self.unlearned[source])), -1)

    def counts(self) -> list[dict[str, Any]]:
        """A row per direction: clips that train the head, choose the threshold, and are tested."""
        rows = []
        for source, target in self.directions:
            chosen, tested = (
                self.targets(sides[target].clip_labels(), source) if sides else torch.empty(0)
                for sides in (self.choose, self.test)
            )
            rows.append(
                {
                    "direction": f"{source}->{target}",
                    "training": len(self.train[source].clips),
                    "validation": int((chosen >= 0).sum()),
                    "known": int(((tested >= 0) & (tested < self.known)).sum()),
                    "unknown": int((tested == self.known).sum()),
                }
            )
        return rows

    def remarks(self) -> list[str]:
        """What has to be said of known classes that no head can know."""
        published = "they count as known all the same, and no head can name their clips"
        what = published if self.data.published else "their clips do not count where it is read"
        return [
            f"{len(missing)} of {self.known} known classes have no training clip with {modality} "
            f"({', '.join(repr(self.classes[i]) for i in missing)}), so a head trained on it "
            f"cannot know them; {what}"
            for modality, missing in self.unlearned.items()
            if missing
        ]


class OpenSet(Benchmark):
    """A benchmark with K known classes.

    Args:
        known: K.

    Attributes:
        cuts: The authors' K.
        listed: Label that the lists divide clips by.
        known: K.
    """

    protocols = ("published", "clean")
    cuts: ClassVar[tuple[int, ...]]
    listed: ClassVar[str] = "category"

    def __init__(self, known: int) -> None:
        self.known = known

    def closed(self, data: FrozenData) -> Plan:
        """Clips of all classes: training, validation (none as published) and test."""
        raise NotImplementedError

    def check_lists(self, layout: Layout) -> None:
        """Read the cuts of an official folder, where it has some.

        Raises:
            DataError: one does not fit the full list.
        """
        raise NotImplementedError

    def plan(self, data: FrozenData) -> OpenSetPlan:
        """See :meth:`Benchmark.plan`.

        Raises:
            ConfigError: K is not between 0 and the number of classes.
        """
        for m in self.modalities:
            if m not in data.model.modalities:
                raise ModalityError(
                    f"{self.name} goes between {' and '.join(self.modalities)}; the model has "
                    f"{', '.join(data.model.modalities)}; give a model of both, or evaluate a "
                    "store by --known"
                )
        collection = data.collection.collection
        if isinstance(collection, OfficialCollection):
            self.check_lists(collection.layout)
        whole = self.closed(data)
        check_known(self.known, whole.first.clip_classes)
        choose = apart(whole.select, whole.test)
        train = whole.train if data.published else apart(whole.train, choose, whole.test)
        last = (
            "the encoder's dropout is on while heads train; epoch and threshold are those of the "
            "largest H on the clips that are reported: an oracle"
        )
        if not data.published:
            last = "the threshold is that of the largest H on validation clips of the target"
        notes = (f"heads know the first {self.known} of {len(whole.classes)} classes", *whole.notes)
        return OpenSetPlan(
            self,
            self._of_known(train),
            self._of_known(choose),
            whole.test,
            (*notes, last),
            known=self.known,
            choose=choose,
        )

    def _of_known(self, sides: Mapping[str, Side]) -> dict[str, Side]:
        """The clips of known classes.

        By the label of the lists, not that of the seconds: by these an AVE clip without any event
        is of the first class [as coded].
        """

        def is_known(row: ClipRow) -> bool:
            found = row.labels[self.listed]
            return isinstance(found, int) and found < self.known

        return {m: one.subset(map(is_known, one.rows)) for m, one in sides.items()}


def apart(sides: Mapping[str, Side], *others: Mapping[str, Side]) -> dict[str, Side]:
    """Sides without the clips of videos that others have.

    Raises:
        DataError: nothing is left of one.
    """
    taken = {video for group in others for one in group.values() for video in one.video_ids}
    return {m: s.subset(video not in taken for video in s.video_ids) for m, s in sides.items()}


class OpenSetAVE(OpenSet):
    """AVE, 28 classes by first appearance."""

    name = "ave"
    sets = ("ave",)
    heads = HeadOptions(epochs=25)
    cuts = KNOWN["AVE"]

    def closed(self, data: FrozenData) -> Plan:
        """See :meth:`OpenSet.closed`; as published it is tested on test, alone in the series."""
        plan = AVE().plan(data)
        if not data.published:
            return plan
        test = {m: side(data, "ave", m, "event", "test") for m in plan.train}
        return replace(plan, test=test, notes=("trained on the training split, tested on test",))

    def check_lists(self, layout: Layout) -> None:
        """See :meth:`OpenSet.check_lists`."""
        ave_cut(layout, self.known)


class OpenSetUCF51(OpenSet):
    """UCF101's 51 classes with sound, in the order of their list."""

    name = "ucf"
    sets = ("ucf101all",)
    heads = HeadOptions(epochs=16)
    cuts = KNOWN["UCF51"]

    def closed(self, data: FrozenData) -> Plan:
        """See :meth:`OpenSet.closed`."""
        if data.published:
            both = self._sides(data)
            note = "tested on all clips, those of training among them, in the other modality"
            return Plan(self, both, {}, both, (note,))
        held = held_groups(data.source("ucf101all").rows)

        def sides(part: str) -> dict[str, Side]:
            return self._sides(data, lambda row: ucf_part(row, held) == part)

        notes = (
            f"groups 01 to 07 test, {', '.join(sorted(held))} select, the others train",
            "the epoch is chosen by accuracy on held-out clips of the modality that was trained on",
        )
        return Plan(self, sides("train"), sides("val"), sides("test"), notes)

    def _sides(
        self, data: FrozenData, where: Callable[[ClipRow], bool] | None = None
    ) -> dict[str, Side]:
        return {m: side(data, "ucf101all", m, "category", where=where) for m in self.modalities}

    def check_lists(self, layout: Layout) -> None:
        """See :meth:`OpenSet.check_lists`."""
        ucf51_cut(layout, self.known)


class OpenSetUCFVGG(OpenSet):
    """UCF101 (video) and VGGSound (audio), 16 classes by line."""

    name = "ucf-vgg"
    sets = UCFVGG.sets
    heads = HeadOptions(epochs=25)
    cuts = KNOWN["UCF-VGGSound"]
    listed = "ucf_vgg"

    def closed(self, data: FrozenData) -> Plan:
        """See :meth:`OpenSet.closed`."""
        plan = UCFVGG().plan(data)
        note = "trained on the cut of one set, tested on all clips of the other"
        return replace(plan, notes=(note,)) if data.published else plan

    def check_lists(self, layout: Layout) -> None:
        """See :meth:`OpenSet.check_lists`."""
        for one in ("ucf101", "vggsound40k"):
            ucf_vggsound_cut(layout, self.known, one)

    def marks(
        self, plan: Plan, lists: Mapping[str, VideoIds], pretraining: str | None
    ) -> dict[str, str]:
        """See :meth:`Benchmark.marks`."""
        return UCFVGG().marks(plan, lists, pretraining)


OPEN_SETS = {one.name: one for one in (OpenSetAVE, OpenSetUCF51, OpenSetUCFVGG)}
PLANS = tuple(f"{name}-{known}" for name, one in OPEN_SETS.items() for known in one.cuts)
"""The authors' plans; any other number of known classes is cut from the full lists."""


def find_open_set(plan: str) -> OpenSet:
    """An open set by the name of a plan, such as ``ave-14``.

    Raises:
        ConfigError: there is none, or its heads would know a single class.
    """
    name, _, known = plan.rpartition("-")
    if name not in OPEN_SETS or not known.isdecimal():
        raise ConfigError(f"there is no plan {plan!r}{did_you_mean(plan, PLANS)}")
    if int(known[:9]) < 2:
        raise ConfigError(f"{plan}: heads need two known classes or more")
    return OPEN_SETS[name](int(known[:9]))


class OpenSetHeads(HeadRunner):
    """The heads of an open set; see :class:`HeadRunner`."""

    plan: OpenSetPlan

    def labeled(self, side: Side) -> tuple[Readable, Tensor]:
        """What heads read of a side, and its classes: known ones, or K, int64 [N]."""
        features, labels = super().labeled(side)
        return features, labels.clamp_max(self.plan.known)

    def score(self, logits: Tensor, labels: Tensor) -> float:
        """As published the H-score of the oracle; else accuracy, on clips of known classes."""
        if self.plan.data.published:
            return ScoredClips.of(logits, labels, self.plan.known).oracle
        return super().score(logits, labels)

    def measured(self) -> Iterator[Measured]:
        """Train all heads and read them.

        Raises:
            DataError: training clips of a single class, or clips that are tested are all of known
                classes, or all of unknown ones.
        """
        plan = self.plan
        plan.check()
        heads = self.trained(list(plan.train))
        for source, target in plan.directions:
            for by_watch in heads[source].values():
                head = kept_for(by_watch, target).head
                read = self.read_clips(head, plan.test[target], source)
                part_of(read.targets, plan.known, f"of {plan.test[target].source.path}")
                choice = None
                if plan.choose:
                    choice = self.read_clips(head, plan.choose[target], source)
                    choice = choice if choice.both_kinds else None
                for metric, value in read.figures(choice):
                    yield metric, f"{source}->{target}", value

    @torch.no_grad()
    def read_clips(self, head: HeadStack, side: Side, source: str) -> ScoredClips:
        """The clips that count, as a head of the modality `source` sees them."""
        features, labels = self.labeled(side)
        targets = self.plan.targets(labels, source)
        distances = self.plan.data.distances(side.name, side.modality, side.clips)
        found = ScoredClips.of(features.read(head), targets, self.plan.known, distances)
        return found.subset(targets >= 0)
