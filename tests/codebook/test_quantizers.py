"""Every kind of quantizer behind the one interface: laws, and what each is by hand."""

from __future__ import annotations

import itertools
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from cmg.codebook import CodebookOptions, Quantizer, SharedCodebook, quantizers, random_reset
from cmg.codebook.distances import distance_to_codes
from cmg.codebook.kinds import build_quantizer, of_kind
from cmg.errors import ConfigError, ModalityError
from cmg.types import Steps

NAMES, D, K = ("audio", "video", "text"), 6, 5
KINDS = {
    "shared": {},
    "tied": {},
    "row": {"kind": "tied", "heads": "row"},
    "aligned": {"kind": "tied", "heads": "row", "writes": "segment", "alignment": "mean"},
    "residual": {"levels": 3},
    "product": {"groups": 3},
    "alike": {"kind": "product", "groups": 3, "shared": True},
    "learned": {},
    "corrected": {"kind": "tied", "ema": {"correction": True, "initial_count": 0.0}},
}
DISTANCES = ("euclidean", "cosine")
ALL = list(itertools.product(KINDS, DISTANCES))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def make(kind, distance="euclidean", width=D, seed=0, **more) -> Quantizer:
    given = {"kind": kind, "size": K, "distance": distance} | KINDS[kind] | more
    book = build_quantizer(NAMES, width, of_kind(given), chance(seed))
    features = {m: torch.randn(20, width, generator=chance(seed + i)) for i, m in enumerate(NAMES)}
    book.start_from(features, chance(seed))
    return book


def features(*shape, seed=9):
    return {m: torch.randn(*shape, D, generator=chance(seed + i)) for i, m in enumerate(NAMES)}


@pytest.mark.parametrize(("kind", "distance"), ALL)
@pytest.mark.parametrize("shape", [(4, 3), (7,)])
def test_vectors_of_indices_are_those_of_the_lookup(kind, distance, shape):
    """What `decode` gives is what heads saw, and -1 is the zero vector."""
    for seed in range(5):
        book, z = make(kind, distance, seed=seed), features(*shape, seed=seed)
        quantized = book(z)
        levels = () if book.levels is None else (book.levels,)
        for m, indices in quantized.indices.items():
            assert indices.shape == (*shape, *levels)
            assert 0 <= int(indices.min()) <= int(indices.max()) < book.size == K
            seen = book.vectors(m, indices)
            assert seen.shape == (*shape, book.width)
            torch.testing.assert_close(seen, quantized.vectors[m])
            assert quantized.codes[m].shape == z[m].shape
            if kind not in ("row", "aligned"):
                assert torch.equal(seen, quantized.codes[m])
            assert not book.vectors(m, torch.full_like(indices, -1)).any()


@pytest.mark.parametrize(("kind", "distance"), ALL)
def test_the_index_is_the_nearest_by_the_distances(kind, distance):
    """Of the table of each level, too; and posteriors are the stated softmax."""
    book, z = make(kind, distance), features(4, 3)
    quantized = book.lookup(z)
    for m, x in z.items():
        distances = book.distances(m, x)
        table = book.table(m)
        assert distances.shape == (*quantized.indices[m].shape, K)
        assert table.shape[:-1] == (*quantized.indices[m].shape[2:], K)
        assert torch.equal(distances.argmin(-1), quantized.indices[m])
        soft = (-distances.square() / (0.1 * table.shape[-1])).softmax(-1)
        torch.testing.assert_close(book.posterior(m, x, 0.1), soft)


@pytest.mark.parametrize(("kind", "distance"), ALL)
def test_the_gradient_passes_straight_through_and_through_distances(kind, distance):
    book, z = make(kind, distance), {m: x.requires_grad_() for m, x in features(4, 3).items()}
    weight = torch.randn(book.width, generator=chance(1))
    quantized = book.lookup(z)
    (quantized.vectors["audio"] @ weight).sum().backward()
    own = weight[:D]  # the first segment of a row is the audio's
    torch.testing.assert_close(z["audio"].grad, own.expand(4, 3, D))
    assert z["video"].grad is None
    assert not any(e.requires_grad for e in quantized.codes.values())
    book.distances("video", z["video"]).sum().backward()
    assert bool(z["video"].grad.isfinite().all())
    assert bool(z["video"].grad.any())


