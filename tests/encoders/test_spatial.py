"""Spatial pooling against loops over positions (METHOD section 2)."""

import numpy as np
import pytest
import torch

from cmg.encoders.spatial import SpatialPool


def relu(x):
    return np.maximum(x, 0)


def pooled_by_loops(pool, x, pooling):
    w = {n: p.detach().numpy() for n, p in pool.named_parameters()}
    clips, steps, height, width, channels = x.shape
    out = np.zeros((clips, steps, channels))
    for b in range(clips):
        for t in range(steps):
            positions = x[b, t].reshape(height * width, channels)
            average = positions.mean(0)
            gate = 1 / (1 + np.exp(-(w["gate.2.weight"] @ relu(w["gate.0.weight"] @ average))))
            u = [p * gate + p for p in positions]
            if pooling == "sum":
                out[b, t] = sum(u)
                continue
            query = relu(w["query.weight"] @ average + w["query.bias"])
            scores = []
            for p in u:
                key = relu(w["key.weight"] @ p + w["key.bias"])
                scores.append(np.tanh(w["score.weight"] @ (query * key) + w["score.bias"])[0])
            weights = np.exp(scores) / np.exp(scores).sum()
            out[b, t] = sum(a * p for a, p in zip(weights, u, strict=True))
    return out


def make(channels, pooling):
    torch.manual_seed(0)
    return SpatialPool(channels, pooling).double()


@pytest.mark.parametrize("pooling", ["sum", "attention"])
@pytest.mark.parametrize("shape", [(2, 3, 7, 7, 16), (1, 1, 1, 1, 8), (2, 2, 3, 1, 5)])
def test_equals_loops(pooling, shape):
    pool = make(shape[-1], pooling)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = pooled_by_loops(pool, x.numpy(), pooling)
    np.testing.assert_allclose(pool(x).detach().numpy(), expected, rtol=1e-11, atol=1e-12)


def test_sum_leaves_the_attention_without_gradient():
    """As coded: the softmax over an axis of size one made every weight 1."""
    pool = make(8, "sum")
    pool(torch.randn(1, 2, 3, 3, 8, dtype=torch.float64)).sum().backward()
    still = {n for n, p in pool.named_parameters() if p.grad is None}
    assert still == {f"{n}.{p}" for n in ("query", "key", "score") for p in ("weight", "bias")}


def test_attention_moves_every_layer():
    pool = make(8, "attention")
    x = torch.randn(2, 2, 3, 3, 8, dtype=torch.float64)
    (pool(x) * torch.randn(2, 2, 8, dtype=torch.float64)).sum().backward()
    for name, p in pool.named_parameters():
        if name != "score.bias":  # nearly cancels in the softmax
            assert p.grad.abs().max() > 1e-8, name


def test_attention_is_a_convex_sum():
    """Equal positions give one position back, where the sum gives H W of them."""
    one = torch.randn(1, 2, 1, 1, 8, dtype=torch.float64)
    same = one.expand(1, 2, 3, 4, 8)
    torch.testing.assert_close(make(8, "attention")(same), make(8, "attention")(one))
    torch.testing.assert_close(make(8, "sum")(same), 12 * make(8, "sum")(one))


def test_gated_maps_add_up_to_the_pooled_ones():
    pool = make(8, "sum")
    x = torch.randn(2, 3, 4, 5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gated = pool.gated(x)
    assert gated.shape == x.shape
    torch.testing.assert_close(gated.sum((2, 3)), pool(x))
    gain = gated / x
    torch.testing.assert_close(gain, gain[:, :, :1, :1].expand_as(gain))
