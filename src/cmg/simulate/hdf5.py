"""AVE's h5 files: features, labels and row orders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.official import catalogue
from cmg.official.lengths import STEPS
from cmg.official.lists.ave import FEATURE_KEY, ORDER_KEY, categories_of, true_classes, true_labels
from cmg.optional import h5py
from cmg.simulate import layout
from cmg.simulate.dialects import known_rows
from cmg.simulate.lists import Lists
from cmg.simulate.vocabulary import read_table


def write_ave_lists(folder: Path, lists: Lists) -> None:
    """Labels and orders of AVE, of AVE -> AVVP and of the open-set cuts.

    Args:
        folder: The official folder.
        lists: Whose rows.
    """
    labels = true_labels(lists.ave, STEPS).astype(np.float32)
    ave = folder / layout.AVE
    _write(ave / catalogue.AVE_LABELS, FEATURE_KEY, labels)
    _write(ave / catalogue.AVE_CLASSES, FEATURE_KEY, true_classes(lists.ave).astype(np.float32))
    for split, order in lists.ave_order.items():
        _write(ave / catalogue.ORDERS[split], ORDER_KEY, np.array(order, np.int64))
    for known in catalogue.KNOWN["AVE"]:
        cut = catalogue.cut(catalogue.ORDERS["train"], known)
        path = folder / layout.OPEN_SET / "AVE_OSCMG" / cut
        _write(path, ORDER_KEY, np.array(known_rows(lists, known), np.int64))
    shared, rows = shared_labels(lists, labels)
    packed = {"compression": "gzip", "chunks": True, "shuffle": False}
    _write(folder / layout.AVE_AVVP / catalogue.SHARED_LABELS, FEATURE_KEY, shared, **packed)
    _write(folder / layout.AVE_AVVP / catalogue.SHARED_ORDER, ORDER_KEY, rows, **packed)


def shared_labels(
    lists: Lists, labels: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """AVE's labels in the shared categories, and the rows of those.

    As officially, rows of other categories have no class during their event.

    Returns:
        float32 [N, 10, S + 1] and int64 [M], ascending.
    """
    partners = {row["category"]: row["shared"] for row in read_table("ave")}
    shared = np.zeros((*labels.shape[:2], len(lists.shared_categories) + 1), np.float32)
    shared[..., -1] = labels[..., -1]
    for number, name in enumerate(categories_of(lists.ave)):
        partner = partners.get(name)
        if partner in lists.shared_categories:
            shared[..., lists.shared_categories.index(partner)] = labels[..., number]
    rows = [
        row
        for row, annotation in enumerate(lists.ave)
        if partners[annotation.category] in lists.shared_categories
    ]
    return shared, np.array(rows, np.int64)


@contextmanager
def ave_features(folder: Path, rows: int, shapes: dict[str, tuple[int, ...]]) -> Iterator[Any]:
    """AVE's two feature files, open for writing rows.

    Args:
        folder: The official folder.
        rows: In all.
        shapes: Of a step's ``audio`` and ``visual`` features.

    Yields:
        Per modality an array-like [rows, 10, *shape] of float64.
    """
    package, ave = h5py(), folder / layout.AVE
    with (
        package.File(ave / catalogue.AVE_FEATURES["audio"], "w") as audio,
        package.File(ave / catalogue.AVE_FEATURES["video"], "w") as visual,
    ):
        yield {
            name: file.create_dataset(FEATURE_KEY, (rows, STEPS, *shapes[name]), np.float64)
            for name, file in {"audio": audio, "visual": visual}.items()
        }


def _write(path: Path, key: str, values: NDArray[Any], **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py().File(path, "w") as file:
        file.create_dataset(key, data=values, **how)
