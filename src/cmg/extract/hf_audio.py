"""Audio models of ``transformers``: AST, and those that hear waves: wav2vec 2.0, HuBERT, WavLM.

Shape legend: S samples, F frames, C width.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.pretrained import network_files
from cmg.extract.sound_network import FramesOfSound, SoundNetwork, Wave
from cmg.text.places import ModelFiles, media_encoder
from cmg.text.pretrained import load_network, reading, transformers

UNUSED = ("pooler.", "masked_spec_embed")
"""Weights a checkpoint may lack: they are read in training, or after the last layer."""
LONGEST = 30.0
"""Seconds of a wave that are heard at once; attention takes their square."""
FILTER, FILTER_HOP = 400, 160
"""Samples of a frame of AST's filter bank, and between frames (*as coded*)."""


def load(options: LoadOptions) -> SoundNetwork:
    """The last layer of an audio model, averaged over each step.

    Raises:
        ConfigError: no such model, it cannot be read, is of another kind, or the step does not fit.
    """
    files = network_files(options, media_encoder("audio model"), "sound")
    front = read_front(files)
    model = load_network(files, UNUSED)
    network: FramesOfSound
    settings = ""
    if model.config.model_type == "audio-spectrogram-transformer":
        network = _Spectrogram(model.to(options.device), front, options.device)
        # Without torchaudio, transformers computes the filter bank itself, a little differently.
        settings = "torchaudio" if not hasattr(front, "mel_filters") else "numpy"
    elif model.main_input_name == "input_values" and hasattr(model.config, "conv_stride"):
        network = _Waves(model.to(options.device), front, options.device)
    else:
        raise ConfigError(
            f"{files.folder} holds a {type(model).__name__}; use an AST, or a model that hears "
            "waves (wav2vec 2.0, HuBERT, WavLM, ...); clap:MODEL is for CLAP, whisper-tiny-en for "
            "Whisper"
        )
    notes = (
        f"{type(model).__name__} of {options.model} ({files.identity[:12]}), last layer, mean of "
        f"each step{f'; filter bank of {settings}' if settings else ''}."
    )
    name = f"transformers-audio:{options.model}"
    return SoundNetwork(name, network, files.identity, notes, options, settings)


def read_front(files: ModelFiles) -> Any:
    """The feature extractor in a folder.

    Raises:
        ConfigError: unreadable, or one that brings its own code.
    """
    from_folder = transformers(files.noun).AutoFeatureExtractor.from_pretrained
    with reading("front end", files):
        front = from_folder(files.folder, local_files_only=True, trust_remote_code=False)
        front.sampling_rate = int(front.sampling_rate)
    return front


class _Waves:
    """wav2vec 2.0 and its kind: a frame every 20 ms as published, by the strides of its filters."""

    longest_seconds = LONGEST

    def __init__(self, model: Any, front: Any, device: str) -> None:
        self.rate: int = front.sampling_rate
        self.width: int = model.config.hidden_size
        self._model, self._front, self._device = model, front, device
        strides, kernels = model.config.conv_stride, model.config.conv_kernel
        self._hop = math.prod(strides)
        before = [math.prod(strides[:i]) for i in range(len(strides))]
        self._reads = 1 + sum((k - 1) * b for k, b in zip(kernels, before, strict=True))
        self.hop_seconds = self._hop / self.rate

    def prepared(self, wave: Wave) -> Wave:
        if not getattr(self._front, "do_normalize", False):
            return wave
        mean, deviation = wave.mean(dtype=np.float64), np.sqrt(wave.var(dtype=np.float64) + 1e-7)
        return np.asarray((wave - mean) / deviation, dtype=np.float32)

    def frames(self, piece: Wave) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        heard = np.pad(piece, (0, max(0, self._reads - len(piece))))
        with torch.inference_mode():
            x = torch.from_numpy(heard)[None].to(self._device)
            found = self._model(input_values=x).last_hidden_state[0].cpu().numpy()
        middles = np.arange(len(found)) * self._hop + self._reads / 2
        return found, middles / self.rate


class _Spectrogram:
    """AST: patches of a log-mel filter bank, averaged over frequency."""

    def __init__(self, model: Any, front: Any, device: str) -> None:
        self.rate: int = front.sampling_rate
        self.width: int = model.config.hidden_size
        self._model, self._front, self._device = model, front, device
        config = model.config
        self._rows = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        self.hop_seconds = config.time_stride * FILTER_HOP / self.rate
        self.longest_seconds = front.max_length * FILTER_HOP / self.rate

    def prepared(self, wave: Wave) -> Wave:
        return wave

    def frames(self, piece: Wave) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        bank = self._front(piece, sampling_rate=self.rate, return_tensors="pt")["input_values"]
        with torch.inference_mode():
            tokens = self._model(input_values=bank.to(self._device)).last_hidden_state[0]
        columns = (len(tokens) - 2) // self._rows  # two tokens stand for the whole
        found = tokens[2:].reshape(self._rows, columns, self.width).mean(dim=0).cpu().numpy()
        config = self._model.config
        middles = np.arange(columns) * config.time_stride + (config.patch_size - 1) / 2
        return found, (middles * FILTER_HOP + FILTER / 2) / self.rate
