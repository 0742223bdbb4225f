"""Which clips of a step's batch are encoded where: by which rank, in which micro-batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.objectives.club import Division
from cmg.training.dropout_rows import dropout_of
from cmg.training.world import World
from cmg.types import Batch, Steps


@dataclass(frozen=True)
class Chunk:
    """Clips that are encoded at once.

    Attributes:
        batch: Their features.
        rows: int64 CPU, their places in the whole batch.
    """

    batch: Batch
    rows: Tensor


@dataclass(frozen=True)
class Parts:
    """How the clips of a step's batch are divided.

    Attributes:
        steps: Of the whole batch, on the device.
        dropout_seed: Of the step.
        world: The ranks; None if this process is alone.
        micro_batch: Clips that are encoded at once; None for all that this rank has.
    """

    steps: Steps
    dropout_seed: int
    world: World | None = None
    micro_batch: int | None = None

    @property
    def count(self) -> int:
        """B of the whole batch."""
        return self.steps.batch_size

    @property
    def rows(self) -> Tensor:
        """Places of this rank's clips in the whole batch, int64 CPU."""
        rows = torch.arange(self.count)
        return rows if self.world is None else rows[self.world.rank :: self.world.size]

    def chunks(self, own: Batch) -> list[Chunk]:
        """The micro-batches of this rank's clips."""
        rows = self.rows
        size = self.micro_batch or len(rows)
        return [
            Chunk(some_clips(own, slice(i, i + size)), rows[i : i + size])
            for i in range(0, len(rows), size)
        ]

    def dropout(self, chunk: Chunk) -> AbstractContextManager[None]:
        """Drop of a chunk what a single process would drop of its clips."""
        return dropout_of(self.dropout_seed, chunk.rows, self.count, self.steps.device)

    def gather(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features [b, T, F] of this rank's clips -> those of the whole batch, as leaves."""
        found = {m: x.detach() for m, x in own.items()}
        if self.world is not None and found:
            joined = self.world.gather_rows(torch.cat(list(found.values()), -1), self.count)
            widths = [x.shape[-1] for x in found.values()]
            found = dict(zip(found, torch.split(joined, widths, -1), strict=True))
        return {m: x.contiguous().requires_grad_() for m, x in found.items()}

    def division(self, names: Iterable[str]) -> Division | None:
        """How ranks divide CLUB's inner fit on these modalities; None if this process is alone."""
        if self.world is None:
            return None
        steps = clips_of(self.steps, self.rows)
        shares = {m: self.share(m, steps) for m in names}
        return Division(self.rows.to(self.steps.device), steps, shares, self.world.sums)

    def share(self, m: str, steps: Steps) -> float:
        """Which share of the steps of `m` in the whole batch these are."""
        return float(steps.length_of(m).sum()) / max(1, int(self.steps.length_of(m).sum()))


def clips_of(steps: Steps, rows: Tensor) -> Steps:
    """Which steps of the clips `rows` exist, as padded as the batch is."""
    lengths = steps.lengths
    own = None if lengths is None else {m: n[rows] for m, n in lengths.items()}
    return Steps(len(rows), steps.length, own, steps.device)


def some_clips(batch: Batch, clips: slice) -> Batch:
    """Some clips of a batch, as padded as it is."""
    lengths = None if batch.lengths is None else {m: n[clips] for m, n in batch.lengths.items()}
    return Batch({m: x[clips] for m, x in batch.features.items()}, lengths, batch.ids[clips])
