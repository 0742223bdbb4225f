"""Folders of zips: clips without features, features without clips, and whether they make sense."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from cmg.official.doctor.contents import Contents
from cmg.official.doctor.events import is_odd
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.features import check_zips
from cmg.official.doctor.findings import FindingStatus, some
from cmg.official.doctor.parts import AUTHORS, FOLDERS
from cmg.official.doctor.vggsound import LONGER
from cmg.official.lists.avvp import feature_key

_LISTS = {
    "vggsound40k": ("vggsound-avel40k.csv",),
    "avvp": tuple(f"AVVP_eval_{sense}_checked_combined.csv" for sense in ("audio", "visual")),
    "ucf101": ("ucf2vggsound.csv",),
    "ucf101all": ("ucf51checked.csv",),
} | {name: (f"video_name_{name}_checked.csv",) for name in LONGER}
"""The lists that name the clips of a set; a faulty one says nothing of the zips."""
_EMPTY_ZIP = 22
"""Bytes of a zip with no member."""


def check_clips(exam: Examination, contents: Contents) -> None:
    """Compare every folder of zips with its list, and read some of its clips."""
    wanted = _wanted(contents)
    for (data_set, feature), part in FOLDERS.items():
        places = exam.layout.features.get((data_set, feature), [])
        if not places or data_set == "avsbench":
            continue  # AVSBench has folders in its folders of zips, and a check of its own.
        files = _list(exam, part, places[0])
        stems = wanted.get(data_set)
        comparable = feature != "label" and not exam.faulty(part, *_LISTS[data_set])
        if stems is not None and comparable:
            allowed = _allowed(contents) if data_set == "avvp" else ()
            compare_names(exam, part, files, stems, allowed)
        else:
            exam.complete(part, count(len(files), "zips"))
        named = [stem for stem in stems or () if stem in files]
        check_zips(exam, part, data_set, feature, _paths(places[0], named or sorted(files)))


def _wanted(contents: Contents) -> dict[str, list[str]]:
    """Stems of the zips that there must be, by set; sets without a list are absent."""
    found: dict[str, list[str]] = dict(contents.longer)
    if contents.avel is not None:
        found["vggsound40k"] = [clip.video_id for clip in contents.avel]
    if contents.ucf is not None:
        found["ucf101"] = [clip.video_id for clip in contents.ucf]
    if contents.ucf51 is not None:
        found["ucf101all"] = [clip.video_id for clip in contents.ucf51]
    if contents.combined:
        categories = contents.avvp_categories or ()
        names = [name for table in contents.combined.values() for name in table.names]
        found["avvp"] = [
            feature_key(name) for name in names if not is_odd(name) and name not in categories
        ]
    return {name: list(dict.fromkeys(stems)) for name, stems in found.items()}


def _allowed(contents: Contents) -> set[str]:
    """Stems of AVVP's zips that there may be: of clips without events, and of broken names."""
    tables = (*contents.combined.values(), *contents.dense.values())
    names = {name for table in tables for name in table.names}
    return {feature_key(name) for name in names.union(*contents.weak.values())}


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
    if foreign:
        exam.note(part, f"no zips: {some(sorted(foreign))}; not read", f"{len(foreign):,} files")
    if empty:
        exam.say(
            part,
            FindingStatus.TRUNCATED,
            f"{len(empty):,} empty files",
            "0",
            some(sorted(empty)),
            f"unpack these again from {AUTHORS}",
        )
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
    elif missing:
        exam.say(
            part,
            FindingStatus.TRUNCATED,
            f"{len(missing):,} clips without a zip",
            f"{len(stems):,} clips of the list",
            some(missing),
            f"unpack the archive again (from {AUTHORS}); cmg leaves these clips out",
        )
    if more and len(more) < len(files):
        exam.note(
            part, f"zips of no clip in the list: {some(more)}; not read", f"{len(more):,} more"
        )


def _paths(folder: Path, stems: Iterable[str]) -> list[Path]:
    return [folder / f"{stem}.zip" for stem in stems]
