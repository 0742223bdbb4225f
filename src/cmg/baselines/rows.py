"""Rows of a comparison that need no training: ridge, CCA, heads on raw features, the majority.

Every head is a logistic regression on raw features of labeled clips, see :mod:`cmg.baselines.raw`;
its penalty, and those of the maps, are chosen by clips that they were not fitted to, from strong
to weak, the strongest of equally good ones. What is chosen is then fitted to all training clips.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

from pydantic import ConfigDict
from torch import Tensor
from torch.nn import functional

from cmg.baselines.linear import CCA, Affine, Ridge, SharedSpace
from cmg.baselines.raw import RawClips, RawPart, raw_clips
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips
from cmg.errors import DataError
from cmg.evaluation.logistic import Fit, Samples, fit_logistic
from cmg.evaluation.scores import Score, ScoreMap

RIDGE_PENALTIES = tuple(10.0 ** (half / 2) for half in range(8, -9, -1))
"""Of ridge, for features of deviation 1: from 10^4 to 10^-4."""
CCA_PENALTIES = tuple(10.0**power for power in range(2, -5, -1))
"""Of CCA, likewise."""
CCA_DIMENSIONS = (4, 8, 16, 32, 64, 128, 256)
QUICK_PENALTY = 0.01
"""Of least-squares heads, by which CCA is chosen: a logistic one for each would take minutes."""

Map = Callable[[Tensor], Tensor]


@dataclass
class Baseline:
    """What one baseline found, and what it cost.

    Attributes:
        scores: Accuracy in percent per direction; empty while it is not finished.
        chosen: What was chosen for each direction, by its name.
        tries: Settings that were compared, over all directions.
        parameters: Numbers that were fitted, over all directions.
        steps: Of training.
        seconds: Wall time.
        cpu_seconds: Of this process.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    scores: ScoreMap = field(default_factory=dict)
    chosen: dict[str, dict[str, float]] = field(default_factory=dict)
    tries: int = 0
    parameters: int = 0
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, direction: str, score: float, tries: int, *fitted: Fit | Affine) -> None:
        """A direction, of heads and maps."""
        self.scores[direction] = Score.of([score])
        self.tries += tries
        self.parameters += sum(x.weight.numel() + x.bias.numel() for x in fitted)


@dataclass(frozen=True)
class Heads:
    """Two heads of one penalty: fitted to what is apart from the held part, and to all."""

    apart: Fit
    whole: Fit

    @classmethod
    def of(cls, clips: RawClips, source: str, apart: Map, whole: Map) -> Heads:
        """Heads of a modality in some space, their penalty chosen on the held part.

        Args:
            clips: Their parts.
            source: Modality.
            apart: To the space, fitted to the part `fit`.
            whole: To the space, fitted to all training clips.
        """
        fitted, held = (samples(part, source, apart) for part in (clips.fit, clips.held))
        chosen = fit_logistic(*fitted, clips.classes, held_out=held)
        if clips.fit is clips.train:
            return cls(chosen, chosen)
        everything = samples(clips.train, source, whole)
        return cls(chosen, fit_logistic(*everything, clips.classes, chosen.l2))


class RawHeads(dict[str, Heads]):
    """Heads on the raw features of each modality, fitted when they are first asked for.

    Args:
        clips: Their parts.
    """

    def __init__(self, clips: RawClips) -> None:
        super().__init__()
        self.clips = clips

    def __missing__(self, modality: str) -> Heads:
        """Fit the heads of a modality."""
        self[modality] = found = Heads.of(self.clips, modality, same, same)
        return found


def samples(part: RawPart, modality: str, to: Map) -> Samples:
    """Labeled clips of a modality in some space.

    Raises:
        DataError: there is none.
    """
    x, labels = part.labeled(modality)
    if not len(x):
        raise DataError(
            f"a baseline needs labeled clips with {modality!r} among those that it learns from, "
            "chooses by and is judged on, and one of these has none; label some there, or leave "
            "the modality out of data.modalities"
        )
    return Samples(to(x), labels)


def right(head: Fit, clips: Samples) -> float:
    """Accuracy in percent."""
    logits = functional.linear(clips.x, head.weight, head.bias)
    return hits(logits, clips.labels)


def hits(logits: Tensor, labels: Tensor) -> float:
    """Percent of the clips of which the right class has the largest logit."""
    return 100.0 * float((logits.argmax(1) == labels).double().mean())


def same(x: Tensor) -> Tensor:
    """Features as they are."""
    return x


def linear(clips: RawClips, heads: RawHeads) -> Baseline:
    """Heads on raw features of the target itself: what a direction could reach at most."""
    row, within = Baseline(), {}
    for target in clips.train.features:
        tried, head = heads[target].apart.tried, heads[target].whole
        within[target] = right(head, samples(clips.test, target, same))
        row.add(f"{target}->{target}", within[target], tried, head)
        row.chosen[f"{target}->{target}"] = {"l2": head.l2}
    for source, target in clips.directions:
        row.add(f"{source}->{target}", within[target], 0)
    return row


