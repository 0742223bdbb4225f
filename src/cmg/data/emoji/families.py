"""Near twins: concepts that differ in a color, a size, a direction, an hour, hair and the like.

The rule reads names only. A name loses the words of :data:`TOLD_APART_BY`, what follows a colon,
and its endings in s; what is in brackets stands for the whole name. Concepts of one subgroup that
keep the same words are a family, and so are those of it that keep none: ``twelve o'clock`` and
``one-thirty``, ``red circle`` and ``blue circle``, ``cat`` and ``cat face``. Where that would make
one family of a whole subgroup (keycaps), its members stay apart, as do the signs of the zodiac.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

TOLD_APART_BY = frozenset(
    # colors and sizes
    "red orange yellow green blue light purple brown black grey white pink "
    "large medium small big round "
    # directions and turns
    "left right up down upward downward leftward rightward facing front pointing pointed curving "
    "tilted oncoming clockwise counterclockwise vertical horizontal arrow next last forward "
    "reverse incoming departure arrival "
    # numbers, hours, phases, levels
    "one two three four five six seven eight nine ten eleven twelve thirty o'clock double "
    "1st 2nd 3rd first quarter new full waxing waning gibbou crescent low high volume muted "
    "increasing decreasing done not single "
    # states and looks
    "open closed raised lowered with without of the at and on face eye smiling slightly baby "
    "hatching spouting hump clinking linked slash off button snow capped dusk garden japanese "
    "manual motorized yen dollar euro pound no santa mrs. "
    "europe africa america asia australia derelict".split()
)
SAME = {
    "man": "person",
    "woman": "person",
    "men": "person",
    "women": "person",
    "man'": "person",
    "woman'": "person",
    "men'": "person",
    "women'": "person",
    "boy": "child",
    "girl": "child",
    "old": "older",
    "princes": "prince",
    "bright": "dim",
    "inbox": "outbox",
    "unlocked": "locked",
    "lowercase": "uppercase",
}
"""Words for which another one stands."""


def core(label: str) -> str:
    """What is left of a name: ``large blue diamond`` and ``small orange diamond`` are the same."""
    bracket = re.search(r"\((.+)\)", label)
    text = (bracket.group(1) if bracket else label).lower().split(":")[0].replace("\u2019", "'")
    words = [word.removesuffix("s") for word in re.split(r"[\s-]+", text)]
    return " ".join(SAME.get(word, word) for word in words if word not in TOLD_APART_BY)


def families(labels: Sequence[str], subgroups: Sequence[str]) -> list[str]:
    """The family of every concept: its subgroup, and the first name of the family.

    Args:
        labels: English names, distinct.
        subgroups: Of the same concepts.
    """
    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for label, subgroup in zip(labels, subgroups, strict=True):
        members[subgroup, core(label)].append(label)
    size = {subgroup: subgroups.count(subgroup) for subgroup in set(subgroups)}
    named = []
    for label, subgroup in zip(labels, subgroups, strict=True):
        family = members[subgroup, core(label)]
        first = label if len(family) == size[subgroup] else family[0]
        named.append(f"{subgroup}/{first}")
    return named
