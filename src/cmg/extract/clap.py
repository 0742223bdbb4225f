"""The audio half of CLAP.

Shape legend: S samples, F frames, C width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.hf_audio import read_front
from cmg.extract.pretrained import network_files
from cmg.extract.sound_network import SoundNetwork, Wave
from cmg.text.places import media_encoder
from cmg.text.pretrained import load_network


def load(options: LoadOptions) -> SoundNetwork:
    """The last map of CLAP's audio half, averaged over frequency and each step.

    A clip is padded with silence to the 10 s that the network hears, not repeated as CLAP does by
    itself: the columns of its map must stand for their own time. Pooling and projection, which know
    no time, are left out. Long clips are heard in pieces, so a network with fusion, which is for
    clips longer than it hears, never fuses.

    Raises:
        ConfigError: no such model, it cannot be read, is of another kind, or the step does not fit.
    """
    files = network_files(options, media_encoder("CLAP model"), "sound")
    front = read_front(files)
    model = load_network(files, ())
    part = getattr(model, "audio_model", model)
    if not hasattr(part, "audio_encoder") or not hasattr(front, "nb_max_samples"):
        raise ConfigError(
            f"{files.folder} holds a {type(model).__name__}, no CLAP; transformers-audio:MODEL is "
            "for other audio models"
        )
    notes = (
        f"{type(part).__name__} of {options.model} ({files.identity[:12]}), last map, mean over "
        "frequency and each step."
    )
    network = _Clap(part.to(options.device), front, options.device)
    settings = "not fused" if getattr(part.config, "enable_fusion", False) else ""
    return SoundNetwork(f"clap:{options.model}", network, files.identity, notes, options, settings)


class _Clap:
    def __init__(self, model: Any, front: Any, device: str) -> None:
        self.rate: int = front.sampling_rate
        self.longest_seconds = front.nb_max_samples / self.rate
        self._model, self._front, self._device = model, front, device
        silence, _ = self.frames(np.zeros(self.rate, dtype=np.float32))
        self.width = silence.shape[1]
        self.hop_seconds = self.longest_seconds / len(silence)

    def prepared(self, wave: Wave) -> Wave:
        return wave

    def frames(self, piece: Wave) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        given = self._front(
            piece, sampling_rate=self.rate, padding="pad", truncation=None, return_tensors="pt"
        )
        with torch.inference_mode():
            # The front end marks one clip by chance where none of a batch is longer.
            found = self._model(
                input_features=given["input_features"].to(self._device, torch.float32),
                is_longer=torch.zeros(1, 1, dtype=torch.bool, device=self._device),
            ).last_hidden_state[0]  # [C, frequencies, F]
        columns = found.mean(dim=1).T.cpu().numpy()
        middles = (np.arange(len(columns)) + 0.5) / len(columns)
        return columns, middles * self.longest_seconds
