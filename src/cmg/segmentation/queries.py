"""Queries: a clip's sound or words as vectors of the frozen codebook, and what tells what they do.

The controls: with :func:`shuffled` queries every clip is asked by that of another clip, of another
category where categories are known; with :func:`zero` every query is the zero vector. The third, a
model that never had a query, is trained with ``by_query`` off: it finds what is salient.

Shape legend: N clips, n own steps of a query, Q steps all queries are brought to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.frames import FramedClip
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.evaluation.encoding import FrozenEncoder
from cmg.models.unified import UnifiedModel
from cmg.process import seeded
from cmg.segmentation.model import StepMixer
from cmg.training.seeding import derived_seed

STEPS = 10
"""Q of AVSBench: five seconds of sound are tiled twice, a sentence has ten places for words."""


NEIGHBORS = 4
"""Of a code, among which jitter chooses."""


class Queries:
    """Where the vectors of queries come from.

    Args:
        model: Left untouched.
        source: Features of the queries by clip id.

    Attributes:
        steps: Q, to be brought to the frames by the model; None where that is done already.
        width: D.
    """

    steps: int | None = None

    def __init__(self, model: UnifiedModel, source: Clips) -> None:
        self.model, self.source, self.width = model, source, model.codebook.width
        self._places = {row.id: i for i, row in enumerate(source.rows)}

    def vectors(self, modality: str, ids: Sequence[str], draw: int | None = None) -> Tensor:
        """Queries of some clips, [N, Q, D] on the model's device.

        Args:
            modality: Of the query.
            ids: Of the clips.
            draw: Seed of dropout, where there is any.

        Raises:
            ModalityError: the model or the clips lack the modality.
            DataError: a clip has no such query.
        """
        raise NotImplementedError

    def inputs(self, modality: str, ids: Sequence[str]) -> tuple[FrozenEncoder, Tensor, Tensor]:
        """The encoder, what its temporal part reads of some clips, [N, n, C], and their lengths.

        Raises:
            ModalityError: the source lacks the modality.
            DataError: a clip has no such query, or it cannot be read.
        """
        source, encoder = self.source, FrozenEncoder(self.model, modality)
        if modality not in source.modalities:
            hint = did_you_mean(modality, source.modalities)
            raise ModalityError(f"{source.path}: no queries of modality {modality!r}{hint}")
        for clip in ids:
            place = self._places.get(clip)
            if place is None or not source.rows[place].lengths.get(modality, 0):
                raise DataError(
                    f"{source.path}: clip {clip!r} has frames but no {modality}; extract it, or "
                    "leave the clip out"
                )
        places = np.array([self._places[clip] for clip in ids], dtype=np.int64)
        features, lengths = source.features(modality, places)
        return encoder, encoder.inputs(features, lengths, ids), lengths


@dataclass(frozen=True)
class AskedBy:
    """What clips are asked by.

    Attributes:
        queries: Where the vectors come from.
        modality: Of the query.
    """

    queries: Queries
    modality: str

    def vectors(self, ids: Sequence[str], draw: int | None = None) -> Tensor:
        """Queries of some clips; see :meth:`Queries.vectors`."""
        return self.queries.vectors(self.modality, ids, draw)


class CodeQueries(Queries):
    """Code vectors in eval mode, each clip encoded once.

    A query of n steps is repeated from its beginning until it has Q of them (five seconds twice,
    as the release tiles sounds); words that do not exist are not filled with zeros.

    Args:
        model: Left untouched.
        source: Features of the queries by clip id.
        steps: Q.
        jitter: Share of the codes that are replaced by one of their nearest neighbors, drawn anew
            for every draw; for training only.

    Raises:
        DataError: a query longer than Q, when it is asked for.
    """

    def __init__(
        self, model: UnifiedModel, source: Clips, steps: int = STEPS, jitter: float = 0.0
    ) -> None:
        super().__init__(model, source)
        self.steps: int = steps
        self.jitter = jitter
        self._codes: dict[tuple[str, str], Tensor] = {}
        self._near: dict[str, Tensor] = {}

    def vectors(self, modality: str, ids: Sequence[str], draw: int | None = None) -> Tensor:
        """See :class:`Queries`; only jitter is drawn."""
        new = [clip for clip in dict.fromkeys(ids) if (modality, clip) not in self._codes]
        if new:
            self._encode(modality, new)
        codes = torch.stack([self._codes[modality, clip] for clip in ids])
        if self.jitter and draw is not None:
            codes = jittered(codes, self._neighbors(modality), self.jitter, draw)
        return self.model.codebook.vectors(modality, codes.to(self.model.device)).float()

    def _neighbors(self, modality: str) -> Tensor:
        """The nearest other codes of every code, int64 [K, NEIGHBORS]."""
        if modality not in self._near:
            self.model.codebook.need_one_level("query_jitter", "leave it out")
            codes = self.model.codebook.table(modality).detach().cpu()
            distances = torch.cdist(codes, codes).fill_diagonal_(torch.inf)
            count = min(NEIGHBORS, len(codes) - 1)
            self._near[modality] = distances.topk(count, largest=False).indices
        return self._near[modality]

    def _encode(self, modality: str, ids: Sequence[str]) -> None:
        encoder, inputs, lengths = self.inputs(modality, ids)
        codes = query_codes(encoder, inputs, lengths, self.steps, ids)
        self._codes |= {(modality, clip): row for clip, row in zip(ids, codes, strict=True)}


def jittered(codes: Tensor, neighbors: Tensor, share: float, draw: int) -> Tensor:
    """Codes of which some are replaced by a neighbor, int64 [N, Q].

    Args:
        codes: int64 [N, Q].
        neighbors: Of every code, int64 [K, n].
        share: How many are replaced, 0..1, in expectation.
        draw: Seed.
    """
    generator = torch.Generator().manual_seed(draw)
    which = torch.randint(neighbors.shape[1], codes.shape, generator=generator)
    replaced = torch.rand(codes.shape, generator=generator) < share
    others = neighbors[codes].gather(2, which[..., None])[..., 0]
    return torch.where(replaced, others, codes)


def query_codes(
    encoder: FrozenEncoder, inputs: Tensor, lengths: Tensor, steps: int, ids: Sequence[str]
) -> Tensor:
    """Codes of queries, repeated from the beginning until there are Q: int64 [N, Q] or [N, Q, L].

    Args:
        encoder: Of the queries' modality.
        inputs: What its temporal encoder reads, [N, n, C].
        lengths: Own steps of each, int64 [N].
        steps: Q.
        ids: Of the clips, for messages.

    Raises:
        ConfigError: a model without codes.
        DataError: a query longer than Q.
    """
    encoder.model.codebook.need_codes("segmentation by a query")
    codes = encoder.codes(encoder.semantic(inputs, lengths), lengths).cpu()
    rows = []
    for clip, own, length in zip(ids, codes, lengths.tolist(), strict=True):
        if length > steps:
            raise DataError(
                f"clip {clip!r}: the {encoder.modality} query has {length} steps and the model "
                f"takes at most {steps}; cut it, or train with more query steps"
            )
        rows.append(own[torch.arange(steps) % length])
    return torch.stack(rows)


class PublishedQueries(Queries):
    """Code vectors as the release makes them.

    Five seconds of sound tiled twice, or ten places of words, go through a random linear map over
    time *before* the frozen encoder, which runs with dropout; nothing trains the map, and testing
    draws another one [as coded].

    Args:
        model: Left untouched.
        source: Features of the queries by clip id.
        frames: T.
        seed: Of the map.
        phase: ``train`` or ``test``; each has a map of its own.
    """

    def __init__(
        self, model: UnifiedModel, source: Clips, frames: int, seed: int, phase: str
    ) -> None:
        super().__init__(model, source)
        with seeded(derived_seed(seed, f"mixer {phase}")):
            self._mixer = StepMixer(STEPS, frames)
            self._mixer.map.reset_parameters()
        self._mixer.requires_grad_(False).to(model.device, model.dtype)

    def vectors(self, modality: str, ids: Sequence[str], draw: int | None = None) -> Tensor:
        """See :class:`Queries`; without `draw` dropout draws from torch's global generator."""
        encoder, inputs, lengths = self.inputs(modality, ids)
        if int(lengths.max()) > STEPS:
            raise DataError(f"the published queries have at most {STEPS} steps")
        if encoder.model.modalities[modality].kind == "tokens":
            tiled = inputs.new_zeros(len(inputs), STEPS, inputs.shape[2])
            tiled[:, : inputs.shape[1]] = inputs
        else:
            tiled = inputs[:, torch.arange(STEPS, device=inputs.device) % inputs.shape[1]]
        mixed = self._mixer(tiled)
        whole = torch.full((len(ids),), mixed.shape[1])
        with nullcontext() if draw is None else seeded(draw, self.model.device):
            z = encoder.semantic(mixed, whole, dropout=True)
        encoder.model.codebook.need_codes("segmentation by a query")
        codes = encoder.codes(z, whole)
        return self.model.codebook.vectors(modality, codes).float()


