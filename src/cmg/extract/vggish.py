"""VGGish: 128 values for each window of 0.96 s, as the seed's audio features.

Source: Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017; the
embedding as coded in the released network: ReLU after the last layer, and neither PCA nor
quantization behind it.

Shape legend: S samples, B windows of a batch, T steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cmg.errors import ConfigError, DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.identity import identity_of
from cmg.extract.logmel import FRAMES, HOP_SECONDS, LEAST, RATE, log_mel, windows
from cmg.extract.steps import step_of
from cmg.extract.vgg import POOL, features
from cmg.extract.weights import (
    Published,
    filled,
    find_weights,
    is_hdf5,
    shapes_of,
    torch_tensors,
)
from cmg.files import file_sha256

PUBLISHED = Published(
    "vggish-10086976.pth",
    "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
    ("sha256", "10086976"),
    "audio",
)
WIDTHS = (64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL)
FLAT = 6 * 4 * 512
HIDDEN, WIDTH = 4096, 128
STEP = FRAMES * HOP_SECONDS
"""Seconds from one window to the next, as published: no overlap."""
UNUSED = ("pproc.",)
"""The PCA that a whole torchvggish model keeps with its weights."""
BATCH = 16


def load(options: LoadOptions) -> VGGish:
    """VGGish with the user's weights.

    Raises:
        ConfigError: no weights (what to get, where to put it), other weights, or a step that is no
            whole number of mel frames.
    """
    return VGGish(find_weights(PUBLISHED, options.weights), options)


class VGGish:
    """A :class:`~cmg.extract.extractor.SoundExtractor`.

    Only whole windows count, as published: 10 steps of 10 s, 5 of 5 s. With another step than
    0.96 s, windows of 0.96 s begin that far apart.

    Args:
        path: Of the weights: torchvggish's ``.pth``, or a ``.safetensors`` with the same names.
        options: Of loading.

    Raises:
        ConfigError: see :func:`load`.
    """

    name = "vggish"
    shape: tuple[int, ...] = (WIDTH,)
    rate = RATE

    def __init__(self, path: Path, options: LoadOptions) -> None:
        step = step_of(options, STEP)
        self._hop = _hop_of(step)
        self.step_seconds: float | None = step
        self._network = _read(path).to(options.device)
        self._device = options.device
        sha256 = file_sha256(path)
        apart = "" if self._hop == FRAMES else f" (published: {STEP:g} s)"
        self.identity = identity_of(sha256, network="vggish", hop_frames=self._hop)
        self.notes = (
            f"VGGish ({PUBLISHED.told(path, sha256)}), 16 kHz, windows of {STEP:g} s every "
            f"{step:g} s{apart}, after the last ReLU, without PCA."
        )

    def extract(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of a mono waveform [S] in [-1, 1] at 16 kHz: float32 [T, 128], at least 0.

        Raises:
            DataError: shorter than a window, not a waveform of finite floats.
        """
        _check(wave)
        views = windows(log_mel(wave), self._hop)
        found = np.empty((len(views), WIDTH), dtype=np.float32)
        with torch.inference_mode():
            for first in range(0, len(views), BATCH):
                batch = torch.from_numpy(views[first : first + BATCH].copy())
                found[first : first + BATCH] = self._network(batch.to(self._device)).cpu().numpy()
        return found


class Network(nn.Module):
    """From windows to embeddings; its tensors are named as in torchvggish's file."""

    def __init__(self) -> None:
        super().__init__()
        self.features = features(WIDTHS, channels=1)
        self.embeddings = nn.Sequential(
            nn.Linear(FLAT, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, WIDTH),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """From log-mel windows [B, 96, 64] to [B, 128]."""
        maps = self.features(x[:, None])
        # TensorFlow, where the weights come from, flattens (time, frequency, channel).
        found: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return found


def _hop_of(step: float) -> int:
    """Mel frames of a step.

    Raises:
        ConfigError: no whole number, so that steps would drift.
    """
    hop = round(step / HOP_SECONDS)
    if hop < 1 or abs(step - hop * HOP_SECONDS) > 1e-6:
        raise ConfigError(
            f"vggish: a step of {step:g} s; steps must be whole hundredths of a second, e.g. "
            f"{STEP:g} (published) or 1.0"
        )
    return hop


def _read(path: Path) -> Network:
    with torch.device("meta"):
        network = Network()
    try:
        if is_hdf5(path):
            raise ConfigError(f"{path} is an HDF5 file")
        tensors = torch_tensors(path, shapes_of(network), UNUSED, "VGGish")
    except ConfigError as error:
        raise ConfigError(
            f"{error}. VGGish is read from torchvggish's file (or a .safetensors with its names), "
            f"not from checkpoints of TensorFlow or Keras: {PUBLISHED.remedy}"
        ) from error
    filled(network, tensors)
    return network


def _check(wave: NDArray[np.float32]) -> None:
    if wave.ndim != 1 or wave.dtype.kind != "f":
        raise DataError(
            f"vggish reads a mono waveform of floats [S], not {wave.dtype} {list(wave.shape)}"
        )
    if len(wave) < LEAST:
        raise DataError(
            f"vggish: the sound lasts {len(wave) / RATE:.3f} s, shorter than the "
            f"{LEAST / RATE:g} s that its first window reads (whole windows only, as published); "
            "leave the clip out, or take an extractor that pads"
        )
    if not np.isfinite(wave).all():
        raise DataError("vggish: the sound holds values that are not finite")
