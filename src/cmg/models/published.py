"""Published builders by name: the paper's modalities at the paper's sizes."""

from __future__ import annotations

from cmg.codebook.codebook import CodebookOptions
from cmg.codebook.ema import EMAOptions
from cmg.codebook.reset import ResetOptions
from cmg.encoders.temporal import TemporalOptions
from cmg.models.unified import ModelOptions, UnifiedModel
from cmg.types import Kind, Modality

AS_CODED_EMA = EMAOptions(update="sequential", smoothing=True, initial_count=0.0)
AS_CODED_RESET = ResetOptions(reseed_stats=False)


def published_audio(channels: int = 128, detail_width: int = 256) -> Modality:
    """VGGish embeddings, one per second."""
    return Modality(name="audio", kind=Kind.VECTORS, shape=(channels,), detail_width=detail_width)


def published_video(channels: int = 512, detail_width: int = 2048, size: int = 7) -> Modality:
    """VGG-19 last pooling maps, one per second, channels last."""
    shape = (size, size, channels)
    return Modality(name="video", kind=Kind.MAPS, shape=shape, detail_width=detail_width)


def published_text(
    channels: int = 768, detail_width: int = 256, token_hidden: int = 128
) -> Modality:
    """BERT token vectors of a sentence of about ten words."""
    return Modality(
        name="text",
        kind=Kind.TOKENS,
        shape=(channels,),
        detail_width=detail_width,
        token_hidden=token_hidden,
    )


def published_options(
    width: int = 256, codes: int = 400, dropout: float = 0.1, start: str = "uniform"
) -> ModelOptions:
    """The as-coded variant that the official checkpoints were trained with."""
    return ModelOptions(
        width=width,
        temporal=TemporalOptions(kind="transformer", dropout=dropout),
        spatial_pool="sum",
        map_detail="published",
        mask_tokens=False,
        codebook=CodebookOptions.model_validate(
            {"size": codes, "start": start, "ema": AS_CODED_EMA, "reset": AS_CODED_RESET}
        ),
    )


def audio_video(seed: int = 0) -> UnifiedModel:
    """Audio-video at the paper's sizes (Table 1)."""
    return UnifiedModel([published_audio(), published_video()], published_options(), seed)


def audio_text(seed: int = 0) -> UnifiedModel:
    """Audio-text at the paper's sizes (Table 5)."""
    return UnifiedModel([published_audio(), published_text()], published_options(), seed)


def video_text(seed: int = 0) -> UnifiedModel:
    """Video-text at the paper's sizes (Table 5)."""
    return UnifiedModel([published_video(), published_text()], published_options(), seed)


def audio_video_text(seed: int = 0) -> UnifiedModel:
    """Audio-video-text at the paper's sizes (Table 4)."""
    modalities = [published_audio(), published_video(), published_text()]
    return UnifiedModel(modalities, published_options(), seed)


BUILDERS = {
    "audio-video": audio_video,
    "audio-text": audio_text,
    "video-text": video_text,
    "audio-video-text": audio_video_text,
}
"""Builders by the name used in configs and on the command line."""
