"""aiSFX, an embedding of sound effects whose weights come inside the package aisfx.

The network and its front end are written anew: the package needs old versions of others, and its
front end needs essentia, whose numbers these are.

Source: Ma and Lerch, Representation Learning for the Automatic Indexing of Sound Effects Libraries,
ISMIR 2022, *as coded* in aisfx 0.1.2.

Shape legend: S samples, M mel frames, T steps.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.extract.cards import INSTALL
from cmg.extract.extractor import LoadOptions
from cmg.extract.identity import files_identity, identity_of
from cmg.extract.packages import package_file
from cmg.extract.steps import step_count, step_of
from cmg.extract.torch_weights import sound, unpickled
from cmg.mel import spectrogram, triangles

GET = INSTALL["aisfx"]
WEIGHTS = "models/checkpoint.pth"
PREFIX = "embedding_net."

RATE = 44100
READS, HOP = 2048, 1024
"""Samples of a mel frame, and from one to the next."""
BANDS = 96
FRAMES = 100
"""Mel frames that the network hears at once: 2.3 s."""
LOUDEST = 9.457798957824707
"""Largest value of the spectrograms it was trained on, by which all are divided."""
WIDTHS = (64, 128, 256, 512)
WIDTH = WIDTHS[-1]
BATCH = 8

NUMBERS: list[Any] = [
    np.dtype,
    type(np.dtype(np.int64)),
    *((np.int64(0).__reduce__()[0], f"numpy.{c}.multiarray.scalar") for c in ("core", "_core")),
]
"""What the checkpoint's counts of classes are pickled as: NumPy numbers, which run nothing."""


def load(options: LoadOptions) -> SoundEffects:
    """The embedding of the package, or of another checkpoint of its kind.

    Raises:
        ConfigError: the package is not installed, or the checkpoint is not of this network.
    """
    path = options.weights or package_file("aisfx", WEIGHTS, GET)
    return SoundEffects(path, options)


class SoundEffects:
    """A :class:`~cmg.extract.extractor.SoundExtractor`.

    A step is the embedding of the 2.3 s around its middle, which is what the network was trained
    to hear at once; what lies outside of the wave is silence.

    Args:
        path: Of the checkpoint.
        options: Of loading.

    Raises:
        ConfigError: a step too short or too long, or a file that is no such checkpoint.
    """

    name = "aisfx"
    shape: tuple[int, ...] = (WIDTH,)
    rate = RATE

    def __init__(self, path: Path, options: LoadOptions) -> None:
        self._step = step_of(options)
        if not HOP / RATE <= self._step <= FRAMES * HOP / RATE:
            raise ConfigError(
                f"aisfx: a step of {self._step:g} s; steps must last {HOP / RATE:.3f} to "
                f"{FRAMES * HOP / RATE:.2f} s, what the network hears at once"
            )
        self.step_seconds: float | None = self._step
        self._network = _read(path).to(options.device)
        weights = files_identity([path])
        self.identity = identity_of(weights, step_seconds=self._step)
        self.notes = f"aiSFX ({path.name} {weights[:12]}), the 2.3 s around each step's middle."
        self._device = options.device
        self._filters = mel_filters()

    def extract(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of a mono waveform [S] in [-1, 1]: float32 [T, 512]."""
        steps = step_count(len(wave), RATE, self._step)
        if steps == 0:
            return np.zeros((0, WIDTH), dtype=np.float32)
        silence = np.zeros((FRAMES, BANDS), dtype=np.float32)
        heard = log_mel(wave, self._filters) / np.float32(LOUDEST)
        line = np.concatenate([silence, heard, silence])
        middles = (np.arange(steps) + 0.5) * self._step * RATE / HOP
        firsts = np.rint(middles).astype(np.int64) + FRAMES // 2  # FRAMES rows of silence lead
        blocks = [line[first : first + FRAMES] for first in firsts]
        with torch.inference_mode():
            parts = [
                self._network(torch.from_numpy(np.stack(blocks[i : i + BATCH])).to(self._device))
                for i in range(0, steps, BATCH)
            ]
        found: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return found


def mel_filters() -> NDArray[np.float64]:
    """Triangles over the mel scale from 0 Hz to half the rate, each of sum 1: [96, 1025]."""
    top = _mel(np.array(RATE / 2))
    edges = np.linspace(0, top, BANDS + 2)
    bins = _mel(np.arange(READS // 2 + 1) * RATE / READS)
    weights = np.ascontiguousarray(triangles(bins, edges).T)
    found: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return found


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """HTK's scale."""
    return np.asarray(1127.01048 * np.log(1 + hertz / 700))


def log_mel(wave: NDArray[np.float32], filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """Essentia's log-mel spectrogram.

    Args:
        wave: [S].
        filters: [96, 1025].

    Returns:
        ``log10(1 + 10000 * power)``, float32 [M, 96]; frame m has its middle at sample 1024 m.
    """
    count = -(-(len(wave) + HOP) // HOP)
    line = np.pad(wave, (READS // 2, READS))
    frames = np.lib.stride_tricks.sliding_window_view(line, READS)[::HOP][:count]
    return spectrogram(
        frames, np.hanning(READS), READS, BANDS, lambda x: np.log10(1 + 1e4 * x**2 @ filters.T)
    )


class EmbeddingNet(nn.Module):
    """Four blocks of two convolutions; the mean over bands, then the largest over time."""

    def __init__(self) -> None:
        super().__init__()
        before = 1
        for number, width in enumerate(WIDTHS, start=1):
            self.add_module(f"conv_block{number}", _block(before, width))
            before = width

    def forward(self, x: Tensor) -> Tensor:
        """From spectrograms [B, M, 96] to [B, 512]."""
        x = x[:, None]
        for number in range(1, len(WIDTHS) + 1):
            block = self.get_submodule(f"conv_block{number}")
            for part in ("1", "2"):
                conv, norm = (block.get_submodule(kind + part) for kind in ("conv", "bn"))
                x = F.relu(norm(conv(x)))
            x = F.max_pool2d(x, 2) if number < len(WIDTHS) else x
        return x.mean(dim=3).amax(dim=2)


def _block(before: int, width: int) -> nn.Module:
    return nn.ModuleDict(
        {
            "conv1": nn.Conv2d(before, width, 3, padding=1, bias=False),
            "conv2": nn.Conv2d(width, width, 3, padding=1, bias=False),
            "bn1": nn.BatchNorm2d(width),
            "bn2": nn.BatchNorm2d(width),
        }
    )


def _read(path: Path) -> EmbeddingNet:
    """The embedding of a checkpoint, which holds a pair: tensors by name, and names of data sets.

    Raises:
        ConfigError: unreadable, or of another network.
    """
    with torch.random.fork_rng(devices=[]):
        network = EmbeddingNet()
    with torch.serialization.safe_globals(NUMBERS):
        found = unpickled(path)
    tensors = found[0] if isinstance(found, tuple) and len(found) == 2 else None
    if not isinstance(tensors, dict):
        raise ConfigError(f"{path} is no checkpoint of aiSFX; {GET} brings one")
    named = sound(tensors, path)
    own = {n.removeprefix(PREFIX): x for n, x in named.items() if n.startswith(PREFIX)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        reason = shorten(str(error), 200)
        raise ConfigError(f"{path} is no checkpoint of aiSFX: {reason}") from error
    return network.eval().requires_grad_(False)
