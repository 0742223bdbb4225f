"""Quantizers of vector-quantize-pytorch behind the interface: laws of all, and each by hand."""

from __future__ import annotations

import math
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmg.codebook import Quantizer
from cmg.codebook.kinds import build_quantizer, of_kind
from cmg.errors import ConfigError
from cmg.process import seeded
from cmg.types import Steps

NAMES, D = ("audio", "video", "text"), 6
KINDS = {
    "fsq": {"levels": (3, 4, 5)},
    "lfq": {"bits": 4},
    "simvq": {"size": 12},
    "residual-vq": {"size": 7, "levels": 3},
}
WITH_LOSS = [kind for kind in KINDS if kind != "fsq"]
LENGTHS = {"audio": [3, 3, 2, 0], "video": [3, 3, 3, 3], "text": [0, 3, 1, 3]}


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def features(*shape, seed=9, width=D):
    return {m: torch.randn(*shape, width, generator=chance(seed + i)) for i, m in enumerate(NAMES)}


def make(kind, seed=0, width=D, names=NAMES, **more) -> Quantizer:
    told = {"kind": kind} | (more if more else KINDS[kind])
    book = build_quantizer(names, width, of_kind(told), chance(seed))
    if book.starts_on_data:
        book.start_from(features(20, seed=seed, width=width), chance(seed))
    return book


def steps_of(lengths=LENGTHS):
    return Steps(4, 3, {m: torch.tensor(n) for m, n in lengths.items()})


def state_of(book):
    return {n: x.clone() for n, x in book.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(x, other[n]) for n, x in one.items())


# ---- laws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(derandomize=True, database=None, deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    shape=st.sampled_from([(1,), (7,), (2, 3), (1, 1), (3, 0)]),
)
def test_vectors_of_indices_are_those_of_the_lookup(kind, seed, scale, shape):
    book = make(kind, seed % 3)
    z = {m: (x * scale).requires_grad_() for m, x in features(*shape, seed=seed).items()}
    levels = () if book.levels is None else (book.levels,)
    for training in (True, False):
        quantized = book.train(training)(z)
        for m, indices in quantized.indices.items():
            assert (indices.shape, indices.dtype) == ((*shape, *levels), torch.int64)
            assert bool(((indices >= 0) & (indices < book.size)).all())
            seen = book.vectors(m, indices)
            assert seen.shape == (*shape, book.width)
            assert torch.equal(seen, quantized.codes[m])
            torch.testing.assert_close(seen, quantized.vectors[m])
            assert not book.vectors(m, torch.full_like(indices, -1)).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_index_is_the_nearest_by_the_distances(kind, dtype):
    """The library chooses, and the distances to the table say the same."""
    book = make(kind).to(dtype)
    z = {m: x.to(dtype) for m, x in features(40, 5).items()}
    quantized = book.lookup(z)
    for m, x in z.items():
        distances, table = book.distances(m, x), book.table(m)
        assert distances.shape == (*quantized.indices[m].shape, book.size)
        assert table.shape[:-1] == (*quantized.indices[m].shape[2:], book.size)
        assert torch.equal(distances.argmin(-1), quantized.indices[m])
        soft = (-distances.square() / (0.1 * table.shape[-1])).softmax(-1)
        torch.testing.assert_close(book.posterior(m, x, 0.1), soft)
        assert {distances.dtype, quantized.vectors[m].dtype, table.dtype} == {dtype}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_update_changes_it(kind, training):
    book = make(kind).train(training)
    before, modes = state_of(book), [x.training for x in book.modules()]
    drawn = torch.get_rng_state()
    z, steps = {m: x.requires_grad_() for m, x in features(4, 3).items()}, steps_of()
    for _ in range(3):
        quantized = book(z, steps)
        book.measures(quantized), book.posterior("audio", z["audio"], 1.0)
        book.vectors("audio", quantized.indices["audio"])
        if book.has_loss:
            book.loss(z, steps)
    assert same(before, book.state_dict())
    assert modes == [x.training for x in book.modules()]
    assert torch.equal(drawn, torch.get_rng_state())
    book.update(quantized, book.draw(chance()))
    assert same(before, book.state_dict()) is (kind != "residual-vq")
    assert modes == [x.training for x in book.modules()]


