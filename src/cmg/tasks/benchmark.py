"""What a benchmark is. The CLI, reports, studies and ``cmg select`` find it by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeVar

from cmg.errors import ConfigError, DataError, ModalityError
from cmg.evaluation.encoding import refuse_unknown
from cmg.evaluation.frozen import FrozenData, Opened, Protocol
from cmg.evaluation.training import HeadOptions
from cmg.files import StrPath
from cmg.registry import Registry
from cmg.tasks.paper import PaperFigures, PaperTable, Scored, unlike_paper
from cmg.tasks.sides import Side, VideoIds, distinct_classes, same_classes
from cmg.types import Kind

LEAST_STEPS = 1260
"""Of a clean head: what 30 epochs over AVE's 3,339 training clips make."""
TRIMODAL = "avt"
"""Key of the paper's figures of a model of audio, video and text."""


class Benchmark:
    """Heads that are trained on labeled clips of one modality and read on others.

    Attributes:
        name: In commands and results; given by :func:`benchmark`.
        about: What is done, a sentence for ``cmg evaluate --help``.
        title: Of its tables.
        sets: Data sets of the collection.
        modalities: That it goes between, as far as the model has them.
        more_modalities: Whether others that the sets have can be asked for.
        per: Whether clips or steps are classified.
        headline: The metric that is compared with the paper.
        heads: How heads are trained.
        protocols: That it has.
        paper: The paper's figures per direction, which were made by the published protocol: by the
            list that a model of audio and video was trained on, or under :data:`TRIMODAL`.
        scored: Clips that the paper's data have.
    """

    name: ClassVar[str] = ""
    about: ClassVar[str]
    title: ClassVar[str]
    sets: ClassVar[tuple[str, ...]]
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    more_modalities: ClassVar[bool] = False
    per: ClassVar[Literal["clip", "step"]] = "clip"
    headline: ClassVar[str] = "accuracy"
    heads: ClassVar[HeadOptions] = HeadOptions()
    protocols: ClassVar[tuple[Protocol, ...]] = ("clean",)
    paper: ClassVar[PaperFigures] = {}
    scored: ClassVar[tuple[Scored, ...]] = ()

    def plan(self, data: FrozenData) -> Plan:
        """What is trained on, selected by and tested on, by the protocol of `data`.

        Raises:
            DataError: the collection lacks a data set, a split or a label.
            ModalityError: see :meth:`between`.
        """
        raise NotImplementedError

    def marks(
        self, plan: Plan, lists: Mapping[str, VideoIds], pretraining: str | None
    ) -> dict[str, str]:
        """A remark on directions whose clips pre-training has seen; see :mod:`cmg.tasks.run`."""
        return {}

    def between(self, data: FrozenData) -> list[str]:
        """The modalities that it goes between: those asked for, or its own that the model has.

        A single one has but its own direction, which is the supervised upper bound.

        Raises:
            ModalityError: none is left; or one is asked for that the model lacks, that the
                benchmark has no labels for, or whose steps are words where seconds are labeled.
        """
        known = data.model.modalities
        if data.modalities is None:
            own = [m for m in self.modalities if m in known]
            if not own:
                raise ModalityError(
                    f"{self.name} goes between {' and '.join(self.modalities)}; the model has "
                    f"{', '.join(known)}; say which others with --modalities"
                )
            return own
        for m in data.modalities:
            refuse_unknown(m, known)
            words = self.per == "step" and known[m].kind is Kind.TOKENS
            if words or not (self.more_modalities or m in self.modalities):
                raise ModalityError(
                    f"{self.name} has no labels for {m!r}; it has {', '.join(self.modalities)}"
                )
        return list(data.modalities)

    def head_options(self, protocol: Protocol, epochs_done: int, model: StrPath) -> HeadOptions:
        """How heads are trained.

        Args:
            protocol: Whose rules.
            epochs_done: Epochs of pre-training. The release stores epoch e (from 0) after e + 1 of
                them, and its heads begin with e + 1.
            model: Which model, for messages.

        Raises:
            ConfigError: as coded, a checkpoint this late trains no head at all; or no such
                protocol.
        """
        if protocol not in self.protocols:
            raise ConfigError(
                f"{self.name} has no protocol {protocol!r}; it has {', '.join(self.protocols)}"
            )
        if protocol == "clean":
            return self.heads.model_copy(update={"least_steps": LEAST_STEPS})
        if epochs_done >= self.heads.epochs:
            raise ConfigError(
                f"{model} is of pre-training epoch {epochs_done - 1} (from 0). The published "
                f"protocol of {self.name} counts on from there and stops before epoch "
                f"{self.heads.epochs}, so no head would be trained; take an earlier checkpoint, "
                "or use --protocol clean"
            )
        return self.heads.model_copy(update={"first_epoch": epochs_done})

    def paper_table(self, modalities: Sequence[str], pretraining: str | None) -> PaperTable:
        """The paper's figures for a model like ours.

        Args:
            modalities: What the model was trained on.
            pretraining: The list it was trained on, None if that is not known. Audio, video and
                text were trained on 40k only, so there it may be unknown.

        Returns:
            Empty where the paper has no such model.
        """
        key = pretraining if set(modalities) == {"audio", "video"} else None
        if set(modalities) == {"audio", "video", "text"} and pretraining in (None, "40k"):
            key = TRIMODAL
        found = self.paper.get(key or "", {})
        return {direction: {self.headline: value} for direction, value in found.items()}

    def unlike(self, collection: Opened) -> str:
        """Why its data are not the paper's; empty if they are."""
        return unlike_paper(self.scored, collection)


