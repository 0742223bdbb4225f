from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest

from cmg.data import (
    Clip,
    Clips,
    FeatureSpec,
    LabelSpec,
    StoreWriter,
    build_digits,
    open_store,
)
from cmg.data.columns import line_of
from cmg.data.manifest import BLOCKS, COLUMNS, LINES, MANIFEST, read_manifest
from cmg.data.writer import finish_store
from cmg.files import file_digests

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

    def do(clips, name="store", **options) -> Clips:
        options = {"shard_bytes": 400, "notes": "test"} | options
        with StoreWriter(tmp_path / name, SPECS, LABELS, **options) as writer:
            for clip in clips:
                writer.add(clip)
        return open_store(tmp_path / name)

    return do


@pytest.fixture
def store(write, clips) -> Clips:
    return write(clips)


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Clips:
    """A small build of the embedded set, read only."""
    return build_digits(tmp_path_factory.mktemp("digits") / "store", 30, 20)


CLIPS_IN_ALL = 150


@pytest.fixture
def many(write) -> Clips:
    """A store of ragged lengths, absent modalities, and two splits that alternate."""
    return write(random_clips(CLIPS_IN_ALL), "many", shard_bytes=4000)


@pytest.fixture
def old(many, tmp_path) -> Clips:
    """The same store as version 1 had it."""
    return open_store(as_version_1(many, tmp_path / "old"))


@pytest.fixture
def in_bucket(request, tmp_path, monkeypatch):
    """Put a store into an object storage; its address there. The cache is empty."""
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "cache"))
    address = f"memory://bucket-{abs(hash(request.node.name))}/store"
    files, root = fsspec.core.url_to_fs(address)

    def put(store: Clips) -> str:
        for path in store.path.rglob("*"):
            if path.is_file():
                files.pipe_file(f"{root}/{path.relative_to(store.path)}", path.read_bytes())
        return address

    return put


def as_version_1(store: Clips, path: Path) -> Path:
    """Write a store as version 1 had it: rows as lines of JSON, no columns, no checksum in it."""
    shutil.copytree(store.path, path)
    (path / COLUMNS).unlink()
    (path / BLOCKS).unlink()
    (path / LINES).write_bytes(b"".join(line_of(row) for row in store.rows))
    change = {"version": 1, "columns_sha256": None, "blocks_sha256": None}
    (path / MANIFEST).write_bytes(store.manifest.model_copy(update=change).pretty())
    return path


def resealed(path: Path, **change) -> None:
    """Make checksums and manifest agree with files that were changed."""
    manifest = read_manifest(path).model_copy(update=change)
    if manifest.version == 1:
        (path / MANIFEST).write_bytes(manifest.pretty())
        return
    shards, blocks = [], {}
    for shard in manifest.shards:
        digest, blocks[shard.file] = file_digests(path / shard.file)
        told = {"sha256": digest, "bytes": (path / shard.file).stat().st_size}
        shards.append(shard.model_copy(update=told))
    finish_store(path, manifest.model_copy(update={"shards": tuple(shards)}), blocks)
