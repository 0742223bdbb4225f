"""Whether features look like VGGish's and VGG-19's: ranges, shapes, lengths, kinds of numbers."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.features import beyond_float32
from cmg.errors import DataError
from cmg.official.catalogue import ANNOTATIONS, AUTHORS, AVE_FEATURES
from cmg.official.doctor.examination import Examination
from cmg.official.doctor.findings import some
from cmg.official.h5 import H5Array
from cmg.official.lengths import RULES, STEPS, LengthRule
from cmg.official.lists.ave import FEATURE_KEY
from cmg.official.zips import read_clip_zip

_FEW_UNITS = 30.0
"""Raw VGGish embeddings reach 4.5 in a second; quantised ones 255."""
_FEWEST_ZEROS = 0.1
"""Share of zeros below which numbers do not come from a ReLU; features have two thirds."""

_EXTRACT = "extract them again, or take the authors' features"
_UNPACK = f"unpack these again from {AUTHORS}, or leave the clips out"


@dataclass
class Tally:
    """What is wrong with which clips, and how many were read."""

    read: int = 0
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    odd: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    zeros: float = 0.0
    dtypes: set[str] = field(default_factory=set)

    def take(self, array: NDArray[Any], name: str, problems: Iterable[str]) -> None:
        """Take one clip into account, and what is wrong with it."""
        self.read += 1
        self.dtypes.add(str(array.dtype))
        for problem in problems:
            self.wrong[problem].append(name)
        self.zeros += float(np.mean(array == 0)) if array.size else 0.0

    def tell(self, exam: Examination, part: str, remedy: str, found: str) -> None:
        """Say what is wrong, and what is odd."""
        for problem, names in self.wrong.items():
            exam.wrong(part, f"{problem}: {some(names)}", remedy, f"{len(names):,} {found}")
        for oddity, names in self.odd.items():
            exam.warn(part, f"{oddity}: {some(names)}", found=f"{len(names):,} {found}")


def check_zips(
    exam: Examination, part: str, data_set: str, feature: str, paths: Sequence[Path]
) -> None:
    """Read a sample of a folder of zips and say what does not look like features.

    Args:
        exam: Gets the findings.
        part: Name of the folder in them.
        data_set: Whose lengths apply.
        feature: ``audio``, ``video`` or ``label``.
        paths: The zips.
    """
    tally, unreadable = Tally(), []
    rule = RULES.get(("vggsound" if data_set.startswith("vggsound") else data_set, feature))
    for path in spread(paths, exam.deep):
        try:
            array = read_clip_zip(path)
        except DataError as error:
            unreadable.append(str(error))
            continue
        for oddity in _member_oddities(path):
            tally.odd[oddity].append(path.name)
        tally.take(array, path.name, _problems(exam, feature, array, rule))
    if unreadable:
        total = tally.read + len(unreadable)
        found = f"{len(unreadable):,} of {total:,} zips read"
        exam.wrong(part, f"damaged: {some(unreadable, 1)}", _UNPACK, found)
    _report(exam, part, feature, tally)


def check_h5(exam: Examination) -> None:
    """Check AVE's two feature files: shape, kind of numbers, and a sample of rows."""
    rows = exam.expected.rows("ave") if ANNOTATIONS in exam.contents else None
    for feature, part in AVE_FEATURES.items():
        array = exam.read(part, _opened)
        if array is None:
            continue
        shape, step = array.shape, exam.expected.step(feature)
        wanted = (shape[0] if rows is None else rows, STEPS, *step)
        exam.complete(part, f"{list(shape)} {array.dtype}", f"{list(wanted)} float64")
        if shape != wanted:
            first = feature == "video" and shape[2:] == (step[-1], *step[:-1])
            exam.wrong(
                part,
                f"{list(wanted)} expected" + (_CHANNELS_FIRST if first else ""),
                exam.again(part),
                f"{list(shape)}",
            )
            continue
        tally = Tally()
        for row in spread(range(shape[0]), exam.deep):
            found = array.row(row)
            tally.take(found, f"row {row}", _problems(exam, feature, found, None))
        _report(exam, part, feature, tally)


