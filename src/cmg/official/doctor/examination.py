"""One examination: where the parts are, what is expected, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cmg.errors import CmgError
from cmg.official.doctor.expected import Expected
from cmg.official.doctor.findings import FAULTS, Finding, FindingStatus
from cmg.official.doctor.parts import FOLDERS, GENERAL, PARTS, feature_part, position
from cmg.official.layout import PICTURES, Layout

T = TypeVar("T")


@dataclass
class Examination:
    """What the checks share.

    Attributes:
        layout: Where the parts are.
        expected: Counts and sizes.
        deep: Clips read per folder of features; None reads all.
        findings: So far.
    """

    layout: Layout
    expected: Expected
    deep: int | None = 32
    findings: list[Finding] = field(default_factory=list)

    def say(
        self,
        part: str,
        status: FindingStatus,
        found: str = "",
        expected: str = "",
        detail: str = "",
        remedy: str = "",
    ) -> None:
        """Add a finding."""
        self.findings.append(Finding(part, status, found, expected, detail, remedy))

    def wrong(self, part: str, detail: str, remedy: str, found: str = "") -> None:
        """Add a finding of something wrong."""
        self.say(part, FindingStatus.WRONG, found, detail=detail, remedy=remedy)

    def warn(self, part: str, detail: str, remedy: str = "", found: str = "") -> None:
        """Add a warning."""
        self.say(part, FindingStatus.WARNING, found, detail=detail, remedy=remedy)

    def note(self, part: str, detail: str, found: str = "") -> None:
        """Add a note."""
        self.say(part, FindingStatus.NOTE, found, detail=detail)

    def complete(self, part: str, found: str, expected: str = "") -> None:
        """Say what was counted in a part; dropped in the end if the part has a fault."""
        self.say(part, FindingStatus.COMPLETE, found, expected, detail=self.where(part))

    def counted(
        self, part: str, found: int, wanted: int, what: str = "rows", detail: str = ""
    ) -> bool:
        """Say how much a part holds, and that it is wrong where that is not what it must hold.

        Args:
            part: Name of the part.
            found: How much.
            wanted: How much there must be.
            what: Is counted.
            detail: What to say besides the number that is expected.

        Returns:
            Whether the two are equal.
        """
        self.complete(part, count(found, what), f"{wanted:,}")
        if found != wanted:
            again = f"get it again from {PARTS[part].source}"
            self.wrong(part, f"{wanted:,} expected{detail}", again, count(found, what))
        return found == wanted

    def faulty(self, *parts: str) -> bool:
        """Whether one of these parts has a fault so far."""
        return any(f.part in parts and f.status in FAULTS for f in self.findings)

    def places(self, name: str) -> list[Path]:
        """Every place of a file; those in the further folder of lists come alone."""
        return self.layout.lists.get(name) or self.layout.files.get(name) or []

    def path(self, name: str) -> Path | None:
        """The first place of a file; None if it is absent."""
        places = self.places(name)
        return places[0] if places else None

    def where(self, part: str) -> str:
        """Where a part lies, below the root if it does."""
        keys = [key for key, name in FOLDERS.items() if name == part]
        if part in PICTURES:
            places = self.layout.pictures.get(part, [])
        else:
            places = self.layout.features.get(keys[0], []) if keys else self.places(part)
        between = ", " if part == feature_part("avsbench", "audio") else " = "
        return between.join(self.shown(place) for place in places[:3])

    def shown(self, path: Path) -> str:
        """A path below the root without the root."""
        root = self.layout.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def read(self, name: str, reader: Callable[[Path], T]) -> T | None:
        """Read a file; None where it is absent, or wrong, which is then said."""
        path = self.path(name)
        if path is None:
            return None
        try:
            return reader(path)
        except CmgError as error:
            remedy = f"get {name} again from {PARTS[name].source}"
            status = FindingStatus.TRUNCATED if "truncated" in str(error) else FindingStatus.WRONG
            self.say(name, status, "unreadable", detail=str(error), remedy=remedy)
            return None

    def summed_up(self) -> tuple[Finding, ...]:
        """All findings in the order of the parts; a part of which nothing was said is complete."""
        said = {finding.part for finding in self.findings}
        for part in PARTS:
            if part not in said and self.where(part):
                self.complete(part, "there")
        kept = [
            f
            for f in self.findings
            if f.status is not FindingStatus.COMPLETE or not self.faulty(f.part)
        ]
        severity = {status: place for place, status in enumerate(FindingStatus)}
        severity[FindingStatus.COMPLETE] = -1
        kept.sort(key=lambda f: (f.part != GENERAL, position(f.part), severity[f.status]))
        return tuple(kept)


def count(rows: int, what: str = "rows") -> str:
    """``24,515 rows``."""
    return f"{rows:,} {what}"
