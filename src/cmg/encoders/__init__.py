"""Encoders: semantic (shared content) and detail (private part) per modality kind."""

from cmg.encoders.detail import MapDetail, VectorDetail
from cmg.encoders.spatial import SpatialPool
from cmg.encoders.temporal import StepMLP, TemporalOptions, TokenLSTM, TransformerBlock

__all__ = [
    "MapDetail",
    "SpatialPool",
    "StepMLP",
    "TemporalOptions",
    "TokenLSTM",
    "TransformerBlock",
    "VectorDetail",
]