@pytest.mark.parametrize("kind", KINDS)
def test_clips_have_the_same_codes_in_any_company(kind):
    book, z = make(kind), features(6, 3)
    whole = book.lookup(z)
    for m, x in z.items():
        parts = [book.lookup({m: half}).indices[m] for half in x.split(2)]
        assert torch.equal(torch.cat(parts), whole.indices[m])


@pytest.mark.parametrize("kind", KINDS)
def test_full_precision_whatever_the_autocast(kind):
    book, z = make(kind), features(4, 3)
    plain = book.lookup(z)
    low = {m: x.bfloat16() for m, x in z.items()}
    rounded = book.lookup({m: x.float() for m, x in low.items()})
    distances = book.distances("audio", z["audio"])
    losses = [book.loss(z, Steps.of(z))] if book.has_loss else []
    other = deepcopy(book)
    other.update(rounded, other.draw(chance()))
    with torch.autocast("cpu", torch.bfloat16):
        inside, found = book.lookup(z), book.lookup(low)
        assert torch.equal(book.distances("audio", z["audio"]), distances)
        if losses:
            assert torch.equal(book.loss(z, Steps.of(z)), losses[0])
        book.update(found, book.draw(chance()))
    for m in NAMES:
        assert torch.equal(inside.codes[m], plain.codes[m])
        assert torch.equal(found.indices[m], rounded.indices[m])
    assert same(book.state_dict(), other.state_dict())


@pytest.mark.parametrize("kind", WITH_LOSS)
def test_the_loss_is_of_the_steps_that_exist(kind):
    """What stands at others is nothing, and the order of clips is nothing."""
    book, z, steps = make(kind), features(4, 3), steps_of()
    loss = book.loss(z, steps)
    garbage = {m: x.masked_fill(~steps.mask(m)[..., None], 99.0) for m, x in z.items()}
    assert torch.equal(book.loss(garbage, steps), loss)
    kept = torch.cat([x[steps.mask(m)] for m, x in z.items()])
    torch.testing.assert_close(book.loss({"audio": kept}, Steps(len(kept), 1)), loss)
    turned = steps_of({m: n[::-1] for m, n in LENGTHS.items()})
    torch.testing.assert_close(book.loss({m: x.flip(0) for m, x in z.items()}, turned), loss)
    assert not torch.equal(book.loss(z, Steps.of(z)), loss)


# ---- FSQ ----------------------------------------------------------------------------------------


def test_fsq_by_hand():
    """tanh(0.3) = 0.29 is rounded to 0, tanh(1) = 0.76 to 1; digits in base 3, the first lowest."""
    book = make("fsq", width=2, levels=(3, 3))
    z = torch.tensor([[0.3, -0.3], [1.0, -1.0], [-9.0, -9.0], [9.0, 9.0], [0.5, 0.6]])
    quantized = book({"audio": z})
    codes = [[0.0, 0.0], [1.0, -1.0], [-1.0, -1.0], [1.0, 1.0], [0.0, 1.0]]
    assert quantized.codes["audio"].tolist() == codes
    assert quantized.indices["audio"].tolist() == [4, 2, 0, 8, 7]
    assert book.size == of_kind({"kind": "fsq", "levels": (3, 3)}).size == 9
    assert [p.numel() for p in book.parameters()] == []  # D is d
    at = book.compared(z)[1]
    assert at.tolist() == pytest.approx([1.001 * math.tanh(1), -1.001 * math.tanh(1)], rel=1e-6)
    squares = (at - torch.tensor(codes[:4])).square().sum(1)
    found = book.distances("audio", z[1:2])[0, [4, 2, 0, 8]]
    torch.testing.assert_close(found.square(), squares)


def test_fsq_with_an_even_number_of_levels_has_none_at_zero_s_mirror():
    """4 levels are -2, -1, 0, 1 halves: [-1, 0.5]; a feature of 0 has the code 0."""
    book = make("fsq", width=1, levels=(4,))
    quantized = book({"audio": torch.tensor([[-9.0], [-0.6], [0.0], [0.6], [9.0]])})
    assert quantized.indices["audio"].tolist() == [0, 1, 2, 3, 3]
    assert quantized.codes["audio"].flatten().tolist() == [-1.0, -0.5, 0.0, 0.5, 0.5]
    assert book.table("audio").flatten().tolist() == [-2.0, -1.0, 0.0, 1.0]
    assert float(book.compared(torch.zeros(1))) == pytest.approx(0.0, abs=1e-6)


