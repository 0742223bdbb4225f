from __future__ import annotations

import shutil

import numpy as np
import pytest

from cmg.data import Clip, FeatureSpec, FeatureStore, LabelSpec, StoreWriter, build_digits, index
from cmg.data.manifest import INDEX

DTYPES = {"half": "float16", "single": "float32", "double": "float64", "bytes": "uint8"}


def random_clips(count: int = 12, seed: int = 0) -> list[Clip]:
    """Clips of four modalities in four dtypes, of lengths 1..6, some without a modality."""
    rng = np.random.default_rng(seed)
    clips = []
    for i in range(count):
        features = {}
        for name, dtype in DTYPES.items():
            steps = int(rng.integers(1, 7))
            shape = (steps, 2, 3, 4) if name == "bytes" else (steps, 5)
            features[name] = (rng.normal(size=shape) * 50 + 100).clip(0, 255).astype(dtype)
        if i % 4 == 1:
            del features["half"]
        if i % 4 == 2:
            features["bytes"] = None
        longest = max(len(x) for x in features.values() if x is not None)
        steps_labels = rng.integers(-1, 4, longest).tolist()
        clips.append(
            Clip(
                id=f"clip {i}/ü",
                split="train" if i % 3 else "test",
                features=features,
                labels={"kind": i % 2 if i % 5 else None, "step": steps_labels},
                meta={"index": i, "nested": {"a": [1, None]}},
            )
        )
    return clips


SPECS = {
    "half": FeatureSpec(kind="vectors", shape=(5,), dtype="float16", step_seconds=0.5),
    "single": FeatureSpec(kind="tokens", shape=(5,), dtype="float32"),
    "double": FeatureSpec(kind="vectors", shape=(5,), dtype="float64", step_seconds=1.0),
    "bytes": FeatureSpec(kind="maps", shape=(2, 3, 4), dtype="uint8", step_seconds=1.0),
}
LABELS = {
    "kind": LabelSpec(classes=("even", "odd")),
    "step": LabelSpec(classes=("a", "b", "c", "d"), per="step"),
}


@pytest.fixture
def clips() -> list[Clip]:
    return random_clips()


@pytest.fixture
def write(tmp_path):
    """Write clips as a store with small shards."""

    def do(clips, name="store", **options) -> FeatureStore:
        options = {"shard_bytes": 400, "notes": "test"} | options
        with StoreWriter(tmp_path / name, SPECS, LABELS, **options) as writer:
            for clip in clips:
                writer.add(clip)
        return FeatureStore.open(tmp_path / name)

    return do


@pytest.fixture
def store(write, clips) -> FeatureStore:
    return write(clips)


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> FeatureStore:
    """A small build of the embedded set, read only."""
    return build_digits(tmp_path_factory.mktemp("digits") / "store", 30, 20)


CLIPS_IN_ALL = 150
"""Three blocks of rows, the last one not full."""


@pytest.fixture
def indexed(write, monkeypatch):
    """A store with an index: ragged lengths, absent modalities, two splits that alternate."""
    monkeypatch.setattr(index, "INDEXED_ABOVE", CLIPS_IN_ALL - 1)
    return write(random_clips(CLIPS_IN_ALL), "indexed", shard_bytes=4000)


@pytest.fixture
def eager(indexed, tmp_path):
    """The same store without its index."""
    shutil.copytree(indexed.path, tmp_path / "eager")
    (tmp_path / "eager" / INDEX).unlink()
    return FeatureStore.open(tmp_path / "eager")
