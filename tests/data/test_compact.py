"""Compact shards: exact, small, and never read outside themselves."""

import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.data.conftest import resealed

from cmg.data import Clip, FeatureSpec, LabelSpec, StoreWriter, open_store, verify_store
from cmg.errors import DataError

DTYPES = ("float16", "float32", "float64", "uint8")


def sparse(rng, dtype, *shape, zeros=0.7):
    x = rng.normal(size=shape) * 20 if dtype != "uint8" else rng.integers(1, 256, shape)
    return np.where(rng.random(shape) < zeros, 0, x).astype(dtype)


def written(path, blocks, shape, dtype="float32", encoding="compact", **options):
    spec = FeatureSpec(kind="maps" if len(shape) == 3 else "vectors", shape=shape, dtype=dtype)
    other = FeatureSpec(kind="vectors", shape=(1,))
    specs = {"x": spec.model_copy(update={"encoding": encoding}), "other": other}
    with StoreWriter(path, specs, **options) as writer:
        for i, block in enumerate(blocks):
            clip = {"x": block, "other": np.ones((1, 1), np.float32)}
            writer.add(Clip(f"c{i}", "train", clip))
    return open_store(path)


@pytest.mark.parametrize("shape", [(16,), (5,), (1,), (3, 2, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_selection_is_what_was_written_bit_for_bit(tmp_path, dtype, shape):
    rng = np.random.default_rng(0)
    blocks = [sparse(rng, dtype, int(rng.integers(1, 6)), *shape) for _ in range(9)]
    blocks[2] = np.zeros_like(blocks[2])
    blocks[3] = sparse(rng, dtype, 4, *shape, zeros=0.0)
    blocks[5] = None
    store = written(tmp_path / "s", blocks, shape, dtype, shard_bytes=400)
    for chosen in ([8, 0, 2, 5, 3, 3], [2], [5], list(range(9))):
        x, lengths = store.features("x", np.array(chosen))
        assert x.dtype == getattr(torch, dtype)
        for at, clip in enumerate(chosen):
            wanted = blocks[clip]
            n = 0 if wanted is None else len(wanted)
            assert int(lengths[at]) == n
            assert not x[at, n:].any()
            if n:
                assert x[at, :n].numpy().tobytes() == wanted.tobytes()
    assert verify_store(store.path) == []


def test_minus_zero_and_the_smallest_numbers_survive(tmp_path):
    x = np.array([[-0.0, 0.0, 1e-45, -1e-45, 0.0]], np.float32)
    found, _ = written(tmp_path / "s", [x], (5,)).features("x", np.array([0]))
    assert found.numpy().tobytes() == x.tobytes()
    assert math.copysign(1.0, found[0, 0, 0].item()) == -1.0


def test_the_file_is_what_the_documentation_says(tmp_path):
    x = np.zeros((2, 10), np.float32)
    x[0, 9], x[0, 1], x[1, 0] = 5.0, 3.0, 7.0
    store = written(tmp_path / "s", [x], (10,))
    (shard,) = [s for s in store.manifest.shards if s.modality == "x"]
    found = load_file(store.path / shard.file)
    assert found["offsets"].tolist() == [0, 2, 3]
    assert found["values"].tolist() == [3.0, 5.0, 7.0]
    assert found["mask"].tolist() == [[0b10, 0b10], [0b1, 0]]
    assert store.manifest.modalities["x"].encoding == "compact"


def test_features_of_70_percent_zeros_take_a_third(tmp_path):
    rng = np.random.default_rng(0)
    blocks = [sparse(rng, "float32", 10, 4, 4, 64) for _ in range(6)]
    size = {}
    for encoding in ("dense", "compact"):
        store = written(tmp_path / encoding, blocks, (4, 4, 64), encoding=encoding)
        size[encoding] = sum(s.bytes for s in store.manifest.shards if s.modality == "x")
    # 30 % of 32 bits and a bit of 32 for the mask, and 8 bytes of 4096 a step for the offsets
    assert size["compact"] / size["dense"] == pytest.approx(0.3 + 1 / 32 + 8 / 4096, abs=0.01)


def test_a_dense_manifest_is_as_before_the_encoding_existed(tmp_path):
    specs = {"audio": FeatureSpec(kind="vectors", shape=(3,), step_seconds=1.0)}
    labels = {"kind": LabelSpec(classes=("even", "odd"))}
    with StoreWriter(tmp_path / "s", specs, labels) as writer:
        for i in range(4):
            audio = np.arange(i * 6, i * 6 + 6, dtype=np.float32).reshape(2, 3)
            split = "train" if i < 3 else "test"
            writer.add(Clip(f"clip-{i}", split, {"audio": audio}, {"kind": i % 2}))
    store = open_store(tmp_path / "s")
    # Computed by the version before compact shards; stores of then must keep their hash.
    assert store.content_hash == "79aa1d7aa58024cf954ef298096fae2fbf5043e320009b9653d30d99a72c59c4"
    assert "encoding" not in (tmp_path / "s/manifest.json").read_text()


# --- damage -----------------------------------------------------------------------------------


def damaged(store, change):
    """Change the tensors of the compact shard, and make the manifest agree with the new file."""
    (shard,) = [s for s in store.manifest.shards if s.modality == "x"]
    path = store.path / shard.file
    tensors = {name: x.copy() for name, x in load_file(path).items()}
    tensors = change(tensors) or tensors
    save_file(tensors, path)
    resealed(store.path)
    return open_store(store.path)


def more_bits(t):
    t["mask"][1, 0] ^= 0xFF


def no_bits(t):
    t["mask"][:] = 0


def offset_beyond(t):
    t["offsets"][2] = 10**12


def offset_before(t):
    t["offsets"][1] = -5


def last_offset_beyond(t):
    t["offsets"][-1] += 1


def fewer_values(t):
    t["values"] = t["values"][:-1]


def another_dtype(t):
    t["values"] = t["values"].astype(np.float64)


def narrower_mask(t):
    t["mask"] = np.ascontiguousarray(t["mask"][:, :1])


def fewer_steps(t):
    t["offsets"] = t["offsets"][:-1]


def no_mask(t):
    return {"offsets": t["offsets"], "values": t["values"]}


CHANGES = (
    more_bits,
    no_bits,
    offset_beyond,
    offset_before,
    last_offset_beyond,
    fewer_values,
    another_dtype,
    narrower_mask,
    fewer_steps,
    no_mask,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_shard_that_contradicts_itself_is_refused_and_verified(tmp_path, change):
    blocks = [sparse(np.random.default_rng(i), "float32", 3, 12) for i in range(4)]
    store = damaged(written(tmp_path / "s", blocks, (12,)), change)
    with pytest.raises(DataError, match=r"x\.safetensors"):
        store.features("x", np.arange(4))
    (problem,) = verify_store(store.path)
    assert "x.safetensors" in problem


def test_verify_sees_spare_bits_and_bad_numbers(tmp_path):
    def spare_bit(t):
        t["mask"][0, 1] |= 0x80  # number 15 of a step of 12
        t["offsets"][1:] += 1
        t["values"] = np.concatenate([t["values"], np.ones(1, np.float32)])

    def nan(t):
        t["values"][3] = np.nan

    def swapped_steps(t):
        t["mask"][[0, 1]] = t["mask"][[1, 0]]

    blocks = [sparse(np.random.default_rng(i), "float32", 3, 12, zeros=0.5) for i in range(4)]
    for at, (change, said) in enumerate(
        [(spare_bit, "do not exist"), (nan, "NaN"), (swapped_steps, "step 0: mask and offsets")]
    ):
        store = damaged(written(tmp_path / f"s{at}", blocks, (12,)), change)
        (problem,) = verify_store(store.path)
        assert said in problem
