"""How the clips of a step's batch are divided: not at all, in micro-batches, over ranks.

Only encoders, decoders and terms that are means over clips are divided. Every rank has the features
z and the private details of all clips (they are small) and computes on them what compares clips, so
negatives, permutations, moving averages and resets are those of the whole batch by construction.
Inner fits that compare no clips are divided over ranks, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from cmg.masking import Drawn
from cmg.objectives.base import Division, Scope, View
from cmg.objectives.weighted import SCOPES
from cmg.process import reseed
from cmg.training.dropout_rows import dropout_of
from cmg.training.ranks import GradientSum, Ranks
from cmg.training.state import TrainingState
from cmg.types import Batch, Encoded, Losses, Quantized, Steps

Terms = Callable[[View, Collection[Scope]], Losses]
"""The terms of some scopes on a view, at this step."""


class Together(Protocol):
    """What a step asks of those who share its batch."""

    scopes: Collection[Scope]
    """Terms of these scopes are computed on the view; of others in :meth:`backward`."""

    def rows(self, own: Batch) -> Tensor:
        """Places of this process's clips in the whole batch, int64 CPU."""

    def view(self, state: TrainingState, own: Batch, earlier: Sequence[View], drawn: Drawn) -> View:
        """Features and codes of the whole batch, and detail of the steps drawn of it."""

    def division(self, names: Iterable[str]) -> Division | None:
        """How inner fits on these modalities are divided; None if this process is alone."""

    def backward(self, state: TrainingState, view: View, losses: Losses, terms: Terms) -> Losses:
        """Gradients of the sum; the losses, with the terms that were computed meanwhile."""

    def stay_alike(self, state: TrainingState) -> None:
        """Whatever the processes need so that they go on with the same state."""


@dataclass
class Alone:
    """The batch is here, and encoded at once.

    Attributes:
        dropout_seed: Of the step, for its later passes; None goes on with torch's generator.
    """

    dropout_seed: int | None = None
    scopes: Collection[Scope] = SCOPES

    def rows(self, own: Batch) -> Tensor:
        """All of them."""
        return torch.arange(own.size)

    def view(self, state: TrainingState, own: Batch, earlier: Sequence[View], drawn: Drawn) -> View:
        """One graph from the encoders to the decoders."""
        if earlier and self.dropout_seed is not None:
            reseed(self.dropout_seed + len(earlier), state.device)
        encoded = state.represent(own, drawn)
        quantized = state.model.quantize(encoded)  # nearest codes; the codebook is untouched
        rebuilt = {} if encoded.layers else state.reconstruct(encoded, quantized)
        view = View(encoded, quantized, rebuilt, state.model.codebook, tuple(earlier))
        view.rebuild = partial(state.rebuild, encoded)
        for layer, (one, codes, book) in enumerate(state.layers(encoded, quantized)):
            rebuilt = state.reconstruct(one, codes, layer)
            part = View(one, codes, rebuilt, book, of_layer(earlier, layer))
            part.rebuild = partial(state.rebuild, one, layer=layer)
            view.layers = (*view.layers, part)
        return view

    def division(self, names: Iterable[str]) -> None:
        """Fits are whole."""

    def backward(self, state: TrainingState, view: View, losses: Losses, terms: Terms) -> Losses:
        """Backward through that graph."""
        torch.autograd.backward(losses.total)
        return losses

    def stay_alike(self, state: TrainingState) -> None:
        """Nobody else is there."""


@dataclass
class Averaged(Alone):
    """The control: ranks that only average gradients, as wrapping a model does.

    Every rank contrasts its own clips only, draws its own choices and moves the codes by its own
    features; rank 0's codes and inner fits then overwrite the others'. docs/distributed.md measures
    what that costs.

    Attributes:
        ranks: All of them.
        gradients: Of all that the main Adam trains.
    """

    ranks: Ranks = field(kw_only=True)
    gradients: GradientSum = field(kw_only=True)

    def backward(self, state: TrainingState, view: View, losses: Losses, terms: Terms) -> Losses:
        """Own gradients, then their mean."""
        torch.autograd.backward(losses.total)
        self.gradients.begin()
        self.gradients.finish()
        for _, p in state.named_parameters():
            if p.grad is not None:
                p.grad /= self.ranks.size
        return losses

    def stay_alike(self, state: TrainingState) -> None:
        """Rank 0's codes and inner fits are everyone's."""
        self.ranks.take_from_first(state.shared())


