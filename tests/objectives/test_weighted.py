"""The sum of terms: weights, terms left out, gradients, draws."""

import pytest
import torch

from cmg.codebook import CodebookOptions, ResetOptions, SharedCodebook
from cmg.errors import ConfigError
from cmg.objectives import CrossCPC, Draws, ObjectiveOptions, View, WeightedObjectives
from cmg.types import Encoded, Kind, Losses, Modality, Steps

NAMES = ["audio", "video"]
MODALITIES = [Modality(name=name, kind=Kind.VECTORS, shape=(6,), detail_width=4) for name in NAMES]
TERMS = {
    "reconstruction": {"reconstruction/audio", "reconstruction/video"},
    "commitment": {"commitment/audio", "commitment/video"},
    "cross_cpc": {"cross_cpc"},
    "club": {"club/audio", "club/video"},
    "cmcm": {"cmcm"},
}


def drawn(generator, names, steps, noise, options=None):
    """The draws of a step."""
    terms = WeightedObjectives(MODALITIES, 3, options or ObjectiveOptions())
    book = SharedCodebook(NAMES, 3, CodebookOptions(size=8, reset=ResetOptions(noise=noise)))
    return Draws.of_step(terms, book, names, steps, lambda purpose: generator)


@pytest.fixture
def compute(features):
    """Losses of a small batch under given options; also the features, which carry gradient."""

    def run(options, steps=None, shape=(4, 5, 3)):
        z, detail = features(2, shape, 1), features(2, (*shape[:2], 4), 2)
        inputs, rebuilt = features(2, (*shape[:2], 6), 3), features(2, (*shape[:2], 6), 4)
        for x in (*z.values(), *rebuilt.values()):
            x.requires_grad_()
        steps = steps or Steps(*shape[:2])
        options = ObjectiveOptions.model_validate(options)
        objectives = WeightedObjectives(MODALITIES, 3, options, seed=0).double()
        book = SharedCodebook(
            NAMES, 3, CodebookOptions(size=8), torch.Generator().manual_seed(0)
        ).double()
        quantized = book.lookup(z, steps)
        encoded = Encoded(inputs, z, detail, detail, steps)
        draws = drawn(torch.Generator().manual_seed(0), NAMES, steps, 0.0)
        return objectives(draws.terms, 0.0, View(encoded, quantized, rebuilt, book)), z

    return run


def test_all_terms_with_weight_one(compute):
    losses, _ = compute({})
    assert set(losses.terms) == set().union(*TERMS.values())
    assert set(losses.weights.values()) == {1.0}
    torch.testing.assert_close(losses.total, sum(losses.terms.values()))
    assert set(losses.measures) == {f"cpc_accuracy/{a}_from_{b}" for a in NAMES for b in NAMES}


@pytest.mark.parametrize("term", list(TERMS))
def test_weight_zero_is_computed_and_logged_only(compute, term):
    full, other = compute({})
    losses, z = compute({term: {"weight": 0.0}})
    kept = {k: v for k, v in full.terms.items() if k not in TERMS[term]}
    assert losses.terms.keys() == full.terms.keys()
    for name in TERMS[term]:
        torch.testing.assert_close(losses.terms[name], full.terms[name])
        assert losses.weights[name] == 0.0
    torch.testing.assert_close(losses.total, sum(kept.values()))
    assert losses.read().keys() == full.read().keys()
    losses.total.backward()
    expected = torch.autograd.grad(sum(kept.values()), list(other.values()), allow_unused=True)
    for m, gradient in zip(NAMES, expected, strict=True):
        torch.testing.assert_close(z[m].grad, gradient)


@pytest.mark.parametrize("term", list(TERMS))
def test_null_leaves_a_term_out(compute, term):
    full, _ = compute({})
    losses, _ = compute({term: None})
    assert losses.terms.keys() == full.terms.keys() - TERMS[term]
    assert bool(losses.measures) == (term != "cross_cpc")


@pytest.mark.parametrize("term", list(TERMS))
def test_a_term_alone_with_its_weight(compute, term):
    full, _ = compute({})
    losses, _ = compute({name: {"weight": 0.0} for name in TERMS} | {term: {"weight": 2.5}})
    torch.testing.assert_close(losses.total, 2.5 * sum(full.terms[n] for n in TERMS[term]))


def test_all_weights_zero(compute):
    losses, _ = compute({name: {"weight": 0.0} for name in TERMS})
    with pytest.raises(ConfigError) as error:
        _ = losses.total
    assert str(error.value).startswith(
        f"no objective with a weight above 0 applies to this batch; weights: {losses.weights}; "
    )
    with pytest.raises(ConfigError, match=r"weights: none; "):
        _ = Losses({}, {}).total


