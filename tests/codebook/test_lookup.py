"""Nearest codes and distances, against brute force in float64."""

import numpy as np
import pytest
import torch

from cmg.codebook.distances import distance_to_codes, nearest_code, squared_gap
from cmg.codebook.kinds import of_kind
from cmg.types import Steps

DTYPES = [torch.float32, torch.float64]


def brute_force(z, codes):
    """Nearest code of every feature by explicit differences in float64; first one on a tie."""
    z, codes = (np.asarray(x, dtype=np.longdouble) for x in (z, codes))
    return np.array([((codes - one) ** 2).sum(1).argmin() for one in z])


def far_apart(tokens=200, size=40, width=64, seed=0):
    """Features close to their code, codes much further from each other: no near ties."""
    g = torch.Generator().manual_seed(seed)
    codes = torch.randn(size, width, generator=g, dtype=torch.float64)
    picks = torch.randint(size, (tokens,), generator=g)
    noise = torch.randn(tokens, width, generator=g, dtype=torch.float64)
    return codes[picks] + 0.3 * noise, codes, picks


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e10, 1e20])
def test_nearest_at_every_scale(dtype, scale):
    z, codes, picks = (x * scale if x.is_floating_point() else x for x in far_apart())
    assert brute_force(z, codes).tolist() == picks.tolist()
    found = nearest_code(z.to(dtype), codes.to(dtype), codes.mean(0).to(dtype))
    assert found.tolist() == picks.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_nearest_among_crowded_codes(dtype):
    """Codes that nearly tie: whatever is chosen is as near as the nearest, to rounding."""
    g = torch.Generator().manual_seed(1)
    z = torch.randn(300, 8, generator=g, dtype=dtype)
    codes = torch.randn(500, 8, generator=g, dtype=dtype)
    found = nearest_code(z, codes, torch.zeros(8, dtype=dtype))
    square = torch.cdist(z.double(), codes.double()).square()
    chosen = square.gather(1, found[:, None])[:, 0]
    rounding = 20 * torch.finfo(dtype).eps
    assert (chosen - square.amin(1)).max() <= rounding * square.amax()
    agreeing = (found.numpy() == brute_force(z, codes)).mean()
    assert agreeing >= (1.0 if dtype == torch.float64 else 0.99)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_feature_on_a_code_finds_it(make_codebook, dtype, offset):
    """A common offset of 1e4 would drown the differences if distances were not centered."""
    g = torch.Generator().manual_seed(2)
    codes = (offset + torch.randn(50, 256, generator=g, dtype=dtype)).contiguous()
    order = torch.randperm(50, generator=g)
    book = make_codebook(codes, counts=torch.rand(50, generator=g, dtype=dtype))
    indices = book.lookup({"audio": codes[order].view(5, 10, 256)}, Steps(5, 10)).indices
    assert indices["audio"].flatten().tolist() == order.tolist()


def test_nearest_beside_a_common_offset(make_codebook):
    z, codes, picks = far_apart()
    book = make_codebook((codes + 1e4).float(), counts=torch.rand(40) + 0.1)
    found = book.lookup({"audio": (z + 1e4).float()[None]}, Steps(1, 200))
    assert found.indices["audio"][0].tolist() == picks.tolist()


