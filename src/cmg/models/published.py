"""Models of the paper: its modalities at its sizes."""

from __future__ import annotations

from cmg.codebook.codebook import CodebookOptions
from cmg.codebook.ema import EMAOptions
from cmg.codebook.reset import ResetOptions
from cmg.encoders.temporal import TemporalOptions
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
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


PUBLISHED = {"audio": published_audio, "video": published_video, "text": published_text}
"""The paper's modalities at the paper's sizes."""


def published_model(*modalities: str, seed: int = 0) -> UnifiedModel:
    """A model at the paper's sizes: audio-video in Table 1, pairs with text in 5, all in 4."""
    return UnifiedModel([PUBLISHED[m]() for m in modalities], published_options(), seed)
