"""A gallery that is searched: exactly by default, approximately with FAISS for very large ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmg.clips import whole_path
from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.files import StrPath, replace_file
from cmg.optional import optional
from cmg.precision import full_precision
from cmg.retrieval.representation import ALL_BY, DECIMALS, By, Represented, alignment, refuse_longer

FORMAT, VERSION = "cmg-retrieval-index", 1
BLOCK = 64
"""Clips of which only the best is looked at first."""
CLIPS_AT_ONCE, QUERIES_AT_ONCE = 1 << 17, 256
"""What is compared at a time: a gallery of any size takes the memory of one such part."""
NEIGHBORS, CANDIDATES = 32, 128
"""Of the HNSW graph: links of a clip, and clips that a search keeps in view."""
Engine = Literal["exact", "faiss", "faiss-flat"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)


@dataclass(frozen=True)
class Hits:
    """The best clips for each query, the best first.

    Attributes:
        places: In the gallery, int64 [N, k]; -1 where an approximate search found fewer.
        scores: Cosines, float32 [N, k]; minus infinity there.
    """

    places: Tensor
    scores: Tensor


def joined(parts: Sequence[Hits], dim: int = 0) -> Hits:
    """Hits of several parts of the queries, or with `dim` 1 of several parts of the gallery."""
    return Hits(
        torch.cat([p.places for p in parts], dim), torch.cat([p.scores for p in parts], dim)
    )


class ExactIndex:
    """Search among all clips of a gallery.

    Args:
        gallery: To be searched.
        device: Where to search.
    """

    def __init__(self, gallery: Represented, device: torch.device | str = "cpu") -> None:
        self.gallery = gallery
        self.device = torch.device(device)
        self._vectors = gallery.vectors.to(self.device, torch.float32)

    def __len__(self) -> int:
        return len(self.gallery)

    def search(self, queries: Represented, k: int = 10) -> Hits:
        """The k best clips, in float32; of equal ones the first of the gallery.

        Scores are rounded to :data:`~cmg.retrieval.representation.DECIMALS` decimals; clips that
        differ by less may change places with the number of clips that are compared at a time.

        Raises:
            DataError: a query compared by something else, or longer than a clip of the gallery.
        """
        refuse_other_kind(queries, self.gallery)
        if queries.by == "sequence":
            refuse_longer(queries, self.gallery)
        parts = [
            self._search(queries.subset(range(len(queries))[i : i + QUERIES_AT_ONCE]), k)
            for i in range(0, len(queries), QUERIES_AT_ONCE)
        ]
        return joined(parts)

    def _search(self, queries: Represented, k: int) -> Hits:
        """Part by part of the gallery; what is found later comes behind its equals."""
        best: Hits | None = None
        # A step of a sequence takes the room of a clip.
        size = max(1, CLIPS_AT_ONCE // self._vectors[0].numel() * self._vectors.shape[-1])
        for first in range(0, len(self), size):
            found = self._search_part(queries, slice(first, first + size), k)
            found = Hits(found.places + first, found.scores)
            best = in_order(found if best is None else joined([best, found], 1), k)
        assert best is not None  # a gallery has clips
        return Hits(best.places.cpu(), best.scores.cpu())

    def _search_part(self, queries: Represented, part: slice, k: int) -> Hits:
        vectors = self._vectors[part]
        if queries.by == "sequence":
            lengths = self.gallery.lengths[part].to(self.device)
            clips = Represented(queries.by, vectors, lengths, self.gallery.ids[part])
            scores = alignment(queries, clips)
            places = first_of_best(scores, min(k, len(vectors)))
            return Hits(places, scores.gather(1, places))
        return best_in_blocks(vectors, queries.vectors.to(vectors), min(k, len(vectors)))


@full_precision
def best_in_blocks(vectors: Tensor, queries: Tensor, k: int) -> Hits:
    """The k best of some clips.

    They lie in the k blocks with the largest maxima (of equal ones the first), so only the clips
    of these are sorted.

    Args:
        vectors: [M, D].
        queries: [N, D].
        k: At most M.
    """
    count = -(-len(vectors) // BLOCK)
    scores = torch.empty(count * BLOCK, len(queries), device=vectors.device)
    # The long side first: this product is half again as fast as its transpose.
    torch.mm(vectors, queries.T, out=scores[: len(vectors)])
    scores[len(vectors) :] = -torch.inf
    blocks = scores.view(count, BLOCK, len(queries))
    # Rounding keeps the order, so that maxima can be rounded instead of all scores.
    maxima = blocks.amax(1).T.round(decimals=DECIMALS)
    chosen = first_of_best(maxima, min(k, count)).sort(1).values
    which = torch.arange(len(queries), device=vectors.device)[:, None]
    near = blocks.permute(2, 0, 1)[which, chosen].flatten(1).round(decimals=DECIMALS)
    found = first_of_best(near, k)
    places = chosen.gather(1, found // BLOCK) * BLOCK + found % BLOCK
    return Hits(places, near.gather(1, found))


def first_of_best(scores: Tensor, k: int) -> Tensor:
    """Places of the k largest of each row, the largest first; of equal ones the first places.

    Args:
        scores: [N, M].
        k: At most M.
    """
    last = scores.topk(k).values[:, -1:]
    room = scores.shape[1]
    earlier = torch.arange(room, 0, -1, device=scores.device)
    worth = torch.where(scores == last, earlier, 0).masked_fill(scores > last, room + 1)
    chosen = worth.topk(k).indices.sort(1).values
    return chosen.gather(1, descending(scores.gather(1, chosen)))


def descending(scores: Tensor) -> Tensor:
    """Order of each row, the largest first, equal ones as they stand."""
    return torch.sort(scores, dim=1, descending=True, stable=True).indices


def in_order(hits: Hits, k: int | None = None) -> Hits:
    """The k best of some hits, the best first, equal ones in the order of the gallery."""
    by_place = hits.places.argsort(1)
    order = by_place.gather(1, descending(hits.scores.gather(1, by_place)))[:, :k]
    return Hits(hits.places.gather(1, order), hits.scores.gather(1, order))


class FaissIndex:
    """Search with FAISS; the ``hnsw`` graph is approximate and grows with the gallery's logarithm.

    Args:
        gallery: To be searched; not sequences.
        kind: ``flat`` is exact, ``hnsw`` approximate; it may find fewer clips than are asked for,
            most of all where many clips are alike.

    Raises:
        ConfigError: FAISS is not installed, or the gallery is of sequences.
    """

    def __init__(self, gallery: Represented, kind: Literal["flat", "hnsw"] = "hnsw") -> None:
        needed = "this index needs FAISS; pip install 'cmg-torch[faiss]', or say --engine exact"
        faiss = optional("faiss", needed)
        if gallery.by == "sequence":
            raise ConfigError(
                "FAISS compares vectors; sequences are searched exactly: --engine exact"
            )
        self.gallery = gallery
        width = gallery.vectors.shape[1]
        metric = faiss.METRIC_INNER_PRODUCT
        if kind == "flat":
            self._index: Any = faiss.IndexFlatIP(width)
        else:
            self._index = faiss.IndexHNSWFlat(width, NEIGHBORS, metric)
            self._index.hnsw.efSearch = CANDIDATES
        self._index.add(gallery.vectors.float().numpy())
        self._exact = kind == "flat"

    def __len__(self) -> int:
        return len(self.gallery)

    def search(self, queries: Represented, k: int = 10) -> Hits:
        """The k best clips, of equal ones the first of the gallery; see :meth:`ExactIndex.search`.

        Which of equal clips a graph finds is left to it; those found stand in the gallery's order.
        """
        refuse_other_kind(queries, self.gallery)
        k, asked = min(k, len(self)), min(k + 1, len(self))
        found, where = self._index.search(queries.vectors.float().numpy(), asked)
        places = torch.from_numpy(where)
        scores = torch.from_numpy(found).round(decimals=DECIMALS)
        hits = in_order(Hits(places, scores.masked_fill(places < 0, -torch.inf)))
        # FAISS orders equal ones as it likes, so where they go on beyond what was asked for, the
        # first of them may not be among these. To ask for ever more takes longer than to search.
        undecided = torch.nonzero(hits.scores[:, -1] == hits.scores[:, k - 1])[:, 0]
        hits = Hits(hits.places[:, :k], hits.scores[:, :k])
        if self._exact and asked < len(self) and len(undecided):
            exact = ExactIndex(self.gallery).search(queries.subset(undecided.tolist()), k)
            hits.places[undecided], hits.scores[undecided] = exact.places, exact.scores
        return hits


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

    def save(self, path: StrPath) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        path = Path(path)
        told = {
            "format": FORMAT,
            "version": VERSION,
            "by": self.gallery.by,
            "modality": self.modality,
            "split": self.split,
            "store": whole_path(self.store),
            "model_sha256": self.model_sha256,
            "ids": list(self.gallery.ids),
        }
        tensors = {
            "vectors": self.gallery.vectors.float().contiguous(),
            "lengths": self.gallery.lengths.contiguous(),
        }
        replace_file(path, save(tensors, {"index": json.dumps(told)}))

    @classmethod
    def load(cls, path: StrPath) -> StoredGallery:
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: missing, damaged, or no index.
        """
        path = Path(path)
        try:
            with safe_open(path, "pt") as file:
                told = json.loads((file.metadata() or {})["index"])
                vectors, lengths = file.get_tensor("vectors"), file.get_tensor("lengths")
            if (told["format"], told["version"]) != (FORMAT, VERSION):
                raise CheckpointError(f"{path} is of another format or version")
            names = [told[key] for key in ("modality", "split", "store", "model_sha256")]
            ids = tuple(str(name) for name in told["ids"])
            gallery = Represented(cast("By", told["by"]), vectors, lengths, ids)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is no index of `cmg retrieve`: {error!r}") from error
        if (wrong := _wrong_with(gallery)) or not all(isinstance(name, str) for name in names):
            raise CheckpointError(f"{path} is damaged: {wrong or names}; make it again")
        return cls(gallery, *names)