@dataclass(frozen=True)
class Plan:
    """One benchmark under one protocol.

    Attributes:
        benchmark: Which.
        train: Clips to train heads on, by modality.
        select: Clips of the modality a head was trained on, which decide its epoch; empty where
            that is decided on the target, or not at all.
        test: Clips to read the heads on, by modality.
        notes: What a reader of the numbers has to know.
        decides: The metric that decides epochs; empty for the benchmark's headline.
        last_epoch: Whether figures are of the last epoch, and the best is only told.
        marks: A remark on a direction ("video->audio").
    """

    benchmark: Benchmark
    train: dict[str, Side]
    select: dict[str, Side]
    test: dict[str, Side]
    notes: tuple[str, ...] = ()
    decides: str = ""
    last_epoch: bool = False
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Side:
        """The clips of one modality, which say what is the same for all."""
        return next(iter(self.train.values()))

    @property
    def data(self) -> FrozenData:
        """The frozen model and its data."""
        return self.first.data

    @property
    def protocol(self) -> Protocol:
        """``published`` or ``clean``."""
        return self.data.protocol

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, the background included where steps are classified."""
        per_clip = self.benchmark.per == "clip"
        return self.first.clip_classes if per_clip else self.first.classes

    @property
    def headline(self) -> str:
        """The metric that decides epochs."""
        return self.decides or self.benchmark.headline

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(trained on, read on), crossing ones first."""
        pairs = [(a, b) for a in self.train for b in self.test]
        return sorted(pairs, key=lambda pair: pair[0] == pair[1])

    def check(self) -> None:
        """Refuse what no head can learn.

        Raises:
            DataError: training clips of a single class, or training and test labels that differ.
        """
        for given in self.train.values():
            for tested in (*self.test.values(), *self.select.values()):
                same_classes(given, tested)
            seen = distinct_classes(given)
            if seen < 2:
                raise DataError(
                    f"{given.source.path}: all {len(given.clips)} training clips of "
                    f"{given.modality!r} are of one class of label {given.label!r}; a head needs "
                    "two or more"
                )


B = TypeVar("B", bound=type[Benchmark])
benchmarks: Registry[type[Benchmark]] = Registry("benchmark")


def benchmark(name: str) -> Callable[[B], B]:
    """Register a benchmark: a decorator of its class.

    Raises:
        PluginError: the name is no plain word, or is taken.
    """

    def enter(part: B) -> B:
        part.name = name
        benchmarks.register(name)(part)
        return part

    return enter


def find_benchmark(name: str) -> Benchmark:
    """A registered benchmark.

    Raises:
        ConfigError: there is none of this name.
    """
    return benchmarks[name].part()
