"""One examination: where the parts are, what is expected, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cmg.errors import CmgError
from cmg.official.catalogue import FOLDERS, GENERAL, PARTS, PICTURES, SPLITS, feature_part, position
from cmg.official.doctor.expected import Expected
from cmg.official.doctor.findings import FAULTS, Finding, FindingStatus, some
from cmg.official.doctor.names import unmatched
from cmg.official.layout import Layout
from cmg.official.lists.dialects import read_list
from cmg.tables import Faults

T = TypeVar("T")
ENOUGH = 0.9
"""Share of the rows below which a list is truncated."""


@dataclass
class Examination:
    """What the checks share.

    Attributes:
        layout: Where the parts are.
        expected: Counts and sizes.
        deep: Clips read per folder of features; None reads all.
        findings: So far.
        contents: What every list says that is there and can be read, by its name.
    """

    layout: Layout
    expected: Expected
    deep: int | None = 32
    findings: list[Finding] = field(default_factory=list)
    contents: dict[str, Any] = field(default_factory=dict)

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

    def counted(self, part: str, found: int, wanted: int, what: str = "rows") -> bool:
        """Say how much a part holds, and that it is wrong where that is not what it must hold."""
        self.complete(part, count(found, what), f"{wanted:,}")
        if found != wanted:
            detail = f"{wanted:,} expected{PARTS[part].about}"
            self.wrong(part, detail, self.again(part), count(found, what))
        return found == wanted

    def rows(self, part: str, found: int) -> None:
        """Say how many rows a list has, and whether these are as many as officially."""
        wanted = self.expected.rows(*PARTS[part].rows) if PARTS[part].rows else None
        told = "" if wanted is None else f"{wanted:,}"
        self.complete(part, count(found), told)
        if wanted is None or found == wanted or self.faulty(part):
            return
        if found < ENOUGH * wanted:
            self.truncated(part, count(found), told)
        else:
            self.warn(part, f"expected {told}; another version of the list", found=count(found))

    def truncated(
        self, part: str, found: str, expected: str, detail: str = "", remedy: str = ""
    ) -> None:
        """Add a finding of something that is not there as a whole."""
        remedy = remedy or self.again(part)
        self.say(part, FindingStatus.TRUNCATED, found, expected, detail, remedy)

    def twice(self, part: str, places: Sequence[Path], detail: str = "") -> None:
        """Say of a folder that it is there twice, if it is."""
        if len(places) > 1:
            self.say(
                part,
                FindingStatus.DUPLICATED,
                f"{len(places)} folders",
                "1",
                some(map(self.shown, places)) + detail,
                "keep the complete one; the readers do not choose between them",
            )

    def known(
        self, part: str, names: Iterable[str], of: str, remedy: str, told: str = "categories{}"
    ) -> bool:
        """Whether the names in a part are those of a file of names; says which are not."""
        known = self.trusted(of)
        if known is not None and (strange := unmatched(names, known)):
            self.wrong(part, told.format(f" that {of} does not have: {strange}"), remedy)
            return False
        return known is not None

    def spread(self, part: str, clips: Iterable[Any], categories: Iterable[str]) -> None:
        """Warn of categories that have no clip in some split."""
        there = {(clip.category, clip.split) for clip in clips}
        names = list(categories)
        if without := [c for c in names if any((c, split) not in there for split in SPLITS)]:
            self.warn(
                part,
                f"categories without a clip in some split: {some(without)}",
                f"the list is cut; {self.again(part)}",
                f"{len(without)} of {len(names)}",
            )

    def again(self, part: str, what: str = "it") -> str:
        """The remedy for a part that is not what it should be."""
        return f"get {what} again from {PARTS[part].source}"

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
            remedy = self.again(name, name)
            status = FindingStatus.TRUNCATED if "truncated" in str(error) else FindingStatus.WRONG
            self.say(name, status, "unreadable", detail=str(error), remedy=remedy)
            return None

    def read_lists(self) -> None:
        """Read every list once; what is wrong with one is said."""
        for part in PARTS.values():
            path = self.path(part.name)
            if path is None or not part.dialect:
                continue
            faults = Faults(path)
            found = self.read(part.name, partial(read_list, part, faults=faults))
            if faults:
                remedy = self.again(part.name, part.name)
                self.wrong(part.name, str(faults), remedy, f"{len(faults):,} broken rows")
            if found is not None:
                self.contents[part.name] = found
                if part.names:
                    self.counted(part.name, len(found), part.names, "names")

    def trusted(self, name: str) -> Any:
        """What a list says; None where it is absent or has a fault."""
        return None if self.faulty(name) else self.contents.get(name)

    def there(self, lists: Mapping[str, str]) -> dict[str, Any]:
        """What those lists say that are there and can be read, by the keys given for them."""
        return {key: self.contents[n] for key, n in lists.items() if n in self.contents}

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
