"""Which parts are there, which are missing, and which are there twice."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from cmg.official.catalogue import (
    ATTACHED,
    AUTHORS,
    ENCODER,
    FOLDERS,
    GENERAL,
    PARTS,
    PICTURES,
    Part,
    family_parts,
)
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.findings import some
from cmg.official.layout import same_content


def check_presence(exam: Examination) -> None:
    """Say which parts are missing, lie in an unusual place, or are there twice."""
    _check_nesting(exam)
    for part in PARTS.values():
        if part.name == ENCODER:
            continue  # Looked for in other places too.
        if not exam.where(part.name):
            _say_absent(exam, part)
    for name in PARTS:
        _check_copies(exam, name, exam.places(name))
    for key, part_name in FOLDERS.items():
        places = exam.layout.features.get(key, [])
        if len(places) > 1 and key[0] != "avsbench":
            exam.twice(part_name, places, f": {_same_names(*places[:2])}")
    for kind in PICTURES:
        exam.twice(kind, exam.layout.pictures.get(kind, []))


def _say_absent(exam: Examination, part: Part) -> None:
    get = f"get it from {part.source}"
    if part.needed:
        detail = f"needed for {', '.join(part.needed)}"
        exam.missing(part.name, detail, get, "not there")
    elif part.limits:
        exam.warn(part.name, f"only for {part.use}", get, "not there")
    elif part.use:
        members = family_parts(part.family) if part.family else [part]
        together = not any(exam.where(member.name) for member in members)
        if not together or part is members[0]:
            name = part.family if together and part.family else part.name
            told = f"optional, for {part.use}"
            if part.source not in (AUTHORS, ATTACHED):
                told += f"; from {part.source}"
            exam.note(name, told, found="not there")


def _check_nesting(exam: Examination) -> None:
    """Archives unpacked in a folder of their own name give ``data/data``."""
    root = exam.layout.root
    places = [p for several in exam.layout.features.values() for p in several]
    places += [p.parent for name in PARTS for p in exam.layout.files.get(name, [])]
    nested = set()
    for place in places:
        names = place.relative_to(root.parent).parts if root.name else place.parts
        for first, second in pairwise(names):
            if first == second != "feature_extractor":
                nested.add(f"{first}/{second}")
    if nested:
        exam.note(
            GENERAL,
            "an archive was unpacked in a folder of its own name; parts are found there all the "
            "same",
            found=some(sorted(nested)),
        )


def _check_copies(exam: Examination, name: str, places: list[Path]) -> None:
    for other in places[1:]:
        if not same_content(places[0], other):
            exam.duplicated(
                name,
                f"{exam.shown(places[0])} ({places[0].stat().st_size:,} bytes) and "
                f"{exam.shown(other)} ({other.stat().st_size:,} bytes)",
                "keep the right one, that is most likely the larger one, and remove the other; "
                "the readers do not choose between them",
                f"{len(places)} copies that differ",
                expected="one content",
            )
            return


def _same_names(first: Path, second: Path) -> str:
    a, b = set(os.listdir(first)), set(os.listdir(second))
    if a == b:
        return f"the same {len(a):,} names in both"
    return f"{len(a - b):,} names only in the first, {len(b - a):,} only in the second"
