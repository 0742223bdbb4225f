"""What the data doctor says: findings, and what they amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class FindingStatus(StrEnum):
    """How a part is. The first four make a folder unsound, the others do not."""

    MISSING = "missing"
    """Pre-training or one of the four benchmarks needs it, and it is not there."""
    TRUNCATED = "truncated"
    """There, but not all of it."""
    DUPLICATED = "duplicated"
    """There twice, so that the readers refuse to choose."""
    WRONG = "wrong"
    """Not what it should be: readers refuse it, or its numbers would be wrong."""
    WARNING = "warning"
    """Usable, but it limits what can be run or changes what numbers mean."""
    NOTE = "note"
    """An optional part that is absent, or a known peculiarity of the official files."""
    COMPLETE = "complete"


FAULTS = (
    FindingStatus.MISSING,
    FindingStatus.TRUNCATED,
    FindingStatus.DUPLICATED,
    FindingStatus.WRONG,
)
LIMITS = (*FAULTS, FindingStatus.WARNING)
"""What a user has to know of before using the folder."""


@dataclass(frozen=True)
class Finding:
    """One thing said of one part.

    Attributes:
        part: Name of the part, see ``catalogue.tsv``.
        status: How it is.
        found: What is there, e.g. ``20,401 rows``.
        expected: What should be there; empty where there is nothing to compare with.
        detail: Where, which rows, why it matters.
        remedy: What to do; empty where nothing is to be done.
    """

    part: str
    status: FindingStatus
    found: str = ""
    expected: str = ""
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Everything said of a folder.

    Attributes:
        root: The folder.
        simulated: Fraction of the official size if `cmg data simulate` wrote it, else None.
        findings: In the order of the parts.
    """

    root: Path
    simulated: float | None
    findings: tuple[Finding, ...] = field(repr=False)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that make the folder unsound."""
        return tuple(f for f in self.findings if f.status in FAULTS)

    @property
    def sound(self) -> bool:
        """Whether nothing that is needed is missing and nothing that is there is wrong."""
        return not self.faults

    @property
    def counts(self) -> dict[str, int]:
        """Findings per status, every status named."""
        found = Counter(f.status for f in self.findings)
        return {status.value: found[status] for status in FindingStatus}

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as plain values."""
        return {
            "root": str(self.root),
            "simulated": self.simulated,
            "sound": self.sound,
            "counts": self.counts,
            "findings": [asdict(f) | {"status": f.status.value} for f in self.findings],
        }


def some(items: Iterable[object], most: int = 3) -> str:
    """A few examples: ``a, b, c and 5 more``."""
    names = [str(item) for item in items]
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
