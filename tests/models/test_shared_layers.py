"""Encoders that modalities share in part, and heads behind them."""

import numpy as np
import pytest
import torch
from torch import nn

from cmg.encoders.temporal import GatedProjection, TemporalOptions, TransformerBlock, share_layers
from cmg.errors import CmgError
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.options import checked_options
from cmg.runs.checkpoint import load_model
from cmg.training.step import pretraining_step

SHARED = ("self_attn", "linear1", "linear2")
NAMES = ("audio", "video", "text")


def layers(model, m):
    return model.semantic[m].temporal.layers.layers


def test_layers_are_shared_but_for_norms_and_inputs(make_model):
    model = make_model(NAMES, temporal={"shared": True, "layers": 2})
    apart = make_model(NAMES, temporal={"layers": 2})
    for own, first in zip(layers(model, "text"), layers(model, "audio"), strict=True):
        for part in SHARED:
            assert getattr(own, part) is getattr(first, part)
        for norm in ("norm1", "norm2"):
            assert getattr(own, norm) is not getattr(first, norm)
    inputs = [model.semantic[m].temporal.input for m in NAMES]
    assert len({id(x) for x in inputs}) == 3
    once = sum(
        p.numel() for part in SHARED for p in getattr(layers(model, "audio")[0], part).parameters()
    )
    fewer = sum(p.numel() for p in apart.parameters()) - sum(p.numel() for p in model.parameters())
    assert fewer == 2 * 2 * once  # two layers, of two modalities


def test_a_shared_block_is_a_block_with_these_weights():
    torch.manual_seed(0)
    options = TemporalOptions(heads=2, hidden=16, dropout=0.0)
    one, other = (TransformerBlock(5, 8, options).double() for _ in range(2))
    for layer in other.layers.layers:
        nn.init.normal_(layer.norm1.weight)
    share_layers([one, other])
    alone = TransformerBlock(5, 8, options).double()
    alone.load_state_dict(other.state_dict())
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [False] * 4])
    assert torch.equal(other(x, mask), alone(x, mask))


def test_the_gradient_is_that_of_all_modalities(make_model, make_batch):
    model = make_model(temporal={"shared": True})
    batch = make_batch()
    weight = layers(model, "audio")[0].linear1.weight
    grads = []
    for names in (("audio",), ("video",), ("audio", "video")):
        model.zero_grad()
        z = model.represent(batch, detail=False).semantic
        (torch.stack([z[m].square()[..., 0].sum() for m in names]).sum()).backward()
        grads.append(weight.grad.clone())
    torch.testing.assert_close(grads[0] + grads[1], grads[2])
    assert grads[0].abs().max() > 0 < grads[1].abs().max()


@pytest.mark.parametrize("clip", ["global", "per_part"])
def test_a_step_moves_shared_weights_once_for_all(make_state, make_batch, draw, clip):
    state = make_state(optimizer={"clip": clip}, temporal={"shared": True})
    named = [p for _, p in state.named_parameters()]
    assert len(named) == len(set(named))
    batch = make_batch()
    before = layers(state.model, "video")[0].linear1.weight.clone()
    pretraining_step(state, batch, draw(batch))
    after = layers(state.model, "video")[0].linear1.weight
    assert after is layers(state.model, "audio")[0].linear1.weight
    assert 0 < (after - before).abs().max() <= 1e-2 * 1.001  # a first step of Adam is one lr


def test_it_is_saved_and_read_with_its_layers_shared(make_model, make_batch, tmp_path):
    model = make_model(NAMES, temporal={"shared": True}, projection="gated")
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert layers(again, "text")[0].self_attn is layers(again, "video")[0].self_attn
    batch = make_batch(NAMES)
    for m, z in model.semantics(batch).items():
        assert torch.equal(z, again.semantics(batch)[m])


def test_sharing_is_of_transformers():
    with pytest.raises(CmgError, match=r"shared is an option of kind transformer; set model\.temp"):
        checked_options(TemporalOptions, kind="mlp", shared=True)


def test_a_gated_head_by_hand():
    head = GatedProjection(3).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    expected = x.numpy()
    for i in (0, 2):
        w, b = (p.detach().numpy() for p in head.layers[i].parameters())
        wide = expected @ w.T + b
        expected = wide[..., :3] / (1 + np.exp(-wide[..., 3:]))
    np.testing.assert_allclose(head(x).detach().numpy(), expected, rtol=1e-12)


def test_a_projection_is_what_everything_behind_it_reads(options, make_batch):
    """Each modality's own, at each step; lookup and semantics are of its output."""
    from tests.models.conftest import declared

    plain, told = (
        UnifiedModel([declared(n) for n in NAMES], ModelOptions.model_validate(given), 3).eval()
        for given in (
            options(codebook={"kind": "shared"}).model_dump(),
            options(projection="gated").model_dump(),
        )
    )
    batch = make_batch(NAMES, lengths={"audio": [5, 3, 1, 0], "video": [5] * 4, "text": [2] * 4})
    told.load_state_dict(
        told.state_dict()
        | {n: x for n, x in plain.state_dict().items() if n.startswith(("semantic.", "tokens."))}
    )
    before, after = plain.semantics(batch), told.semantics(batch)
    for m in NAMES:
        torch.testing.assert_close(after[m], told.semantic[m].head(before[m]))
    heads = [told.semantic[m].head for m in NAMES]
    assert len({id(h) for h in heads}) == 3
    assert all(plain.semantic[m].head is None for m in NAMES)
