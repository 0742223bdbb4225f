"""Batches by address: batch (epoch, index) is a pure function of the seed.

A run that stopped after batch (3, 17) resumes at (3, 18); no sampler state has to be saved.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.bijection import scattered
from cmg.data.clips import Clips
from cmg.errors import DataError
from cmg.types import Batch

SORTED_UP_TO = 1_000_000
"""Splits of more clips have orders that are computed place by place. Another value changes the
orders of runs on splits between the two."""
SCATTERED = 64
"""Batches of such splits whose places are computed together: most of the time is numpy's calls."""


def permutation(n: int, *key: int) -> NDArray[np.int64]:
    """A permutation of 0 .. n-1 that depends only on `key`.

    It is made of the raw output of a counter-based generator, which NumPy keeps stable across
    versions (unlike ``Generator.permutation``), so old runs stay reproducible.

    Args:
        n: Number of elements.
        *key: Non-negative integers, e.g. seed and epoch.
    """
    bits = np.random.Philox(np.random.SeedSequence(key)).random_raw(n)
    return np.argsort(bits, kind="stable").astype(np.int64)


class Batches:
    """Step-addressable batches over the clips of a split.

    Clips that have none of the wanted modalities are left out. A last batch with a single clip is
    merged into the one before it (contrastive terms need two clips), so a batch may have
    ``batch_size + 1`` clips.

    Nothing is held per clip, except for those that are left out. The order
    of an epoch is sorted (:func:`permutation`) up to :data:`SORTED_UP_TO` clips, and computed where
    it is wanted (:func:`~cmg.data.bijection.scattered`) for more.

    Args:
        split: Where the clips are from.
        batch_size: B, at least 2; of all ranks together.
        modalities: Names; None for all of the store.
        seed: Of the order of the clips, and of the wrong pairs.
        shuffle: Whether each epoch has an order of its own; otherwise the order of the store.
        drop_last: Whether to leave out a last batch that is smaller than `batch_size`.
        shuffled_pairs: The control experiment: the clips of each modality are permuted by a fixed
            permutation of their own, so that pairs are wrong and every modality alone is as it
            was. The permutation is among the clips that have the modality. It is held in memory,
            8 bytes per clip and modality, and made by sorting: a control for splits that allow it.
        rank: Of this process: it reads every `world`-th clip of each batch, from number `rank` on.
            All ranks have as many batches, and together they read those of a single process.
        world: Number of processes that share a batch's clips.

    Raises:
        DataError: fewer than two clips, a batch size below 2, no batch at all, or a batch of fewer
            clips than ranks.
        ModalityError: the store lacks a modality.
    """

    def __init__(
        self,
        split: Clips,
        batch_size: int,
        modalities: Sequence[str] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        shuffled_pairs: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.modalities = list(split.modalities if modalities is None else modalities)
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        if batch_size < 2 or seed < 0:
            raise DataError(f"batch_size {batch_size} must be at least 2, seed {seed} at least 0")
        self.rank, self.world = rank, world
        if not 0 <= rank < world:
            raise DataError(f"rank {rank} must be from 0 to world - 1, world is {world}")
        if not self.modalities:
            raise DataError("batches need at least one modality")
        for name in self.modalities:
            split.check_modality(name)
        left_out = _without_any(split, self.modalities)
        self.count = len(split) - len(left_out)
        # How many clips are kept before each that is left out.
        self._kept_before = left_out - np.arange(len(left_out))
        self._check_count()
        self._partners = {m: self._wrong(m) for m in self.modalities} if shuffled_pairs else {}
        self._order: tuple[int, int, int, NDArray[np.int64]] | None = None

    @property
    def clips(self) -> NDArray[np.int64]:
        """Positions in the split of all clips that batches are of; made anew each time."""
        return self._kept(np.arange(self.count))

    def _kept(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in the split of some of the clips that are not left out, by their number."""
        if not len(self._kept_before):
            return numbers
        return np.asarray(numbers + np.searchsorted(self._kept_before, numbers, side="right"))

    def _source(self, modality: str, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of the clips whose features of a modality some clips are given."""
        partners = self._partners.get(modality)
        return clips if partners is None else partners[clips]

    def of_all_ranks(self) -> Batches:
        """The same batches as a single process has them."""
        if self.world == 1:
            return self
        whole = copy(self)
        whole.rank, whole.world = 0, 1
        return whole

    def _check_count(self) -> None:
        count = self.count
        where = f"split {self.split.name!r} of {self.split.path}"
        if count < 2:
            raise DataError(
                f"{where} has {count} clip(s) with {', '.join(self.modalities)}; "
                "contrastive terms need at least 2"
            )
        if len(self) == 0:
            raise DataError(
                f"{where}: {count} clips make no full batch of {self.batch_size}; "
                "lower data.batch_size"
            )
        last = count - (len(self) - 1) * self.batch_size
        smallest = self.batch_size if self.drop_last else min(self.batch_size, last)
        if smallest < self.world:
            raise DataError(
                f"{where}: {count} clips in batches of {self.batch_size} end with a batch of "
                f"{smallest}, too few for {self.world} ranks; choose another data.batch_size or "
                f"--devices {smallest}"
            )

    def _wrong(self, modality: str) -> NDArray[np.int64]:
        lengths = self.split.lengths(modality).numpy()
        have = np.flatnonzero(lengths)
        partners = np.arange(len(lengths))
        key = zlib.crc32(modality.encode())
        partners[have] = have[permutation(len(have), self.seed, 1, key)]
        return partners

    def __repr__(self) -> str:
        """How many, of what."""
        shuffled = ", wrong pairs" if self._partners else ""
        return f"<{len(self)} batches of {self.batch_size} of {self.split!r}{shuffled}>"

    def __len__(self) -> int:
        """Batches per epoch."""
        full, rest = divmod(self.count, self.batch_size)
        if rest == 0 or self.drop_last or (rest == 1 and full > 0):
            return full
        return full + 1

    def indices(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions in the split of this rank's clips of one batch, int64 [B].

        Raises:
            IndexError: `epoch` is negative or `index` outside ``range(len(self))``.
        """
        return self.whole(epoch, index)[self.rank :: self.world]

    def size_of(self, index: int) -> int:
        """Clips of all ranks in one batch."""
        first = index * self.batch_size
        last = index == len(self) - 1 and not self.drop_last
        return self.count - first if last else self.batch_size

    def whole(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions in the split of all ranks' clips of one batch.

        Raises:
            IndexError: `epoch` is negative or `index` outside ``range(len(self))``.
        """
        if epoch < 0 or not 0 <= index < len(self):
            raise IndexError(f"no batch ({epoch}, {index}); an epoch has {len(self)} batches")
        first = index * self.batch_size
        last = first + self.size_of(index)
        if not self.shuffle:
            return self._kept(np.arange(first, last))
        start, order = self._ordered(epoch, index)
        return self._kept(order[first - start : last - start])

    def _ordered(self, epoch: int, index: int) -> tuple[int, NDArray[np.int64]]:
        """A part of an epoch's order that has the clips of a batch, and where it starts."""
        whole = self.count <= SORTED_UP_TO
        part = 0 if whole else index // SCATTERED
        kept = self._order  # read once, as other threads may ask for another part
        if kept is not None and kept[:2] == (epoch, part):
            return kept[2:]
        start = part * SCATTERED * self.batch_size
        if whole:
            order = permutation(self.count, self.seed, epoch)
        else:
            last = min((part + 1) * SCATTERED, len(self)) - 1
            places = np.arange(start, last * self.batch_size + self.size_of(last))
            order = scattered(self.count, places, self.seed, epoch)
        self._order = (epoch, part, start, order)
        return start, order

    def whole_lengths(self, epoch: int, index: int) -> dict[str, Tensor]:
        """Steps of all ranks' clips of one batch, int64 [B] per modality."""
        clips = self.whole(epoch, index)
        return {
            m: torch.from_numpy(self.split.lengths_of(m, self._source(m, clips)))
            for m in self.modalities
        }

    def at(self, epoch: int, index: int) -> Batch:
        """One batch, or this rank's clips of it.

        Features are float32 whatever their stored dtype, T is the longest of the whole batch over
        all modalities, padding is zero, and lengths are None where nothing is padded.

        Raises:
            IndexError: there is no such batch.
            DataError: a shard cannot be read.
        """
        clips = self.indices(epoch, index)
        ids = self.split.ids_of(clips)
        found = {m: self.split.features(m, self._source(m, clips)) for m in self.modalities}
        longest = max(x.shape[1] for x, _ in found.values())
        if self.world > 1:
            longest = max(
                longest, *(int(n.max()) for n in self.whole_lengths(epoch, index).values())
            )
        features = {m: _padded(x, longest) for m, (x, _) in found.items()}
        lengths = {m: n for m, (_, n) in found.items()}
        complete = all(bool((n == longest).all()) for n in lengths.values())
        return Batch(features, None if complete else lengths, ids)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from batch `start` on."""
        for index in range(start, len(self)):
            yield self.at(epoch, index)


def _without_any(split: Clips, modalities: Sequence[str]) -> NDArray[np.int64]:
    """Positions in the split of clips that have none of some modalities, in order."""
    if any(split.columns.absent[m] == 0 for m in modalities):
        return np.zeros(0, np.int64)
    found = [np.zeros(0, np.int64)]
    for part in split.parts():
        lengths = [split.lengths_of(m, part) for m in modalities]
        found.append(part.start + np.flatnonzero(~np.stack(lengths).any(axis=0)))
    return np.concatenate(found)


def _padded(features: Tensor, length: int) -> Tensor:
    """Features as float32 [B, length, *shape], zero where there was nothing."""
    clips, steps = features.shape[:2]
    if features.dtype == torch.float32 and steps == length:
        return features
    # NumPy asks for huge pages: a fresh tensor of torch's own costs four times as long in faults.
    out = torch.from_numpy(np.empty((clips, length, *features.shape[2:]), np.float32))
    out[:, :steps] = features
    out[:, steps:] = 0.0
    return out
