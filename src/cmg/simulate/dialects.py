"""The annotation files in the dialects of the official ones: written, and read where real."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cmg.data.labels import Event
from cmg.errors import DataError
from cmg.official import catalogue
from cmg.official.catalogue import PARTS, SPLITS, Part
from cmg.official.layout import Layout, find_layout
from cmg.official.lists.ave import Annotation, categories_of, read_order
from cmg.official.lists.avvp import EventTable
from cmg.official.lists.clips import SUFFIX, read_shared_names
from cmg.official.lists.readers import COLUMNS, READERS, TABBED
from cmg.simulate import layout
from cmg.simulate.lists import Lists, exploded
from cmg.simulate.own_lists import avsbench_clips, avsbench_prompts, beyond_40k
from cmg.simulate.vocabulary import check_categories

ALL_WEAK = "AVVP_dataset_full.csv"
"""The weak lists in one file, which nothing reads."""
FILES = {part.name: part for part in PARTS.values() if part.folders}
"""Every annotation file but those that say part of what another says."""


def content(part: Part, rows: Iterable[Any], newline: str | None = None) -> bytes:
    """A file of these rows; AVE's annotations without a header, as in the authors' git.

    Of AVSBench's list the first two columns officially have other names, which nobody could say.
    """
    columns = COLUMNS.get(part.dialect)
    end = newline or {"crlf": "\r\n"}.get(part.ends, "\n")
    if part.dialect == "files":
        rows = ((f"{clip}{SUFFIX}",) for clip in rows)
    elif part.dialect == "annotations":
        rows = (f"{r.category}&{r.video_id}&good&{r.start}&{r.end}" for r in rows)
    if part.dialect in TABBED:
        rows = ("\t".join(row) for row in [columns, *rows])
    elif columns:
        text = io.StringIO()
        csv.writer(text, lineterminator=end).writerows([columns, *rows])
        return text.getvalue().encode()
    return (end.join(rows) + ("" if part.ends == "unended" else end)).encode()


def rows_of(part: Part, lists: Lists) -> Any:
    """What the lists say of a file."""
    attribute, _, key = part.key.partition(".")
    found = getattr(lists, attribute)
    return found[key] if key else found


def annotation_files(lists: Lists) -> dict[str, bytes]:
    """Content of every text file by its path below the folder."""
    absent = () if lists.avsbench else (catalogue.S4, catalogue.S4_PROMPTS)
    found = {
        f"{folder}/{part.name}": content(part, rows_of(part, lists))
        for part in FILES.values()
        for folder in (() if part.name in absent else part.folders)
    }
    ids = [video_id for _, video_id, _ in lists.vggsound]
    longer = PARTS[catalogue.LONGER["vggsound81k"]]
    found[f"{layout.VGGSOUND}/data/{catalogue.VGGSOUND_CHECKED}"] = content(longer, ids)
    every = [row for split in SPLITS for row in lists.avvp[split]]
    weak = PARTS[catalogue.AVVP_WEAK["train"]]
    found[f"{layout.AVVP}/data/{ALL_WEAK}"] = content(weak, every)
    return found | _open_set(lists)


def _open_set(lists: Lists) -> dict[str, bytes]:
    found = {}
    for known in catalogue.KNOWN["AVE"]:
        rows = (lists.ave[row] for row in known_rows(lists, known))
        train = catalogue.cut(catalogue.AVE_TRAIN, known)
        found[f"AVE_OSCMG/{train}"] = content(PARTS[catalogue.ANNOTATIONS], rows)
    for known in catalogue.KNOWN["UCF51"]:
        first = lists.ucf51_categories[:known]
        names = PARTS[catalogue.UCF51_CATEGORIES]
        found[f"UCF_OSCMG/{catalogue.cut(names.name, known)}"] = content(names, first)
        clips = catalogue.cut(catalogue.UCF51, known)
        found[f"UCF_OSCMG/{clips}"] = _cut(lists, catalogue.UCF51, first, "\n")
    for known in catalogue.KNOWN["UCF-VGGSound"]:
        for name, order in (
            (catalogue.UCF, lists.ucf_names),
            (catalogue.VGGSOUND_UCF, lists.vggsound_names),
        ):
            cut = _cut(lists, name, order[:known], "\r\n")
            found[f"UCF_VGG_OSCMG/{catalogue.cut(name, known)}"] = cut
    return {f"{layout.OPEN_SET}/{name}": text for name, text in found.items()}


def _cut(lists: Lists, name: str, known: Sequence[str], newline: str) -> bytes:
    """The rows of a list that are of some categories; cuts have line ends of their own."""
    part = PARTS[name]
    return content(part, (row for row in rows_of(part, lists) if row[0] in known), newline)


def known_rows(lists: Lists, known: int) -> list[int]:
    """AVE's training rows of the first classes, in the order of the training split."""
    first = categories_of(lists.ave)[:known]
    return [row for row in lists.ave_order["train"] if lists.ave[row].category in first]


