"""The annotation files in the dialects of the official ones: written, and read where real."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.data.labels import Event
from cmg.errors import DataError
from cmg.official import names
from cmg.official.catalogue import PARTS
from cmg.official.layout import Layout, find_layout
from cmg.official.lists.ave import Annotation, categories_of, read_order
from cmg.official.lists.avvp import EVENT_COLUMNS, read_events
from cmg.official.lists.clips import read_shared_names
from cmg.simulate import layout
from cmg.simulate.lists import Lists, exploded
from cmg.simulate.own_lists import avsbench_clips, avsbench_prompts, beyond_40k
from cmg.simulate.vocabulary import check_categories, read_table

Writer = Callable[[Iterable[Any]], bytes]


def lines(names: Iterable[str]) -> bytes:
    """One name per line."""
    return "".join(f"{name}\n" for name in names).encode()


def unended(names: Iterable[str]) -> bytes:
    """One name per line, the last without a newline, as in the official 16-line lists."""
    return "\n".join(names).encode()


def annotation_lines(rows: Iterable[Annotation]) -> bytes:
    """AVE's annotations, without a header as in the authors' git."""
    return lines(f"{r.category}&{r.video_id}&good&{r.start}&{r.end}" for r in rows)


def clip_files(ids: Iterable[str]) -> bytes:
    """Ids of clips as names of files."""
    return comma(("id",), ((f"{clip}.mp4",) for clip in ids))


def comma(header: Sequence[str], rows: Iterable[Sequence[str]], newline: str = "\n") -> bytes:
    """A comma-separated file; cells with commas are quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator=newline).writerows([header, *rows])
    return text.getvalue().encode()


@dataclass(frozen=True)
class ListFile:
    """An annotation file, a row of ``facts/lists.tsv``.

    Of AVSBench's list the first two columns officially have other names, which nobody could say.

    Attributes:
        name: Its official name.
        of: Attribute of :class:`~cmg.simulate.lists.Lists` that it says.
        folders: Where copies of it are, below the official folder.
        columns: Its header; none for a file of names.
        key: Which entry of the attribute, where that is a dict.
        writer: Writes what is no table.
        newline: Ends the lines of a comma-separated file.
        world: Data set whose categories it has, where these must be known.
        needed: Whether there is nothing to simulate without it; others are derived where absent.
    """

    name: str
    of: str
    folders: tuple[str, ...]
    columns: tuple[str, ...]
    key: str
    writer: Writer
    newline: str
    world: str
    needed: bool

    def rows(self, lists: Lists) -> Any:
        """What the lists have of it."""
        found = getattr(lists, self.of)
        return found[self.key] if self.key else found

    def content(self, rows: Iterable[Any], newline: str | None = None) -> bytes:
        """The file of these rows."""
        if self.columns and self.columns[0] == "filename":
            return lines("\t".join(row) for row in [self.columns, *rows])
        if self.columns:
            return comma(self.columns, rows, newline or self.newline)
        return self.writer(rows)


def _list_file(row: dict[str, str]) -> ListFile:
    return ListFile(
        row["name"],
        row["of"],
        tuple(row["folders"].split()),
        tuple(row["columns"].split()),
        row["key"],
        _WRITERS[row["writer"]],
        "\r\n" if row["crlf"] else "\n",
        row["world"],
        row["needed"] == "yes",
    )


_WRITERS: dict[str, Writer] = {
    "": lines,
    "unended": unended,
    "annotation_lines": annotation_lines,
    "clip_files": clip_files,
}
FILES = {row["name"]: _list_file(row) for row in read_table("lists")}
"""Every annotation file but those that say part of what another says."""


def annotation_files(lists: Lists) -> dict[str, bytes]:
    """Content of every text file by its path below the folder."""
    absent = () if lists.avsbench else (names.S4, names.S4_PROMPTS)
    found = {
        f"{folder}/{file.name}": file.content(file.rows(lists))
        for file in FILES.values()
        for folder in (() if file.name in absent else file.folders)
    }
    ids = [video_id for _, video_id, _ in lists.vggsound]
    found[f"{layout.VGGSOUND}/data/{names.VGGSOUND_CHECKED}"] = clip_files(ids)
    every = [row for split in names.SPLITS for row in lists.avvp[split]]
    weak = FILES[names.AVVP_WEAK["train"]]
    found[f"{layout.AVVP}/data/AVVP_dataset_full.csv"] = weak.content(every)
    return found | _open_set(lists)


