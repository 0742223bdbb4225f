"""`cmg retrieve`: the clips of a gallery that are nearest to a clip of another modality."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from cmg.clips import whole_path
from cmg.data.clips import Clips
from cmg.errors import ConfigError, DataError
from cmg.evaluation.encoding import refuse_unknown
from cmg.extract.clip import MediaClip
from cmg.extract.media_files import named_clips
from cmg.files import StrPath
from cmg.inference.readers import load_readers, other_extractors, training_store
from cmg.models.unified import UnifiedModel
from cmg.recipes.retrieval import (
    check_gallery,
    clips_to_search,
    gallery_of,
    query_of,
    represented_query,
)
from cmg.retrieval.index import Engine, StoredGallery, open_index, shown_hits
from cmg.retrieval.representation import By, Represented
from cmg.runs.checkpoint import Checkpoint, load_model, read_checkpoint

INDEX = ".safetensors"


@dataclass(frozen=True)
class Wanted:
    """What is asked.

    Attributes:
        query: Id of a clip of a store, a file of media, or words.
        source: Modality of the query.
        target: Modality of the gallery.
        by: What clips are compared by.
        top: How many are wanted.
        text: Whether `query` is words.
    """

    query: str
    source: str
    target: str
    by: By = "mean"
    top: int = 10
    text: bool = False


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        hits: (id, cosine), the best first.
        gallery: Where they are from.
        remarks: What is different from training.
    """

    hits: list[tuple[str, float]]
    gallery: StoredGallery
    remarks: tuple[str, ...] = ()


def retrieve(
    wanted: Wanted,
    run: StrPath,
    gallery: StrPath | None = None,
    split: str | None = None,
    queries: StrPath | None = None,
    extractors: Mapping[str, str] | None = None,
    weights: Mapping[str, StrPath] | None = None,
    engine: Engine = "exact",
    device: str = "cpu",
    save_index: StrPath | None = None,
) -> Found:
    """Search a gallery.

    Args:
        wanted: What is asked.
        run: Run folder or checkpoint.
        gallery: Store, or an index that was saved; None is what the run was trained on.
        split: Of the gallery; None is the run's test split.
        queries: Store that has the query's clip; None is the gallery's, also that of an index.
        extractors: By modality, for a query of media where the run does not know them.
        weights: Files or folders of an extractor's weights by modality.
        engine: See :data:`~cmg.retrieval.index.Engine`.
        device: Where to encode and search.
        save_index: Keeps the gallery in this file.

    Raises:
        CmgError: by its type, whatever does not fit.
    """
    run = Path(run)
    save_index = None if save_index is None else Path(save_index)
    if wanted.top < 1:
        raise ConfigError(f"--top {wanted.top} must be at least 1")
    checkpoint = read_checkpoint(run)
    model = load_model(checkpoint.path, device)
    stored, remarks = _gallery(wanted, model, checkpoint, gallery, split)
    if wanted.text or os.path.exists(wanted.query):
        query, more = _media_query(wanted, model, checkpoint, extractors, weights, device)
    else:
        store = _store_of_query(checkpoint, stored, queries)
        query = query_of(model, store, wanted.query, wanted.source, wanted.by)
        more = tuple(other_extractors(checkpoint, store))
    remarks = tuple(dict.fromkeys((*remarks, *more)))
    hits = open_index(stored.gallery, engine, device).search(query, wanted.top)
    if save_index is not None:
        stored.save(save_index)
    return Found(shown_hits(hits, stored.gallery)[0], stored, remarks)


def _gallery(
    wanted: Wanted,
    model: UnifiedModel,
    checkpoint: Checkpoint,
    gallery: StrPath | None,
    split: str | None,
) -> tuple[StoredGallery, tuple[str, ...]]:
    if gallery is not None and os.fspath(gallery).endswith(INDEX):
        gallery = Path(gallery)
        stored = StoredGallery.load(gallery)
        check_gallery(stored, checkpoint, wanted.target, gallery)
        if stored.gallery.by != wanted.by:
            raise DataError(
                f"{gallery} compares by {stored.gallery.by}; say --by {stored.gallery.by}"
            )
        if split not in (None, stored.split):
            raise DataError(f"{gallery} is of split {stored.split!r}; leave --split {split} out")
        return stored, ()
    store = clips_to_search(checkpoint, gallery)
    chosen = split or checkpoint.config.data.test_split
    found = gallery_of(model, checkpoint, store, chosen, wanted.target, wanted.by)
    return found, tuple(other_extractors(checkpoint, store))


def _store_of_query(
    checkpoint: Checkpoint, stored: StoredGallery, queries: StrPath | None
) -> Clips:
    """The given store, or the gallery's; a collection can only be opened as the run's own."""
    if queries is not None:
        return clips_to_search(checkpoint, queries)
    try:
        own = clips_to_search(checkpoint, None)
    except DataError:
        return clips_to_search(checkpoint, stored.store)
    same = whole_path(str(own.path)) == whole_path(stored.store)
    return own if same else clips_to_search(checkpoint, stored.store)


def _media_query(
    wanted: Wanted,
    model: UnifiedModel,
    checkpoint: Checkpoint,
    extractors: Mapping[str, str] | None,
    weights: Mapping[str, StrPath] | None,
    device: str,
) -> tuple[Represented, tuple[str, ...]]:
    m = wanted.source
    refuse_unknown(m, model.modalities)
    trained_on = training_store(checkpoint)
    readers = load_readers(checkpoint, trained_on, extractors, weights, device, only=m)
    if wanted.text and readers.by_modality[m].takes != "text":
        raise ConfigError(f"--text gives words, {m!r} reads {readers.by_modality[m].takes}")
    clip = _media_clip(wanted)
    features = readers.read(clip)[0].get(m)
    if features is None or len(features) == 0:
        raise DataError(f"{clip.id}: nothing of {m!r} to ask by")
    tensor = torch.from_numpy(features)[None]
    lengths = torch.tensor([len(features)])
    query = represented_query(model, tensor, lengths, m, wanted.by, clip.id)
    return query, readers.remarks


def _media_clip(wanted: Wanted) -> MediaClip:
    if wanted.text:
        return MediaClip("query", "query", texts={wanted.source: " ".join(wanted.query.split())})
    clips = named_clips([Path(wanted.query)])
    if len(clips) != 1:
        raise DataError(f"{wanted.query} has {len(clips)} clips; a query is one, name its file")
    return clips[0]
