"""AVE: annotations, and the orders that split them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.labels import Event
from cmg.errors import DataError
from cmg.files import read_text
from cmg.official.catalogue import ANNOTATIONS
from cmg.official.h5 import H5Array
from cmg.tables import Faults, read_lines

HEADER = ("Category", "VideoID", "Quality", "StartTime", "EndTime")
ORDER_KEY = "order"
FEATURE_KEY = "avadataset"
"""Name of the data set in every h5 file but those of orders."""


@dataclass(frozen=True)
class Annotation:
    """One row of ``Annotations.txt``.

    Attributes:
        category: With spaces, commas and brackets, as it stands there.
        video_id: Of YouTube; several rows may share one.
        start: First second of the event, inclusive.
        end: Its end, exclusive; an event may be empty.
    """

    category: str
    video_id: str
    start: int
    end: int

    @property
    def event(self) -> Event:
        """The event for label construction."""
        return Event(self.start, self.end, self.category)


def read_annotations(path: Path, faults: Faults | None = None) -> list[Annotation]:
    """Rows in the file's order, which is what the order files count in.

    The copy in AVE's archive has a header, the copy in its repository has none; a header taken for
    a row, or a row for a header, would shift every index.

    Raises:
        DataError: unreadable, another dialect, or a time that is no whole second.
    """
    rows, found = [], Faults(path) if faults is None else faults
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("&")]
        if line.strip() and not (number == 1 and tuple(cells) == HEADER):
            with found.line(number):
                rows.append(_annotation(cells))
    if faults is None:
        found.refuse()
    if not rows and not found:
        raise DataError(f"{path} lists nothing")
    return rows


def _annotation(cells: Sequence[str]) -> Annotation:
    if len(cells) != len(HEADER):
        raise DataError(f"{len(cells)} fields; expected {'&'.join(HEADER)}")
    try:
        return Annotation(cells[0], cells[1], int(cells[3]), int(cells[4]))
    except ValueError as error:
        raise DataError(f"start and end must be whole seconds ({error})") from error


def clip_id(row: int) -> str:
    """Name of a row; YouTube ids are none, for a few clips have two rows."""
    return f"ave-{row:05d}"


def categories_of(annotations: Sequence[Annotation]) -> list[str]:
    """The categories by first appearance, which is the order of the label columns."""
    return list(dict.fromkeys(row.category for row in annotations))


def true_labels(annotations: Sequence[Annotation], steps: int) -> NDArray[np.bool_]:
    """What ``labels.h5`` says, one-hot with the background last: bool [rows, steps, C + 1]."""
    times = np.array([(row.start, row.end) for row in annotations])[..., None]
    seconds = np.arange(steps)
    active = (times[:, 0] <= seconds) & (seconds < times[:, 1])
    labels = true_classes(annotations)[:, None] & active[..., None]
    labels[..., -1] = ~active
    return labels


def true_classes(annotations: Sequence[Annotation]) -> NDArray[np.bool_]:
    """What ``mil_labels.h5`` says, a row of classes per clip: bool [rows, C + 1]."""
    categories = categories_of(annotations)
    places = np.array([categories.index(row.category) for row in annotations])
    return np.asarray(np.arange(len(categories) + 1) == places[:, None])


def read_ave_labels(path: Path, shape: Sequence[int] | None) -> NDArray[Any]:
    """A file of labels, a row for every annotation; of any shape where that is not known.

    Raises:
        DataError: unreadable, or of other annotations or categories (another shape).
    """
    found = H5Array(path, FEATURE_KEY).all()
    if shape is not None and found.shape != tuple(shape):
        raise DataError(
            f"{path}: {FEATURE_KEY} has shape {found.shape}; expected {tuple(shape)} for "
            f"{shape[0]:,} rows of {ANNOTATIONS} and {shape[-1] - 1} categories with background"
        )
    return found


def rows_labeled_otherwise(path: Path, truth: NDArray[np.bool_]) -> list[int]:
    """Rows of a file of labels that are not those of the annotations.

    Of the official ``labels.h5``, rows are known that carry two classes. Labels are built from the
    annotations, this only compares.

    Args:
        path: ``labels.h5`` or ``mil_labels.h5``.
        truth: See :func:`true_labels` and :func:`true_classes`.

    Raises:
        DataError: as :func:`read_ave_labels` does.
    """
    other = read_ave_labels(path, truth.shape) != truth
    return [int(row) for row in np.flatnonzero(other.reshape(len(truth), -1).any(1))]


def shared_rows(orders: Mapping[str, NDArray[np.int64]]) -> tuple[str, str, list[int]] | None:
    """The first two splits that have rows in common, and these; a row belongs to one split."""
    for first, second in combinations(orders, 2):
        if both := sorted(set(orders[first].tolist()) & set(orders[second].tolist())):
            return first, second, both
    return None


def read_order(path: Path, rows: int) -> NDArray[np.int64]:
    """Row numbers of ``Annotations.txt`` from an order file.

    Args:
        path: ``train_order.h5`` and its like.
        rows: Number of annotations.

    Raises:
        DataError: unreadable, a wrong key, a row twice, or a row that does not exist.
    """
    found = H5Array(path, ORDER_KEY).all().reshape(-1)
    if found.dtype.kind not in "iu" or (len(found) and not 0 <= found.min() <= found.max() < rows):
        raise DataError(
            f"{path}: indices must be whole numbers from 0 to {rows - 1}, the rows of "
            f"{ANNOTATIONS}; the two files do not belong together"
        )
    if len(np.unique(found)) < len(found):
        raise DataError(f"{path} lists a row twice; download it again")
    return found.astype(np.int64)


def read_shared_labels(
    categories: Path, labels: Path, order: Path, rows: int, steps: int
) -> tuple[list[str], dict[int, list[list[int]]]]:
    """``AVE_AVVP_Categories.txt``, ``ave_avvp_labels.h5`` and ``ave_avvp_order.h5``.

    Args:
        categories: Names in AVVP's spelling, because they index AVVP's lists.
        labels: Of all AVE rows; those outside the order do not count.
        order: The rows that take part.
        rows: Number of AVE annotations.
        steps: T.

    Returns:
        The names; and per row of the order the classes of every step, where the number of names
        is the background.

    Raises:
        DataError: unreadable, or files that do not belong together.
    """
    names = read_lines(categories)
    found = read_ave_labels(labels, (rows, steps, len(names) + 1))
    return names, {
        int(row): [np.flatnonzero(step > 0).tolist() for step in found[row]]
        for row in read_order(order, rows)
    }
