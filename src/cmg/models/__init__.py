"""Models: the unified model and the published builders."""

from cmg.models.published import (
    BUILDERS,
    audio_text,
    audio_video,
    audio_video_text,
    video_text,
)
from cmg.models.unified import ModelOptions, UnifiedModel

__all__ = [
    "BUILDERS",
    "ModelOptions",
    "UnifiedModel",
    "audio_text",
    "audio_video",
    "audio_video_text",
    "video_text",
]