def test_the_gradient_of_fsq_passes_the_rounding_and_not_the_bound():
    book = make("fsq", width=2, levels=(5, 3))
    z = torch.tensor([[0.2, -1.3]], requires_grad=True)
    book({"audio": z}).vectors["audio"].sum().backward()
    half = [2 * 1.001 / 2, 1.001]  # of 5 levels: two steps of a half
    told = [h * (1 - math.tanh(x) ** 2) for h, x in zip(half, (0.2, -1.3), strict=True)]
    assert z.grad.flatten().tolist() == pytest.approx(told, rel=1e-5)


def test_fsq_trains_its_projections():
    book, z = make("fsq"), features(4, 3)
    quantized = book(z)
    quantized.vectors["audio"].square().sum().backward()
    assert {n for n, p in book.named_parameters() if p.grad is not None and p.grad.any()} == {
        f"module.project_{x}.{y}" for x in ("in", "out") for y in ("weight", "bias")
    }


# ---- LFQ ----------------------------------------------------------------------------------------


def test_lfq_by_hand():
    """Signs as bits, the first highest; zero counts as negative."""
    book = make("lfq", width=3, bits=3)
    z = torch.tensor([[0.5, -2.0, 1.0], [0.0, 0.0, 0.0], [3.0, 0.1, -0.1]], requires_grad=True)
    quantized = book({"audio": z})
    assert quantized.indices["audio"].tolist() == [0b101, 0, 0b110]
    assert quantized.vectors["audio"].tolist() == [[1, -1, 1], [-1, -1, -1], [1, 1, -1]]
    assert book.table("audio")[5].tolist() == [1.0, -1.0, 1.0]
    assert float(book.distances("audio", z.detach())[0, 5]) == pytest.approx(
        math.sqrt(0.25 + 1), rel=1e-6
    )
    weight = torch.tensor([1.0, 2.0, 3.0])
    (quantized.vectors["audio"] @ weight).sum().backward()
    torch.testing.assert_close(z.grad, weight.expand(3, 3))  # straight through
    assert book.size == of_kind({"kind": "lfq", "bits": 3}).size == 8


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_the_loss_of_lfq_by_a_slow_oracle(gamma):
    more = {"entropy_loss_weight": 0.3, "diversity_gamma": gamma, "commitment_loss_weight": 0.2}
    book, steps = make("lfq", width=2, bits=2, **more), steps_of()
    z = {m: 0.01 * x for m, x in features(4, 3, width=2).items()}
    rows = np.concatenate([x[steps.mask(m)].double().numpy() for m, x in z.items()])
    corners = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)])
    each = np.exp(200.0 * rows @ corners.T)
    each /= each.sum(1, keepdims=True)
    entropies = [-sum(p * math.log(max(p, 1e-5)) for p in row) for row in (*each, each.mean(0))]
    apart = ((rows - np.where(rows > 0, 1, -1)) ** 2).mean()
    told = 0.3 * (np.mean(entropies[:-1]) - gamma * entropies[-1]) + 0.2 * apart
    assert float(book.loss(z, steps)) == pytest.approx(told, rel=1e-4)


# ---- SimVQ --------------------------------------------------------------------------------------


def test_simvq_finds_the_nearest_mapped_code_by_a_slow_oracle():
    book, z = make("simvq"), features(4, 3)["audio"]
    fixed, weight = (x.double().numpy() for x in book.state_dict().values())
    mapped = np.array([[weight[i] @ row for i in range(D)] for row in fixed])
    quantized = book({"audio": z})
    for clip in range(4):
        for step in range(3):
            x = z[clip, step].double().numpy()
            apart = [math.dist(x, code) for code in mapped]
            index = int(quantized.indices["audio"][clip, step])
            assert index == apart.index(min(apart))
            assert quantized.codes["audio"][clip, step].tolist() == pytest.approx(
                mapped[index].tolist(), rel=1e-5, abs=1e-6
            )
            found = book.distances("audio", z)[clip, step].tolist()
            assert found == pytest.approx(apart, rel=1e-4)


