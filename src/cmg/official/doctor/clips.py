"""Folders of zips: clips without features, features without clips, and whether they make sense."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from cmg.official.catalogue import (
    AUTHORS,
    AVVP_CATEGORIES,
    AVVP_DENSE,
    AVVP_EVENTS,
    AVVP_WEAK,
    FOLDERS,
    PARTS,
)
from cmg.official.doctor.avvp import is_odd
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.features import check_zips
from cmg.official.doctor.findings import some
from cmg.official.lists.avvp import EventTable, feature_key

_NAMING = ("clips", "clips-without-split", "files", "events")
"""Dialects of lists that name the clips of a set; a faulty one says nothing of the zips."""
_EMPTY_ZIP = 22
"""Bytes of a zip with no member."""


def check_clips(exam: Examination) -> None:
    """Compare every folder of zips with its list, and read some of its clips."""
    for (data_set, feature), part in FOLDERS.items():
        places = exam.layout.features.get((data_set, feature), [])
        if not places or data_set == "avsbench":
            continue  # AVSBench has folders in its folders of zips, and a check of its own.
        files = _list(exam, part, places[0])
        stems = _wanted(exam, data_set)
        comparable = feature != "label" and not exam.faulty(part, *_lists(data_set))
        if stems and comparable:
            allowed = _allowed(exam) if data_set == "avvp" else ()
            compare_names(exam, part, files, stems, allowed)
        else:
            exam.complete(part, count(len(files), "zips"))
        named = [stem for stem in stems if stem in files]
        paths = [places[0] / f"{stem}.zip" for stem in named or sorted(files)]
        check_zips(exam, part, data_set, feature, paths)


def _lists(data_set: str) -> list[str]:
    """The lists that name the clips of a set."""
    of_set = (part for part in PARTS.values() if part.rows[:1] == (data_set,))
    return [part.name for part in of_set if part.dialect in _NAMING]


def _wanted(exam: Examination, data_set: str) -> list[str]:
    """Stems of the zips that there must be; none for a set without a list."""
    lists = [exam.contents[name] for name in _lists(data_set) if name in exam.contents]
    categories = exam.contents.get(AVVP_CATEGORIES, ())
    stems: dict[str, None] = {}
    for found in lists:
        if isinstance(found, EventTable):
            named = [n for n in found.names if not is_odd(n) and n not in categories]
            stems |= dict.fromkeys(map(feature_key, named))
        else:
            stems |= dict.fromkeys(getattr(clip, "video_id", clip) for clip in found)
    return list(stems)


def _allowed(exam: Examination) -> set[str]:
    """Stems of AVVP's zips that there may be: of clips without events, and of broken names."""
    tables: list[EventTable] = [*exam.there(AVVP_EVENTS).values(), *exam.there(AVVP_DENSE).values()]
    names = {name for table in tables for name in table.names}
    return {feature_key(name) for name in names.union(*exam.there(AVVP_WEAK).values())}


def _list(exam: Examination, part: str, folder: Path) -> set[str]:
    """Stems of the zips, listed once; empty files and foreign ones are said."""
    stems, empty, foreign, folders = set(), [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                folders.append(entry.name)
            elif not entry.name.endswith(".zip") or entry.name.startswith("."):
                foreign.append(entry.name)
            else:
                stems.add(entry.name.removesuffix(".zip"))
                if entry.stat().st_size <= _EMPTY_ZIP:
                    empty.append(entry.name)
    if not stems and folders:
        exam.wrong(
            part,
            f"no zip in {exam.shown(folder)}, but folders: {some(sorted(folders))}",
            f"move the zips into {exam.shown(folder)} itself",
            "0 zips",
        )
    exam.note(part, "no zips: {}; not read", "", "{} files", sorted(foreign))
    again = f"unpack these again from {AUTHORS}"
    exam.truncated(part, "{}", again, "{} empty files", sorted(empty), "0")
    return stems


def compare_names(
    exam: Examination,
    part: str,
    files: set[str],
    stems: Sequence[str],
    allowed: Collection[str] = (),
) -> None:
    """Say which clips of a list have no zip, and which zips are of no clip.

    Args:
        exam: Gets the findings.
        part: Name of the folder in them.
        files: Stems of the zips.
        stems: Those of the list.
        allowed: Those that there may be besides.
    """
    exam.complete(part, count(len(files), "zips"), f"{len(stems):,} clips of the list")
    missing = [stem for stem in stems if stem not in files]
    more = sorted(files.difference(stems, allowed))
    if missing and len(missing) == len(stems) and files:
        exam.wrong(
            part,
            f"no zip is named by the list: e.g. {min(files)}.zip, the list has {stems[0]}",
            "the list or the folder is of another set; zips are named by the id of the clip",
            count(len(files), "zips"),
        )
    else:
        exam.truncated(
            part,
            "{}",
            f"unpack the archive again (from {AUTHORS}); cmg leaves these clips out",
            "{} clips without a zip",
            missing,
            f"{len(stems):,} clips of the list",
        )
    if len(more) < len(files):
        exam.note(part, "zips of no clip in the list: {}; not read", "", "{} more", more)
