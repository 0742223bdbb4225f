"""The segmentation model: backbone, heads, attention, fusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmg.files import StrPath
from cmg.process import seeded
from cmg.segmentation.attention import PixelAttention
from cmg.segmentation.backbones import Backbone
from cmg.segmentation.decoder import Fusion, MaskHead, MultiDilation
from cmg.segmentation.options import SegmenterOptions


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


@dataclass(frozen=True)
class Segmented:
    """What the model says of some clips.

    Attributes:
        logits: [B, T, S, S], or of the first frames only.
        maps: After attention, by stage, [B, C, T, H, W].
        queries: In the maps' channels, by stage, [B, T, C].
    """

    logits: Tensor
    maps: dict[int, Tensor]
    queries: dict[int, Tensor]


class Segmenter(nn.Module):
    """Masks of what a query is about.

    Args:
        options: Of the model.
        query_width: D of the code vectors.
        query_steps: Q of a query; None where queries come with a step per frame.
        frames: T of a clip.
        weights: Of the backbone, see :class:`~cmg.segmentation.backbones.Backbone`.
        seed: Of the random weights.
    """

    def __init__(
        self,
        options: SegmenterOptions,
        query_width: int,
        query_steps: int | None,
        frames: int,
        weights: StrPath | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.options, self.frames = options, frames
        self.query_width, self.query_steps = query_width, query_steps
        channels, mode = options.channels, options.attention
        with seeded(seed):
            self.backbone = Backbone(options.backbone, weights)
            self.mixer = None if query_steps is None else StepMixer(query_steps, frames)
            self.heads = nn.ModuleList(MultiDilation(w, channels) for w in self.backbone.widths)
            named = [str(stage) for stage in options.stages]
            self.by_query = nn.ModuleDict(
                {s: PixelAttention(channels, query_width, mode) for s in named if options.by_query}
            )
            self.by_self = nn.ModuleDict(
                {s: PixelAttention(channels, None, mode) for s in named if options.self_attention}
            )
            self.fusion = Fusion(channels, len(self.heads))
            self.mask = MaskHead(channels)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.mask.last.weight.device

    def forward(self, frames: Tensor, query: Tensor, first: int | None = None) -> Segmented:
        """Segment clips.

        Args:
            frames: uint8, or 0 to 255, [B, T, 3, S, S].
            query: [B, Q, D].
            first: How many frames need a mask, from the first; None is all. After attention the
                frames go separate ways, so the others cost nothing more and change nothing.
        """
        return self.from_stages(self.backbone(frames.flatten(0, 1)), query, first)

    def from_stages(
        self, stages: list[Tensor], query: Tensor, first: int | None = None
    ) -> Segmented:
        """Segment clips whose stage maps are known.

        Args:
            stages: [B T, width, H, W] for the four stages.
            query: [B, Q, D].
            first: See :meth:`forward`.
        """
        wanted = self.frames if first is None else first
        if self.mixer is not None:
            query = self.mixer(query)
        maps, seen, queries = [], {}, {}
        for index, (head, stage) in enumerate(zip(self.heads, stages, strict=True)):
            x = head(stage)
            if str(index) in self.by_query or str(index) in self.by_self:
                clips = x.unflatten(0, (-1, self.frames)).transpose(1, 2)  # [B, C, T, H, W]
                clips, aligned = self._attended(str(index), clips, query)
                seen[index] = clips
                if aligned is not None:
                    queries[index] = aligned
                x = clips.transpose(1, 2).flatten(0, 1)
            maps.append(x.unflatten(0, (-1, self.frames))[:, :wanted].flatten(0, 1))
        logits = self.mask(self.fusion(maps))
        return Segmented(logits.unflatten(0, (-1, wanted)), seen, queries)

    def _attended(self, stage: str, x: Tensor, query: Tensor) -> tuple[Tensor, Tensor | None]:
        outs, aligned = [], None
        if stage in self.by_query:
            z, aligned = self.by_query[stage](x, query)
            outs.append(z)
        if stage in self.by_self:
            outs.append(self.by_self[stage](x)[0])
        return torch.stack(outs).mean(0), aligned
