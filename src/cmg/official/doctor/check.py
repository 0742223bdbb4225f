"""All checks, one after the other."""

from __future__ import annotations

from pathlib import Path

from cmg.errors import ConfigError, DataError
from cmg.files import StrPath
from cmg.official.collection import COLLECTION
from cmg.official.doctor.ave import check_ave
from cmg.official.doctor.avsbench import check_avsbench
from cmg.official.doctor.avvp import check_avvp
from cmg.official.doctor.clips import check_clips
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.expected import OFFICIAL, read_simulation
from cmg.official.doctor.features import check_h5
from cmg.official.doctor.findings import Diagnosis
from cmg.official.doctor.overlaps import check_overlaps
from cmg.official.doctor.presence import check_presence
from cmg.official.doctor.text import check_text
from cmg.official.doctor.ucf import check_open_set, check_ucf
from cmg.official.doctor.vggsound import check_vggsound
from cmg.official.layout import SIMULATION, Layout, find_layout

DEEP = 32
"""Clips read per folder of features by default."""


def check_root(root: StrPath, lists: StrPath | None = None, deep: int | None = DEEP) -> Diagnosis:
    """Examine a folder in the official layout, or a simulated one.

    Nothing is written, and nothing in the folder is executed. Folders of zips are listed once;
    only `deep` clips of each are read.

    Args:
        root: The folder; parts are found wherever they lie below it.
        lists: Further folder of annotation files, which come before those of `root`.
        deep: Clips read per folder of features; None reads all.

    Raises:
        ConfigError: `deep` below 0.
        DataError: a folder that cannot be read, or one of imported stores.
    """
    if deep is not None and deep < 0:
        raise ConfigError(f"deep {deep} must be at least 0, or all")
    root = Path(root)
    if (root / COLLECTION).is_file():
        raise DataError(
            f"{root} holds imported stores, not the official folder; check them with "
            "`cmg data verify`"
        )
    layout = find_layout(root, lists)
    exam = Examination(layout, OFFICIAL, deep)
    _compare_with_simulation(exam, layout)
    check_presence(exam)
    exam.read_lists()
    for examine in (
        check_vggsound,
        check_ave,
        check_h5,
        check_avvp,
        check_ucf,
        check_open_set,
        check_clips,
        check_avsbench,
        check_text,
        check_overlaps,
    ):
        examine(exam)
    return Diagnosis(root, exam.expected.fraction, exam.summed_up())


def _compare_with_simulation(exam: Examination, layout: Layout) -> None:
    """A simulated folder is compared with what it says of itself."""
    places = layout.files.get(SIMULATION)
    if not places:
        return
    try:
        exam.expected = read_simulation(places[0])
    except DataError as error:
        exam.wrong(SIMULATION, str(error), "simulate again with --overwrite")
        return
    exam.note(
        SIMULATION,
        "written by `cmg data simulate`: compared with the counts and widths recorded there, at "
        "least two clips a class and split; numbers measured on it are not the paper's",
        found=f"fraction {exam.expected.fraction:g}",
    )
