"""Names of categories that should be equal and are not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from cmg.errors import DataError


def normalized(name: str) -> str:
    """Lower case, and every run of other characters than letters and digits as one ``_``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def check_category(name: str, known: Collection[str] | None) -> None:
    """Refuse a category that is not known; all are where `known` is None.

    Raises:
        DataError: with the nearest.
    """
    if known is not None and name not in known:
        raise DataError(f"unknown category {beside_nearest(name, known)}")


def beside_nearest(name: str, known: Collection[str]) -> str:
    """A name that is not known, and its nearest.

    Names are matched exactly. One that is equal to a known one in `normalized` spelling is said to
    be, since it is most likely that one in another dialect.
    """
    plain = {normalized(name): name for name in known}
    if normalized(name) in plain:
        return f"{name!r} ({plain[normalized(name)]!r} in another spelling)"
    near = difflib.get_close_matches(normalized(name), plain, n=1, cutoff=0.5)
    return f"{name!r}" + (f" (did you mean {plain[near[0]]!r}?)" if near else "")


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
