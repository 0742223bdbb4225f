"""What the parts of a set must not share, and what each of them must have."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from cmg.data.clips import Clips
from cmg.data.manifest import ClipRow
from cmg.errors import DataError

GROUP = "group"
"""Key in the `meta` of a row: what must not straddle parts, e.g. a subject."""


def refuse_leak(store: Clips, *splits: str) -> None:
    """Refuse parts that share a group: a choice made on one has then seen the other.

    A clip's group is what its row's `meta` has under ``group``; without that it is its own group.

    Args:
        store: Whose splits.
        splits: Names, joined ones as ``train+val`` among them; each is compared with every other.

    Raises:
        DataError: two of them share a group, or there is no such split.
    """
    groups = [_groups(store.split(name)) for name in splits]
    for (a, of_a), (b, of_b) in combinations(zip(splits, groups, strict=True), 2):
        if shared := sorted(of_a & of_b):
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            raise DataError(
                f"{store.path}: leak: splits {a!r} and {b!r} share {shared[0]}{more}; what is "
                "chosen on one must not have seen the other: name parts without a common group"
            )


def _groups(split: Clips) -> set[str]:
    return {
        f"group {row.meta[GROUP]!r}" if GROUP in row.meta else f"clip {row.id!r}"
        for row in split.rows
    }


def refuse_absent_classes(rows: Sequence[ClipRow], label: str, classes: Sequence[str]) -> None:
    """Refuse parts without a clip of some class: no head could learn or be judged on it.

    Args:
        rows: Of all parts.
        label: One per clip.
        classes: Of the label.

    Raises:
        DataError: names a part and a class.
    """
    parts: dict[str, set[object]] = {}
    for row in rows:
        parts.setdefault(row.split, set()).add(row.labels.get(label))
    for part, found in parts.items():
        for index, name in enumerate(classes):
            if index not in found:
                raise DataError(
                    f"split {part!r} has no clip whose {label} is {name!r}; "
                    "divide the clips so that every part has every class"
                )