@dataclass(frozen=True)
class Chunk:
    """Clips that are encoded at once.

    Attributes:
        batch: Their features.
        rows: int64 CPU, their places in the whole batch.
        drawn: Their steps that have detail.
    """

    batch: Batch
    rows: Tensor
    drawn: Drawn


@dataclass(frozen=True)
class Pass:
    """What backward needs of a pass: its chunks, their features if kept, and all as leaves."""

    number: int
    chunks: Sequence[Chunk]
    encoded: Sequence[Encoded]
    whole: Encoded


@dataclass
class Divided:
    """The batch is encoded by several ranks, in micro-batches, or both.

    Attributes:
        steps: Of the whole batch, on the device.
        dropout_seed: Of the step.
        ranks: Those who share the batch; None if this process is alone.
        micro_batch: Clips that are encoded at once; None for all that this rank has.
        gradients: Sums those of the model over ranks; None if this process is alone.
    """

    steps: Steps
    dropout_seed: int
    ranks: Ranks | None = None
    micro_batch: int | None = None
    gradients: GradientSum | None = None
    scopes: Collection[Scope] = frozenset[Scope]({"batch"})
    passes: list[Pass] = field(default_factory=list)

    def rows(self, own: Batch) -> Tensor:
        """Those of this rank."""
        return self.own_rows

    @property
    def own_rows(self) -> Tensor:
        """Places of this rank's clips, int64 CPU."""
        rows = torch.arange(self.steps.batch_size)
        return rows if self.ranks is None else rows[self.ranks.rank :: self.ranks.size]

    def chunks(self, own: Batch, drawn: Drawn) -> list[Chunk]:
        """The micro-batches of this rank's clips."""
        chunks = []
        size = self.micro_batch or len(self.own_rows)
        for i, rows in enumerate(torch.split(self.own_rows, size)):
            there = rows.to(self.steps.device)
            some = {m: steps.of_clips(there) for m, steps in drawn.items()}
            chunks.append(Chunk(some_clips(own, slice(i * size, (i + 1) * size)), rows, some))
        return chunks

    def dropout(self, chunk: Chunk, number: int) -> AbstractContextManager[None]:
        """Drop of a chunk what a single process would drop of its clips in a pass."""
        seed, count = self.dropout_seed + number, self.steps.batch_size
        return dropout_of(seed, chunk.rows, count, self.steps.device)

    def view(self, state: TrainingState, own: Batch, earlier: Sequence[View], drawn: Drawn) -> View:
        """Features of all clips, as leaves; graphs of micro-batches are built again when needed."""
        chunks, number = self.chunks(own, drawn), len(earlier)
        at_once = len(chunks) == 1
        encoded = []
        for chunk in chunks:
            with torch.set_grad_enabled(at_once), self.dropout(chunk, number):
                found = state.represent(chunk.batch, chunk.drawn)
            encoded.append(found if at_once else features_of(found))
        whole = self.whole_batch(encoded, drawn)
        self.passes.append(Pass(number, chunks, encoded if at_once else (), whole))
        quantized = state.model.quantize(whole)
        return View(whole, quantized, {}, state.model.codebook, tuple(earlier))

    def whole_batch(self, encoded: Sequence[Encoded], drawn: Drawn) -> Encoded:
        """Features of the whole batch from those of this rank's chunks."""
        names, private = list(encoded[0].semantic), list(encoded[0].private)
        own = {f"z/{m}": torch.cat([e.semantic[m] for e in encoded]) for m in names}
        own |= {f"s/{m}": torch.cat([e.private[m] for e in encoded]) for m in private}
        taught = list(encoded[0].taught)
        own |= {f"t/{m}": torch.cat([e.taught[m] for e in encoded]) for m in taught}
        found = self.gather(own)
        return Encoded(
            {},
            {m: found[f"z/{m}"] for m in names},
            {},
            {m: found[f"s/{m}"] for m in private},
            self.steps,
            {m: found[f"t/{m}"].detach() for m in taught},
            drawn=drawn,
        )

    def gather(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features [b, T, F] of this rank's clips -> those of the whole batch, as leaves."""
        found = {m: x.detach() for m, x in own.items()}
        if self.ranks is not None and found:
            rows = torch.cat([x.flatten(1) for x in found.values()], -1)  # T may be P of details
            joined = self.ranks.gather_rows(rows, self.steps.batch_size)
            parts = torch.split(joined, [x[0].numel() for x in found.values()], -1)
            found = {
                m: part.reshape(-1, *x.shape[1:])
                for (m, x), part in zip(found.items(), parts, strict=True)
            }
        return {m: x.contiguous().requires_grad_() for m, x in found.items()}

    def division(self, names: Iterable[str]) -> Division | None:
        """Every rank fits to its own clips."""
        if self.ranks is None:
            return None
        rows = self.own_rows
        steps = clips_of(self.steps, rows)
        shares = {m: share_of(m, steps, self.steps) for m in names}
        return Division(rows.to(self.steps.device), steps, shares, self.ranks.sums)

    def backward(self, state: TrainingState, view: View, losses: Losses, terms: Terms) -> Losses:
        """To the leaves at once, then through the encoders, a chunk at a time."""
        if any(losses.weights.values()):
            torch.autograd.backward(losses.total)  # to the leaves, and to the terms' own weights
        clip = Losses({}, {})
        work = [(p, i) for p in self.passes for i in range(len(p.chunks))]
        for p, i in work:
            chunk = p.chunks[i]
            found = p.encoded[i] if p.encoded else self.again(state, chunk, p.number)
            own = Losses({}, {})
            if p.number == len(view.earlier):
                own = self.clip_terms(state, found, view, chunk, terms)
                clip.weights |= own.weights
                for key, value in own.terms.items():
                    clip.terms[key] = clip.terms.get(key, 0.0) + value.detach()
            if self.gradients is not None and (p, i) == work[-1]:
                self.gradients.begin()
            backward_through(found, p.whole, own, chunk.rows.to(state.device))
        if self.gradients is not None:
            self.gradients.finish()
        return self.joined(state, losses, clip)

    def again(self, state: TrainingState, chunk: Chunk, number: int) -> Encoded:
        """Features of a chunk, with the dropout that its clips have in the whole batch."""
        with self.dropout(chunk, number):
            return state.represent(chunk.batch, chunk.drawn)

    def clip_terms(
        self, state: TrainingState, encoded: Encoded, view: View, chunk: Chunk, terms: Terms
    ) -> Losses:
        """A chunk's share of the terms that are means over clips."""
        rows = chunk.rows.to(state.device)
        quantized = some_codes(view, encoded, rows)
        rebuilt = state.reconstruct(encoded, quantized)
        here = View(encoded, quantized, rebuilt, view.quantizer, view.earlier, chunk.rows)
        here.rebuild = partial(state.rebuild, encoded)
        found = terms(here, frozenset[Scope]({"clip"}))
        for key, value in found.terms.items():
            found.terms[key] = value * share_of(key, encoded.steps, self.steps)
        return found

    def joined(self, state: TrainingState, losses: Losses, clip: Losses) -> Losses:
        """The terms of the whole batch, with those of all ranks that are means over clips.

        A rank without a clip of some modality lacks its value, but all must send the same.
        """
        if self.ranks is not None and clip.terms:
            names = [m for m in state.model.modalities if self.steps.any(m)]
            clipwise = [name for name, term in state.objectives.terms() if term.scope == "clip"]
            keys = [key for name in clipwise for key in (name, *(f"{name}/{m}" for m in names))]
            none = torch.zeros((), dtype=state.model.dtype, device=state.device)
            there = [none + float(key in clip.terms) for key in keys]
            sent = torch.stack([*(clip.terms.get(key, none) for key in keys), *there])
            values, found = self.ranks.sum(sent).chunk(2)
            present = found.tolist()
            weights = {key.partition("/")[0]: weight for key, weight in clip.weights.items()}
            clip = Losses({}, {})
            for key, value, some in zip(keys, values, present, strict=True):
                if some:
                    clip.terms[key] = value
                    clip.weights[key] = weights.get(key.partition("/")[0], 0.0)
        return Losses(clip.terms | losses.terms, clip.weights | losses.weights, losses.measures)

    def stay_alike(self, state: TrainingState) -> None:
        """On GPUs, whose sums differ in the last bit from run to run, rank 0's state is all's."""
        if self.ranks is not None and state.device.type == "cuda":
            parts = (state.model.codebook, state.objectives)
            held = [x for part in parts for x in (*part.parameters(), *part.buffers())]
            self.ranks.take_from_first(held)


def of_layer(views: Sequence[View], layer: int) -> tuple[View, ...]:
    """What terms of a layer read of several views."""
    return tuple(view.of_layer(layer) for view in views)


def clips_of(steps: Steps, rows: Tensor) -> Steps:
    """Which steps of the clips `rows` exist, as padded as the batch is."""
    lengths = steps.lengths
    own = None if lengths is None else {m: n[rows] for m, n in lengths.items()}
    return Steps(len(rows), steps.length, own, steps.device)


def some_clips(batch: Batch, clips: slice) -> Batch:
    """Some clips of a batch, as padded as it is."""
    lengths = None if batch.lengths is None else {m: n[clips] for m, n in batch.lengths.items()}
    return Batch({m: x[clips] for m, x in batch.features.items()}, lengths, batch.ids[clips])


def some_codes(view: View, encoded: Encoded, rows: Tensor) -> Quantized:
    """The codes of some clips, with the way for gradients to their features."""
    indices = {m: x[rows] for m, x in view.quantized.indices.items()}
    codes = {m: x[rows] for m, x in view.quantized.codes.items()}
    vectors = view.quantizer.through(encoded.semantic, indices, codes, encoded.steps)
    return Quantized(indices, codes, vectors, encoded.semantic, encoded.steps)


def features_of(encoded: Encoded) -> Encoded:
    """What the objectives need of a chunk; the rest is encoded again when its turn comes."""
    return Encoded({}, encoded.semantic, {}, encoded.private, encoded.steps, encoded.taught)


def share_of(key: str, some: Steps, whole: Steps) -> float:
    """Of a mean over the whole batch, the share that some clips make up.

    Args:
        key: A modality, or the name of a term that ends in ``/modality``: by its steps. Any other:
            by clips.
        some: Steps of these clips.
        whole: Of all.
    """
    m = key.rpartition("/")[2]
    if whole.lengths is None or m not in whole.lengths:
        return some.batch_size / whole.batch_size
    return float(some.length_of(m).sum()) / max(1, int(whole.length_of(m).sum()))


def backward_through(encoded: Encoded, whole: Encoded, own: Losses, rows: Tensor) -> None:
    """Pass the gradients of a chunk's features, and its own terms', to the encoders."""
    roots: list[Tensor] = []
    grads: list[Tensor | None] = []
    for features, leaves in ((encoded.semantic, whole.semantic), (encoded.private, whole.private)):
        for m, x in features.items():
            grad = leaves[m].grad
            if grad is not None:
                roots.append(x)
                grads.append(grad[rows])
    for key, value in own.terms.items():
        if own.weights[key]:
            roots.append(value)
            grads.append(torch.full_like(value, own.weights[key]))
    torch.autograd.backward(roots, grads)
