"""An extractor over any network that turns a picture into a map.

Shape legend: N frames, B frames of a batch, H, W their size, h, w, C a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.errors import DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.identity import identity_of
from cmg.extract.steps import step_of

FRAMES_PER_STEP = 4
"""Frames whose mean is a step: fewer than the published 16, which hardly differ in a second."""
BATCH = 8
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Pixels:
    """From bytes to what a network reads: ``(x * scale - mean) / std`` per color.

    Attributes:
        size: Height and width of its pictures.
        mean: Of red, green and blue.
        std: Of red, green and blue.
        scale: Of bytes.
        bgr: Whether it reads blue first.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    scale: float = 1 / 255
    bgr: bool = False

    def tensor(self, frames: NDArray[np.uint8]) -> Tensor:
        """RGB frames [B, H, W, 3] as float32 [B, 3, H, W]."""
        x = torch.from_numpy(np.ascontiguousarray(frames)).to(torch.float32) * self.scale
        x = (x - torch.tensor(self.mean)) / torch.tensor(self.std)
        return (x.flip(-1) if self.bgr else x).permute(0, 3, 1, 2).contiguous()


class FrameNetwork:
    """A :class:`~cmg.extract.extractor.FrameExtractor`; one frame is run through to know its shape.

    Args:
        name: As in the registry.
        network: From pixels [B, 3, H, W] to maps [B, C, h, w]; frozen, in eval mode.
        pixels: What the network reads.
        weights: Digest of the files that decide what it computes.
        notes: Which weights of what origin.
        options: Of loading.

    Raises:
        ConfigError: a step that is not a positive number.
    """

    def __init__(
        self,
        name: str,
        network: Callable[[Tensor], Tensor],
        pixels: Pixels,
        weights: str,
        notes: str,
        options: LoadOptions,
    ) -> None:
        self.name = name
        self.step_seconds: float | None = step_of(options)
        self.frames_per_step = FRAMES_PER_STEP
        self.size = pixels.size
        self.notes = notes
        self._network, self._pixels, self._weights = network, pixels, weights
        self._device = options.device
        black = np.zeros((1, *pixels.size, 3), dtype=np.uint8)
        self.shape: tuple[int, ...] = self._maps(black).shape[1:]

    @property
    def identity(self) -> str:
        """See :class:`~cmg.extract.extractor.Extractor`."""
        return identity_of(
            self._weights,
            pixels=asdict(self._pixels),
            frames_per_step=self.frames_per_step,
            step_seconds=self.step_seconds,
        )

    def extract(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Maps of RGB frames [N, H, W, 3]: float32 [N, h, w, C].

        Raises:
            DataError: frames of another size.
        """
        if frames.shape[1:] != (*self.size, 3) or frames.dtype != np.uint8:
            raise DataError(
                f"{self.name} reads uint8 frames [N, {self.size[0]}, {self.size[1]}, 3], not "
                f"{frames.dtype} {list(frames.shape)}"
            )
        found = np.empty((len(frames), *self.shape), dtype=np.float32)
        for first in range(0, len(frames), BATCH):
            found[first : first + BATCH] = self._maps(frames[first : first + BATCH])
        return found

    def _maps(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            maps = self._network(self._pixels.tensor(frames).to(self._device))
        found: NDArray[np.float32] = maps.permute(0, 2, 3, 1).cpu().numpy()
        return found
