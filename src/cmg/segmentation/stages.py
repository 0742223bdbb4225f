"""Stage maps of the backbone: computed, or read from a cache where the backbone is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from cmg.files import replace_file
from cmg.saved import load_tensors
from cmg.segmentation.backbones import Backbone
from cmg.segmentation.clips import MaskedBatch


class FeatureCache:
    """Stage maps of whole clips on disk, a safetensors file per clip.

    The folder's name has the backbone's weights and the pictures' size in it, so maps of another
    backbone are never read.

    Args:
        folder: Where caches are.
        backbone: Frozen, in eval mode.
        side: S of the pictures.
    """

    def __init__(self, folder: Path, backbone: Backbone, side: int) -> None:
        digest = hashlib.sha256(str(side).encode())
        for name, tensor in sorted(backbone.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self.folder = folder / digest.hexdigest()[:16]
        self.backbone = backbone

    @torch.no_grad()
    def stages(self, batch: MaskedBatch) -> list[Tensor]:
        """Stage maps of a batch, [B T, width, H, W] each, on the CPU.

        Raises:
            CheckpointError: a file is damaged.
            DataError: a file cannot be written.
        """
        missing = [i for i, clip in enumerate(batch.ids) if not self._path(clip).is_file()]
        device = next(self.backbone.parameters()).device
        if missing:
            made = self.backbone(batch.frames[missing].flatten(0, 1).to(device))
            frames = batch.frames.shape[1]
            for at, place in enumerate(missing):
                own = slice(at * frames, (at + 1) * frames)
                maps = {str(i): x[own].float().cpu().contiguous() for i, x in enumerate(made)}
                replace_file(self._path(batch.ids[place]), save(maps))
        return _joined([self._read(clip) for clip in batch.ids])

    def _path(self, clip: str) -> Path:
        return self.folder / f"{hashlib.sha256(clip.encode()).hexdigest()[:24]}.safetensors"

    def _read(self, clip: str) -> dict[str, Tensor]:
        return load_tensors(self._path(clip), "delete the file, it is made again")


def _joined(clips: Sequence[dict[str, Tensor]]) -> list[Tensor]:
    return [torch.cat([maps[str(i)] for maps in clips]) for i in range(len(clips[0]))]