@pytest.mark.parametrize(("kind", "distance"), ALL)
def test_nothing_but_update_changes_it_and_the_same_draw_gives_the_same_bits(kind, distance):
    reset = {"patience": 1, "active": 1, "source": "tokens"}
    one, other = (make(kind, distance, reset=reset) for _ in range(2))
    before = {n: x.clone() for n, x in one.state_dict().items()}
    for seed in range(6):
        z = features(4, 3, seed=seed)
        quantized = one.lookup(z)
        one.measures(quantized), one.posterior("audio", z["audio"], 1.0)
        assert all(torch.equal(x, other.state_dict()[n]) for n, x in one.state_dict().items())
        one.update(quantized, one.draw(chance(seed)))
        other.update(other.lookup(z), other.draw(chance(seed)))
    after = one.state_dict()
    assert all(torch.equal(x, other.state_dict()[n]) for n, x in after.items())
    moved = [not torch.equal(x, after[n]) for n, x in before.items() if n.endswith("codes")]
    assert all(moved) is (kind != "learned")  # whose codes are the optimizer's
    torch.manual_seed(3)  # without a draw it takes torch's own chance
    one.update(one.lookup(z))
    torch.manual_seed(3)
    other.update(other.lookup(z), None)
    assert all(torch.equal(x, other.state_dict()[n]) for n, x in one.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_batch_is_what_counts_not_how_it_was_encoded(kind):
    """Clips looked up apart and gathered give the update of the batch: ranks, micro-batches."""
    whole, z = make(kind), features(6, 3)
    parts, gathered = make(kind), {}
    for m, x in z.items():
        found = [parts.lookup({m: half}) for half in x.split(3)]
        gathered[m] = torch.cat([q.indices[m] for q in found])
    quantized = whole.lookup(z)
    assert all(torch.equal(x, gathered[m]) for m, x in quantized.indices.items())
    lengths = {"audio": torch.tensor([3, 3, 2, 0, 1, 3]), "video": torch.full((6,), 3)}
    steps = Steps(6, 3, lengths | {"text": torch.tensor([0, 3, 3, 3, 3, 3])})
    for book in (whole, parts):
        book.update(book.lookup(z, steps), random_reset(chance(), 0.0))
    assert all(torch.equal(x, parts.state_dict()[n]) for n, x in whole.state_dict().items())
    garbage = {m: x.masked_fill(~steps.mask(m)[..., None], 99.0) for m, x in z.items()}
    other = make(kind)
    other.update(other.lookup(garbage, steps), random_reset(chance(), 0.0))
    for n, x in whole.state_dict().items():  # what stands at steps that do not exist is nothing
        torch.testing.assert_close(x, other.state_dict()[n])


@pytest.mark.parametrize(("kind", "distance"), ALL)
def test_full_precision_whatever_the_autocast(kind, distance):
    book, z = make(kind, distance), features(4, 3)
    plain = book.lookup(z)
    with torch.autocast("cpu", torch.bfloat16):
        inside = book.lookup(z)
        assert torch.equal(
            book.distances("audio", z["audio"]), make(kind, distance).distances("audio", z["audio"])
        )
        low = book.lookup({m: x.bfloat16() for m, x in z.items()})
        book.update(low, book.draw(chance()))
    assert all(torch.equal(x, plain.indices[m]) for m, x in inside.indices.items())
    rounded = make(kind, distance).lookup({m: x.bfloat16().float() for m, x in z.items()})
    assert all(torch.equal(x, rounded.indices[m]) for m, x in low.indices.items())
    assert {x.dtype for x in book.state_dict().values()} == {torch.float32, torch.int64}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_lookup_compiles_as_one_graph(kind):
    book, z = make(kind), features(2, 3)
    torch.compiler.reset()
    found = torch.compile(book, fullgraph=True, backend="eager")(z)
    assert all(torch.equal(x, book(z).indices[m]) for m, x in found.indices.items())


@pytest.fixture
def alone(tmp_path):
    """A process group of this process."""
    dist.init_process_group("gloo", f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Net(nn.Module):
    """A layer of one's own before a quantizer."""

    def __init__(self, book):
        super().__init__()
        self.layer, self.book = nn.Linear(D, D), book

    def forward(self, z):
        return self.book({m: self.layer(x) for m, x in z.items()})


@pytest.mark.parametrize("kind", ["tied", "product"])
def test_in_data_parallel_it_is_what_it_is_alone(alone, kind):
    torch.manual_seed(0)
    plain = Net(make(kind))
    parallel = DistributedDataParallel(deepcopy(plain))
    for seed in range(3):
        for net in (plain, parallel):
            quantized = net(features(4, 3, seed=seed))
            torch.stack([x.square().mean() for x in quantized.vectors.values()]).sum().backward()
            book = net.module.book if net is parallel else net.book
            book.update(quantized, book.draw(chance(seed)))
    state = parallel.module.state_dict()
    assert all(torch.equal(x, state[n]) for n, x in plain.state_dict().items())
    torch.testing.assert_close(plain.layer.weight.grad, parallel.module.layer.weight.grad)


# ---- what each kind is --------------------------------------------------------------------------


def test_shared_distances_and_update_are_those_of_its_codes():
    book, z = make("shared"), features(4, 3)
    assert torch.equal(book.distances("text", z["text"]), distance_to_codes(z["text"], book.codes))
    assert list(book.state_dict()) == ["codes", "counts", "sums", "idle"]


def test_residual_by_hand():
    """12.4: the nearest of (0, 10) leaves 2.4, the nearest of (0, 2) leaves 0.4: 10 + 2."""
    options = of_kind({"kind": "residual", "size": 2, "levels": 2, "start": "uniform"})
    book = build_quantizer(["audio"], 1, options)
    book.books[0].codes.copy_(torch.tensor([[0.0], [10.0]]))
    book.books[1].codes.copy_(torch.tensor([[0.0], [2.0]]))
    for one in book.books:
        one.sums.copy_(one.codes)  # N is 1
    z = {"audio": torch.tensor([[12.4], [0.9], [11.1]])}
    quantized = book(z)
    assert quantized.indices["audio"].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert quantized.codes["audio"].tolist() == [[12.0], [0.0], [12.0]]
    coarse = torch.tensor([[1, -1], [-1, 1]])
    assert book.vectors("audio", coarse).tolist() == [[10.0], [2.0]]
    torch.testing.assert_close(
        book.distances("audio", z["audio"][:1]), torch.tensor([[[12.4, 2.4], [2.4, 0.4]]])
    )
    # Level 2 is moved by what level 1 left *before* its own move; decay 0.99.
    book.update(quantized)
    n = 0.99 + 0.01 * 2
    moved = [book.books[i].codes[1].item() for i in (0, 1)]
    assert moved == pytest.approx([(9.9 + 0.01 * 23.5) / n, (1.98 + 0.01 * 3.5) / n], rel=1e-5)


def test_product_groups_are_shared_codebooks_of_their_dimensions():
    book, z = make("product"), features(4, 3)
    quantized = book.lookup(z)
    for group in range(3):
        own = SharedCodebook(NAMES, 2, CodebookOptions(size=K))
        own.load_state_dict(book.books[group].state_dict())
        part = {m: x[..., 2 * group : 2 * group + 2] for m, x in z.items()}
        found = own.lookup(part)
        assert torch.equal(found.indices["audio"], quantized.indices["audio"][..., group])
        assert torch.equal(
            found.codes["audio"], quantized.codes["audio"][..., 2 * group : 2 * group + 2]
        )


def test_groups_that_share_a_codebook_move_it_one_after_the_other():
    given = {"kind": "product", "size": 2, "groups": 2, "shared": True, "start": "uniform"}
    book = build_quantizer(["audio"], 2, of_kind(given | {"ema": {"partner": "none"}}))
    assert book.books[0] is book.books[1]
    one = book.books[0]
    one.codes.copy_(torch.tensor([[0.0], [10.0]]))
    one.sums.copy_(one.codes)
    z = {"audio": torch.tensor([[9.0, 1.0], [11.0, 12.0]])}
    quantized = book(z)
    assert quantized.indices["audio"].tolist() == [[1, 0], [1, 1]]
    book.update(quantized)
    first = (0.99 * 10 + 0.01 * 20) / (n := 0.99 + 0.02)
    rows = [0.01 * 1 / (0.99 * 0.99 + 0.01), (0.99 * first * n + 0.01 * 12) / (0.99 * n + 0.01)]
    torch.testing.assert_close(one.codes[:, 0], torch.tensor(rows))
    assert book.table("audio").shape == (2, 2, 1)


def test_groups_that_share_a_codebook_start_on_what_all_of_them_are_given():
    given = {"kind": "product", "size": 6, "groups": 3, "shared": True}
    book = build_quantizer(["audio"], 6, of_kind(given))
    z = features(2)["audio"]
    book.start_from({"audio": z}, chance())
    rows = {tuple(x) for x in z.view(6, 2).tolist()}
    assert {tuple(x) for x in book.books[0].codes.tolist()} == rows


@pytest.mark.parametrize("kind", ["shared", "tied"])
@pytest.mark.parametrize("smoothing", [False, True])
def test_corrected_averages_are_weighted_means_of_what_was_seen(kind, smoothing):
    """After n steps that of step i weighs gamma^(n - i); a code that was not used is 0 or stays."""
    ema = {"correction": True, "initial_count": 0.0, "partner": "none", "smoothing": smoothing}
    given = {"kind": kind, "size": 3, "start": "uniform", "ema": ema | {"decay": 0.9}}
    book = build_quantizer(["audio"], 1, of_kind(given)).double()
    codes = torch.tensor([[0.0], [10.0], [99.0]], dtype=torch.float64)
    book.codes.copy_(codes if kind == "shared" else codes[None])
    seen = [[1.0, 9.0, 8.0], [2.0, 2.5, 11.0]]
    for values in seen:
        book.update(book({"audio": torch.tensor(values, dtype=torch.float64)[:, None]}))
    weighed = {0: ([0.9 * 1.0, 2.0, 2.5], 0.9 + 2), 1: ([0.9 * 17.0, 11.0], 0.9 * 2 + 1)}
    found = book.table("audio")[:, 0].tolist()
    seen_in_all, mass = 0.1 / (1 - 0.9**2), 3.0
    for code, (sums, count) in weighed.items():
        n = count * seen_in_all
        if smoothing:
            n = (n + 1e-5) / (mass + 3e-5) * mass
        assert found[code] == pytest.approx(sum(sums) * seen_in_all / n, rel=1e-9)
    assert found[2] == (0.0 if smoothing else 99.0)
    assert book.moves == 2


def test_the_first_batch_of_corrected_averages_is_what_codes_become():
    """Of what codes started on nothing is left."""
    book = make("shared", ema={"correction": True, "initial_count": 0.0, "partner": "none"})
    z = features(4, 3)
    quantized = book.lookup(z)
    book.update(quantized)
    x, i = (torch.cat([y[m].flatten(0, 1) for m in NAMES]) for y in (z, quantized.indices))
    for code in i.unique():
        torch.testing.assert_close(book.codes[code], x[i == code].mean(0))


def test_tied_by_hand():
    """A row starts as one vector; every pick writes all segments, each with its own feature."""
    given = {"kind": "tied", "size": 2, "start": "uniform", "heads": "row"}
    book = build_quantizer(["audio", "video"], 1, of_kind(given | {"ema": {"partner": "none"}}))
    book.codes.copy_(torch.tensor([[[0.0], [10.0]]] * 2))
    book.sums.copy_(book.codes)
    z = {"audio": torch.tensor([[9.0], [1.0]]), "video": torch.tensor([[11.0], [9.0]])}
    quantized = book(z)
    assert quantized.indices["audio"].tolist() == [1, 0]
    assert quantized.indices["video"].tolist() == [1, 1]
    assert quantized.vectors["video"].tolist() == [[10.0, 10.0], [10.0, 10.0]]
    book.update(quantized)
    # Row 0 is picked once, by the audio's step 2; row 1 by step 1 twice and by the video's step 2.
    once, thrice = 0.99 + 0.01, 0.99 + 0.03
    audio = [0.01 * 1 / once, (9.9 + 0.01 * (9 + 9 + 1)) / thrice]
    video = [0.01 * 9 / once, (9.9 + 0.01 * (11 + 11 + 9)) / thrice]
    torch.testing.assert_close(book.codes[..., 0], torch.tensor([audio, video]))
    assert torch.equal(book.table("video"), book.codes[1])
    assert book.vectors("audio", torch.tensor([0])).tolist() == [book.codes[:, 0, 0].tolist()]
    assert (book.width, book.feature_width) == (2, 1)


def test_tied_rows_restart_as_a_whole():
    book = make("tied", reset={"patience": 1, "active": 1})
    book.idle.copy_(torch.tensor([[0, 0, 5, 0, 0]] * 3))
    before = book.codes.clone()
    quantized = book.lookup(features(1, 1))
    quantized.indices = {m: torch.tensor([[3]]) for m in NAMES}
    book.revive(
        quantized,
        lambda resets, sources, width: (torch.zeros(1, dtype=torch.int64), torch.full((1, D), 0.5)),
    )
    torch.testing.assert_close(book.codes[:, 2], before[:, 3] + 0.5)
    assert torch.equal(book.counts[:, 2], torch.ones(3))
    assert torch.equal(book.sums[:, 2], book.codes[:, 2])


def test_cosine_looks_at_directions_alone():
    for seed in range(5):
        book = make("shared", "cosine", seed=seed)
        z = torch.randn(9, D, generator=chance(seed))
        scale = torch.rand(9, 1, generator=chance(seed)) * 100 + 0.01
        found = book.lookup({"audio": z}).indices["audio"]
        assert torch.equal(book.lookup({"audio": z * scale}).indices["audio"], found)
        cosine = functional.normalize(z) @ functional.normalize(book.codes).T
        assert torch.equal(cosine.argmax(1), found)
        square = book.distances("audio", z).square()
        torch.testing.assert_close(square, 2 * D * (1 - cosine), rtol=1e-3, atol=1e-4)


def test_cosine_takes_zero_and_kmeans():
    book = make("shared", "cosine", start="kmeans")
    assert bool(book.codes.isfinite().all())
    assert bool(book.distances("audio", torch.zeros(1, D)).isfinite().all())


def test_continuous_is_the_features():
    book = build_quantizer(NAMES, D, of_kind({"kind": "none"}))
    z = features(4, 3)
    quantized = book(z)
    assert quantized.indices == quantized.codes == {} == book.measures(quantized)
    assert all(quantized.vectors[m] is x for m, x in z.items())
    assert (book.levels, book.size, book.width, book.state_dict()) == (0, 0, D, {})
    book.update(quantized)
    for refused in (
        lambda: book.vectors("audio", torch.zeros(1, dtype=torch.int64)),
        lambda: book.table("audio"),
        lambda: book.distances("audio", z["audio"]),
        lambda: book.posterior("audio", z["audio"], 1.0),
    ):
        with pytest.raises(ConfigError, match=r"continuous \(model.codebook.kind=none\)"):
            refused()


def test_repr_says_what_it_is():
    said = repr(make("residual"))
    assert "residual: levels=3, size=5, width=6, modalities=audio+video+text" in said
    assert "shared: size=5, width=6, modalities=audio+video+text" in repr(make("shared"))


# ---- measures -----------------------------------------------------------------------------------


def test_measures_per_level_and_of_the_tuple():
    """Two levels, two modalities, four steps; tuples (0,0) (0,1) (1,1) (1,1) and (0,0) (0,0) ..."""
    options = of_kind({"kind": "product", "size": 4, "groups": 2})
    book = build_quantizer(["audio", "video"], 2, options)
    z = {m: torch.zeros(1, 4, 2) for m in ("audio", "video")}
    quantized = book(z)
    quantized.indices = {
        "audio": torch.tensor([[[0, 0], [0, 1], [1, 1], [1, 1]]]),
        "video": torch.tensor([[[0, 0], [0, 0], [1, 1], [1, 0]]]),
    }
    found = {k: float(x) for k, x in book.measures(quantized).items()}
    assert found["level1/agreement"] == 1.0
    assert found["level2/agreement"] == 0.5
    assert found["agreement"] == 0.5
    assert found["level1/code_usage"] == found["level2/code_usage"] == found["code_usage"] == 0.5
    assert found["level1/perplexity/audio"] == pytest.approx(2.0)
    assert found["perplexity/audio"] == pytest.approx(2**1.5)  # shares 1/4, 1/4, 1/2
    assert found["clip_agreement"] == 0.0  # (1, 1) and (0, 0) are the commonest tuples


def test_single_steps_are_measured_too():
    book, z = make("shared"), features(7)
    timed = {m: x[:, None] for m, x in z.items()}
    one, other = book.measures(book(z)), book.measures(book(timed))
    assert {k: float(x) for k, x in one.items()} == {k: float(x) for k, x in other.items()}


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda b: b({"adio": torch.zeros(2, D)}), ModalityError, "did you mean 'audio'"),
        (
            lambda b: b({"audio": torch.zeros(2, 5)}),
            ModalityError,
            r"\[2, 5\].*\[B, T, 6\] or \[N, 6\]",
        ),
        (
            lambda b: b.vectors("audio", torch.zeros(2, 2, dtype=torch.int64)),
            ConfigError,
            "3 levels",
        ),
        (lambda b: b.vectors("adio", torch.zeros(2, 3, dtype=torch.int64)), ModalityError, "audio"),
        (lambda b: b.need_one_level("a thing", "use x"), ConfigError, "3 levels.*a thing.*use x"),
    ],
)
def test_what_does_not_fit_is_named(call, error, said):
    with pytest.raises(error, match=said):
        call(make("residual"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "residul"}, "unknown quantizer 'residul' .did you mean 'residual'"),
        (
            {"levels": 2},
            "levels is an option of kind residual, fsq, residual-vq, and the kind is shared",
        ),
        ({"kind": "none", "size": 8}, "size is an option of kind shared"),
        ({"size": "8"}, "valid integer"),
        ({"siez": 8}, "siez"),
        ({"ema": {"correction": True}}, "set model.codebook.ema.initial_count=0"),
        (3, "group of options"),
    ],
)
def test_options_of_a_kind(given, said):
    with pytest.raises(ValueError, match=said):
        of_kind(given)


def test_the_registry_has_them_all():
    assert {"shared", "tied", "residual", "product", "none"} <= set(quantizers)
    for name, entry in quantizers.items():
        assert entry.part.kind == name == entry.options().kind


def test_in_a_module_of_ones_own_it_moves_with_it():
    """`to`, `state_dict` and a copy in float64: a quantizer is a module like any other."""
    net = nn.Sequential(make("product")).double()
    z = {m: x.double() for m, x in features(4, 3).items()}
    assert net(z).vectors["audio"].dtype == torch.float64
    again = nn.Sequential(make("product", seed=5)).double()
    again.load_state_dict(net.state_dict())
    assert torch.equal(net(z).indices["text"], again(z).indices["text"])


def test_the_page_s_loop_runs():
    page = Path(__file__).parents[2] / "docs" / "quantizers.md"
    told = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(told, names)
    assert names["quantized"].indices["video"].shape == (32, 10, 8)
    assert set(names["book"].state_dict()) == {
        f"books.{i}.{n}" for i in range(8) for n in ("codes", "counts", "sums", "idle")
    }
