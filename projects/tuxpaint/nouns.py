"""Classes of stamps: the noun that its description is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from cmg.errors import DataError
from projects.tuxpaint.stamps import Stamp

NOUNS = (
    "airplane",
    "apple",
    "balloon",
    "bus",
    "camera",
    "car",
    "coin",
    "eye",
    "flag",
    "flower",
    "gnu",
    "guitar",
    "hat",
    "lion",
    "marker",
    "note",
    "orange",
    "penguin",
    "piece",
    "shirt",
    "tower",
    "tree",
    "truck",
    "yen",
)
"""The nouns of most stamps that can be drawn, letters and spelling hands left out."""
ENDS = frozenset(
    "of with in on for from to that called and at by or who which is are also until has made like "
    "as".split()
)
"""Words behind which no head noun follows."""
LETTER = re.compile(r"the (spanish )?letter\b|the sign for\b")
SPLITS = ("train", "val", "test")
LEAST = 3
"""Stamps that a class needs, one per split."""
SHARE = 5
"""One stamp of so many of a noun is held out, and one more for choices."""


def noun_of(caption: str) -> str | None:
    """The head noun of a description: the last word of its first phrase.

    >>> noun_of("A “Fuji” apple.")
    'apple'
    >>> noun_of("The baby of a gnu.")
    'gnu'
    """
    line = re.sub(r"[“”\"']", "", caption.lower()).replace("the baby of", "")
    phrase: list[str] = []
    for word in re.findall(r"[a-z-]+", re.split(r"[.,;:!?(—]", line.strip())[0]):
        if word in ENDS:
            break
        phrase.append(word)
    return phrase[-1] if phrase else None


def is_letter(caption: str) -> bool:
    """Whether a stamp is a letter, or a hand that spells one."""
    return LETTER.match(caption.lower()) is not None


def part_of(stamps: Sequence[Stamp], count: int) -> list[Stamp]:
    """Some stamps, for a quick look: those of the nouns with the most, noun by noun.

    Args:
        stamps: All.
        count: How many at most.
    """
    ordered = sorted(by_noun(stamps).values(), key=lambda members: -len(members))
    chosen = set([name for members in ordered for name in members][:count])
    return [stamp for stamp in stamps if stamp.id in chosen]


def classes_of(stamps: Sequence[Stamp]) -> tuple[str, ...]:
    """The nouns that have enough stamps for all splits.

    Raises:
        DataError: fewer than two have.
    """
    found = tuple(n for n, members in by_noun(stamps).items() if len(members) >= LEAST)
    if len(found) < 2:
        raise DataError(
            f"{len(stamps)} stamps have {len(found)} nouns with {LEAST} stamps or more; two or "
            "more are needed, so give more stamps"
        )
    return found


def split_stamps(stamps: Sequence[Stamp], nouns: Sequence[str], seed: int = 0) -> dict[str, str]:
    """Clips of every stamp; all recordings of a stamp are in one split.

    Of each noun a fifth of the stamps, at least one, is `test`, as many are `val`, the others and
    the stamps of no noun are `train`.

    Args:
        stamps: In the order of their ids.
        nouns: The classes.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    found = dict.fromkeys((s.id for s in stamps), "train")
    for members in by_noun(stamps, nouns).values():
        held = max(1, round(len(members) / SHARE))
        for place, index in enumerate(rng.permutation(len(members))):
            found[members[index]] = SPLITS[max(0, 2 - place // held)]
    return found


def by_noun(stamps: Sequence[Stamp], nouns: Sequence[str] = NOUNS) -> Mapping[str, list[str]]:
    """Ids of the stamps of every noun."""
    found: dict[str, list[str]] = {noun: [] for noun in nouns}
    for stamp in stamps:
        noun = noun_of(stamp.caption)
        if noun in found:
            found[noun].append(stamp.id)
    return found
