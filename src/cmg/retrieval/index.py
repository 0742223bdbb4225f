"""A gallery that is searched: exactly by default, approximately with FAISS for very large ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.files import replace_file
from cmg.retrieval.representation import By, Represented
from cmg.retrieval.similarity import alignment

FORMAT, VERSION = "cmg-retrieval-index", 1
BLOCK = 64
"""Clips of which only the best is looked at first."""
Engine = Literal["exact", "faiss"]


@dataclass(frozen=True)
class Hits:
    """The best clips for each query, the best first.

    Attributes:
        places: In the gallery, int64 [N, k].
        scores: Cosines, float32 [N, k].
    """

    places: Tensor
    scores: Tensor


class ExactIndex:
    """Search among all clips of a gallery.

    Args:
        gallery: To be searched.
        device: Where to search.
    """

    def __init__(self, gallery: Represented, device: torch.device | str = "cpu") -> None:
        self.gallery = gallery
        self.device = torch.device(device)
        self._vectors = gallery.vectors.to(self.device)

    def __len__(self) -> int:
        return len(self.gallery)

    def search(self, queries: Represented, k: int = 10) -> Hits:
        """The k best clips.

        The best k lie in the k blocks with the largest maxima, so only these are sorted.

        Raises:
            DataError: a query compared by something else, or longer than a clip of the gallery.
        """
        self._check(queries)
        k = min(k, len(self))
        if self.gallery.by == "sequence":
            scores = alignment(queries, self._on_device())
            top = scores.topk(k)
            return Hits(top.indices.cpu(), top.values.cpu())
        blocks = self._scores_in_blocks(queries.vectors.to(self.device))
        best = blocks.amax(1).T
        chosen = best.topk(min(k, best.shape[1])).indices.sort(1).values
        which = torch.arange(len(queries), device=self.device)[:, None]
        near = blocks.permute(2, 0, 1)[which, chosen].flatten(1)
        top = near.topk(k)
        places = chosen.gather(1, top.indices // BLOCK) * BLOCK + top.indices % BLOCK
        return Hits(places.cpu(), top.values.cpu())

    def _scores_in_blocks(self, queries: Tensor) -> Tensor:
        """Cosines, [blocks, BLOCK, N]; minus infinity where the last block is not full."""
        clips = len(self)
        whole = -(-clips // BLOCK) * BLOCK
        scores = torch.empty(whole, len(queries), device=self.device)
        # The long side first: this product is half again as fast as its transpose.
        torch.mm(self._vectors, queries.T, out=scores[:clips])
        scores[clips:] = -torch.inf
        return scores.view(-1, BLOCK, len(queries))

    def _on_device(self) -> Represented:
        given = self.gallery
        return Represented(given.by, self._vectors, given.lengths.to(self.device), given.ids)

    def _check(self, queries: Represented) -> None:
        refuse_other_kind(queries, self.gallery)


class FaissIndex:
    """Search with FAISS; the ``hnsw`` graph is approximate and grows with the gallery's logarithm.

    Args:
        gallery: To be searched; not sequences.
        kind: ``flat`` is exact, ``hnsw`` approximate.

    Raises:
        ConfigError: FAISS is not installed, or the gallery is of sequences.
    """

    def __init__(self, gallery: Represented, kind: Literal["flat", "hnsw"] = "hnsw") -> None:
        try:
            import faiss
        except ImportError as error:
            raise ConfigError(
                "this index needs FAISS; pip install 'cmg-torch[faiss]', or search exactly"
            ) from error
        if gallery.by == "sequence":
            raise ConfigError("FAISS compares vectors; sequences are searched exactly")
        self.gallery = gallery
        width = gallery.vectors.shape[1]
        metric = faiss.METRIC_INNER_PRODUCT
        self._index: Any = (
            faiss.IndexFlatIP(width) if kind == "flat" else faiss.IndexHNSWFlat(width, 32, metric)
        )
        self._index.add(gallery.vectors.numpy())

    def __len__(self) -> int:
        return len(self.gallery)

    def search(self, queries: Represented, k: int = 10) -> Hits:
        """The k best clips; see :meth:`ExactIndex.search`."""
        refuse_other_kind(queries, self.gallery)
        scores, places = self._index.search(queries.vectors.numpy(), min(k, len(self)))
        return Hits(torch.from_numpy(places), torch.from_numpy(scores))


def refuse_other_kind(queries: Represented, gallery: Represented) -> None:
    """Refuse what cannot be compared.

    Raises:
        DataError: queries and gallery are of different kinds or widths.
    """
    if queries.by != gallery.by or queries.vectors.shape[-1] != gallery.vectors.shape[-1]:
        raise DataError(
            f"queries by {queries.by} ({queries.vectors.shape[-1]} wide) cannot be compared with a "
            f"gallery by {gallery.by} ({gallery.vectors.shape[-1]} wide)"
        )


@dataclass(frozen=True)
class StoredGallery:
    """A gallery as it is kept on disk.

    Attributes:
        gallery: Its clips.
        modality: Of them.
        split: Which split of the store.
        store: Where they are from.
        model_sha256: Of the weights that encoded them.
    """

    gallery: Represented
    modality: str
    split: str
    store: str
    model_sha256: str

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        told = {
            "format": FORMAT,
            "version": VERSION,
            "by": self.gallery.by,
            "modality": self.modality,
            "split": self.split,
            "store": self.store,
            "model_sha256": self.model_sha256,
            "ids": list(self.gallery.ids),
        }
        tensors = {
            "vectors": self.gallery.vectors.contiguous(),
            "lengths": self.gallery.lengths.contiguous(),
        }
        replace_file(path, save(tensors, {"index": json.dumps(told)}))

    @classmethod
    def load(cls, path: Path) -> StoredGallery:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: missing, damaged, or no index.
        """
        try:
            with safe_open(path, "pt") as file:
                told = json.loads((file.metadata() or {})["index"])
                vectors, lengths = file.get_tensor("vectors"), file.get_tensor("lengths")
            if (told["format"], told["version"]) != (FORMAT, VERSION):
                raise CheckpointError(f"{path} is of another format or version")
            ids = tuple(str(name) for name in told["ids"])
            if not len(ids) == len(vectors) == len(lengths):
                raise CheckpointError(f"{path}: {len(ids)} ids for {len(vectors)} vectors")
            gallery = Represented(cast("By", told["by"]), vectors, lengths, ids)
            return cls(
                gallery, told["modality"], told["split"], told["store"], told["model_sha256"]
            )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is no index of `cmg retrieve`: {error!r}") from error


def open_index(
    gallery: Represented, engine: Engine = "exact", device: torch.device | str = "cpu"
) -> ExactIndex | FaissIndex:
    """The index of a gallery.

    Raises:
        ConfigError: FAISS is asked for and is not installed.
    """
    return FaissIndex(gallery) if engine == "faiss" else ExactIndex(gallery, device)


def shown_hits(hits: Hits, gallery: Represented) -> list[list[tuple[str, float]]]:
    """(id, score) of the best clips of every query."""
    return [
        [(gallery.ids[i], s) for i, s in zip(places, scores, strict=True)]
        for places, scores in zip(_lists(hits.places), _lists(hits.scores), strict=True)
    ]


def _lists(x: Tensor) -> Sequence[Sequence[Any]]:
    found: Sequence[Sequence[Any]] = x.tolist()
    return found
