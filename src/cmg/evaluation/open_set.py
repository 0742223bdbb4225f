"""Heads that know some of the classes, read on clips of all: what is unknown should be rejected.

The open-set protocol of cross-modal generalization (OSCMG, ICCV 2025, arXiv 2507.14935): a head
learns K known classes in one modality and is read in another, on clips of known and unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.evaluation.metrics import f1_score

THRESHOLDS = 10
"""That the authors try, evenly spaced over the scores of the clips that they report [as coded]."""
SCORES = ("probability", "entropy", "energy", "distance")
"""See :func:`scores_of`; the last one is of models with codes alone."""
CLOSED, AUROC, FALSE_POSITIVES = "accuracy", "AUROC", "FPR95"
H_SCORE, ORACLE = "H", "H, oracle"
"""Of a threshold chosen on validation clips; of the authors', on the clips that are reported."""
Measured = tuple[str, str, float]
"""Metric, direction and value, 0 to 1, of one head."""


@dataclass(frozen=True)
class ClassSplit:
    """Which classes heads learn, and which they do not.

    Attributes:
        known: Class indices; their places are a head's outputs.
        unknown: Class indices of the others. Clips of classes in neither are left out.
    """

    known: tuple[int, ...]
    unknown: tuple[int, ...]

    def targets(self, labels: Tensor) -> Tensor:
        """Labels as heads see them: places among the known classes, else K; int64 [N].

        Args:
            labels: Class indices, -1 where there is none.

        Returns:
            -1 for clips without a label, or of a class in neither part.
        """
        targets = torch.full_like(labels, -1)
        for place, one in enumerate(self.known):
            targets[labels == one] = place
        return targets.masked_fill(torch.isin(labels, labels.new_tensor(self.unknown)), self.size)

    @property
    def size(self) -> int:
        """K, the number of known classes."""
        return len(self.known)

    def alone(self, labels: Tensor) -> Tensor:
        """Targets of clips of known classes, -1 for all others."""
        targets = self.targets(labels)
        return targets.masked_fill(targets == self.size, -1)


@dataclass(frozen=True)
class Rejections:
    """What becomes of clips at some thresholds: one that scores below is called unknown.

    Attributes:
        thresholds: [N].
        known: Share of clips of known classes that are named rightly; rejected is wrong, [N].
        unknown: Share of clips of unknown classes that are rejected, [N].
        h_scores: Harmonic mean of both, 0 where both are 0 [N].
    """

    thresholds: Tensor
    known: Tensor
    unknown: Tensor

    @property
    def h_scores(self) -> Tensor:
        """See the class."""
        pairs = zip(self.known.tolist(), self.unknown.tolist(), strict=True)
        return self.known.new_tensor([f1_score(a, b) for a, b in pairs])

    @property
    def best(self) -> int:
        """The place of the first of the largest H-scores."""
        return int(self.h_scores.argmax())


def scores_of(logits: Tensor, distances: Tensor | None = None) -> dict[str, Tensor]:
    """How sure a head is that a clip is of a known class, by name: larger is surer; [N] each.

    Args:
        logits: Of the known classes, [N, K].
        distances: Of a clip's features to their codes [N], which no head is needed for.
    """
    log = logits.log_softmax(-1)
    found = {
        "probability": log.max(-1).values.exp(),
        "entropy": (log.exp() * log).sum(-1),
        "energy": logits.logsumexp(-1),
    }
    return found if distances is None else found | {"distance": -distances}


def rejections(
    scores: Tensor, predicted: Tensor, targets: Tensor, thresholds: Tensor, known: int
) -> Rejections:
    """What becomes of clips, of which those that score strictly below a threshold are rejected.

    Args:
        scores: [N].
        predicted: Known classes, int64 [N].
        targets: See :meth:`ClassSplit.targets`; none is -1, [N].
        thresholds: [S].
        known: K.

    Raises:
        DataError: no clip of a known class, or none of an unknown one.
    """
    of_known = part_of(targets, known)
    accepted = scores >= thresholds[:, None]  # [S, N]
    right = accepted & (predicted == targets)
    return Rejections(
        thresholds,
        right[:, of_known].to(scores.dtype).mean(1),
        (~accepted)[:, ~of_known].to(scores.dtype).mean(1),
    )


def evenly_spaced(scores: Tensor, count: int = THRESHOLDS) -> Tensor:
    """Thresholds from the smallest score to the largest [as coded]; the first rejects nobody."""
    low, high = scores.min(), scores.max()
    places = torch.arange(count, dtype=scores.dtype, device=scores.device)
    return low + (high - low) * places / (count - 1)


def every_threshold(scores: Tensor) -> Tensor:
    """All that make a difference: every score, in order."""
    found: Tensor = scores.unique()  # type: ignore[no-untyped-call]  # of torch itself
    return found


def auroc(scores: Tensor, targets: Tensor, known: int) -> float:
    """Chance that a clip of a known class scores above one of an unknown class; ties are a half.

    Args:
        scores: [N].
        targets: See :meth:`ClassSplit.targets`, [N].
        known: K.

    Raises:
        DataError: no clip of a known class, or none of an unknown one.
    """
    of_known = part_of(targets, known)
    order = scores[~of_known].sort().values
    above = torch.searchsorted(order, scores[of_known]).double()
    level = torch.searchsorted(order, scores[of_known], right=True).double()
    return float(((above + level) / 2).mean() / len(order))


