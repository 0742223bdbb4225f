"""One examination: where the parts are, what is expected, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partialmethod
from pathlib import Path
from typing import Any, TypeVar

from cmg.errors import CmgError
from cmg.official.catalogue import (
    ANNOTATIONS,
    FOLDERS,
    GENERAL,
    PARTS,
    PICTURES,
    SPLITS,
    VGGSOUND,
    Part,
    position,
)
from cmg.official.doctor.expected import Expected
from cmg.official.doctor.findings import FAULTS, Finding, FindingStatus, some
from cmg.official.layout import Layout
from cmg.official.lists.readers import READERS
from cmg.tables import Faults

T = TypeVar("T")
ENOUGH = 0.9
"""Share of the rows below which a list is truncated."""
_EXACT = (VGGSOUND, ANNOTATIONS)
"""Lists whose rows are compared in other ways."""


@dataclass
class Examination:
    """What the checks share.

    Attributes:
        layout: Where the parts are.
        expected: Counts and sizes.
        deep: Clips read per folder of features; None reads all.
        findings: So far.
        contents: What every list says that is there and can be read, by its name.
        broken: Lists with rows that cannot be read; their contents are the other rows.
    """

    layout: Layout
    expected: Expected
    deep: int | None = 32
    findings: list[Finding] = field(default_factory=list)
    contents: dict[str, Any] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def say(
        self,
        status: FindingStatus,
        part: str,
        detail: str,
        remedy: str = "",
        found: str = "",
        of: Collection[object] | None = None,
        expected: str = "",
    ) -> None:
        """Add a finding; one that is `of` some things only where there are any.

        Their examples take the place of ``{}`` in its detail, their number that in what was found.
        """
        if of is not None:
            detail, found = detail.format(some(of)), found.format(f"{len(of):,}")
        if of is None or of:
            self.findings.append(Finding(part, status, found, expected, detail, remedy))

    missing = partialmethod(say, FindingStatus.MISSING)
    truncated = partialmethod(say, FindingStatus.TRUNCATED)
    duplicated = partialmethod(say, FindingStatus.DUPLICATED)
    wrong = partialmethod(say, FindingStatus.WRONG)
    warn = partialmethod(say, FindingStatus.WARNING)
    note = partialmethod(say, FindingStatus.NOTE)

    def complete(self, part: str, found: str, expected: str = "") -> None:
        """Say what was counted in a part; dropped in the end if the part has a fault."""
        self.say(FindingStatus.COMPLETE, part, self.where(part), "", found, None, expected)

    def counted(self, part: str, found: int, wanted: int, what: str = "rows") -> bool:
        """Say how much a part holds, and that it is wrong where that is not what it must hold."""
        self.complete(part, count(found, what), f"{wanted:,}")
        if found != wanted:
            detail = f"{wanted:,} expected{PARTS[part].about}"
            self.wrong(part, detail, self.again(part), count(found, what))
        return found == wanted

    def rows(self, part: str, found: int) -> None:
        """Say how many rows a list has, and whether these are as many as officially."""
        wanted = self.expected.rows(*PARTS[part].rows)
        told = "" if wanted is None else f"{wanted:,}"
        self.complete(part, count(found), told)
        if wanted is None or found == wanted or part in self.broken:
            return
        if found < ENOUGH * wanted:
            self.truncated(part, "", self.again(part), count(found), expected=told)
        else:
            self.warn(part, f"expected {told}; another version of the list", found=count(found))

    def twice(self, part: str, places: Sequence[Path], detail: str = "") -> None:
        """Say of a folder that it is there twice, if it is."""
        if len(places) > 1:
            self.duplicated(
                part,
                some(map(self.shown, places)) + detail,
                "keep the complete one; the readers do not choose between them",
                f"{len(places)} folders",
                expected="1",
            )

    def spread(self, part: str, clips: Iterable[Any], categories: Collection[str]) -> None:
        """Warn of categories that have no clip in some split."""
        there = {(clip.category, clip.split) for clip in clips}
        self.warn(
            part,
            "categories without a clip in some split: {}",
            f"the list is cut; {self.again(part)}",
            f"{{}} of {len(categories)}",
            [c for c in categories if any((c, split) not in there for split in SPLITS)],
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
        between = ", " if part == FOLDERS["avsbench", "audio"] else " = "
        return between.join(self.shown(place) for place in places[:3])

    def shown(self, path: Path) -> str:
        """A path below the root without the root."""
        root = self.layout.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def read(
        self, name: str, reader: Callable[[Path], T], remedy: str = "", found: str = "unreadable"
    ) -> T | None:
        """Read a file; None where it is absent, or refused by its reader, which is then said."""
        path = self.path(name)
        if path is None:
            return None
        try:
            return reader(path)
        except CmgError as error:
            remedy = remedy or self.again(name, name)
            status = FindingStatus.TRUNCATED if "truncated" in str(error) else FindingStatus.WRONG
            self.say(status, name, str(error), remedy, found)
            return None

    def read_lists(self) -> None:
        """Read every list once; what its reader refuses is said, and whether rows are missing.

        Files of names come before the lists whose categories they are.
        """
        for part in sorted(PARTS.values(), key=_depth):
            path = self.path(part.name)
            if path is not None and part.dialect:
                self._read_list(part, Faults(path))

    def _read_list(self, part: Part, faults: Faults) -> None:
        reader, categories = READERS[part.dialect], self.trusted(part.categories)
        found = self.read(part.name, lambda path: reader(path, faults, categories))
        if faults:
            self.broken.add(part.name)
            names = f", or names in {part.categories}" if part.categories else ""
            remedy = f"correct these rows{names}; or {self.again(part.name)}"
            self.wrong(part.name, str(faults), remedy, f"{len(faults):,} broken rows")
        if found is None:
            return
        self.contents[part.name] = found
        if part.names:
            self.counted(part.name, len(found), part.names, "names")
        elif part.rows and part.name not in _EXACT:
            self.rows(part.name, len(found))

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


def _depth(part: Part) -> int:
    """Files of names that are read before a list."""
    return 1 + _depth(PARTS[part.categories]) if part.categories else 0


def count(rows: int, what: str = "rows") -> str:
    """``24,515 rows``."""
    return f"{rows:,} {what}"
