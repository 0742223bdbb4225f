"""Batches read ahead: the same ones, in order, with their errors, and nothing left running."""

import pickle
import threading

import numpy as np
import pytest
import torch

from cmg.data import Batches, write_store
from cmg.data.prefetch import epoch_ahead, prefetch
from cmg.errors import DataError


@pytest.fixture
def batches(tmp_path):
    rng = np.random.default_rng(0)
    audio = [rng.normal(size=(int(rng.integers(1, 5)), 3)).astype("f4") for _ in range(23)]
    return Batches(write_store(tmp_path / "s", {"audio": audio}).split("train"), 4, seed=5)


def equal(one, other):
    assert one.ids == other.ids
    assert torch.equal(one.features["audio"], other.features["audio"])
    assert torch.equal(one.lengths["audio"], other.lengths["audio"])


@pytest.mark.parametrize(("workers", "ahead"), [(0, 2), (1, 1), (1, 0), (3, 2), (2, 50)])
def test_the_batches_are_those_of_their_addresses(batches, workers, ahead):
    found = list(epoch_ahead(batches, 3, start=1, workers=workers, ahead=ahead))
    assert len(found) == len(batches) - 1
    for index, batch in enumerate(found, start=1):
        equal(batch, batches.at(3, index))


def test_addresses_may_span_epochs(batches):
    addresses = [(1, 4), (2, 0), (0, 3)]
    for address, batch in zip(addresses, prefetch(batches, addresses, workers=2), strict=True):
        equal(batch, batches.at(*address))


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("cmg-prefetch")]


def test_an_error_comes_where_its_batch_would_have(batches, monkeypatch):
    at = Batches.at

    def fails(self, epoch, index):
        if index == 3:
            raise DataError("clip 'x' cannot be read")
        return at(self, epoch, index)

    monkeypatch.setattr(Batches, "at", fails)
    reading = epoch_ahead(batches, 0, workers=2, ahead=4)
    for index in range(3):
        equal(next(reading), at(batches, 0, index))
    with pytest.raises(DataError, match="clip 'x'"):
        next(reading)
    assert threads() == []


def test_closing_stops_the_threads(batches):
    reading = epoch_ahead(batches, 0, workers=2)
    next(reading)
    assert threads()
    reading.close()
    assert threads() == []


def test_a_store_is_pickled_without_its_maps(batches):
    first = batches.at(0, 0)
    read = batches.split.read
    assert read._maps
    data = pickle.dumps(batches)
    again = pickle.loads(data)
    assert again.split.read._maps == {}
    equal(again.at(0, 0), first)
    assert read._maps  # those of the original are untouched
