"""How a study scores a model: picklable objects that give numbers by name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmg.baselines.rows import computed_controls
from cmg.clips import configured_clips, is_one_store
from cmg.config.schema import RunConfig
from cmg.data.parts import refuse_leak
from cmg.decoders.heads import ProbeOptions
from cmg.errors import ConfigError, DataError, ModalityError
from cmg.evaluation.encoding import code_usage, encode_split
from cmg.evaluation.frozen import FrozenData, Opened, Protocol
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import ScoreMap
from cmg.evaluation.training import HeadOptions
from cmg.models.unified import UnifiedModel
from cmg.official.collection import open_collection
from cmg.official.layout import SIMULATION
from cmg.recipes.evaluate import evaluate_reads
from cmg.recipes.evaluate_tasks import benchmark_names
from cmg.tasks.benchmark import Benchmark, find_benchmark
from cmg.tasks.outcome import Figures
from cmg.tasks.paper import unlike_training
from cmg.tasks.run import CONTINUOUS, run_plan

Scores = dict[str, float]
"""A number by ``metric/direction``, e.g. ``classification/audio->video``, or by
``codebook/measure``. Metrics are in percent, and higher is better."""
CODEBOOK, UNQUANTIZED = "codebook", "continuous features"
"""What is measured of the codes; what is said of a metric where heads read no codes."""


@dataclass(frozen=True)
class StoreScorer:
    """Heads on the store that the model was trained on, read on its held-out split.

    With several heads per direction (``probe.seeds``) a score is their mean.

    Attributes:
        name: What is measured, in words; part of a study's identity.
    """

    name: str = "heads on the store's held-out split"

    def check(self, config: RunConfig) -> str:
        """Refuse, before anything is trained, a store without labels or apart splits.

        Returns:
            Content hash of the data it scores on.

        Raises:
            CmgError: data or labels are missing.
        """
        source = configured_clips(config.data)
        if not source.labels:
            raise DataError(
                f"{source.path} has no labels; a study scores heads, which need a label per clip "
                "or step (import the store again with a label column)"
            )
        refuse_leak(source, config.data.train_split, config.data.test_split)
        return source.content_hash

    def unlike_paper(self, config: RunConfig) -> str:
        """Why the paper's figures cannot stand beside these: a store is none of its benchmarks."""
        return "it was scored on other data"

    def score(
        self, model: UnifiedModel, config: RunConfig, reads: Sequence[ProbeOptions], seed: int
    ) -> list[Scores]:
        """Classification and localization per direction, and use of the codebook.

        Args:
            model: Left untouched.
            config: Its run's.
            reads: What heads read and how they are trained; a result for each.
            seed: Of the heads.
        """
        return [result_scores(found) for found in evaluate_reads(model, config, reads, seed)]

    def controls(self, config: RunConfig) -> dict[str, Scores]:
        """Classification per direction of what needs no trained model, by name."""
        found = computed_controls(configured_clips(config.data), config)
        return {name: by_direction("classification", table) for name, table in found.items()}


def result_scores(tables: Results) -> Scores:
    """All that one evaluation found."""
    found = {
        **by_direction("classification", tables.transfer),
        **by_direction("localization", tables.localization),
        **by_direction(f"classification, {UNQUANTIZED}", tables.controls["continuous"]),
    }
    for split, table in tables.extra_splits.items():
        found |= by_direction(f"classification, {split}", table)
    return found | codebook_scores(tables.codebook)


def of_heads(found: Scores) -> Scores:
    """Scores without those that are the same whatever heads read."""
    same = (f"{CODEBOOK}/", f"{UNQUANTIZED}/")
    return {k: v for k, v in found.items() if not any(part in k for part in same)}


def codebook_scores(stats: CodebookStats) -> Scores:
    """Codes in use, perplexity, and the share of the used codes that are shared, in percent."""
    return {
        f"{CODEBOOK}/used": float(stats.used),
        f"{CODEBOOK}/perplexity": float(stats.perplexity),
        f"{CODEBOOK}/shared": 100.0 * stats.shared_share,
    }


def by_direction(metric: str, table: ScoreMap) -> Scores:
    """A table of accuracies as scores; several heads are averaged."""
    return {f"{metric}/{direction}": score.mean for direction, score in table.items()}


