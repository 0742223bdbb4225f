"""Temporal encoders: loops where no recorded case exists, and what padding may not do."""

import math

import numpy as np
import pytest
import torch
from tests.layers import TRANSFORMER, layer_norm, transformer_layer

from cmg.encoders.temporal import StepMLP, TemporalOptions, TokenLSTM, TransformerBlock


def weights(module):
    return {n: p.detach().numpy() for n, p in module.named_parameters()}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def features(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def make(kind, in_width=5, width=8, **options):
    torch.manual_seed(0)
    settings = TemporalOptions(kind=kind, heads=2, hidden=16, **options)
    block = StepMLP if kind == "mlp" else TransformerBlock
    return block(in_width, width, settings).double().eval()


def test_mlp_equals_numpy():
    block = make("mlp")
    x = features(2, 3, 5)
    w = weights(block)
    hidden = x.numpy() @ w["layers.0.weight"].T + w["layers.0.bias"]
    erf = np.vectorize(math.erf)
    hidden = hidden * 0.5 * (1 + erf(hidden / math.sqrt(2)))
    out = hidden @ w["layers.3.weight"].T + w["layers.3.bias"]
    expected = layer_norm(out, w["layers.4.weight"], w["layers.4.bias"])
    np.testing.assert_allclose(block(x, None).detach().numpy(), expected, rtol=1e-11, atol=1e-13)


def test_a_skip_is_a_linear_map_before_the_norm():
    block, plain = make("mlp", skip=True), make("mlp")
    plain.layers.load_state_dict(block.layers.state_dict())
    x = features(2, 3, 5)
    block.layers[-1], plain.layers[-1] = torch.nn.Identity(), torch.nn.Identity()
    assert torch.allclose(block(x, None), plain(x, None) + block.skip(x), atol=1e-12)


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_input_dropout_scales_what_it_leaves_and_rests_in_eval_mode(kind):
    block, plain = make(kind, input_dropout=0.5, dropout=0.0), make(kind, dropout=0.0)
    x = features(2, 3, 5)
    assert torch.equal(block(x, None), plain(x, None))
    torch.manual_seed(1)
    dropped = torch.nn.functional.dropout(x, 0.5)
    torch.manual_seed(1)
    assert torch.equal(block.train()(x, None), plain(dropped, None))


def test_a_transformer_takes_no_skip():
    with pytest.raises(ValueError, match="skip is an option of kind mlp"):
        TemporalOptions(kind="transformer", skip=True)


def transformer_by_loops(block, x):
    """Post-norm layers on one clip [T, C]; no positions, no final norm."""
    w = weights(block)
    x = x @ w["input.weight"].T + w["input.bias"]
    for index in range(block.layers.num_layers):
        x = transformer_layer(x, {n: w[f"layers.layers.{index}.{n}"] for n in TRANSFORMER}, heads=2)
    return x


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("grad", [True, False])
def test_transformer_equals_numpy(layers, grad):
    """With gradient and without, where torch takes a fused path."""
    block = make("transformer", layers=layers)
    x = features(2, 4, 5)
    lengths = [4, 2]
    mask = torch.arange(4)[None] < torch.tensor(lengths)[:, None]
    with torch.set_grad_enabled(grad):
        found = block(x, mask).detach().numpy()
    for b, n in enumerate(lengths):
        expected = transformer_by_loops(block, x[b, :n].numpy())
        np.testing.assert_allclose(found[b, :n], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
@pytest.mark.parametrize("trash", [0.0, 1e3])
def test_padding_is_not_read(kind, trash):
    block = make(kind)
    x = features(3, 5, 5)
    mask = torch.arange(5)[None] < torch.tensor([5, 2, 3])[:, None]
    padded = x.masked_fill(~mask[..., None], trash)
    found = block(padded, mask)
    for b, n in enumerate([5, 2, 3]):
        torch.testing.assert_close(found[b : b + 1, :n], block(x[b : b + 1, :n], None))


@pytest.mark.parametrize("grad", [True, False])
def test_clip_without_any_step_is_finite(grad):
    """Attention over no key is NaN, and NaN would spread by the backward pass."""
    block = make("transformer")
    x = features(2, 3, 5).requires_grad_(grad)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    with torch.set_grad_enabled(grad):
        found = block(x, mask)
    assert torch.isfinite(found).all()
    if grad:
        found[0, :2].sum().backward()
        assert torch.isfinite(x.grad).all()
        assert torch.equal(x.grad[1], torch.zeros(3, 5, dtype=torch.float64))


def test_mlp_has_no_context_and_the_transformer_no_order():
    x = features(1, 4, 5)
    order = [2, 0, 3, 1]
    changed = x.clone()
    changed[:, 3] += 1
    for kind, mixes in (("mlp", False), ("transformer", True)):
        block = make(kind)
        torch.testing.assert_close(block(x[:, order], None), block(x, None)[:, order])
        moved = (block(changed, None) - block(x, None))[:, :3].abs().max()
        assert (moved > 1e-3) == mixes


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
def test_dropout_acts_in_train_mode_alone(kind):
    block = make(kind, dropout=0.5)
    x = features(2, 3, 5)
    assert torch.equal(block(x, None), block(x, None))
    block.train()
    assert not torch.equal(block(x, None), block(x, None))


def make_lstm():
    torch.manual_seed(0)
    return TokenLSTM(5, 3).double()


def test_tokens_behind_the_end_are_not_read():
    lstm = make_lstm()
    x = features(4, 5, 5)
    lengths = torch.tensor([2, 4, 0, 3])  # all shorter than the batch, one without a token
    outside = torch.arange(5)[None] >= lengths[:, None]
    found = lstm(x.masked_fill(outside[..., None], 1e6), lengths)
    assert torch.isfinite(found).all()
    for b in (0, 1, 3):
        n = int(lengths[b])
        assert torch.equal(found[b, n:], torch.zeros(5 - n, 6, dtype=torch.float64))
        torch.testing.assert_close(found[b : b + 1, :n], lstm(x[b : b + 1, :n], None))


def test_as_coded_padding_is_read_like_words():
    """The backward direction starts in the padding, so the first token sees it."""
    lstm = make_lstm()
    x = features(1, 5, 5)
    x[:, 3:] = 0
    assert (lstm(x, None)[:, :3] - lstm(x[:, :3], None)).abs().max() > 1e-3