_CHANNELS_FIRST = "; channels come first here and must come last: transpose the maps"


def _opened(path: Path) -> H5Array:
    array = H5Array(path, FEATURE_KEY)
    if not array.shape:
        raise DataError(f"{path}: {FEATURE_KEY} is one number, not the features of clips")
    array.row(array.shape[0] - 1)  # The end of the file is what a broken download lacks.
    return array


def spread(items: Sequence[Any], most: int | None) -> Iterable[Any]:
    """At most so many items, evenly spread; all of them for None."""
    if most is None or len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def _problems(
    exam: Examination, feature: str, array: NDArray[Any], rule: LengthRule | None
) -> Iterator[str]:
    """What is wrong with a clip; `rule` brings its length to ten, None if it has been."""
    if feature == "label":
        if array.size != STEPS or not np.isin(array, (0, 1)).all():
            yield f"shape {array.shape}, expected {STEPS} values that are 0 or 1"
    elif problem := _shape_problem(array, exam.expected.step(feature), rule):
        yield problem
    else:
        yield from _value_problems(array, feature)


def _shape_problem(
    array: NDArray[Any], step: tuple[int, ...], rule: LengthRule | None
) -> str | None:
    if array.ndim == 4 and len(step) == 4 - 1 and array.shape[1:] != step:
        height, width = array.shape[2:]
        if height == width and array.shape[1] > height:
            return f"shape {_sizes(array.shape[1:])}{_CHANNELS_FIRST}"
    if array.ndim != len(step) + 1 or array.shape[1:] != step:
        return f"shape {_sizes(array.shape[1:])}, expected {_sizes(step)}"
    if len(array) == 0:
        return "no row: a clip of no second cannot be padded"
    if rule is not None and not rule.pad and len(array) != rule.steps:
        return f"other than {rule.steps} steps, where the authors' program does not pad or cut"
    return None


def _sizes(step: tuple[int, ...]) -> str:
    """Shape of a clip without its number of steps, which differs among clips."""
    return f"({', '.join(['n', *map(str, step)])})"


def _value_problems(array: NDArray[Any], feature: str) -> Iterator[str]:
    if array.dtype.kind == "f" and beyond_float32(array).any():
        yield "NaN or infinite values, or beyond float32"
        return
    if array.min() < 0:
        what = "PCA-processed or taken before the ReLU" if feature == "audio" else "before the ReLU"
        yield f"negative values: {what}"
    elif feature == "audio" and array.max() > 10 and (array == np.round(array)).all():
        yield "whole numbers far over a few units: quantised by VGGish's post-processing (0 to 255)"
    elif feature == "audio" and array.max() > _FEW_UNITS:
        yield f"values over {_FEW_UNITS:g}: no VGGish embeddings, which reach a few units"


def _member_oddities(path: Path) -> Iterator[str]:
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any("__MACOSX" in name or Path(name).name.startswith("._") for name in names):
            yield "members added by macOS (__MACOSX); cmg skips them, the authors' program may not"
        elif sum(".pkl" in name for name in names) > 1:
            yield "several members with .pkl in their name; the last one is read"


def _report(exam: Examination, part: str, feature: str, tally: Tally) -> None:
    tally.tell(exam, part, _EXTRACT, f"of {tally.read:,} clips read")
    if tally.wrong or not tally.read or feature == "label":
        return
    if other := tally.dtypes - {"float32", "float64"}:
        exam.warn(part, f"numbers are {', '.join(sorted(other))}; float32 or float64 expected")
    zeros = tally.zeros / tally.read
    if zeros < _FEWEST_ZEROS:
        exam.warn(
            part,
            "features taken after a ReLU are mostly zero; these may be normalised or of another "
            "network",
            _EXTRACT,
            f"{100 * zeros:.0f} % zeros",
            expected="about two thirds",
        )
