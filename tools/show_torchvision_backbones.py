"""Extract with timm:* and torchvision:* and compare with calling these libraries directly.

The weights are random, written as the files that users have. Fails where a number differs.
`tools/show_torchvision_backbones.sh` runs this in an environment that has both libraries.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor

TIMM = (
    "resnet50",
    "convnext_atto",
    "pvt_v2_b0",
    "swin_tiny_patch4_window7_224",
    "vit_tiny_patch16_224",
)
TORCHVISION = ("resnet18", "vgg19", "mobilenet_v3_small", "convnext_tiny", "densenet121")
REFUSED = ("vit_b_16", "swin_t")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def main() -> int:
    """Print a row per network; 1 if any differs."""
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm", end=" ")
    print(timm.__version__)
    frames = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        wrong = [name for name in TIMM if not timm_agrees(name, frames, folder)]
        wrong += [name for name in TORCHVISION if not torchvision_agrees(name, frames, folder)]
        wrong += [name for name in REFUSED if not is_refused(name, folder)]
    if wrong:
        print(f"not as expected: {', '.join(wrong)}")
    return bool(wrong)


def timm_agrees(name: str, frames: np.ndarray, folder: Path) -> bool:
    """The map of our extractor and that of timm's own ``forward_features``."""
    model = timm.create_model(name, pretrained=False).eval()
    file = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file)
    told = timm.data.resolve_model_data_config(model)
    x = pixels(frames, np.array(told["mean"]), np.array(told["std"]))
    with torch.inference_mode():
        direct = model.forward_features(x)
    if direct.dim() == 3:  # a ViT: tokens, the first one stands for the whole
        side = round((direct.shape[1] - 1) ** 0.5)
        direct = direct[:, 1:].reshape(len(direct), side, side, -1)
    elif name.startswith("swin"):
        pass  # already channels last
    else:
        direct = direct.permute(0, 2, 3, 1)
    return row(f"timm:{name}", file, frames, direct)


def torchvision_agrees(name: str, frames: np.ndarray, folder: Path) -> bool:
    """The map of our extractor, and torchvision's own behind a hook on its last map."""
    model = torchvision.models.get_model(name, weights=None).eval()
    file = folder / f"{name}.pth"
    torch.save(model.state_dict(), file)
    caught = []
    last = model.layer4 if name.startswith("resnet") else model.features
    last.register_forward_hook(lambda module, given, out: caught.append(out.clone()))
    with torch.inference_mode():
        model(pixels(frames, MEAN, STD))
    return row(f"torchvision:{name}", file, frames, caught[0].permute(0, 2, 3, 1))


def is_refused(name: str, folder: Path) -> bool:
    """Whether a network without such a map is refused by name."""
    file = folder / f"{name}.pth"
    torch.save(torchvision.models.get_model(name, weights=None).state_dict(), file)
    try:
        load_extractor(f"torchvision:{name}", LoadOptions(weights=file))
    except ConfigError as error:
        print(f"torchvision:{name} refused: {error}")
        return True
    return False


def pixels(frames: np.ndarray, mean: np.ndarray, std: np.ndarray) -> torch.Tensor:
    """The usual preprocessing, [N, 3, H, W]."""
    return torch.from_numpy(((frames / 255 - mean) / std).transpose(0, 3, 1, 2)).float()


def row(name: str, file: Path, frames: np.ndarray, direct: torch.Tensor) -> bool:
    """Extract, print, compare."""
    extractor = load_extractor(name, LoadOptions(weights=file))
    began = time.process_time()
    found = extractor.extract(frames)
    spent = (time.process_time() - began) / len(frames)
    scale = float(direct.abs().max())
    fits = found.shape == tuple(direct.shape)
    off = float(np.abs(found - direct.numpy()).max()) if fits else float("inf")
    print(
        f"{name}: {extractor.shape}, differs by {off:.1e} of {scale:.2g}, {spent:.2f} CPU s/frame"
    )
    return fits and off <= 1e-4 * scale


if __name__ == "__main__":
    sys.exit(main())
