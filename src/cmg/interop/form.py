"""Which of our models have an official form: those that the authors' scripts compute alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cmg.codebook.codebook import CodebookOptions
from cmg.errors import CheckpointError
from cmg.interop.names import MODALITIES, checkpoint_rules
from cmg.models.options import ModelOptions
from cmg.models.published import PUBLISHED, published_options
from cmg.types import Kind, Modality

SMALLEST_MAP = 5
"""Height and width below which official convolutions, which pad nothing, have no position left."""

FREE = {
    "width",
    "codebook",
    "temporal.layers",
    "temporal.hidden",
    "temporal.dropout",
    "toom_cook_from",
    "map_tail",
}
"""Options that official files can differ in: sizes, which the tensors tell, and what matters for
training or a lean path alone."""


def require_official_form(modalities: Sequence[Modality], model: ModelOptions) -> None:
    """Refuse a model that official files cannot hold.

    Args:
        modalities: Of the model.
        model: Its options; what a configuration adds to them does not matter.

    Raises:
        CheckpointError: names every option that stands in the way, and what it would have to be.
    """
    names = [m.name for m in modalities]
    book = model.codebook
    if not isinstance(book, CodebookOptions) or book.distance != "euclidean":
        distance = getattr(book, "distance", "euclidean")
        raise CheckpointError(
            f"a codebook of kind {book.kind}, by {distance} distance, has no official form; the "
            "release has model.codebook.kind=shared and model.codebook.distance=euclidean"
        )
    if book.ema.correction:
        raise CheckpointError(
            "a codebook of corrected averages has no official form, which does not say how often "
            "they moved; train with model.codebook.ema.correction=false"
        )
    checkpoint_rules(names)  # refuses other sets of modalities
    reasons = [reason for m in modalities for reason in _of_modality(m)]
    given = _leaves(model.model_dump())
    for key, official in _leaves(published_options().model_dump()).items():
        needless = {"spatial_pool": "video", "map_detail": "video", "mask_tokens": "text"}.get(key)
        if key in FREE or (needless is not None and needless not in names):
            continue
        if (value := given.get(key, "given")) != official:
            reasons.append(f"model.{key} is {value!r}, there it is {official!r}")
    if reasons:
        raise CheckpointError(
            f"this model has no official form: {'; '.join(reasons)}. Train with the as-coded "
            "options (`cmg presets show dcid`) to exchange checkpoints with the release"
        )


def _of_modality(modality: Modality) -> list[str]:
    kind = PUBLISHED[modality.name]().kind
    if modality.kind is not kind:
        return [f"{modality.name} is of kind {modality.kind.value!r}, there it is {kind.value!r}"]
    if kind is Kind.MAPS and min(modality.shape[:2]) < SMALLEST_MAP:
        height, width = modality.shape[:2]
        return [
            f"{modality.name} has maps of {height} x {width}, and the release's convolutions need "
            f"{SMALLEST_MAP} x {SMALLEST_MAP}"
        ]
    return []


def _leaves(tree: dict[str, Any]) -> dict[str, Any]:
    """Options by their dotted keys, those of the codebook left out."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and name not in FREE:
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return found


def kind_of(modalities: Sequence[str]) -> str:
    """``AVT``, ``AV`` or ``AT``: what the authors call a set of modalities."""
    return "".join(m[0].upper() for m in MODALITIES if m in modalities)
