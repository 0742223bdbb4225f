"""What makes a run take a second: small modalities, and overrides."""

from cmg.types import Kind, Modality

THREE = [
    Modality(name="audio", kind=Kind.VECTORS, shape=(6,)),
    Modality(name="video", kind=Kind.MAPS, shape=(2, 3, 5)),
    Modality(name="text", kind=Kind.TOKENS, shape=(7,)),
]
TINY = [
    *("model.width=8", "model.temporal.heads=2", "model.temporal.hidden=16"),
    *("model.codebook.size=8", "data.batch_size=6"),
    *("training.epochs=1", "training.threads=1", "training.tensorboard=false"),
]
QUICK = [*TINY, "model.temporal={kind: mlp, hidden: 8}", "data.batch_size=8", "probe.epochs=1"]
"""Without attention."""
