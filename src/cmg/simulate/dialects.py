"""The annotation files in the dialects of the official ones: written, and read where real."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cmg.official import names
from cmg.official.lists.ave import Annotation, categories_of
from cmg.official.lists.avvp import EVENT_COLUMNS, WEAK_COLUMNS
from cmg.simulate import layout
from cmg.simulate.lists import Lists

CLIP_COLUMNS = ("category", "video_id", "split")
PROMPT_COLUMNS = ("label", "prompt")
S4_COLUMNS = ("name", "start", "category", "split")
"""Officially the first two columns have other names, which nobody could say."""
_PAIRS = (layout.EXTRACTOR, f"{layout.UCF}/data")
_VGGSOUND = (f"{layout.VGGSOUND}/data", layout.EXTRACTOR)

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
    """An annotation file.

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
    columns: tuple[str, ...] = ()
    key: str = ""
    writer: Writer = lines
    newline: str = "\n"
    world: str = ""
    needed: bool = True

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


def _avvp() -> Iterable[ListFile]:
    own, shared = (f"{layout.AVVP}/data",), (layout.AVE_AVVP,)
    yield ListFile(names.AVVP_CATEGORIES, "avvp_categories", own, world="avvp")
    yield ListFile(names.SHARED_CATEGORIES, "shared_categories", shared, world="avvp")
    for split, name in names.AVVP_WEAK.items():
        yield ListFile(name, "avvp", own, WEAK_COLUMNS, split, world="avvp")
    for sense in names.SENSES:
        name = names.AVVP_EVENTS[sense]
        yield ListFile(name, "avvp_combined", own, EVENT_COLUMNS, sense, world="avvp")
        name = names.AVVP_DENSE[sense]
        yield ListFile(name, "avvp_dense", own, EVENT_COLUMNS, sense, needed=False)
        yield ListFile(names.SHARED_EVENTS[sense], "shared_combined", shared, EVENT_COLUMNS, sense)


def _ucf() -> Iterable[ListFile]:
    yield ListFile(names.UCF_NAMES, "ucf_names", _PAIRS, writer=unended)
    yield ListFile(names.VGGSOUND_NAMES, "vggsound_names", _PAIRS, writer=unended)
    yield ListFile(names.UCF, "ucf", _PAIRS, CLIP_COLUMNS[:2], world="ucf")
    yield ListFile(names.VGGSOUND_UCF, "vggsound2ucf", _PAIRS, CLIP_COLUMNS)
    cuts = f"{layout.OPEN_SET}/UCF_OSCMG"
    yield ListFile(names.UCF51_CATEGORIES, "ucf51_categories", (cuts,))
    everywhere = (cuts, f"{layout.UCF_ALL}/data")
    columns = CLIP_COLUMNS[:2]
    yield ListFile(names.UCF51, "ucf51", everywhere, columns, newline="\r\n", world="ucf")


_AVSBENCH = (
    ListFile(names.S4, "avsbench", (layout.S4,), S4_COLUMNS, needed=False),
    ListFile(
        names.S4_PROMPTS,
        "avsbench_prompts",
        (f"{layout.AVSBENCH}/data",),
        PROMPT_COLUMNS,
        needed=False,
    ),
)
FILES = {
    file.name: file
    for file in (
        ListFile(names.VGGSOUND, "vggsound", _VGGSOUND, CLIP_COLUMNS, world="vggsound"),
        ListFile(names.VGGSOUND_CATEGORIES, "vggsound_categories", _VGGSOUND[1:]),
        ListFile(names.VGGSOUND_PROMPTS, "prompts", _VGGSOUND, PROMPT_COLUMNS),
        ListFile(
            names.LONGER["vggsound81k"],
            "more",
            (f"{layout.BEYOND}/data",),
            writer=clip_files,
            needed=False,
        ),
        ListFile(names.ANNOTATIONS, "ave", (layout.AVE,), writer=annotation_lines, world="ave"),
        *_avvp(),
        *_ucf(),
        *_AVSBENCH,
    )
}
"""Every annotation file but those that say part of what another says."""


def annotation_files(lists: Lists) -> dict[str, bytes]:
    """Content of every text file by its path below the folder."""
    absent = () if lists.avsbench else _AVSBENCH
    found = {
        f"{folder}/{file.name}": file.content(file.rows(lists))
        for file in FILES.values()
        for folder in (() if file in absent else file.folders)
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
