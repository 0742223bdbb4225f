"""Decoders: reconstruction of features, and task heads."""

from cmg.decoders.heads import ClipHead, StepHead
from cmg.decoders.reconstruction import MapDecoder, VectorDecoder

__all__ = ["ClipHead", "MapDecoder", "StepHead", "VectorDecoder"]
