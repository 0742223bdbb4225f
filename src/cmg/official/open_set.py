"""Open-set cuts: which classes and clips are known in training, the others being unknown.

The number of known classes K is the caller's, never counted in a list: in the cuts of UCF101 and
VGGSound some of the first K classes have no clip. A cut that has a list of its own is read from it
and compared with the full list; one that has none is cut from the full list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmg.errors import ConfigError, DataError, did_you_mean
from cmg.official import catalogue
from cmg.official.layout import Layout
from cmg.official.lists.ave import categories_of, clip_id, read_annotations, read_order
from cmg.official.lists.clips import read_shared_names, read_ucf
from cmg.tables import read_lines

Side = Literal["ucf101", "vggsound40k"]


@dataclass(frozen=True)
class OpenSetCut:
    """What a head is trained on; at test a class from K on counts as class K, "unknown".

    Attributes:
        classes: All classes in their order.
        known: K; the first K classes are known.
        clips: Ids of the training clips, in the order of the list.
        origin: File the clips are from.
    """

    classes: tuple[str, ...]
    known: int
    clips: tuple[str, ...]
    origin: Path


def ave_cut(layout: Layout, known: int) -> OpenSetCut:
    """AVE's training clips of the first K classes; the release has K = 14 and 21.

    Raises:
        ConfigError: K out of range.
        DataError: a list is missing or damaged, or the cut does not fit the annotations.
    """
    purpose, order = "open-set AVE", catalogue.ORDERS["train"]
    annotations = read_annotations(layout.need(catalogue.ANNOTATIONS, purpose=purpose))
    classes = categories_of(annotations)
    check_known(known, classes)
    full = layout.need(order, purpose=purpose)
    first = set(classes[:known])
    numbers = read_order(full, len(annotations)).tolist()
    wanted = [row for row in numbers if annotations[row].category in first]
    cut = layout.file(catalogue.cut(order, known))
    rows = wanted if cut is None else read_order(cut, len(annotations)).tolist()
    _check_same(cut or full, map(clip_id, rows), map(clip_id, wanted), known, full)
    text = layout.file(catalogue.cut(catalogue.AVE_TRAIN, known))
    if text is not None and read_annotations(text) != [annotations[row] for row in rows]:
        raise DataError(
            f"{text}: its lines are not the rows of {catalogue.ANNOTATIONS} that "
            f"{(cut or full).name} lists; {_AGAIN}"
        )
    return OpenSetCut(tuple(classes), known, tuple(map(clip_id, rows)), cut or full)


def ucf51_cut(layout: Layout, known: int) -> OpenSetCut:
    """UCF101's clips with sound, of the first K of 51 classes; the release has K = 17 and 34.

    Raises:
        ConfigError: K out of range.
        DataError: a list is missing or damaged, or the cut does not fit the full list.
    """
    purpose = "open-set UCF101"
    classes = read_lines(layout.need(catalogue.UCF51_CATEGORIES, purpose=purpose))
    of_cut = layout.file(catalogue.cut(catalogue.UCF51_CATEGORIES, known))
    if of_cut is not None and read_lines(of_cut) != classes[:known]:
        raise DataError(
            f"{of_cut}: not the first {known} lines of {catalogue.UCF51_CATEGORIES}; {_AGAIN}"
        )
    return _csv_cut(layout, catalogue.UCF51, classes, known, purpose)


def ucf_vggsound_cut(layout: Layout, known: int, side: Side) -> OpenSetCut:
    """The first K of the 16 classes that UCF101 and VGGSound share; the release has K = 8 and 12.

    Args:
        layout: Where the parts are.
        known: K.
        side: Whose clips; the classes are named as there.

    Raises:
        ConfigError: K out of range, or another side.
        DataError: a list is missing or damaged, or the cut does not fit the full list.
    """
    purpose = "open-set UCF101-VGGSound"
    lists = {"ucf101": catalogue.UCF, "vggsound40k": catalogue.VGGSOUND_UCF}
    if side not in lists:
        raise ConfigError(f"{purpose}: unknown side {side!r}{did_you_mean(side, lists)}")
    files = (catalogue.VGGSOUND_NAMES, catalogue.UCF_NAMES)
    shared = read_shared_names(*(layout.need(name, purpose=purpose) for name in files))
    classes = shared.ucf if side == "ucf101" else shared.vggsound
    return _csv_cut(layout, lists[side], classes, known, purpose)


def _csv_cut(
    layout: Layout, name: str, classes: Sequence[str], known: int, purpose: str
) -> OpenSetCut:
    full, cut = layout.need(name, purpose=purpose), layout.file(catalogue.cut(name, known))
    check_known(known, classes)
    rows = read_ucf(full, categories=classes)
    wanted = [row.video_id for row in rows if row.category in classes[:known]]
    clips = wanted if cut is None else [row.video_id for row in read_ucf(cut)]
    _check_same(cut or full, clips, wanted, known, full)
    return OpenSetCut(tuple(classes), known, tuple(clips), cut or full)


def check_known(known: int, classes: Sequence[str]) -> None:
    """Refuse numbers of known classes that leave none, or none unknown.

    Raises:
        ConfigError: with those that are allowed.
    """
    if not 0 < known < len(classes):
        raise ConfigError(
            f"{known} known classes of {len(classes)}: give 1 to {len(classes) - 1}, so that some "
            "are unknown"
        )


def _check_same(
    cut: Path, found: Iterable[str], wanted: Iterable[str], known: int, full: Path
) -> None:
    listed, expected = set(found), set(wanted)
    if listed != expected:
        one = min(listed ^ expected)
        state = "a clip of another class or split" if one in listed else "missing"
        raise DataError(
            f"{cut}: not the training clips of the first {known} classes in {full.name} "
            f"({len(listed - expected)} too many, {len(expected - listed)} missing; {one!r} is "
            f"{state}); {_AGAIN}"
        )


_AGAIN = "take both files from the same download"
