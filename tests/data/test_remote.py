"""Stores behind an address."""

import threading

import fsspec
import numpy as np
import pytest
import torch

from cmg.data import open_store
from cmg.data.remote import RemoteStore
from cmg.data.store import verify
from cmg.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bucket(store, in_bucket):
    return in_bucket(store)


def shards(cache):
    return sorted(p.name for p in cache.rglob("shards/*.safetensors"))


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_remote_store_reads_as_the_local_one(store, bucket, scheme):
    address = bucket if scheme == "memory" else f"file://{store.path}"
    remote = open_store(address)
    assert remote.content_hash == store.content_hash
    assert list(remote.rows) == list(store.rows)
    for name in store.modalities:
        x, n = store.split("train").features(name)
        y, m = remote.split("train").features(name)
        assert torch.equal(x, y)
        assert torch.equal(n, m)
    assert verify(bucket) == []


def test_a_shard_is_fetched_when_it_is_first_needed(store, bucket, cache):
    remote = open_store(bucket)
    assert shards(cache) == []
    remote.features("double", np.array([0]))
    wanted = [s for s in store.manifest.shards if s.modality == "double" and s.clips[0] == 0]
    assert shards(cache) == [wanted[0].file.removeprefix("shards/")]
    files, root = fsspec.core.url_to_fs(bucket)
    files.rm(f"{root}/{wanted[0].file}")
    open_store(bucket).features("double", np.array([0]))  # from the cache
    with pytest.raises(DataError, match=r"safetensors does not exist"):
        RemoteStore.open(bucket).fetch(wanted[0].model_copy(update={"bytes": 1}))


def test_a_damaged_shard_is_refused_and_not_kept(store, bucket, cache):
    files, root = fsspec.core.url_to_fs(bucket)
    shard = store.manifest.shards[0]
    data = bytearray(files.cat_file(f"{root}/{shard.file}"))
    data[-1] ^= 1
    files.pipe_file(f"{root}/{shard.file}", bytes(data))
    with pytest.raises(DataError, match=r"memory://.*checksum differs"):
        open_store(bucket).features(shard.modality, np.arange(len(store)))
    assert shard.file.removeprefix("shards/") not in shards(cache)
    assert not list(cache.rglob(".*partial*"))


def test_a_truncated_copy_is_fetched_again(store, bucket, cache):
    open_store(bucket).features("double", np.array([0]))
    (path,) = cache.rglob("shards/*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    x, _ = open_store(bucket).features("double", np.array([0]))
    assert torch.equal(x, store.features("double", np.array([0]))[0])


def test_many_may_fetch_the_same_shard_at_once(store):
    shard = store.manifest.shards[0]
    remote = RemoteStore.open(f"file://{store.path}")
    start, found = threading.Barrier(8), []

    def fetch():
        start.wait()
        found.append(remote.fetch(shard).read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(store.path / shard.file).read_bytes()] * 8


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("memory://nowhere/store", DataError, "no store there: memory://nowhere/store/manifest"),
        ("nosuch://bucket/store", ConfigError, "nosuch"),
    ],
)
def test_an_address_without_a_store_says_so(address, error, message):
    with pytest.raises(error, match=message):
        open_store(address)
