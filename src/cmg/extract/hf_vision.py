"""Vision models of ``transformers``: the last map of a ResNet, DINOv2, Swin, ViT, CLIP, ...

``AutoModel`` is read rather than ``AutoBackbone``: for several models the latter adds norms that no
checkpoint has weights for, and some models have no backbone.

Shape legend: B frames, H, W their size, h, w, C a map, P patches.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from cmg.errors import CmgError, ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.frame_network import FrameNetwork, Pixels
from cmg.extract.pretrained import network_files
from cmg.files import read_json
from cmg.text.places import FRONT_ENDS, ModelFiles, media_encoder
from cmg.text.pretrained import load_network

UNUSED = ("pooler.", "embeddings.mask_token", "layernorm.mask_token")
"""Weights a checkpoint may lack: they are read in training, or after the last map."""


def load(options: LoadOptions) -> FrameNetwork:
    """The last map of a vision model.

    Raises:
        ConfigError: no such model, or it cannot be read, or it gives no map.
    """
    return _load("transformers-vision", "vision model", options)


def load_clip(options: LoadOptions) -> FrameNetwork:
    """The patches of the vision half of a CLIP (or SigLIP), before pooling and projection.

    Raises:
        ConfigError: no such model, or it cannot be read, or has no vision half.
    """
    return _load("clip", "CLIP model", options)


def _load(family: str, noun: str, options: LoadOptions) -> FrameNetwork:
    files = network_files(options, media_encoder(noun), "frames")
    pixels = read_pixels(files.folder)
    model = load_network(files, UNUSED)
    part = getattr(model, "vision_model", None)
    if family == "clip" and part is None and model.config.model_type.endswith("vision_model"):
        part = model
    if (family == "clip") != (part is not None):
        raise ConfigError(
            f"{files.folder} holds a {type(model).__name__}; use transformers-vision:MODEL for "
            "vision models, clip:MODEL for those with a vision half"
        )
    network = (model if part is None else part).to(options.device)
    notes = (
        f"{type(network).__name__} of {options.model} ({files.identity[:12]}), last map; whole "
        f"frames scaled to {pixels.size[0]} x {pixels.size[1]}."
    )
    return _checked(f"{family}:{options.model}", network, pixels, files, notes, options)


def _checked(
    name: str, network: Any, pixels: Pixels, files: ModelFiles, notes: str, options: LoadOptions
) -> FrameNetwork:
    try:
        return FrameNetwork(name, partial(map_of, network), pixels, files.identity, notes, options)
    except CmgError as error:
        raise ConfigError(f"{files.folder}: {error}") from error
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{files.folder} holds a {type(network).__name__}, which does not turn a picture of "
            f"{pixels.size[0]} x {pixels.size[1]} into a map: {reason}"
        ) from error


def map_of(network: Any, pixels: Tensor) -> Tensor:
    """The last map of a network.

    Args:
        network: Gives ``last_hidden_state``: maps [B, C, h, w], or tokens [B, P, C] whose last are
            the patches in rows.
        pixels: [B, 3, H, W].

    Returns:
        [B, C, h, w].

    Raises:
        ConfigError: its output is neither.
    """
    found: Tensor = network(pixel_values=pixels).last_hidden_state
    if found.dim() == 4:
        return found
    height, width = _grid(network.config, (pixels.shape[2], pixels.shape[3]))
    if found.dim() != 3 or not 0 <= found.shape[1] - height * width <= 32:
        raise ConfigError(
            f"a {type(network).__name__} gives {list(found.shape)}, which is no map of "
            f"{height} x {width} patches"
        )
    patches = found[:, -height * width :].mT
    return patches.reshape(len(found), found.shape[2], height, width)


def _grid(config: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Patches in height and in width; those of models with stages are merged two by two."""
    patch = config.patch_size
    rows, columns = (patch, patch) if isinstance(patch, int) else (patch[-2], patch[-1])
    if not hasattr(config, "depths"):
        return size[0] // rows, size[1] // columns
    merged = 2 ** (len(config.depths) - 1)
    return math.ceil(size[0] / (rows * merged)), math.ceil(size[1] / (columns * merged))


def read_pixels(folder: Path) -> Pixels:
    """What the configuration of an image processor says.

    Frames come whole and scaled to the size that the network reads; the processor's own way there
    (shorter edge, then a crop of the middle) is not taken.

    Raises:
        ConfigError: unreadable, or it says something that is not understood here.
    """
    path = next(folder / name for name in FRONT_ENDS if (folder / name).is_file())
    try:
        told = read_json(path)
        told = told.get("image_processor", told)
        odd = [key for key in ("rescale_offset", "include_top") if told.get(key)]
        if odd:
            raise ConfigError(f"{path}: {odd[0]} is not supported; use another model")
        size = told["crop_size"] if _crops(told) else told["size"]
        plain = not told.get("do_normalize", "image_mean" in told)
        return Pixels(
            size=_edges(size),
            mean=(0.0,) * 3 if plain else tuple(map(float, told["image_mean"])),
            std=(1.0,) * 3 if plain else tuple(map(float, told["image_std"])),
            scale=float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1,
            bgr=bool(told.get("do_flip_channel_order", False)),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{path} does not say how pictures are read: {type(error).__name__} {error}; it must "
            "have size (or crop_size), image_mean and image_std"
        ) from error


def _crops(told: dict[str, Any]) -> bool:
    return bool(told.get("do_center_crop")) and told.get("crop_size") is not None


def _edges(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    return int(size["height"]), int(size["width"])
