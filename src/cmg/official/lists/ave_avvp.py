"""AVE -> AVVP: the classes both sets have, on AVE's rows and on AVVP's clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmg.errors import DataError
from cmg.official.h5 import H5Array
from cmg.official.lists.ave import FEATURE_KEY, read_order
from cmg.tables import read_lines


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
    found = H5Array(labels, FEATURE_KEY).all()
    if found.shape != (rows, steps, len(names) + 1):
        raise DataError(
            f"{labels}: {FEATURE_KEY} has shape {found.shape}; expected "
            f"{(rows, steps, len(names) + 1)} for the {rows} rows of Annotations.txt and the "
            f"{len(names)} names of {categories.name} and background"
        )
    return names, {
        int(row): [np.flatnonzero(step > 0).tolist() for step in found[row]]
        for row in read_order(order, rows)
    }