Change = Callable[[list[str], Tensor], Tensor]


def other_clips(clips: Sequence[FramedClip], seed: int) -> dict[str, str]:
    """For every clip another one, of another category where both have one.

    A permutation is looked through for the first fitting clip from a place of its own, so that
    queries are spread over all clips.

    Raises:
        DataError: all clips are of one category, or there is a single one.
    """
    order = [int(i) for i in permutation(len(clips), seed, 1)]
    place = {clip: at for at, clip in enumerate(order)}
    found = {}
    for index, clip in enumerate(clips):
        later = np.roll(order, -place[index])[1:]
        fitting = (clips[i] for i in later if _differ(clip, clips[i]))
        other = next(fitting, None)
        if other is None:
            raise DataError(
                f"no clip is of another category than {clip.id!r} ({clip.category}); the control "
                "with shuffled queries needs two categories"
            )
        found[clip.id] = other.id
    return found


def _differ(a: FramedClip, b: FramedClip) -> bool:
    return not a.category or not b.category or a.category != b.category


def shuffled(clips: Sequence[FramedClip], asked: AskedBy, seed: int) -> Change:
    """Queries of other clips."""
    others = other_clips(clips, seed)
    return lambda ids, query: asked.vectors([others[i] for i in ids], seed)


def zero(ids: list[str], query: Tensor) -> Tensor:
    """Queries of zeros."""
    return torch.zeros_like(query)
