"""Bringing the steps of a query to the frames of a clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StepMixer(nn.Module):
    """A linear map over time, from the Q steps of a query to T frames (10 -> 5 in AVSBench).

    One mixer is trained and kept with the model and serves every modality. It starts as the mean
    over the query's steps. (The release draws such a map at random, never trains it, does not save
    it and draws another one for testing; see :class:`cmg.segmentation.queries.PublishedQueries`.)

    Args:
        steps: Q.
        frames: T.
    """

    def __init__(self, steps: int, frames: int) -> None:
        super().__init__()
        self.map = nn.Linear(steps, frames)
        nn.init.constant_(self.map.weight, 1.0 / steps)
        nn.init.zeros_(self.map.bias)

    def forward(self, query: Tensor) -> Tensor:
        """[B, Q, D] -> [B, T, D]."""
        return torch.as_tensor(self.map(query.transpose(1, 2))).transpose(1, 2)