def test_all_terms_left_out(compute):
    losses, _ = compute(dict.fromkeys(TERMS))
    assert (losses.terms, losses.weights, losses.measures) == ({}, {}, {})


def test_same_step_form_has_the_weight_of_the_predictive_term(compute):
    lengths = dict.fromkeys(NAMES, torch.tensor([5, 1, 5, 2]))
    losses, _ = compute({"cross_cpc": {"weight": 0.5}}, Steps(4, 5, lengths))
    assert losses.weights["cross_cpc"] == losses.weights["same_step_nce"] == 0.5
    no_time, _ = compute({}, Steps(4, 1), (4, 1, 3))
    assert "cross_cpc" not in no_time.terms
    assert float(no_time.terms["same_step_nce"].detach()) > 0.1


def test_missing_modality_has_no_term(compute):
    """Video is nowhere: its own terms, CMCM and cross pairs are absent, and nothing is NaN."""
    lengths = {"audio": torch.tensor([5, 4, 3, 5]), "video": torch.tensor([0, 0, 0, 0])}
    losses, _ = compute({}, Steps(4, 5, lengths))
    assert set(losses.terms) == {"reconstruction/audio", "commitment/audio", "cross_cpc"} | {
        "club/audio"
    }
    assert set(losses.measures) == {"cpc_accuracy/audio_from_audio"}
    assert torch.isfinite(losses.total)


def test_read_names_and_numbers():
    one, two = torch.tensor(1.5), torch.tensor(0.25, dtype=torch.float64)
    losses = Losses({"a": one, "b/x": two}, {"a": 2.0, "b/x": 0.0}, {"usage": torch.tensor(3)})
    assert losses.read() == {"loss/a": 1.5, "loss/b/x": 0.25, "usage": 3.0, "loss/total": 3.0}


def test_weights_by_term():
    options = ObjectiveOptions.model_validate({"club": None, "cmcm": {"weight": 0.5}})
    assert options.weights() == {
        "reconstruction": 1.0,
        "commitment": 1.0,
        "cross_cpc": 1.0,
        "club": None,
        "cmcm": 0.5,
    }


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, True),
        ({"reconstruction": None}, True),
        ({"club": None}, True),
        ({"reconstruction": None, "club": None}, False),
    ],
)
def test_detail_is_needed_by_reconstruction_and_club(options, needed):
    objectives = WeightedObjectives(MODALITIES, 3, ObjectiveOptions.model_validate(options))
    assert objectives.need("detail") == needed


def test_seed_decides_the_weights():
    def weights(seed):
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        made = WeightedObjectives(MODALITIES, 3, ObjectiveOptions(), seed)
        assert torch.equal(torch.random.get_rng_state(), before)  # the caller's stream is left be
        return torch.cat([p.detach().flatten() for p in made.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


# ---- draws --------------------------------------------------------------------------------------


def test_draws_permute_the_clips_that_have_the_modality():
    lengths = {"audio": torch.tensor([3, 0, 2, 1, 0]), "video": torch.tensor([3, 3, 3, 3, 3])}
    steps = Steps(5, 3, lengths)
    draws = drawn(torch.Generator().manual_seed(1), NAMES, steps, 0.5)
    assert sorted(draws.terms["club"]["audio"].tolist()) == [0, 1, 2]
    assert sorted(draws.terms["club"]["video"].tolist()) == [0, 1, 2, 3, 4]
    assert 0.0 <= draws.terms["cross_cpc"] < 1.0
    picks, noise = draws.reset(2000, 3, 2)
    assert picks.unique().tolist() == [0, 1, 2]
    assert 0.45 < noise.abs().max() <= 0.5


def test_draws_are_a_function_of_the_generator():
    def choices(seed):
        steps = Steps(8, 3)
        draws = drawn(torch.Generator().manual_seed(seed), NAMES, steps, 0.1)
        picks, noise = draws.reset(5, 9, 2)
        return (
            draws.terms["cross_cpc"],
            *(p.tolist() for p in draws.terms["club"].values()),
            picks.tolist(),
            (noise.tolist()),
        )

    assert choices(3) == choices(3)
    assert choices(3) != choices(4)


def test_starts_are_drawn_evenly():
    g = torch.Generator().manual_seed(0)
    draws = [CrossCPC.draw(g, [], Steps(2, 3)) for _ in range(4000)]
    shares = torch.histc(torch.tensor(draws), 8, 0.0, 1.0) / 4000
    assert (shares - 1 / 8).abs().max() < 0.02