DERIVED = ("more", "avvp_dense", "avsbench", "avsbench_prompts")
"""What is made up, or taken from other lists, where the real file is absent."""
NEEDED = (
    *catalogue.ORDERS.values(),
    *(part.name for part in FILES.values() if part.key.partition(".")[0] not in DERIVED),
)
"""Files without which there is nothing to simulate."""
_ALIGNED = (catalogue.VGGSOUND_NAMES, catalogue.UCF_NAMES)


def find_lists(folder: Path) -> Layout:
    """The annotation files below a folder.

    Raises:
        DataError: no such folder, or needed files that are absent.
    """
    layout = find_layout(folder)
    missing = [name for name in NEEDED if name not in layout.files]
    if missing:
        raise DataError(
            f"lists {folder} lacks {', '.join(missing)}; add the files, or leave out --lists to "
            "use made-up lists"
        )
    return layout


def read_lists(layout: Layout) -> Lists:
    """The lists in the real files.

    Args:
        layout: As :func:`find_lists` gives it.

    Raises:
        DataError: a file in another dialect or there twice with different content, or a category
            that the world does not know.
    """
    found: dict[str, Any] = defaultdict(dict)
    for part in FILES.values():
        path = layout.file(part.name)
        if path is None:
            continue
        rows = _rows(part, READERS[part.dialect](path, None, None))
        if part.world:
            check_categories(part.world, _categories(part, rows), part.name)
        attribute, _, key = part.key.partition(".")
        if key:
            found[attribute][key] = rows
        else:
            found[attribute] = rows
    read_shared_names(*(layout.need(name, purpose="--lists") for name in _ALIGNED))
    rows = len(found["ave"])
    for split, name in catalogue.ORDERS.items():
        order = read_order(layout.need(name, purpose="--lists"), rows)
        found["ave_order"][split] = order.tolist()
    for sense, table in found["avvp_combined"].items():
        found["avvp_dense"].setdefault(sense, exploded(table))
    derived: dict[str, Callable[[], Any]]
    derived = {"avsbench": avsbench_clips, "avsbench_prompts": avsbench_prompts}
    derived["more"] = lambda: beyond_40k(found["vggsound"])
    return Lists(**found, **{name: made() for name, made in derived.items() if name not in found})


def _rows(part: Part, found: Any) -> Any:
    """What a file says, as :class:`~cmg.simulate.lists.Lists` has it."""
    columns = COLUMNS.get(part.dialect, ())
    if isinstance(found, EventTable):
        return [(name, *map(",".join, _cells(events))) for name, events in found.rows]
    if isinstance(found, dict):
        return [(key, v if isinstance(v, str) else ",".join(v)) for key, v in found.items()]
    if not columns or part.dialect == "files":
        return found
    return [tuple(_text(getattr(clip, column)) for column in columns) for clip in found]


def _cells(events: Sequence[Event]) -> Iterator[Sequence[str]]:
    """Onsets, offsets and names."""
    return zip(*((str(e.onset), str(e.offset), e.name) for e in events), strict=True)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _categories(part: Part, rows: Sequence[Any]) -> list[str]:
    """The categories that the rows of a file name."""
    if part.dialect in TABBED:
        named = [name for row in rows for name in row[-1].split(",")]
    elif part.dialect == "names":
        named = list(rows)
    else:
        named = [row.category if isinstance(row, Annotation) else row[0] for row in rows]
    return list(dict.fromkeys(named))