@pytest.mark.parametrize("size", [1e6, 1e15, 1e25])
def test_unused_exploded_codes_do_not_disturb(make_codebook, size):
    """As coded, unused codes leave by orders of magnitude; their count is next to nothing."""
    z, codes, picks = far_apart()
    exploded = torch.randn(30, 64, generator=torch.Generator().manual_seed(3)) * size
    everything = torch.cat([codes.float(), exploded])
    counts = torch.cat([torch.ones(40), torch.zeros(30)])
    book = make_codebook(everything, counts=counts)
    found = book.lookup({"audio": z.float()[None]}, Steps(1, 200))
    assert found.indices["audio"][0].tolist() == picks.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_tie_takes_the_smallest_index(dtype):
    codes = torch.tensor([[3, 0], [0, 1], [1, 0], [0, -1], [-1, 0], [0, 1]], dtype=dtype)
    z = torch.tensor([[0, 0], [1, 1], [-1, -1], [0, 2]], dtype=dtype)
    found = nearest_code(z, codes, torch.zeros(2, dtype=dtype))
    assert found.tolist() == [1, 1, 3, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_identical_codes_are_one_choice(dtype):
    """The second half repeats the first: whichever twin is picked, the vector is the same."""
    g = torch.Generator().manual_seed(4)
    half = torch.randn(200, 256, generator=g, dtype=dtype)
    z = torch.randn(800, 256, generator=g, dtype=dtype)
    single = nearest_code(z, half, half.mean(0))
    assert torch.equal(nearest_code(z, torch.cat([half, half]), half.mean(0)) % 200, single)


def test_center_is_the_median_of_the_busiest_codes(make_codebook):
    """65 codes: the one with the smallest count is left out, one far away does not matter."""
    codes = torch.arange(65.0)[:, None].expand(65, 2).clone()
    counts = torch.ones(65)
    counts[0], codes[64] = 0.0, 1e6
    book = make_codebook(codes, counts=counts)
    assert book.center(book.counts, book.codes).tolist() == [32.0, 32.0]


@pytest.mark.parametrize("size", [1e3, 1e4, 1e5, 1e6, 1e15])
def test_a_single_counted_code_far_away_does_not_disturb(make_codebook, size):
    z, codes, picks = far_apart()
    codes = torch.cat([codes, size * torch.ones(1, codes.shape[1])]).float()
    book = make_codebook(codes, counts=torch.ones(41))
    found = book.lookup({"audio": z.float()[None]}, Steps(1, 200))
    assert found.indices["audio"][0].tolist() == picks.tolist()


@pytest.mark.parametrize("size", [1e3, 1e4, 1e6])
def test_a_single_feature_far_away_does_not_disturb_the_distances_of_others(size):
    g = torch.Generator().manual_seed(8)
    codes, z = torch.randn(20, 32, generator=g), torch.randn(64, 32, generator=g)
    z[5] *= size
    exact = torch.cdist(z.double(), codes.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(distance_to_codes(z, codes).double(), exact, rtol=1e-4, atol=0)


@pytest.mark.parametrize("scale", [1e-25, 1e-10, 1e10, 1e25])
def test_features_on_codes_of_any_scale(make_codebook, scale):
    codes = torch.randn(50, 16, generator=torch.Generator().manual_seed(9)) * scale
    book = make_codebook(codes, counts=torch.ones(50))
    found = book.lookup({"audio": codes[None]}, Steps(1, 50))
    assert found.indices["audio"][0].tolist() == list(range(50))


def test_straight_through_gradient(make_codebook):
    """Vectors have the value of the code and the gradient of the feature."""
    book = make_codebook(torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
    z = torch.tensor([[[1.0, 0.5], [3.0, -0.5]]], requires_grad=True)
    found = book.lookup({"audio": z}, Steps(1, 2))
    assert found.indices["audio"].tolist() == [[0, 1]]
    assert found.vectors["audio"].tolist() == [[[0.0, 0.0], [4.0, 0.0]]]
    assert found.codes["audio"].tolist() == [[[0.0, 0.0], [4.0, 0.0]]]
    assert not found.codes["audio"].requires_grad
    assert not found.semantic["audio"].requires_grad
    weights = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    (found.vectors["audio"] * weights).sum().backward()
    assert z.grad.tolist() == weights.tolist()


def test_lookup_changes_no_buffer(make_codebook, state_of):
    book = make_codebook(torch.randn(7, 3))
    before = state_of(book)
    book.train()
    for _ in range(3):
        book.lookup({"audio": torch.randn(4, 5, 3), "video": torch.randn(4, 5, 3)}, Steps(4, 5))
    for name, value in book.state_dict().items():
        assert torch.equal(value, before[name]), name


# ---- distances that carry gradient --------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e20])
def test_distance_equals_cdist_with_its_gradients(scale):
    g = torch.Generator().manual_seed(5)
    z = scale * torch.randn(6, 7, 16, generator=g, dtype=torch.float64)
    codes = scale * torch.randn(9, 16, generator=g, dtype=torch.float64)
    weights = torch.randn(6, 7, 9, generator=g, dtype=torch.float64)
    leaves = [z.requires_grad_(), codes.requires_grad_()]
    ours = distance_to_codes(z, codes)
    exact = torch.cdist(z, codes, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(ours, exact, rtol=1e-13, atol=0)
    found = torch.autograd.grad((ours * weights).sum(), leaves)
    expected = torch.autograd.grad((exact * weights).sum(), leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e20])
def test_distance_and_its_gradient_in_float32(scale):
    z, codes, _ = far_apart(20, 6, 16)
    exact = torch.autograd.functional.jacobian(
        lambda x: torch.cdist(x, codes, compute_mode="donot_use_mm_for_euclid_dist").sum(), z
    )
    leaf = (z * scale).float().requires_grad_()
    found = distance_to_codes(leaf, (codes * scale).float())
    square = torch.cdist(z, codes, compute_mode="donot_use_mm_for_euclid_dist") * scale
    torch.testing.assert_close(found.double(), square, rtol=2e-5, atol=0)
    found.sum().backward()
    torch.testing.assert_close(leaf.grad.double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_distance_of_a_feature_on_its_code(dtype, offset):
    """Golden bug 19: here the expansion went below zero, and value and gradient were NaN."""
    g = torch.Generator().manual_seed(6)
    codes = (offset + torch.randn(20, 256, generator=g, dtype=dtype)).contiguous()
    z = codes[:12].clone().requires_grad_()
    distance = distance_to_codes(z, codes)
    exact = torch.cdist(z.double(), codes.double(), compute_mode="donot_use_mm_for_euclid_dist")
    here = torch.eye(12, 20, dtype=torch.bool)
    # Where rounding is all there is, the value is its floor: sqrt(4 eps) of the norms.
    floor = 2 * (torch.finfo(dtype).eps ** 0.5) * (2 * 256) ** 0.5
    assert (distance[here] <= 1.5 * floor).all()
    torch.testing.assert_close(distance[~here].double(), exact[~here], rtol=1e-5, atol=0)
    distance[here].sum().backward()
    assert torch.equal(z.grad, torch.zeros_like(z))  # cut, not blown up


def test_distance_when_everything_coincides():
    z = torch.ones(2, 3, 4, requires_grad=True)
    distance = distance_to_codes(z, torch.ones(5, 4))
    distance.sum().backward()
    assert distance.abs().max() < 1e-15
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_distance_beside_an_exploded_code():
    z, codes, _ = far_apart(20, 6, 16)
    exploded = torch.cat([codes, torch.full((1, 16), 1e18, dtype=codes.dtype)])
    found = distance_to_codes(z.float(), exploded.float())
    exact = torch.cdist(z, codes, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(found[:, :6].double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(found[:, 6], torch.full((20,), 4e18), rtol=1e-5, atol=0)


def test_squared_gap_by_hand():
    codes = torch.tensor([[0.0], [2.0], [10.0]])
    assert squared_gap(torch.tensor([[0.5], [1.0], [6.0]]), codes).tolist() == [2.0, 0.0, 0.0]
    assert squared_gap(torch.tensor([[0.5]]), codes[:1]).tolist() == [float("inf")]


def test_code_0_is_the_zero_vector_outside_training_where_asked_for(make_codebook):
    """Compared with, given to heads, and nowhere written: training goes on with the code."""
    codes = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    z = {"audio": torch.tensor([[[0.5, 0.4], [3.0, 0.1], [0.0, 1.9]]])}
    for first, expected in (("kept", [1, 0, 1]), ("zeroed", [0, 0, 1])):
        book = make_codebook(codes, first_code=first)
        trained = book.lookup(z)
        assert trained.indices["audio"].tolist() == [[1, 0, 1]]
        book.eval()
        found = book.lookup(z)
        assert found.indices["audio"].tolist() == [expected]
        seen = book.table("audio")
        assert torch.equal(seen[1], codes[1])
        assert torch.equal(seen[0], codes[0] * (first == "kept"))
        assert torch.equal(found.vectors["audio"], seen[torch.tensor([expected])])
        assert torch.equal(book.vectors("audio", found.indices["audio"]), found.vectors["audio"])
        nearest = book.distances("audio", z["audio"]).argmin(-1)
        assert nearest.tolist() == [expected]
        assert book.posterior("audio", z["audio"], 1e-3).argmax(-1).tolist() == [expected]
        assert torch.equal(book.codes, codes)
        book.train()
        assert torch.equal(book.lookup(z).indices["audio"], trained.indices["audio"])


@pytest.mark.parametrize("kind", ["tied", "residual", "product"])
def test_other_kinds_have_no_one_code_0(kind):
    assert of_kind({"kind": kind}).first_code == "kept"  # so that a run may change its kind
    with pytest.raises(ValueError, match=f"is of kind shared, and the kind is {kind}; set first_c"):
        of_kind({"kind": kind, "first_code": "zeroed"})