def false_positive_rate(scores: Tensor, targets: Tensor, known: int) -> float:
    """Share of clips of unknown classes that are accepted where 95 % of the known ones are.

    Args:
        scores: [N].
        targets: See :meth:`ClassSplit.targets`, [N].
        known: K.

    Raises:
        DataError: no clip of a known class, or none of an unknown one.
    """
    of_known = part_of(targets, known)
    descending = scores[of_known].sort(descending=True).values
    needed = -(-len(descending) * 95 // 100)  # of n clips, the fewest that are 95 %
    return float((scores[~of_known] >= descending[needed - 1]).double().mean())


def part_of(targets: Tensor, known: int, where: str = "") -> Tensor:
    """Which clips are of known classes, bool [N].

    Args:
        targets: See :meth:`ClassSplit.targets`; none is -1, [N].
        known: K.
        where: What the clips are, for the message.

    Raises:
        DataError: no clip of a known class, or none of an unknown one.
    """
    of_known = targets < known
    if not bool(of_known.any()) or bool(of_known.all()):
        lacking = "an unknown" if bool(of_known.any()) else "a known"
        of = f" {where}" if where else ""
        raise DataError(
            f"none of the {len(targets)} labeled clips{of} is of {lacking} class; divide the "
            "classes so that there are some of both kinds"
        )
    return of_known


@dataclass(frozen=True)
class ScoredClips:
    """Clips of known and unknown classes, as a head sees them.

    Attributes:
        scores: See :func:`scores_of`.
        predicted: Known classes, int64 [N].
        targets: See :meth:`ClassSplit.targets`, [N]; none is -1.
        known: K.
    """

    scores: dict[str, Tensor]
    predicted: Tensor
    targets: Tensor
    known: int

    @classmethod
    def of(
        cls, logits: Tensor, targets: Tensor, known: int, distances: Tensor | None = None
    ) -> ScoredClips:
        """The clips by the logits [N, K] of a head, and the distances [N] to their codes."""
        return cls(scores_of(logits, distances), logits.argmax(-1), targets, known)

    def subset(self, keep: Tensor) -> ScoredClips:
        """Some of the clips, bool [N]."""
        scores = {name: one[keep] for name, one in self.scores.items()}
        return ScoredClips(scores, self.predicted[keep], self.targets[keep], self.known)

    def figures(self, choice: ScoredClips | None) -> Iterator[tuple[str, float]]:
        """Metrics and their values, 0 to 1.

        Args:
            choice: Other clips, which thresholds are chosen on; None chooses none.
        """
        of_known = self.targets < self.known
        yield CLOSED, float((self.predicted == self.targets)[of_known].double().mean())
        for name, scores in self.scores.items():
            yield f"{AUROC}, {name}", auroc(scores, self.targets, self.known)
            yield (
                f"{FALSE_POSITIVES}, {name}",
                false_positive_rate(scores, self.targets, self.known),
            )
            if choice is not None:
                tried = choice.at(name, every_threshold(choice.scores[name]))
                yield (
                    f"{H_SCORE}, {name}",
                    float(self.at(name, tried.thresholds[[tried.best]]).h_scores),
                )
        yield ORACLE, self.oracle

    @property
    def oracle(self) -> float:
        """The largest H of ten thresholds on the probability, tried on these clips [as coded]."""
        tried = self.at(SCORES[0], evenly_spaced(self.scores[SCORES[0]]))
        return float(tried.h_scores[tried.best])

    @property
    def both_kinds(self) -> bool:
        """Whether there are clips of known and of unknown classes."""
        of_known = self.targets < self.known
        return bool(of_known.any()) and not bool(of_known.all())

    def at(self, name: str, thresholds: Tensor) -> Rejections:
        """What becomes of the clips at some thresholds of a score."""
        given = (self.scores[name], self.predicted, self.targets)
        return rejections(*given, thresholds, self.known)


def divided(classes: Sequence[str], known: str, unknown: str | None = None) -> ClassSplit:
    """Known and unknown classes by what a user says.

    Args:
        classes: All of them.
        known: How many of the first, or names with commas between them.
        unknown: Names likewise; None is all others.

    Raises:
        ConfigError: no such class, fewer than two known, none unknown, or one in both parts.
    """
    if known.isdecimal() and known not in classes:
        inside = list(range(min(int(known[:9]), len(classes))))
    else:
        inside = named(classes, known, "--known")
    rest = [i for i in range(len(classes)) if i not in inside]
    outside = rest if unknown is None else named(classes, unknown, "--unknown")
    both = [classes[i] for i in inside if i in outside]
    if both:
        raise ConfigError(
            f"class {both[0]!r} is known and unknown at once; name each class on one side only"
        )
    if len(inside) < 2 or not outside:
        raise ConfigError(
            f"--known {known}: {len(inside)} known and {len(outside)} unknown of {len(classes)} "
            "classes; heads need two known ones or more, and one has to be unknown"
        )
    return ClassSplit(tuple(inside), tuple(outside))


def named(classes: Sequence[str], given: str, option: str) -> list[int]:
    """Classes by their names with commas between them.

    Raises:
        ConfigError: there is no such class.
    """
    found = []
    whole = given.strip()
    parts = [whole] if whole in classes else given.split(",")  # a name may have a comma
    for name in filter(None, map(str.strip, parts)):
        if name not in classes:
            raise ConfigError(f"{option} {name}: no such class{did_you_mean(name, classes)}")
        found.append(classes.index(name))
    return list(dict.fromkeys(found))
