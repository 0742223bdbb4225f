"""Visual backbones by name: four stage maps at strides 4, 8, 16 and 32; a cache of the maps.

The networks are those of `transformers`, which has both families without torchvision. Weights are
random, or come from a folder in Hugging Face format or from its hub.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save
from torch import Tensor, nn

from cmg.errors import CheckpointError, ConfigError, did_you_mean
from cmg.files import StrPath, replace_file
from cmg.optional import optional
from cmg.saved import load_tensors
from cmg.segmentation.clips import MaskedBatch
from cmg.tensors import check_finite

MULTIPLE: Final = 16
"""Sides of pictures are multiples of it; stage maps of odd sizes are joined all the same."""
_STAGES = [f"stage{i}" for i in range(1, 5)]
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_PVT_WIDTHS = {"b0": (32, 64, 160, 256)}
_PVT_DEPTHS = {
    "b0": (2, 2, 2, 2),
    "b1": (2, 2, 2, 2),
    "b2": (3, 4, 6, 3),
    "b3": (3, 4, 18, 3),
    "b4": (3, 8, 27, 3),
    "b5": (3, 6, 40, 3),
}
_RESNET_DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
}
NAMES: Final = (*(f"pvt_v2_{size}" for size in _PVT_DEPTHS), *_RESNET_DEPTHS)
"""Every backbone that can be asked for."""


class Backbone(nn.Module):
    """A network's four stage maps.

    Args:
        name: One of :data:`NAMES`.
        weights: Folder in Hugging Face format, or name on its hub; None starts at random.

    Attributes:
        widths: Channels of the stages.

    Raises:
        ConfigError: an unknown name, or `transformers` is not installed.
        CheckpointError: weights that cannot be read, or that are of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, weights: StrPath | None = None) -> None:
        super().__init__()
        if name not in NAMES:
            raise ConfigError(f"unknown backbone {name!r}{did_you_mean(name, NAMES)}")
        needed = "backbones need transformers; pip install 'cmg-torch[avs]'"
        transformers = optional("transformers", needed)
        described = network_options(name)
        kind = "PvtV2" if name.startswith("pvt") else "ResNet"
        config = getattr(transformers, f"{kind}Config")(**described, out_features=_STAGES)
        network = getattr(transformers, f"{kind}Backbone")
        if weights is None:
            self.network = network(config)
        else:
            self.network = _loaded(network, os.fspath(weights), described)
        self.widths = tuple(int(described["hidden_sizes"][i]) for i in range(4))
        for key, values in (("mean", _MEAN), ("std", _STD)):
            self.register_buffer(key, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Stage maps of pictures.

        Args:
            frames: uint8, or 0 to 255 in any dtype, [N, 3, S, S]; S a multiple of 16.

        Returns:
            [N, widths[i], ceil(S / 2^(i + 2)), the same] for the four stages.

        Raises:
            ValueError: another size.
        """
        if frames.shape[2] % MULTIPLE or frames.shape[3] % MULTIPLE:
            raise ValueError(
                f"pictures of {tuple(frames.shape[2:])} pixels; multiples of {MULTIPLE}"
            )
        return list(self.network((frames / 255 - self.mean) / self.std).feature_maps)


def network_options(name: str) -> dict[str, Any]:
    """A backbone's architecture in the words of `transformers`."""
    if name.startswith("resnet"):
        basic = name != "resnet50"
        widths = (64, 128, 256, 512) if basic else (256, 512, 1024, 2048)
        return {
            "embedding_size": 64,
            "hidden_sizes": list(widths),
            "depths": list(_RESNET_DEPTHS[name]),
            "layer_type": "basic" if basic else "bottleneck",
        }
    size = name.removeprefix("pvt_v2_")
    narrow = size == "b5"
    return {
        "hidden_sizes": list(_PVT_WIDTHS.get(size, (64, 128, 320, 512))),
        "depths": list(_PVT_DEPTHS[size]),
        "mlp_ratios": [4, 4, 4, 4] if narrow else [8, 8, 4, 4],
        "num_attention_heads": [1, 2, 5, 8],
        "sr_ratios": [8, 4, 2, 1],
    }


def _loaded(network: Any, weights: str, described: Mapping[str, Any]) -> Any:
    """A network with weights from a folder or the hub; safetensors only, nothing is executed."""
    try:
        loaded, told = network.from_pretrained(
            weights,
            out_features=_STAGES,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot read backbone weights {weights}: {error}; give a folder with config.json and "
            "model.safetensors, or a name on the hub (its safetensors are taken)"
        ) from error
    for key, wanted in described.items():
        found = getattr(loaded.config, key, None)
        if found != wanted:
            raise CheckpointError(
                f"{weights} is of another network: {key} {found}, where {wanted} is wanted"
            )
    if missing := sorted(told["missing_keys"]):
        raise CheckpointError(f"{weights} lacks {len(missing)} weights, the first is {missing[0]}")
    check_finite(loaded.state_dict(), weights, "get the weights again", CheckpointError)
    return loaded


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
        remedy = "delete the file, it is made again"
        kept = [load_tensors(self._path(clip), remedy) for clip in batch.ids]
        return [torch.cat([maps[str(i)] for maps in kept]) for i in range(len(kept[0]))]

    def _path(self, clip: str) -> Path:
        return self.folder / f"{hashlib.sha256(clip.encode()).hexdigest()[:24]}.safetensors"
