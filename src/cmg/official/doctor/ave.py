"""AVE: annotations, orders, labels, and the labels it shares with AVVP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.official.catalogue import (
    ANNOTATIONS,
    AVE_CLASSES,
    AVE_EVENTS,
    AVE_LABELS,
    AVE_LABELS_AGAIN,
    MATCHING,
    ORDERS,
    SHARED_CATEGORIES,
    SHARED_LABELS,
    SHARED_ORDER,
)
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.findings import FindingStatus, some
from cmg.official.lengths import STEPS
from cmg.official.lists.ave import (
    HEADER,
    Annotation,
    categories_of,
    read_ave_labels,
    read_order,
    rows_labeled_otherwise,
    shared_rows,
    true_classes,
    true_labels,
)
from cmg.official.lists.categories import normalized

Order = NDArray[np.int64]
_ANY = 1 << 31
"""Rows of annotations that are not known, for the readers of orders."""
CATEGORIES = 28
_TWO_CLASSES = frozenset({171, 2189})
"""Rows of the official labels.h5 that are reported to carry two classes (AVE-ECCV18, issue 10)."""


def check_ave(exam: Examination) -> None:
    """Check the annotations, then what counts in their rows."""
    rows: list[Annotation] | None = exam.contents.get(ANNOTATIONS)
    if rows is not None:
        _check_annotations(exam, rows)
    for part in MATCHING.values():
        if exam.path(part) is not None:
            exam.note(part, "another split, of a matching task; not to be taken for the order")
    sound = rows is not None and not exam.faulty(ANNOTATIONS)
    for part in ORDERS.values():
        order = exam.read(part, partial(read_order, rows=len(rows) if rows and sound else _ANY))
        if order is not None:
            exam.contents[part] = order
    if rows is None or not sound:
        return
    _check_orders(exam, rows)
    truth = true_labels(rows, STEPS)
    for part in (AVE_LABELS, AVE_LABELS_AGAIN):
        _compare(exam, part, truth)
    _compare(exam, AVE_CLASSES, true_classes(rows))
    _compare(exam, AVE_EVENTS, ~truth[..., -1])
    _check_shared(exam, rows)


def _check_annotations(exam: Examination, rows: Sequence[Annotation]) -> None:
    path = exam.path(ANNOTATIONS)
    assert path is not None
    with path.open(encoding="utf-8-sig") as stream:
        header = HEADER[0] == stream.readline().partition("&")[0].strip()
    wanted = exam.expected.rows("ave")
    known_as = "copy of the archive, with a header" if header else "copy of git, without a header"
    exam.complete(ANNOTATIONS, f"{count(len(rows))} ({known_as})", f"{wanted:,}")
    again = exam.again(ANNOTATIONS)
    if ANNOTATIONS in exam.broken:
        return
    if wanted is not None and len(rows) != wanted:
        exam.say(
            FindingStatus.TRUNCATED if len(rows) < wanted else FindingStatus.WRONG,
            ANNOTATIONS,
            "the orders, features and labels count in the rows of this file; a row more or less "
            "shifts all that follow",
            again,
            count(len(rows)),
            expected=f"{wanted:,}",
        )
        return
    categories = categories_of(rows)
    if len(categories) != CATEGORIES:
        detail = f"{CATEGORIES} expected: {some(categories, 5)}"
        exam.wrong(ANNOTATIONS, detail, again, f"{len(categories)} categories")
    outside = [i for i, row in enumerate(rows) if not 0 <= row.start <= row.end <= STEPS]
    exam.wrong(ANNOTATIONS, f"events outside 0 to {STEPS} s in rows {{}}", again, of=outside)
    odd = [row.video_id for row in rows if len(row.video_id) != 11]
    exam.warn(ANNOTATIONS, "ids of other than 11 characters: {}", of=odd)
    empty = [i for i, row in enumerate(rows) if row.start == row.end]
    exam.note(ANNOTATIONS, "events of no length, all background: rows {}", of=empty)


def _check_orders(exam: Examination, rows: Sequence[Annotation]) -> None:
    categories = categories_of(rows)
    classes = np.array([categories.index(row.category) for row in rows])
    orders: dict[str, Order] = exam.there(ORDERS)
    for split, order in orders.items():
        _check_order(exam, split, order, classes)
    if set(orders) != set(ORDERS) or exam.faulty(*ORDERS.values()):
        return
    if shared := shared_rows(orders):
        first, second, both = shared
        exam.wrong(
            ORDERS[second],
            f"rows that {ORDERS[first]} has too: {{}}; as many rows are in no split",
            exam.again(ORDERS["train"], "the three order files"),
            "{} rows",
            both,
        )


def _check_order(exam: Examination, split: str, order: Order, classes: NDArray[np.int64]) -> None:
    """Size, and that it is not the order of the matching task, of the same size."""
    part, wanted = ORDERS[split], exam.expected.rows("ave", split)
    again = exam.again(part)
    if wanted is None or not exam.counted(part, len(order), wanted):
        return
    seen = np.bincount(classes[order], minlength=classes.max() + 1)
    in_order = bool((np.diff(classes[order]) >= 0).all())
    if (seen == 0).any() or not in_order:
        exam.wrong(
            part,
            f"{int((seen > 0).sum())} of {len(seen)} classes, "
            f"{'' if in_order else 'not '}sorted by class; most likely {MATCHING[split]}, another "
            "split of the same size",
            again,
        )


def _compare(exam: Examination, part: str, truth: NDArray[Any]) -> None:
    """An optional file of labels beside those that the annotations say."""
    remedy = f"remove it (labels are rebuilt from {ANNOTATIONS}), or get both from one place"
    read = partial(rows_labeled_otherwise, truth=truth)
    other = exam.read(part, read, remedy, "unreadable, or another shape")
    if other is None:
        return
    exam.complete(part, f"{list(truth.shape)}", f"{list(truth.shape)}")
    if len(other) <= 0.01 * len(truth):
        known = ", as reported of the official file" if set(other) <= _TWO_CLASSES else ""
        detail = f"rows that say other than {ANNOTATIONS}{known}: {{}}; they are rebuilt"
        exam.note(part, detail, "", "{} rows differ", other)
    else:
        exam.wrong(
            part,
            f"rows that say other than {ANNOTATIONS}: {{}}; one of the two has a row too many or "
            "too few, or is of another version",
            remedy,
            f"{{}} of {len(truth):,} rows differ",
            other,
        )


def _check_shared(exam: Examination, rows: Sequence[Annotation]) -> None:
    """The rows and labels of the categories that AVE shares with AVVP."""
    order = exam.read(SHARED_ORDER, partial(read_order, rows=len(rows)))
    if order is not None:
        exam.complete(SHARED_ORDER, count(len(order)), "all rows of the shared categories")
        chosen = {rows[i].category for i in order}
        if left := sum(row.category in chosen for row in rows) - len(order):
            found = f"{left} rows of the same categories left out"
            again = exam.again(SHARED_ORDER)
            exam.truncated(SHARED_ORDER, "", again, count(len(order)), expected=found)
    shared: list[str] | None = exam.trusted(SHARED_CATEGORIES)
    shape = None if shared is None else (len(rows), STEPS, len(shared) + 1)
    what = f"{SHARED_LABELS}, {SHARED_ORDER} and {SHARED_CATEGORIES}"
    remedy = exam.again(SHARED_LABELS, what)
    read = partial(read_ave_labels, shape=shape)
    labels = exam.read(SHARED_LABELS, read, remedy, "unreadable, or another shape")
    if shared is None or labels is None:
        return
    exam.complete(SHARED_LABELS, f"{list(labels.shape)} {labels.dtype}", f"{list(labels.shape)}")
    if order is not None:
        _check_shared_labels(exam, rows, order, labels, shared, remedy)


def _check_shared_labels(
    exam: Examination,
    rows: Sequence[Annotation],
    order: Order,
    labels: NDArray[Any],
    shared: Sequence[str],
    remedy: str,
) -> None:
    """One column per category, the right one where names agree, at the seconds of the event."""
    truth = ~true_labels(rows, STEPS)[..., -1]
    active = labels[..., :-1] > 0
    times = [i for i in order.tolist() if (active[i].any(1) != truth[i]).any()]
    columns: dict[str, set[str]] = {}
    for i in order.tolist():
        named = {shared[column] for column in np.flatnonzero(active[i].any(0)).tolist()}
        if named:
            columns.setdefault(rows[i].category, set()).update(named)
    exam.wrong(
        SHARED_LABELS,
        f"seconds that say other than {ANNOTATIONS} in rows {{}}",
        remedy,
        "{} rows differ",
        times,
    )
    spelled = {normalized(name): name for name in shared}
    mixed = [
        f"{category!r} as {', '.join(map(repr, sorted(found)))}"
        for category, found in columns.items()
        if len(found) > 1 or found != {spelled.get(normalized(category), next(iter(found)))}
    ]
    exam.wrong(
        SHARED_LABELS,
        f"columns and lines of {SHARED_CATEGORIES} do not agree: {{}}",
        remedy,
        "{} categories",
        mixed,
    )
