"""The real annotation files, found by their official names anywhere below a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cmg.data.labels import Event
from cmg.errors import DataError
from cmg.official.catalogue import PARTS
from cmg.official.layout import Layout, find_layout
from cmg.official.lists.ave import Annotation, read_order
from cmg.official.lists.avvp import EVENT_COLUMNS, read_events
from cmg.official.lists.clips import read_shared_names
from cmg.official.names import ORDERS, UCF_NAMES, VGGSOUND_NAMES
from cmg.simulate.dialects import FILES, ListFile
from cmg.simulate.lists import Lists, exploded
from cmg.simulate.own_lists import avsbench_clips, avsbench_prompts, beyond_40k
from cmg.simulate.vocabulary import check_categories

NEEDED = (*(file.name for file in FILES.values() if file.needed), *ORDERS.values())
"""Files without which there is nothing to simulate; all others are derived where absent."""
_ALIGNED = (VGGSOUND_NAMES, UCF_NAMES)


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
    for split, name in ORDERS.items():
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