def _open_set(lists: Lists) -> dict[str, bytes]:
    found = {}
    for known in names.KNOWN["AVE"]:
        content = annotation_lines(lists.ave[row] for row in known_rows(lists, known))
        found[f"AVE_OSCMG/{names.cut(names.AVE_TRAIN, known)}"] = content
    for known in names.KNOWN["UCF51"]:
        first = lists.ucf51_categories[:known]
        found[f"UCF_OSCMG/{names.cut(names.UCF51_CATEGORIES, known)}"] = lines(first)
        found[f"UCF_OSCMG/{names.cut(names.UCF51, known)}"] = _cut(lists, names.UCF51, first, "\n")
    for known in names.KNOWN["UCF-VGGSound"]:
        for name, order in (
            (names.UCF, lists.ucf_names),
            (names.VGGSOUND_UCF, lists.vggsound_names),
        ):
            content = _cut(lists, name, order[:known], "\r\n")
            found[f"UCF_VGG_OSCMG/{names.cut(name, known)}"] = content
    return {f"{layout.OPEN_SET}/{name}": content for name, content in found.items()}


def _cut(lists: Lists, name: str, known: Sequence[str], newline: str) -> bytes:
    """The rows of a list that are of some categories; cuts have line ends of their own."""
    file = FILES[name]
    return file.content((row for row in file.rows(lists) if row[0] in known), newline)


def known_rows(lists: Lists, known: int) -> list[int]:
    """AVE's training rows of the first classes, in the order of the training split."""
    first = categories_of(lists.ave)[:known]
    return [row for row in lists.ave_order["train"] if lists.ave[row].category in first]


NEEDED = (*names.ORDERS.values(), *(name for name, file in FILES.items() if file.needed))
"""Files without which there is nothing to simulate; all others are derived where absent."""
_ALIGNED = (names.VGGSOUND_NAMES, names.UCF_NAMES)


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
    for file in FILES.values():
        path = layout.file(file.name)
        if path is None:
            continue
        rows = _rows(file, path)
        if file.world:
            check_categories(file.world, _categories(file, rows), file.name)
        if file.key:
            found[file.of][file.key] = rows
        else:
            found[file.of] = rows
    read_shared_names(*(layout.need(name, purpose="--lists") for name in _ALIGNED))
    rows = len(found["ave"])
    for split, name in names.ORDERS.items():
        order = read_order(layout.need(name, purpose="--lists"), rows)
        found["ave_order"][split] = order.tolist()
    for sense, table in found["avvp_combined"].items():
        found["avvp_dense"].setdefault(sense, exploded(table))
    derived: dict[str, Callable[[], Any]]
    derived = {"avsbench": avsbench_clips, "avsbench_prompts": avsbench_prompts}
    derived["more"] = lambda: beyond_40k(found["vggsound"])
    return Lists(**found, **{name: made() for name, made in derived.items() if name not in found})


def _rows(file: ListFile, path: Path) -> Any:
    """What a file says, as :class:`~cmg.simulate.lists.Lists` has it."""
    if file.columns == EVENT_COLUMNS:
        return [(name, *map(",".join, _cells(events))) for name, events in read_events(path).rows]
    read = PARTS[file.name].read
    assert read is not None
    found = read(path)
    if isinstance(found, dict):
        return [(key, v if isinstance(v, str) else ",".join(v)) for key, v in found.items()]
    if not file.columns:
        return found
    return [tuple(_text(getattr(clip, column)) for column in file.columns) for clip in found]


def _cells(events: Sequence[Event]) -> Iterator[Sequence[str]]:
    """Onsets, offsets and names."""
    return zip(*((str(e.onset), str(e.offset), e.name) for e in events), strict=True)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _categories(file: ListFile, rows: Sequence[Any]) -> list[str]:
    """The categories that the rows of a file name."""
    if file.columns[:1] == ("filename",):
        named = [name for row in rows for name in row[-1].split(",")]
    elif file.columns:
        named = [row[0] for row in rows]
    else:
        named = [row.category if isinstance(row, Annotation) else row for row in rows]
    return list(dict.fromkeys(named))
