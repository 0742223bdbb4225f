"""Names that should be equal and are not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable


def normalized(name: str) -> str:
    """Lower case, and every run of other characters than letters and digits as one ``_``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def unmatched(names: Iterable[str], known: Collection[str], most: int = 4) -> str:
    """The names that are not known, each with its nearest; empty if all are.

    Names are matched exactly, as the readers do. A name that is equal to a known one in
    `normalized` spelling is said to be, since it is most likely that one in another dialect.
    """
    plain = {normalized(name): name for name in known}
    told = []
    for name in dict.fromkeys(names):
        if name in known:
            continue
        near = difflib.get_close_matches(normalized(name), plain, n=1, cutoff=0.5)
        if normalized(name) in plain:
            told.append(f"{name!r} ({plain[normalized(name)]!r} in another spelling)")
        else:
            told.append(f"{name!r}" + (f" (nearest: {plain[near[0]]!r})" if near else ""))
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return "; ".join(told[:most]) + more


def misaligned(first: list[str], second: list[str]) -> list[int]:
    """Lines of two lists of names that seem to mean different things.

    A line is suspect if another line of the second list has a longer stretch of letters in common
    with it, ``playing`` aside, and that line's own partner is not a better match for it.
    """
    overlap = [[_common(a, b) for b in second] for a in first]
    return [i for i, row in enumerate(overlap) if i < len(row) and max(row) > row[i]]


def _common(a: str, b: str) -> int:
    """Length of the longest stretch of letters that two names share."""
    a, b = (normalized(name).replace("_", "").replace("playing", "") for name in (a, b))
    match = difflib.SequenceMatcher(None, a, b, autojunk=False).find_longest_match()
    return match.size