@dataclass(frozen=True)
class TaskScorer:
    """Heads on the benchmarks of the collection that the model was trained on a list of.

    A score is the metric that the paper reports, of the codes and of the continuous features, by
    ``benchmark/direction``; with several heads per direction (``probe.seeds``) their mean.

    Attributes:
        benchmarks: See :mod:`cmg.tasks`.
        protocol: ``clean`` or ``published``.
        simulated: Whether the collection was made by ``cmg data simulate``.
    """

    benchmarks: tuple[str, ...]
    protocol: Protocol
    simulated: bool = False

    @property
    def registered(self) -> list[Benchmark]:
        """The benchmarks themselves."""
        return [find_benchmark(name) for name in self.benchmarks]

    @property
    def name(self) -> str:
        """Benchmarks and protocol."""
        of = " of simulated data" if self.simulated else ""
        return f"{', '.join(self.benchmarks)}{of}, {self.protocol} protocol"

    def check(self, config: RunConfig) -> str:
        """The collection has the data sets; see :meth:`StoreScorer.check`."""
        chosen = config.data.modalities
        for one in self.registered:
            missing = [m for m in one.modalities if chosen is not None and m not in chosen]
            if missing:
                raise ModalityError(
                    f"{one.name} goes between {' and '.join(one.modalities)}, but data.modalities "
                    f"has no {missing[0]}; take modalities=av or avt"
                )
            self._options(one, config)
        opened = open_sets(config)
        sets = dict.fromkeys(name for one in self.registered for name in one.sets)
        hashes = [opened.open(name).content_hash for name in sets]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    def unlike_paper(self, config: RunConfig) -> str:
        """Why the paper's figures cannot stand beside these; empty if they can."""
        opened = open_sets(config)
        reasons = (one.unlike(opened) for one in self.registered)
        return next(filter(None, reasons), unlike_training(config))

    def score(
        self, model: UnifiedModel, config: RunConfig, reads: Sequence[ProbeOptions], seed: int
    ) -> list[Scores]:
        """Every benchmark in both directions, and use of the codebook on the first set's clips."""
        opened = open_sets(config)
        first = opened.open(self.registered[0].sets[0])
        usage = code_usage(encode_split(model, first.split("+".join(first.splits))), model.size)
        book = codebook_scores(CodebookStats.of(usage, usage))
        return [self._read(opened, model, config, read, seed) | book for read in reads]

    def controls(self, config: RunConfig) -> dict[str, Scores]:
        """None yet.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"controls are computed on a store, and {config.data.store} is a collection; leave "
            "`computed` out of the study"
        )

    def _read(
        self, opened: Opened, model: UnifiedModel, config: RunConfig, read: ProbeOptions, seed: int
    ) -> Scores:
        """Every benchmark in both directions, for one kind of heads."""
        data = FrozenData(
            opened, model, self.protocol, by=read.features, dimensions=read.dimensions
        )
        found: Scores = {}
        for one in self.registered:
            seeds = range(seed, seed + read.seeds)
            outcome = run_plan(one.plan(data), self._options(one, config), seeds)
            found |= headline(one.name, outcome.headline, outcome.figures)
            name = f"{one.name}, {UNQUANTIZED}"
            found |= headline(name, outcome.headline, outcome.controls[CONTINUOUS])
        return found

    def _options(self, benchmark: Benchmark, config: RunConfig) -> HeadOptions:
        epochs = config.training.epochs
        return benchmark.head_options(self.protocol, epochs, f"training.epochs = {epochs}")


Scorer = StoreScorer | TaskScorer
"""Scores a trained model."""


def open_sets(config: RunConfig) -> Opened:
    """The data sets beside the list that a configuration trains on."""
    return Opened(open_collection(config.data.store, config.data.lists, text="none"))


def headline(metric: str, name: str, figures: Figures) -> Scores:
    """The metric that is compared with the paper, per direction; what is not finite is left out."""
    found = {f"{metric}/{d}": row[name].mean for d, row in figures.items() if name in row}
    return {key: value for key, value in found.items() if math.isfinite(value)}


def scorer_for(data: str, benchmarks: str | None = None, protocol: str | None = None) -> Scorer:
    """What scores models that were trained on some data.

    Args:
        data: A store is scored on its own held-out split, a collection on benchmarks.
        benchmarks: Names separated by commas, or ``all``; None takes AVE.
        protocol: ``clean`` or ``published``; None takes clean.

    Raises:
        ConfigError: an unknown benchmark or protocol, or either one for a store.
    """
    if is_one_store(data):
        if benchmarks is not None or protocol is not None:
            raise ConfigError(
                f"--benchmarks and --protocol are for a collection; {data} is a single store, "
                "which is scored on its own held-out split"
            )
        return StoreScorer()
    if protocol not in (None, "clean", "published"):
        raise ConfigError(f"unknown protocol {protocol!r}; valid: clean, published")
    names = [name.strip() for name in (benchmarks or "ave").split(",")]
    chosen: Protocol = "published" if protocol == "published" else "clean"
    simulated = (Path(data) / SIMULATION).is_file()
    return TaskScorer(tuple(benchmark_names(names)), chosen, simulated)