def ridge(clips: RawClips, heads: RawHeads) -> Baseline:
    """Heads on raw features of the source, read on features of the target mapped to them."""
    row = Baseline()
    for source, target in clips.directions:
        head = heads[source]
        apart = Ridge(*clips.fit.pairs(target, source))
        whole = apart if clips.fit is clips.train else Ridge(*clips.train.pairs(target, source))
        tried = {
            p: right(head.apart, samples(clips.held, target, apart.at(p))) for p in RIDGE_PENALTIES
        }
        penalty = max(tried, key=tried.__getitem__)
        to, direction = whole.at(penalty), f"{source}->{target}"
        found = right(head.whole, samples(clips.test, target, to))
        row.add(direction, found, len(tried) + head.apart.tried, to, head.whole)
        row.chosen[direction] = {"penalty": penalty, "l2": head.whole.l2}
    return row


def cca(clips: RawClips, heads: RawHeads) -> Baseline:
    """Heads on the source's projection, read on the target's, in the space they share."""
    row = Baseline()
    for pair in combinations(clips.train.features, 2):
        if pair not in clips.directions:
            continue
        apart = CCA(*clips.fit.pairs(*pair))
        whole = apart if clips.fit is clips.train else CCA(*clips.train.pairs(*pair))
        spaces = cca_spaces(apart, pair)
        for source, target in (pair, pair[::-1]):
            turned = source != pair[0]
            sides = {p: space.turned() if turned else space for p, space in spaces.items()}
            tried = quick_scores(clips, source, target, sides)
            penalty, columns = max(tried, key=tried.__getitem__)
            fitted, final = sides[penalty].leading(columns), whole.at(penalty).leading(columns)
            final = final.turned() if turned else final
            chosen = Heads.of(clips, source, fitted.first, final.first)
            head, tries = chosen.whole, len(tried) + chosen.apart.tried
            found = right(head, samples(clips.test, target, final.second))
            parts = (final.first, final.second, head)
            direction = f"{source}->{target}"
            row.add(direction, found, tries, *parts)
            row.chosen[direction] = {"penalty": penalty, "dimensions": columns, "l2": head.l2}
    return row


def cca_spaces(fitted: CCA, pair: tuple[str, str]) -> dict[float, SharedSpace]:
    """Spaces of two modalities by penalty, with as many dimensions as may be chosen.

    Raises:
        DataError: one modality's features are the same for all clips, so there is no dimension.
    """
    spaces = {p: fitted.at(p).leading(CCA_DIMENSIONS[-1]) for p in CCA_PENALTIES}
    if not len(spaces[CCA_PENALTIES[0]].correlations):
        raise DataError(
            f"CCA of {pair[0]} and {pair[1]}: features of one of them are the same for all clips "
            "that have both, so they share nothing; extract them again, or leave it out"
        )
    return spaces


def cca_dimensions(space: SharedSpace) -> list[int]:
    """How many dimensions of a space are tried."""
    rank = len(space.correlations)
    return [*(d for d in CCA_DIMENSIONS if d < rank), min(rank, CCA_DIMENSIONS[-1])]


def quick_scores(
    clips: RawClips, source: str, target: str, spaces: Mapping[float, SharedSpace]
) -> dict[tuple[float, int], float]:
    """Accuracy on held clips by penalty and number of dimensions, of least-squares heads."""
    found = {}
    for penalty, space in spaces.items():
        fitted = samples(clips.fit, source, space.first)
        held = samples(clips.held, target, space.second)
        wanted = functional.one_hot(fitted.labels, clips.classes).double()
        for columns in cca_dimensions(space):
            head = Ridge(fitted.x[:, :columns], wanted).at(QUICK_PENALTY)
            found[penalty, columns] = hits(head(held.x[:, :columns]), held.labels)
    return found


def majority(clips: RawClips, heads: RawHeads) -> Baseline:
    """Naming the class that most of the source's training clips have."""
    row = Baseline()
    names = list(clips.train.features)
    for source, target in [*((m, m) for m in names), *clips.directions]:
        most = clips.train.labeled(source)[1].bincount().argmax()
        labels = samples(clips.test, target, same).labels
        row.add(f"{source}->{target}", 100.0 * float((labels == most).double().mean()), 0)
    return row


COMPUTED: dict[str, Callable[[RawClips, RawHeads], Baseline]] = {
    "ridge": ridge,
    "cca": cca,
    "linear": linear,
    "majority": majority,
}
"""Baselines that no network is trained for, by their names in files and tables."""


def computed(
    clips: RawClips, names: Iterable[str] = tuple(COMPUTED)
) -> Iterator[tuple[str, Baseline]]:
    """Some of :data:`COMPUTED`, one after the other, with what each took.

    Heads on raw features are fitted once, and counted where they are first read.
    """
    heads = RawHeads(clips)
    for name in names:
        wall, cpu = time.perf_counter(), time.process_time()
        row = COMPUTED[name](clips, heads)
        row.seconds, row.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        yield name, row


def computed_controls(store: Clips, config: RunConfig) -> dict[str, ScoreMap]:
    """The tables of all of :data:`COMPUTED`, by name.

    Raises:
        DataError: see :func:`~cmg.baselines.raw.raw_clips`.
    """
    return {name: row.scores for name, row in computed(raw_clips(store, config.data))}
