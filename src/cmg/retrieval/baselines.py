"""Ridge and CCA as retrieval: the mean raw features of a clip, mapped to where both are compared.

Maps are fitted to the clips that a run was trained on, without labels. Penalties and dimensions are
chosen by R@1 + R@5 + R@10 of clips that are held out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch

from cmg.baselines.linear import CCA, Ridge
from cmg.baselines.raw import RawPart, apart, raw_part, scaled, validation
from cmg.baselines.rows import (
    RIDGE_PENALTIES,
    Map,
    cca_dimensions,
    cca_spaces,
    same,
)
from cmg.clips import training_part
from cmg.data.clips import Clips
from cmg.data.options import DataOptions
from cmg.errors import DataError
from cmg.retrieval.evaluate import Directions, RetrievalScores, scores_of_pairs
from cmg.retrieval.representation import unit

Maps = tuple[Map, Map]
"""Of queries, and of the gallery, to where they are compared."""


@dataclass(frozen=True)
class RawGalleries:
    """Raw features of the clips that maps are fitted to, chosen by and judged on.

    Attributes:
        fit: What maps are fitted to where something is chosen.
        held: Whereby it is chosen.
        train: What they are fitted to then.
        test: What they are judged on.
    """

    fit: RawPart
    held: RawPart
    train: RawPart
    test: RawPart

    @classmethod
    def of(
        cls, store: Clips, data: DataOptions, names: Sequence[str], label: str | None
    ) -> RawGalleries:
        """The parts of a store that a configuration names.

        Args:
            store: Of a run.
            data: Its splits; `test_split` is what is judged.
            names: Modalities.
            label: Per clip, for mAP.

        Raises:
            DataError: no such split, or features that are no numbers.
        """
        training = training_part(store, data)
        parts = [
            raw_part(split, names, label) for split in (training, store.split(data.test_split))
        ]
        if (val := validation(store, data, None)) is not None:
            train, test, held = scaled([*parts, raw_part(val, names, label)], names)
            return cls(train, held, train, test)
        train, test = scaled(parts, names)
        out = apart(training)
        return cls(train.at(~out), train.at(out), train, test)


def searched(part: RawPart, query: str, gallery: str, maps: Maps) -> RetrievalScores:
    """Scores of the clips of a part that have both modalities.

    Raises:
        DataError: there are fewer than two.
    """
    rows = part.present[query] & part.present[gallery]
    sides = (part.features[query][rows], part.features[gallery][rows])
    if len(sides[0]) < 2:
        raise DataError(
            f"fewer than two clips have both {query!r} and {gallery!r} among those that baselines "
            "of retrieval learn from, choose by or are judged on; leave --baselines out"
        )
    ids, ones = [str(i) for i in range(len(sides[0]))], torch.ones(len(sides[0]), dtype=torch.int64)
    queries, others = (unit(to(x), "mean", ones, ids) for to, x in zip(maps, sides, strict=True))
    return scores_of_pairs(queries, others, part.labels[rows])


def ridge_maps(part: RawPart, query: str, gallery: str) -> Iterator[Maps]:
    """The query's features to the gallery's, from strong penalties to weak."""
    fitted = Ridge(*part.pairs(query, gallery))
    return ((fitted.at(penalty), same) for penalty in RIDGE_PENALTIES)


def cca_maps(part: RawPart, query: str, gallery: str) -> Iterator[Maps]:
    """Both to a shared space, from strong penalties and few dimensions to weak and many."""
    spaces = cca_spaces(CCA(*part.pairs(query, gallery)), (query, gallery))
    cut = (space.leading(d) for space in spaces.values() for d in cca_dimensions(space))
    return ((space.first, space.second) for space in cut)


COMPUTED: dict[str, Callable[[RawPart, str, str], Iterator[Maps]]] = {
    "ridge": ridge_maps,
    "cca": cca_maps,
}
"""By their names in files and tables: all that is tried, strong penalties first."""


def computed_directions(clips: RawGalleries, name: str) -> Directions:
    """One of :data:`COMPUTED` in every direction.

    Raises:
        DataError: see :func:`searched`.
    """
    found = {}
    for query, gallery in permutations(clips.train.features, 2):
        tried = [
            sum(searched(clips.held, query, gallery, maps).recall.values())
            for maps in COMPUTED[name](clips.fit, query, gallery)
        ]
        chosen = tried.index(max(tried))
        maps = list(COMPUTED[name](clips.train, query, gallery))[chosen]
        found[f"{query}->{gallery}"] = searched(clips.test, query, gallery, maps)
    return found
