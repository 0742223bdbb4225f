"""Codes before the first step: uniform, on samples, on centroids."""

import pytest
import torch

from cmg.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.kmeans import kmeans
from cmg.errors import ConfigError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def book(start, size=4, width=2, **ema):
    options = CodebookOptions.model_validate({"size": size, "start": start, "ema": ema})
    return SharedCodebook(["audio", "video"], width, options, generator())


@pytest.mark.parametrize("size", [10, 400, 1000])
def test_uniform_bound_is_one_over_400_whatever_the_size(size):
    codes = book("uniform", size, 256).codes
    assert 0.0024 < codes.abs().max() <= 1 / 400
    assert abs(codes.mean()) < 1e-4


@pytest.mark.parametrize(("initial", "sums_are"), [(0.0, 1.0), (1.0, 1.0), (3.0, 3.0)])
def test_sums_at_the_start(initial, sums_are):
    """O is N times the codes, but as coded it is the codes where N is 0."""
    fresh = book("uniform", initial_count=initial)
    assert torch.equal(fresh.counts, torch.full((4,), initial))
    assert torch.equal(fresh.sums, fresh.codes * sums_are)


def test_samples_are_features_without_repetition():
    features = torch.randn(9, 2, generator=generator(1))
    started = book("samples", 9)
    started.start_from({"audio": features}, generator(2))
    order = started.codes.sort(0).values
    assert torch.equal(order, features.sort(0).values)
    assert torch.equal(started.counts, torch.ones(9))
    assert torch.equal(started.sums, started.codes)
    other = book("samples", 9)
    other.start_from({"audio": features}, generator(3))
    assert not torch.equal(other.codes, started.codes)


def test_start_with_zero_counts_keeps_codes_and_sums_in_step():
    """A data start must not explode: N is epsilon instead of 0 and O follows it."""
    started = book("samples", 4, initial_count=0.0, epsilon=0.125)
    started.start_from({"audio": torch.randn(6, 2)}, generator())
    assert torch.equal(started.counts, torch.full((4,), 0.125))
    assert torch.equal(started.sums, started.codes / 8)


def test_uniform_ignores_the_features():
    fresh = book("uniform")
    before = fresh.codes.clone()
    fresh.start_from(
        {"audio": torch.randn(2, 2)}, generator()
    )  # fewer features than codes: no matter
    assert torch.equal(fresh.codes, before)


@pytest.mark.parametrize("start", ["samples", "kmeans"])
def test_more_codes_than_tokens(start):
    with pytest.raises(ConfigError) as error:
        book(start, 8).start_from({"audio": torch.randn(7, 2)}, generator())
    assert str(error.value) == (
        "model.codebook.size = 8 codes, but the first batches hold only 7 tokens to start from; "
        "lower model.codebook.size or set model.codebook.start=uniform"
    )


def test_kmeans_by_hand():
    """Two pairs on a line: from 0 and 1 the centroids go to (0, 5) and on to (0.5, 10.5)."""
    features = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    codes = torch.tensor([[0.0], [1.0]])
    first = kmeans(features, codes, iterations=1)
    torch.testing.assert_close(first, torch.tensor([[0.0], [22 / 3]]))
    torch.testing.assert_close(kmeans(features, codes), torch.tensor([[0.5], [10.5]]))


def test_kmeans_leaves_an_empty_centroid():
    features = torch.tensor([[0.0], [1.0]])
    moved = kmeans(features, torch.tensor([[0.4], [100.0]]))
    torch.testing.assert_close(moved, torch.tensor([[0.5], [100.0]]))


def test_kmeans_start_finds_clusters():
    centers = torch.tensor([[10.0, 0.0], [0.0, 10.0], [-10.0, 0.0], [0.0, -10.0]])
    features = centers.repeat(50, 1) + 0.1 * torch.randn(200, 2, generator=generator(4))
    features[:4] = centers  # the first samples, whatever the order, are in no cluster's way
    started = book("kmeans", 16)
    started.start_from({"audio": features}, generator(5))
    assert torch.cdist(features, started.codes).amin(1).max() < 0.6
