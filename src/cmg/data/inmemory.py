"""A feature store from arrays in memory, in one call."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cmg.data.clips import Clips
from cmg.data.features import as_block
from cmg.data.manifest import DTYPES, FeatureSpec, LabelSpec
from cmg.data.store import open_store
from cmg.data.writer import Clip, Label, StoreWriter
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.files import StrPath
from cmg.options import problems
from cmg.types import Kind

Arrays = NDArray[Any] | Sequence[NDArray[Any] | None]
Block = NDArray[Any] | None


def write_store(
    path: StrPath,
    features: Mapping[str, Arrays],
    *,
    split: str | Sequence[str] = "train",
    labels: Mapping[str, Sequence[Any] | NDArray[Any]] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    ids: Sequence[str] | None = None,
    meta: Sequence[Mapping[str, Any]] | None = None,
    kinds: Mapping[str, Kind | str] | None = None,
    step_seconds: float | Mapping[str, float] | None = None,
    notes: str = "",
    overwrite: bool = False,
) -> Clips:
    """Write a store from arrays in memory.

    For data that do not fit, see :class:`~cmg.data.writer.StoreWriter`.

    Args:
        path: Folder to be.
        features: Per modality an array [N, T, C] or [N, T, H, W, C], or a list of N arrays
            [T_i, C] or [T_i, H, W, C], None where a clip lacks the modality. float16, float32,
            float64 or uint8, stored as they are.
        split: Name of the split, or one name per clip.
        labels: Per label N class indices or class names (None or -1: unlabelled), or N lists of
            them, one per step of the clip's longest modality.
        classes: Class names per label; otherwise the names that occur, sorted, or for indices
            the numbers themselves.
        ids: N unique names; otherwise ``clip-00000`` and so on.
        meta: N dicts of plain JSON.
        kinds: Kind per modality; otherwise vectors, or maps where a step is [H, W, C]. Token
            vectors have to be said: ``{"text": "tokens"}``.
        step_seconds: Duration of a step, of all modalities or of each.
        notes: Where the data are from.
        overwrite: Whether a store at `path` may be replaced.

    Raises:
        DataError: numbers of clips differ, a class is unknown, a feature is not finite, `path`
            is occupied, ...
        ModalityError: a shape or dtype that no kind has, or an unknown modality in `kinds`.

    Example:
        >>> audio, video = np.zeros((8, 10, 128)), np.zeros((8, 10, 7, 7, 512))
        >>> write_store("store", {"audio": audio, "video": video}, labels={"class": [0, 1] * 4})
    """
    count = _clip_count(
        {f"features {m!r}": x for m, x in features.items()}
        | {f"labels {n!r}": x for n, x in (labels or {}).items()}
        | {"split": split, "ids": ids, "meta": meta}
    )
    blocks = {
        m: [
            None if x is None else as_block(f"clip {i}, modality {m!r}", x)
            for i, x in enumerate(xs)
        ]
        for m, xs in features.items()
    }
    specs = feature_specs(blocks, kinds, step_seconds)
    known = {n: _label_spec(n, xs, (classes or {}).get(n)) for n, xs in (labels or {}).items()}
    indices = {n: _class_indices(n, known[n], xs) for n, xs in (labels or {}).items()}
    size = sum(x.nbytes for xs in blocks.values() for x in xs if x is not None)
    with StoreWriter(
        path, specs, known, notes=notes, overwrite=overwrite, expected_bytes=size
    ) as writer:
        for i in range(count):
            clip = Clip(
                id=f"clip-{i:05d}" if ids is None else str(ids[i]),
                split=split if isinstance(split, str) else split[i],
                features={m: xs[i] for m, xs in blocks.items()},
                labels={n: values[i] for n, values in indices.items()},
                meta={} if meta is None else meta[i],
            )
            writer.add(clip)
    return open_store(path)


def _clip_count(columns: Mapping[str, Sized | None]) -> int:
    """The number of clips on which everything that is given per clip agrees."""
    sizes = {
        what: _size(what, x) for what, x in columns.items() if x is not None and type(x) is not str
    }
    what, count = next(iter(sizes.items()), ("", 0))
    if not what.startswith("features"):
        raise DataError("write_store needs at least one modality")
    for what, size in sizes.items():
        if size != count:
            raise DataError(f"{what}: {size} entries for {count} clips; give one per clip")
    return count


def _size(what: str, column: Sized) -> int:
    try:
        return len(column)
    except TypeError as error:  # a generator, or one number as an array
        raise DataError(f"{what}: {column!r:.40} is no list; give one entry per clip") from error


def feature_specs(
    blocks: Mapping[str, Sequence[Block]],
    kinds: Mapping[str, Kind | str] | None,
    step_seconds: float | Mapping[str, float] | None,
) -> dict[str, FeatureSpec]:
    """What to declare of modalities, from the first clip that has each and from what is said.

    Raises:
        DataError: no clip has a modality.
        ModalityError: a shape, dtype or kind that does not exist, or an unknown modality.
    """
    for said in (kinds, step_seconds):
        for name in said if isinstance(said, Mapping) else ():
            if name not in blocks:
                raise ModalityError(f"unknown modality {name!r}{did_you_mean(name, blocks)}")
    specs = {}
    for name, clips in blocks.items():
        first = next((x for x in clips if x is not None and x.shape[:1] != (0,)), None)
        if first is None:
            raise DataError(f"no clip has modality {name!r}; leave it out")
        seconds = step_seconds.get(name) if isinstance(step_seconds, Mapping) else step_seconds
        specs[name] = feature_spec(name, first, (kinds or {}).get(name), seconds)
    return specs


def feature_spec(
    name: str, block: NDArray[Any], kind: Kind | str | None, seconds: float | None
) -> FeatureSpec:
    """What to declare of one modality, from one clip [T, *shape] and from what is said.

    Raises:
        ModalityError: a shape, dtype or kind that does not exist.
        DataError: `seconds` is not positive.
    """
    if block.ndim not in (2, 4) or 0 in block.shape[1:]:
        raise ModalityError(
            f"modality {name!r}: a clip has shape {block.shape}; expected [T, C] or [T, H, W, C] "
            "of positive sizes"
        )
    if block.dtype.name not in DTYPES:
        raise ModalityError(
            f"modality {name!r} has dtype {block.dtype}; convert it to one of {', '.join(DTYPES)}"
        )
    if seconds is not None and not 0 < seconds < float("inf"):
        raise DataError(f"modality {name!r}: step_seconds {seconds} must be positive")
    natural = Kind.VECTORS if block.ndim == 2 else Kind.MAPS
    wanted = natural if kind is None else kind
    if wanted not in set(Kind):
        raise ModalityError(
            f"modality {name!r}: unknown kind {wanted!r}{did_you_mean(wanted, map(str, Kind))}"
        )
    if (Kind(wanted) is Kind.MAPS) != (natural is Kind.MAPS):
        raise ModalityError(
            f"modality {name!r}: kind {str(wanted)!r} does not fit clips of shape {block.shape}"
        )
    return FeatureSpec.model_validate(
        {
            "kind": Kind(wanted),
            "shape": block.shape[1:],
            "dtype": block.dtype.name,
            "step_seconds": seconds,
        }
    )


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) > 0


def _values(labels: Sequence[Any] | NDArray[Any]) -> list[Any]:
    flat: list[Any] = []
    for label in labels:
        flat += list(label) if _is_list(label) else [label]
    return [value for value in flat if value is not None]


def _label_spec(
    name: str, labels: Sequence[Any] | NDArray[Any], classes: Sequence[str] | None
) -> LabelSpec:
    per = "step" if any(_is_list(label) for label in labels) else "clip"
    if classes is None:
        values = _values(labels)
        if any(isinstance(value, str) for value in values):
            classes = class_names([v for v in values if isinstance(v, str)])
        else:
            classes = [
                str(i) for i in range(max((_index(name, v) for v in values), default=-1) + 1)
            ]
    if not classes or len(set(classes)) < len(classes):
        raise DataError(f"label {name!r}: classes {list(classes)} must be distinct, at least one")
    try:
        return LabelSpec.model_validate({"classes": tuple(classes), "per": per})
    except ValidationError as error:
        raise DataError(f"label {name!r}: {'; '.join(problems(error))}") from error


def _index(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise DataError(
            f"label {name!r}: {value!r} is neither a class index nor the name of a class"
        ) from error


def class_names(names: Sequence[str]) -> list[str]:
    """The distinct names, sorted; by value if all of them are whole numbers."""
    distinct = sorted(set(names))
    if all(name.isdecimal() and len(name) < 1000 for name in distinct):
        distinct.sort(key=lambda name: (int(name), name))
    return distinct


def _class_indices(name: str, spec: LabelSpec, labels: Sequence[Any] | NDArray[Any]) -> list[Label]:
    index = {c: i for i, c in enumerate(spec.classes)}

    def one(value: Any) -> Any:
        if value is None:
            return -1
        if isinstance(value, str):
            if value not in index:
                raise DataError(
                    f"label {name!r}: unknown class {value!r}{did_you_mean(value, index)}"
                )
            return index[value]
        return value

    return [[one(v) for v in x] if _is_list(x) else one(x) for x in labels]
