"""Attention between query and pixels, against the P x P matrix written out."""

import pytest
import torch
from torch.nn import functional

from cmg.segmentation import attention
from cmg.segmentation.attention import PixelAttention

MODES = ("dot", "embedded", "gaussian", "concatenate")


def filled(module):
    """A module in float64 with every weight drawn, the zero scale of the BatchNorm included."""
    torch.manual_seed(0)
    for parameter in module.double().parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5)
    return module.eval()


def slow(module, x, query):
    """Loops over clips, rows and columns; the query is repeated over the pixels of its frame."""
    b, c, t, h, w = x.shape
    out = torch.zeros(b, t * h * w, c, dtype=x.dtype)
    for clip in range(b):
        pixels = x[clip].flatten(1).T
        partner = pixels
        if query is not None:
            partner = module.align(query[clip]).repeat_interleave(h * w, 0)
        theta, phi, g = module.theta(pixels), module.phi(partner), module.g(pixels)
        for i in range(len(pixels)):
            if module.mode == "concatenate":
                both = [torch.cat([theta[i], phi[j]]) for j in range(len(pixels))]
                row = functional.relu(module.pair(torch.stack(both)))[:, 0] / len(pixels)
            else:
                row = phi @ theta[i]
                row = row / len(pixels) if module.mode == "dot" else torch.softmax(row, 0)
            out[clip, i] = module.out(row @ g)
    z = module.norm(module.out_norm(out.flatten(0, 1)) + x.flatten(2).transpose(1, 2).flatten(0, 1))
    return z.view(b, -1, c).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_query", [True, False])
def test_equals_the_matrix_written_out(mode, by_query):
    module = filled(PixelAttention(6, 5 if by_query else None, mode))
    x = torch.randn(2, 6, 3, 4, 2, dtype=torch.float64)
    query = torch.randn(2, 3, 5, dtype=torch.float64) if by_query else None
    z, aligned = module(x, query)
    torch.testing.assert_close(z, slow(module, x, query), rtol=1e-9, atol=1e-12)
    assert (aligned is None) == (query is None)


def test_rows_in_blocks_change_nothing(monkeypatch):
    module = filled(PixelAttention(6, None, "concatenate"))
    x = torch.randn(1, 6, 3, 4, 2, dtype=torch.float64)
    whole = module(x)[0]
    monkeypatch.setattr(attention, "ROWS_AT_ONCE", 5)
    torch.testing.assert_close(module(x)[0], whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_a_new_block_only_normalizes(mode):
    module = PixelAttention(6, 5, mode).train()
    x, query = torch.randn(2, 6, 3, 4, 2), torch.randn(2, 3, 5)
    expected = functional.layer_norm(x.movedim(1, -1), (6,)).movedim(-1, 1)
    torch.testing.assert_close(module(x, query)[0], expected)


def test_wrong_queries_are_refused():
    x = torch.randn(1, 6, 3, 2, 2)
    with pytest.raises(ValueError, match="takes a query"):
        PixelAttention(6, 5)(x)
    with pytest.raises(ValueError, match="takes no query"):
        PixelAttention(6, None)(x, torch.randn(1, 3, 5))
    with pytest.raises(ValueError, match="4 steps for 3 frames"):
        PixelAttention(6, 5)(x, torch.randn(1, 4, 5))
