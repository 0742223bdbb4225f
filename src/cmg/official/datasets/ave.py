"""AVE: features in h5 files, an event per clip, fixed splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmg.data.manifest import DTYPES, ClipRow, FeatureSpec, LabelSpec
from cmg.errors import DataError
from cmg.official.catalogue import (
    ANNOTATIONS,
    AVE_CLASSES,
    AVE_FEATURES,
    AVE_LABELS,
    ORDERS,
    SHARED_CATEGORIES,
    SHARED_LABELS,
    SHARED_ORDER,
)
from cmg.official.dataset import OfficialDataset, events_as_label, step_label
from cmg.official.h5 import H5Array
from cmg.official.layout import Layout
from cmg.official.lengths import STEPS
from cmg.official.lists.ave import (
    FEATURE_KEY,
    Annotation,
    categories_of,
    clip_id,
    read_annotations,
    read_order,
    read_shared_labels,
    rows_labeled_otherwise,
    shared_rows,
    true_classes,
    true_labels,
)
from cmg.official.loaders import FeatureLoader, H5Rows
from cmg.types import Kind


def read_ave(layout: Layout) -> OfficialDataset:
    """AVE with its splits; events are rebuilt from the annotations.

    A row that is in no order file is left out and counted as absent.

    Raises:
        DataError: a part is missing or damaged, or parts do not belong together.
    """
    annotations = read_annotations(layout.need(ANNOTATIONS, purpose="ave"))
    categories = categories_of(annotations)
    arrays = _features(layout, len(annotations))
    split_of = _splits(layout, len(annotations))
    shared_names, shared = _shared(layout, len(annotations))
    remarks = _remarks(layout, annotations)
    labels = {"category": LabelSpec(classes=tuple(categories)), "event": step_label(categories)}
    if shared is not None:
        labels["shared"] = step_label(shared_names)
    lengths = dict.fromkeys(arrays, STEPS)
    rows = [
        _row(number, annotations[number], split_of[number], categories, lengths, shared)
        for number in sorted(split_of)
    ]
    modalities = {
        m: FeatureSpec(
            kind=Kind.MAPS if m == "video" else Kind.VECTORS,
            shape=array.shape[2:],
            dtype=array.dtype.name if array.dtype.name in DTYPES else "float32",
            step_seconds=1.0,
        )
        for m, array in arrays.items()
    }
    loaders: dict[str, FeatureLoader] = {m: H5Rows(array) for m, array in arrays.items()}
    absent = [clip_id(n) for n in range(len(annotations)) if n not in split_of]
    if absent:
        remarks.append(f"ave: {len(absent)} rows are in no order file, the first is {absent[0]!r}")
    remarks += [
        f"ave: no {name} below {layout.root}, so there is no {modality}"
        for modality, name in AVE_FEATURES.items()
        if modality not in arrays
    ]
    notes = f"AVE; labels from {ANNOTATIONS}."
    return OfficialDataset(
        "ave", layout.root, rows, modalities, labels, loaders, absent, notes, remarks
    )


def _row(
    number: int,
    annotation: Annotation,
    split: str,
    categories: Sequence[str],
    lengths: Mapping[str, int],
    shared: Mapping[int, list[list[int]]] | None,
) -> ClipRow:
    events = events_as_label([annotation.event], categories, STEPS, f"{ANNOTATIONS} row {number}")
    labels = {"category": categories.index(annotation.category), "event": events}
    if shared is not None:
        labels["shared"] = shared.get(number)
    meta = {"video_id": annotation.video_id, "row": number}
    return ClipRow(id=clip_id(number), split=split, lengths=dict(lengths), labels=labels, meta=meta)


def _features(layout: Layout, rows: int) -> dict[str, H5Array]:
    arrays = {}
    for modality, name in AVE_FEATURES.items():
        path = layout.file(name)
        if path is None:
            continue
        array = H5Array(path, FEATURE_KEY)
        shape = array.shape
        rank = 5 if modality == "video" else 3
        if len(shape) != rank or shape[:2] != (rows, STEPS):
            raise DataError(
                f"{path}: {FEATURE_KEY} has shape {shape}; expected ({rows}, {STEPS}, ...) for the "
                f"{rows} rows of {ANNOTATIONS}; take both from the same download"
            )
        arrays[modality] = array
    if not arrays:
        layout.need(*AVE_FEATURES.values(), purpose="ave")
    return arrays


def _splits(layout: Layout, rows: int) -> dict[int, str]:
    paths = {split: layout.need(name, purpose="ave") for split, name in ORDERS.items()}
    orders = {split: read_order(path, rows) for split, path in paths.items()}
    if shared := shared_rows(orders):
        first, second, both = shared
        raise DataError(
            f"{paths[second]}: row {both[0]} is in split {first!r} too; the order files do not "
            "belong together (`*_order_match.h5` is another split)"
        )
    return {number: split for split, order in orders.items() for number in order.tolist()}


def _shared(layout: Layout, rows: int) -> tuple[list[str], dict[int, list[list[int]]] | None]:
    """The categories shared with AVVP, and their labels by row; None where a file is missing."""
    files = [layout.file(name) for name in (SHARED_CATEGORIES, SHARED_LABELS, SHARED_ORDER)]
    categories, labels, order = files
    if categories is None or labels is None or order is None:
        return [], None
    return read_shared_labels(categories, labels, order, rows, STEPS)


def _remarks(layout: Layout, annotations: Sequence[Annotation]) -> list[str]:
    """Where the label files disagree with the annotations; they are not used otherwise."""
    found = []
    truths = {
        AVE_LABELS: ("labels are built from", true_labels(annotations, STEPS)),
        AVE_CLASSES: ("classes are those of", true_classes(annotations)),
    }
    for name, (how, truth) in truths.items():
        path = layout.file(name)
        if path and (other := rows_labeled_otherwise(path, truth)):
            found.append(
                f"ave: {name} differs from the annotations in {len(other)} rows, the first is "
                f"{other[0]}; {how} the annotations"
            )
    return found
