"""Queries: a clip's sound or words as vectors of the frozen codebook, and what tells what they do.

The controls: with :func:`shuffled` queries every clip is asked by that of another clip, of another
category where categories are known; with :func:`zero` every query is the zero vector. The third, a
model that never had a query, is trained with ``by_query`` off: it finds what is salient.

Shape legend: N clips, n own steps of a query, Q steps all queries are brought to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.frames import FramedClip
from cmg.errors import DataError
from cmg.evaluation.encoding import FrozenEncoder, check_shape
from cmg.models.unified import UnifiedModel
from cmg.process import seeded
from cmg.segmentation.model import StepMixer
from cmg.training.seeding import derived_seed

STEPS = 10
"""Q of AVSBench: five seconds of sound are tiled twice, a sentence has ten places for words."""
NEIGHBORS = 4
"""Of a code, among which jitter chooses."""


class CodeQueries:
    """What clips are asked by: their code vectors in one modality, each clip encoded once.

    A query of n steps is repeated from its beginning until it has Q of them (five seconds twice,
    as the release tiles sounds); words that do not exist are not filled with zeros.

    Args:
        model: Left untouched.
        source: Features of the queries by clip id.
        modality: Of the queries.
        steps: Q, to be brought to the frames by the model; None where that is done already.
        jitter: Share of the codes that are replaced by one of their nearest neighbors, drawn anew
            for every draw; for training only.

    Raises:
        ModalityError: the model or the source lack the modality, or differ in its shape.
        ConfigError: a model without codes.
    """

    def __init__(
        self,
        model: UnifiedModel,
        source: Clips,
        modality: str,
        steps: int | None = STEPS,
        jitter: float = 0.0,
    ) -> None:
        check_shape(model, source, modality)
        model.codebook.need_codes("segmentation by a query")
        self.encoder, self.book = FrozenEncoder(model, modality), model.codebook
        self.source, self.modality, self.steps, self.jitter = source, modality, steps, jitter
        self._codes: dict[str, Tensor] = {}

    def vectors(self, ids: Sequence[str], draw: int | None = None) -> Tensor:
        """Queries of some clips, [N, Q, D] on the model's device.

        Args:
            ids: Of the clips.
            draw: Seed of what is random: jitter, or dropout.

        Raises:
            DataError: a clip has no such query, or one longer than Q.
        """
        assert self.steps is not None
        new = [clip for clip in dict.fromkeys(ids) if clip not in self._codes]
        if new:
            found = query_codes(self.encoder, *self.inputs(new), self.steps, new)
            self._codes |= dict(zip(new, found, strict=True))
        codes = torch.stack([self._codes[clip] for clip in ids])
        if self.jitter and draw is not None:
            codes = jittered(codes, self._neighbors, self.jitter, draw)
        return self.book.vectors(self.modality, codes.to(self.encoder.model.device)).float()

    def inputs(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What the temporal encoder reads of some clips, [N, n, C], and their lengths.

        Raises:
            DataError: a clip has no such query, or it cannot be read.
        """
        places = [self.source.places.get(clip, -1) for clip in ids]
        for clip, place in zip(ids, places, strict=True):
            if place < 0 or not self.source.rows[place].lengths.get(self.modality, 0):
                raise DataError(
                    f"{self.source.path}: clip {clip!r} has frames but no {self.modality}; "
                    "extract it, or leave the clip out"
                )
        features, lengths = self.source.features(self.modality, np.array(places, dtype=np.int64))
        return self.encoder.inputs(features, lengths, ids), lengths

    @cached_property
    def _neighbors(self) -> Tensor:
        """The nearest other codes of every code, int64 [K, NEIGHBORS]."""
        self.book.need_one_level("query_jitter", "leave it out")
        codes = self.book.table(self.modality).detach().cpu()
        distances = torch.cdist(codes, codes).fill_diagonal_(torch.inf)
        return distances.topk(min(NEIGHBORS, len(codes) - 1), largest=False).indices


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
        DataError: a query longer than Q.
    """
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


class PublishedQueries(CodeQueries):
    """Code vectors as the release makes them, a step per frame.

    Five seconds of sound tiled twice, or ten places of words, go through a random linear map over
    time *before* the frozen encoder, which runs with dropout; nothing trains the map, and testing
    draws another one [as coded].

    Args:
        model: Left untouched.
        source: Features of the queries by clip id.
        modality: Of the queries.
        frames: T.
        seed: Of the map.
        phase: ``train`` or ``test``; each has a map of its own.
    """

    def __init__(
        self, model: UnifiedModel, source: Clips, modality: str, frames: int, seed: int, phase: str
    ) -> None:
        super().__init__(model, source, modality, steps=None)
        with seeded(derived_seed(seed, f"mixer {phase}")):
            self._mixer = StepMixer(STEPS, frames)
            self._mixer.map.reset_parameters()
        self._mixer.requires_grad_(False).to(model.device, model.dtype)

    def vectors(self, ids: Sequence[str], draw: int | None = None) -> Tensor:
        """See :class:`CodeQueries`; without `draw` dropout draws from torch's global generator."""
        (inputs, lengths), model = self.inputs(ids), self.encoder.model
        if int(lengths.max()) > STEPS:
            raise DataError(f"the published queries have at most {STEPS} steps")
        if model.modalities[self.modality].kind == "tokens":
            tiled = inputs.new_zeros(len(inputs), STEPS, inputs.shape[2])
            tiled[:, : inputs.shape[1]] = inputs
        else:
            tiled = inputs[:, torch.arange(STEPS, device=inputs.device) % inputs.shape[1]]
        mixed = self._mixer(tiled)
        whole = torch.full((len(ids),), mixed.shape[1])
        with nullcontext() if draw is None else seeded(draw, model.device):
            z = self.encoder.semantic(mixed, whole, dropout=True)
        return self.book.vectors(self.modality, self.encoder.codes(z, whole)).float()


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


def shuffled(clips: Sequence[FramedClip], asked: CodeQueries, seed: int) -> Change:
    """Queries of other clips."""
    others = other_clips(clips, seed)
    return lambda ids, query: asked.vectors([others[i] for i in ids], seed)


def zero(ids: list[str], query: Tensor) -> Tensor:
    """Queries of zeros."""
    return torch.zeros_like(query)
