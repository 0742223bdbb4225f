"""The segmentation model: heads, attention and fusion, from stage maps to masks of the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmg.files import StrPath
from cmg.process import seeded
from cmg.segmentation.attention import PixelAttention
from cmg.segmentation.backbones import Backbone
from cmg.segmentation.options import SegmenterOptions

DILATIONS = (3, 6, 12, 18)


class MultiDilation(nn.Module):
    """The sum of four 3x3 convolutions with dilations 3, 6, 12 and 18 [as coded].

    Args:
        width: Channels of the stage.
        channels: Channels to make.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width, channels, 3, padding=d, dilation=d) for d in DILATIONS
        )
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.normal_(conv.weight, 0.0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] -> [N, channels, H, W]."""
        return torch.stack([conv(x) for conv in self.convs]).sum(0)


class ResidualUnit(nn.Module):
    """conv(relu(conv(relu(x)))) + relu(x); the skip is rectified too [as coded].

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        x = functional.relu(x)
        return torch.as_tensor(self.second(functional.relu(self.first(x)))) + x


class Fusion(nn.Module):
    """Joins the maps of the stages, from the deepest up, doubling the size each time.

    Args:
        channels: C of every stage.
        stages: How many.
    """

    def __init__(self, channels: int, stages: int) -> None:
        super().__init__()
        self.skips = nn.ModuleList(ResidualUnit(channels) for _ in range(stages - 1))
        self.blocks = nn.ModuleList(ResidualUnit(channels) for _ in range(stages))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the stages, the largest [N, C, H, W] first -> [N, C, 2 H, 2 W].

        Every map is about half as large as the one before; odd sizes are rounded up.
        """
        height, width = maps[0].shape[2:]
        sizes = [(2 * height, 2 * width), *((x.shape[2], x.shape[3]) for x in maps)]
        out = torch.as_tensor(self.blocks[-1](maps[-1]))
        for level in range(len(maps) - 2, -1, -1):
            out = self.skips[level](maps[level]) + _resized(out, sizes[level + 1], True)
            out = self.blocks[level](out)
        return _resized(out, sizes[0], True)


class MaskHead(nn.Module):
    """One logit per pixel, at twice the size.

    Args:
        channels: C of the fused map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, max(1, channels // 2), 3, padding=1)
        self.second = nn.Conv2d(max(1, channels // 2), 32, 3, padding=1)
        self.last = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, 2 H, 2 W]."""
        x = _resized(self.first(x), (2 * x.shape[2], 2 * x.shape[3]), False)
        return torch.as_tensor(self.last(functional.relu(self.second(x))))[:, 0]


def _resized(x: Tensor, size: tuple[int, int], corners: bool) -> Tensor:
    return functional.interpolate(x, size, mode="bilinear", align_corners=corners)


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
