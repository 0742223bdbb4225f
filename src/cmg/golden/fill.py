"""Initial weights from a formula, for recordings at widths too large to store them."""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from cmg.errors import DataError
from cmg.golden.cases import Case
from cmg.interop.layout import counted, official_layout
from cmg.interop.names import ENCODER
from cmg.models.published import (
    published_audio,
    published_options,
    published_text,
    published_video,
)
from cmg.objectives.club import CLUBOptions
from cmg.types import Modality


def filled_weights(case: Case, modalities: list[str]) -> dict[str, Tensor]:
    """Weights and quantizer buffers of a case that records their formula.

    Args:
        case: With `fill_seed` and `fingerprint_names` in its entry.
        modalities: Of the recording.

    Returns:
        By official full name.

    Raises:
        DataError: no recorded weights and no recorded seed either, or an entry of no known shape.
    """
    entry = case.record.entry
    seed, names = entry.get("fill_seed"), entry.get("fingerprint_names")
    if not isinstance(seed, int) or not isinstance(names, list):
        raise DataError(f"{case.path} has neither weights param/... nor 'fill_seed' for them")
    width = int(case.setting("embedding_dim"))
    options = published_options(width, int(case.setting("n_embeddings")), dropout=0.0)
    club = CLUBOptions(hidden=width // 2)
    architecture = counted(names, [declare(case, m) for m in modalities], options, club)
    shapes = official_layout(architecture)
    if unknown := [name for name in names if name not in shapes]:
        raise DataError(f"{case.path}: no shape is known for the entry {unknown[0]!r}")
    weights = {name: fill(seed, name, shapes[name]) for name in names}
    quantizer = f"{ENCODER}/Cross_quantizer."
    weights[f"{quantizer}ema_weight"] = weights[f"{quantizer}embedding"].clone()
    weights[f"{quantizer}ema_count"].zero_()
    weights[f"{quantizer}unactivated_count"].fill_(-1.0)
    return weights


def fill(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Values of one entry: a stream of its own, scaled by what the entry is."""
    stream = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode("ascii"))]))
    raw = stream.random_raw(math.prod(shape))
    uniform = torch.from_numpy(2.0 * ((raw >> np.uint64(11)) * 2.0**-53) - 1.0).reshape(shape)
    if name.endswith("Cross_quantizer.embedding"):
        return uniform / 400.0
    if ".norm" in name and name.endswith("weight"):
        return 1.0 + 0.2 * uniform
    if len(shape) >= 2:
        return uniform * math.sqrt(3.0 / math.prod(shape[1:]))
    return 0.1 * uniform


def declare(case: Case, modality: str) -> Modality:
    """A modality at the sizes of the official constructor."""
    channels = int(case.setting(f"{modality}_dim"))
    detail_width = int(case.setting(f"{modality}_output_dim"))
    if modality == "video":
        return published_video(channels, detail_width)
    if modality == "audio":
        return published_audio(channels, detail_width)
    return published_text(channels, detail_width, int(case.setting("text_lstm_dim")))