def test_the_loss_of_simvq_by_hand_and_what_it_trains():
    """Mean squares (x - q)^2: 1 of the codes' pull, 0.25 of the features', twice."""
    book = make("simvq", width=1, names=["audio"], size=2, commitment_weight=2.0)
    book.module.frozen_codebook.copy_(torch.tensor([[1.0], [10.0]]))
    book.module.code_transform.weight.data.fill_(2.0)
    z = {"audio": torch.tensor([[[3.0], [19.0]]], requires_grad=True)}
    loss = book.loss(z, Steps.of(z))
    assert float(loss.detach()) == pytest.approx(2 * 1.25 * (1 + 1) / 2)  # codes 2 and 20
    loss.backward()
    assert z["audio"].grad.flatten().tolist() == pytest.approx([0.5, -0.5])  # 2 * 0.25 * 2 / 2
    # d/dw of ((w - 3)^2 + (10 w - 19)^2) / 2, twice
    assert float(book.module.code_transform.weight.grad) == pytest.approx(2 * (-1 + 10))
    assert [n for n, _ in book.named_parameters()] == ["module.code_transform.weight"]


@pytest.mark.parametrize("rotated", [True, False])
def test_simvq_is_the_library_s_forward(rotated):
    """Written out; vectors, indices, loss and gradients."""
    book = make("simvq", size=12, rotation_trick=rotated)
    found = []
    for forward in (
        lambda z: book.run(z, True),
        lambda z: (x.squeeze(0) for x in book.module(z[None])),
    ):
        z = features(50)["audio"].requires_grad_()
        vectors, indices, loss = forward(z)
        own = torch.autograd.grad(vectors.square().sum() + loss, [z, *book.parameters()])
        found.append([vectors, indices, loss, *own])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["simvq", "residual-vq"])
def test_the_gradient_goes_straight_through_or_is_rotated(kind):
    """R turns x / |x| to q / |q|, and q = s R x; the gradient is s R^T g."""
    g = torch.randn(D, generator=chance(1))
    for rotated in (False, True):
        book = make(
            kind, size=12, rotation_trick=rotated, **({"levels": 1} if "res" in kind else {})
        )
        z = features(2, 3)["audio"].requires_grad_()
        quantized = book({"audio": z})
        (quantized.vectors["audio"] @ g).sum().backward()
        x, q = z.detach(), quantized.codes["audio"]
        told = g.expand_as(x)
        if rotated:
            u, v = (y / y.norm(dim=-1, keepdim=True) for y in (x, q))
            w = (u + v) / (u + v).norm(dim=-1, keepdim=True)
            outer = lambda a, b: a[..., :, None] * b[..., None, :]  # noqa: E731
            turn = torch.eye(D) - 2 * outer(w, w) + 2 * outer(v, u)
            scale = (q.norm(dim=-1) / x.norm(dim=-1))[..., None]
            torch.testing.assert_close(scale * (turn @ x[..., None])[..., 0], q)
            told = scale * (turn.mT @ g)
        torch.testing.assert_close(z.grad, told)


def test_a_feature_of_zero_has_its_code_though_the_library_rotates_it_to_zero():
    book = make("simvq")
    z = torch.zeros(1, D)
    quantized = book({"audio": z.requires_grad_()})
    assert not book.module(z[None])[0].any()
    torch.testing.assert_close(quantized.vectors["audio"], quantized.codes["audio"])
    assert quantized.codes["audio"].any()


# ---- residual VQ --------------------------------------------------------------------------------


def test_residual_vq_by_hand():
    """12.4: the nearest of (0, 10) leaves 2.4, the nearest of (0, 2) leaves 0.4."""
    book = make("residual-vq", width=1, names=["audio"], size=2, levels=2, kmeans_init=False)
    for layer, codes in zip(book.module.layers, ([0.0, 10.0], [0.0, 2.0]), strict=True):
        state = layer.state_dict()
        state["_codebook.embed"] = state["_codebook.embed_avg"] = torch.tensor(codes)[None, :, None]
        layer.load_state_dict(state)
    z = torch.tensor([[12.4], [0.9], [11.1]])
    quantized = book({"audio": z})
    assert quantized.indices["audio"].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert quantized.codes["audio"].tolist() == [[12.0], [0.0], [12.0]]
    coarse = torch.tensor([[1, -1], [-1, 1]])
    assert book.vectors("audio", coarse).tolist() == [[10.0], [2.0]]
    torch.testing.assert_close(
        book.distances("audio", z[:1]), torch.tensor([[[12.4, 2.4], [2.4, 0.4]]])
    )
    # Commitment of both levels: to 10 or 0, and what they leave to 2 or 0.
    told = (2.4**2 + 0.9**2 + 1.1**2) / 3 + (0.4**2 + 0.9**2 + 0.9**2) / 3
    assert float(book.loss({"audio": z}, quantized.steps).detach()) == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 3.0])