def _wrong_with(gallery: Represented) -> str:
    """What keeps a gallery from a file from being searched; empty where nothing does."""
    vectors, lengths = gallery.vectors, gallery.lengths
    told = {
        f"it compares by {gallery.by!r}": gallery.by in ALL_BY,
        f"vectors are {vectors.dtype} {list(vectors.shape)}": vectors.dtype == torch.float32
        and vectors.ndim == (3 if gallery.by == "sequence" else 2),
        f"lengths are {lengths.dtype} {list(lengths.shape)}": lengths.dtype == torch.int64
        and lengths.ndim == 1,
        f"{len(gallery)} ids": 0 < len(gallery) == len(vectors) == len(lengths),
    }
    wrong = next((what for what, fine in told.items() if not fine), "")
    return wrong or _wrong_values(gallery)


def _wrong_values(gallery: Represented) -> str:
    longest = gallery.vectors.shape[1] if gallery.by == "sequence" else torch.inf
    lowest, highest = (int(length) for length in gallery.lengths.aminmax())
    if lowest < 1 or highest > longest:
        return f"lengths from {lowest} to {highest}"
    finite = gallery.vectors.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        return f"the embedding of clip {gallery.ids[int((~finite).nonzero()[0])]!r} is not finite"
    return ""


def open_index(
    gallery: Represented, engine: Engine = "exact", device: torch.device | str = "cpu"
) -> ExactIndex | FaissIndex:
    """The index of a gallery.

    Raises:
        ConfigError: FAISS is asked for and is not installed.
    """
    if engine == "exact":
        return ExactIndex(gallery, device)
    return FaissIndex(gallery, "flat" if engine == "faiss-flat" else "hnsw")


def shown_hits(hits: Hits, gallery: Represented) -> list[list[tuple[str, float]]]:
    """(id, score) of the clips that every query found."""
    return [
        [(gallery.ids[i], s) for i, s in zip(places, scores, strict=True) if i >= 0]
        for places, scores in zip(_lists(hits.places), _lists(hits.scores), strict=True)
    ]


def _lists(x: Tensor) -> Sequence[Sequence[Any]]:
    found: Sequence[Sequence[Any]] = x.tolist()
    return found
