"""AVE: annotations, orders, labels, and the labels it shares with AVVP."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.official import catalogue
from cmg.official.catalogue import (
    ANNOTATIONS,
    ORDERS,
    SHARED_CATEGORIES,
    SHARED_LABELS,
    SHARED_ORDER,
)
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.expected import AVE_CLASSES
from cmg.official.doctor.findings import FindingStatus, some
from cmg.official.doctor.names import normalized
from cmg.official.h5 import H5Array
from cmg.official.lengths import STEPS
from cmg.official.lists.ave import (
    FEATURE_KEY,
    HEADER,
    Annotation,
    categories_of,
    read_order,
    true_classes,
    true_labels,
)

Order = NDArray[np.int64]
_TWO_CLASSES = frozenset({171, 2189})
"""Rows of the official labels.h5 that are reported to carry two classes (AVE-ECCV18, issue 10)."""


def check_ave(exam: Examination) -> None:
    """Check the annotations, then what counts in their rows."""
    rows: list[Annotation] | None = exam.contents.get(ANNOTATIONS)
    if rows is not None:
        _check_annotations(exam, rows)
    for split in catalogue.SPLITS:
        part = f"{split}_order_match.h5"
        if exam.path(part) is not None:
            exam.note(part, "another split, of a matching task; not to be taken for the order")
    if rows is None or exam.faulty(ANNOTATIONS):
        return
    _check_orders(exam, rows)
    _check_labels(exam, rows)
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
    if wanted is not None and len(rows) != wanted:
        exam.say(
            ANNOTATIONS,
            FindingStatus.TRUNCATED if len(rows) < wanted else FindingStatus.WRONG,
            count(len(rows)),
            f"{wanted:,}",
            "the orders, features and labels count in the rows of this file; a row more or less "
            "shifts all that follow",
            again,
        )
        return
    categories = categories_of(rows)
    if len(categories) != AVE_CLASSES:
        detail = f"{AVE_CLASSES} expected: {some(categories, 5)}"
        exam.wrong(ANNOTATIONS, detail, again, f"{len(categories)} categories")
    if outside := [i for i, row in enumerate(rows) if not 0 <= row.start <= row.end <= STEPS]:
        exam.wrong(ANNOTATIONS, f"events outside 0 to {STEPS} s in rows {some(outside)}", again)
    if odd := [row.video_id for row in rows if len(row.video_id) != 11]:
        exam.warn(ANNOTATIONS, f"ids of other than 11 characters: {some(odd)}")
    if empty := [i for i, row in enumerate(rows) if row.start == row.end]:
        exam.note(ANNOTATIONS, f"events of no length, all background: rows {some(empty)}")


def _check_orders(exam: Examination, rows: Sequence[Annotation]) -> None:
    categories = categories_of(rows)
    classes = np.array([categories.index(row.category) for row in rows])
    orders: dict[str, Order] = exam.there(ORDERS)
    for split, order in orders.items():
        _check_order(exam, split, order, classes)
    if set(orders) != set(ORDERS) or exam.faulty(*ORDERS.values()):
        return
    for first, second in combinations(ORDERS, 2):
        if shared := sorted(set(orders[first].tolist()) & set(orders[second].tolist())):
            exam.wrong(
                ORDERS[second],
                f"rows that {ORDERS[first]} has too: {some(shared)}; as many rows are in no split",
                exam.again(ORDERS["train"], "the three order files"),
                f"{len(shared):,} rows",
            )
            return


def _check_order(exam: Examination, split: str, order: Order, classes: NDArray[np.int64]) -> None:
    """Size, range, and that it is not the order of the matching task, of the same size."""
    part, wanted = ORDERS[split], exam.expected.rows("ave", split)
    again = exam.again(part)
    if wanted is None or not exam.counted(part, len(order), wanted):
        return
    if order.max() >= len(classes):
        exam.wrong(part, f"row {order.max()} of {len(classes)}", again)
        return
    seen = np.bincount(classes[order], minlength=classes.max() + 1)
    if (seen == 0).any() or (np.diff(classes[order]) < 0).any():
        exam.wrong(
            part,
            f"{int((seen > 0).sum())} of {len(seen)} classes, "
            + ("sorted by class" if (np.diff(classes[order]) >= 0).all() else "not sorted by class")
            + f"; most likely {split}_order_match.h5, another split of the same size",
            again,
        )


def _check_labels(exam: Examination, rows: Sequence[Annotation]) -> None:
    truth, by_clip = true_labels(rows, STEPS), true_classes(rows)
    for part in ("labels.h5", "right_labels.h5"):
        _compare(exam, part, truth)
    _compare(exam, "mil_labels.h5", by_clip)
    _compare(exam, "labels_closs.h5", ~truth[..., -1])


def _compare(exam: Examination, part: str, truth: NDArray[Any]) -> None:
    """An optional file of labels beside those that the annotations say."""
    remedy = f"remove it (labels are rebuilt from {ANNOTATIONS}), or get both from one place"
    labels = _labels(exam, part, truth.shape, remedy)
    if labels is None:
        return
    other = np.flatnonzero((labels != truth).reshape(len(labels), -1).any(1)).tolist()
    if other and len(other) <= 0.01 * len(labels):
        known = ", as reported of the official file" if set(other) <= _TWO_CLASSES else ""
        exam.note(
            part,
            f"rows that say other than {ANNOTATIONS}{known}: {some(other, 5)}; they are rebuilt",
            f"{len(other)} rows differ",
        )
    elif other:
        exam.wrong(
            part,
            f"rows that say other than {ANNOTATIONS}: {some(other)}; one of the two has a row too "
            "many or too few, or is of another version",
            remedy,
            f"{len(other):,} of {len(labels):,} rows differ",
        )


def _labels(
    exam: Examination, part: str, shape: tuple[int, ...] | None, remedy: str
) -> NDArray[Any] | None:
    """A file of labels; None where it is absent, or wrong, which is then said."""
    labels = exam.read(part, lambda path: H5Array(path, FEATURE_KEY).all())
    if labels is None or shape is None:
        return None
    exam.complete(part, f"{list(labels.shape)} {labels.dtype}", f"{list(shape)}")
    if labels.shape == shape:
        return labels
    exam.wrong(part, f"expected {list(shape)}", remedy, f"{list(labels.shape)}")
    return None


def _check_shared(exam: Examination, rows: Sequence[Annotation]) -> None:
    """The rows and labels of the categories that AVE shares with AVVP."""
    order = exam.read(SHARED_ORDER, lambda path: read_order(path, len(rows)))
    if order is not None:
        exam.complete(SHARED_ORDER, count(len(order)), "all rows of the shared categories")
        chosen = {rows[i].category for i in order}
        if left := sum(row.category in chosen for row in rows) - len(order):
            found = f"{left} rows of the same categories left out"
            exam.truncated(SHARED_ORDER, count(len(order)), found)
    shared: list[str] | None = exam.trusted(SHARED_CATEGORIES)
    what = f"{SHARED_LABELS}, {SHARED_ORDER} and {SHARED_CATEGORIES}"
    remedy = exam.again(SHARED_LABELS, what)
    shape = None if shared is None else (len(rows), STEPS, len(shared) + 1)
    labels = _labels(exam, SHARED_LABELS, shape, remedy)
    if shared is not None and labels is not None and order is not None:
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
    times: list[int] = []
    columns: dict[str, set[str]] = {}
    for i in order.tolist():
        row, active = rows[i], labels[i, :, :-1] > 0
        seconds = np.arange(STEPS)
        if (active.any(1) != ((seconds >= row.start) & (seconds < row.end))).any():
            times.append(i)
        for column in np.flatnonzero(active.any(0)).tolist():
            columns.setdefault(row.category, set()).add(shared[column])
    if times:
        exam.wrong(
            SHARED_LABELS,
            f"seconds that say other than {ANNOTATIONS} in rows {some(times)}",
            remedy,
            f"{len(times):,} rows differ",
        )
    spelled = {normalized(name): name for name in shared}
    mixed = [
        f"{category!r} as {', '.join(map(repr, sorted(found)))}"
        for category, found in columns.items()
        if len(found) > 1 or found != {spelled.get(normalized(category), next(iter(found)))}
    ]
    if mixed:
        exam.wrong(
            SHARED_LABELS,
            f"columns and lines of {SHARED_CATEGORIES} do not agree: {some(mixed)}",
            remedy,
            f"{len(mixed)} categories",
        )