def test_residual_vq_moves_as_the_library_moves_it_on_the_steps_that_exist(threshold):
    """Its own forward on the tokens of all modalities, in training, from the same chance."""
    more = {"size": 7, "levels": 3, "threshold_ema_dead_code": threshold}
    book, steps = make("residual-vq", **more), steps_of()
    other = deepcopy(book.module).train()
    for step in range(4):
        z = features(4, 3, seed=step)
        garbage = {m: x.masked_fill(~steps.mask(m)[..., None], 99.0) for m, x in z.items()}
        draw = book.draw(chance(step))
        seed = int(torch.randint(2**31, (1,), generator=chance(step)))
        book.update(book.lookup(garbage, steps), draw)
        with seeded(seed):
            other(torch.cat([x[steps.mask(m)] for m, x in z.items()])[None])
        assert same(book.module.state_dict(), other.state_dict())
    used = book.module.layers[0].state_dict()["_codebook.cluster_size"]
    assert bool((used >= threshold).all())


def test_kmeans_starts_levels_on_what_is_left_and_the_same_seed_on_the_same_codes():
    """Tokens 0, 1, 10, 11: means 0.5 and 10.5, which leave -0.5 and 0.5."""
    z = {"audio": torch.tensor([[0.0], [1.0], [10.0], [11.0]])}
    more = {"width": 1, "names": ["audio"], "size": 2, "levels": 2}
    for seed in range(5):
        book = make("residual-vq", **more, kmeans_init=False)
        assert not book.starts_on_data
        book = build_quantizer(["audio"], 1, of_kind({"kind": "residual-vq", "size": 2}), chance())
        drawn = torch.get_rng_state()
        book.start_from(z, chance(seed))
        assert torch.equal(drawn, torch.get_rng_state())
        first, second = (sorted(x.flatten().tolist()) for x in book.table("audio"))
        assert first == pytest.approx([0.5, 10.5], abs=1e-3)
        assert second == pytest.approx([-0.5, 0.5], abs=1e-3)
        again = deepcopy(book)
        again.start_from(z, chance(seed))
        assert same(book.state_dict(), again.state_dict())


def test_a_start_on_fewer_tokens_than_codes_is_refused():
    book = build_quantizer(NAMES, D, of_kind({"kind": "residual-vq", "size": 7}), chance())
    with pytest.raises(ConfigError, match=r"only 6 tokens .* model.codebook.kmeans_init=false"):
        book.start_from(features(2), chance())


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kind": "fsq", "levels": (8, 2)}, "greater than or equal to 3"),
        ({"kind": "fsq", "levels": ()}, "at least 1 item"),
        ({"kind": "fsq", "levels": (8,) * 6}, "262144 codes, and at most 65536 can be listed"),
        ({"kind": "lfq", "bits": 17}, "less than or equal to 16"),
        ({"kind": "lfq", "size": 64}, "size is an option of kind shared, .* the kind is lfq"),
        ({"kind": "simvq", "size": 70000}, "less than or equal to 65536"),
        ({"kind": "residual-vq", "decay": 1.0}, "less than 1"),
    ],
)
def test_options_are_checked(told, said):
    with pytest.raises(ValueError, match=said):
        of_kind(told)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_package_the_remedy_is_named(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    with pytest.raises(ConfigError, match=rf"kind={kind} needs .*pip install 'cmg-torch\[quant"):
        make(kind)


def test_fsq_has_no_loss_of_its_own():
    z = features(4, 3)
    with pytest.raises(ConfigError, match=r"kind=fsq has no loss of its own; set objectives"):
        make("fsq").loss(z, Steps.of(z))
