"""Options of the data that a run trains on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cmg.options import Name, Options


class DataOptions(Options):
    """What a run trains on.

    Attributes:
        store: A store's folder, an embedded set as ``digits`` or ``watch:3``, or a collection: a
            folder in the official layout, or what ``cmg data import`` made of one.
        list: Of a collection, the VGGSound list to train on: ``24k`` is the training split of
            ``40k``.
        lists: Of a collection, a folder with more annotation files.
        modalities: Names to use; null for all of the store.
        train_split: Clips to train on, without its labels.
        test_split: Held-out split to evaluate on.
        val_split: Clips that choices are made on, the penalty of a logistic head for one; where
            it is null, or the split that is evaluated on, held-out training clips take its place.
        step_seconds: Seconds that the steps of all modalities are brought to; ``auto``: the
            longest of them where they differ; null: steps are taken by their index.
        fraction: Share of the training split to train on, the same clips for every seed and a
            smaller share within a larger one. Heads still see the labels of the whole split.
        batch_size: Clips per step; 80 in the paper.
        shuffled_pairs: Control: break the pairing, keep every modality's clips.
    """

    store: Name = "digits"
    list: Literal["24k", "40k", "81k", "90k", "179k"] | None = None
    lists: Name | None = None
    modalities: tuple[str, ...] | None = None  # `list` is a field here
    train_split: str = "train"
    test_split: str = "test"
    val_split: str | None = None
    step_seconds: Annotated[float, Field(gt=0)] | Literal["auto"] | None = "auto"
    fraction: float = Field(1.0, gt=0.0, le=1.0)
    batch_size: int = Field(80, ge=2)
    shuffled_pairs: bool = False
