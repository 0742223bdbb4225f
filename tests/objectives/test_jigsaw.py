"""The jigsaw of code vectors: pieces and orders by hand, against loops, and what is refused."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.continuous import Continuous
from cmg.config.load import load_config
from cmg.errors import ConfigError
from cmg.models.options import ModelOptions
from cmg.objectives import Jigsaw, JigsawOptions, ObjectiveOptions, View, WeightedObjectives
from cmg.objectives.jigsaw import MOST_PIECES, jigsaws, nth_order
from cmg.options import checked_options
from cmg.process import seeded
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import TrainingState
from cmg.types import Encoded, Kind, Modality, Steps

NAMES = ("audio", "video", "text", "touch")


def some(batch=3, steps=2, width=6, seed=0, names=NAMES[:3]):
    generator = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn(batch, steps, width, generator=generator, dtype=torch.float64) for m in names
    }


def made(width=6, seed=0, **options):
    with seeded(seed):
        return Jigsaw(width, JigsawOptions(**({"hidden": 8} | options))).double()


def test_orders_are_numbered_as_they_are_sorted():
    for pieces in (2, 3, 4):
        every = [nth_order(n, pieces) for n in range(math.factorial(pieces))]
        assert [tuple(order) for order in every] == list(permutations(range(pieces)))
    assert nth_order(math.factorial(20) - 1, 20) == list(range(19, -1, -1))


def test_pieces_by_hand():
    vectors = {"a": torch.tensor([[[1, 2, 3, 4]]]), "b": torch.tensor([[[5, 6, 7, 8]]])}
    orders = torch.tensor([[0, 1], [1, 0]])
    found = jigsaws(vectors, ["a", "b"], orders)
    assert found.tolist() == [[[1, 2, 7, 8]], [[7, 8, 1, 2]]]
    assert jigsaws(vectors, ["b", "b"], orders[1:]).tolist() == [[[7, 8, 5, 6]]]


def slow_loss(term, vectors, whose, lengths):
    """One step, one order and one class at a time."""
    weights = [p.detach().numpy() for p in term.classifier.parameters()]
    width, losses = len(vectors[whose[0]][0, 0]) // len(whose), []
    for b in range(len(vectors[whose[0]])):
        for t in range(min(lengths[m][b] for m in whose)):
            cut = [vectors[m][b, t, i * width : (i + 1) * width] for i, m in enumerate(whose)]
            for label, order in enumerate(term.orders.tolist()):
                x = np.concatenate([cut[i].numpy() for i in order])
                hidden = np.maximum(weights[0] @ x + weights[1], 0.0)
                logits = weights[2] @ hidden + weights[3]
                losses.append(np.log(np.exp(logits).sum()) - logits[label])
    return sum(losses) / len(losses)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(("pieces", "orders"), [(2, 2), (3, 4), (6, 9)])
def test_against_loops_where_steps_are_missing(count, pieces, orders):
    vectors = some(5, 4, names=NAMES[:count], seed=count)
    generator = torch.Generator().manual_seed(pieces)
    lengths = {m: torch.randint(1, 5, (5,), generator=generator) for m in vectors}
    term = made(pieces=pieces, orders=orders)
    whose = term.drawn(torch.rand(MOST_PIECES, generator=generator), list(vectors))
    assert len(whose) == pieces
    expected = slow_loss(term, vectors, whose, {m: n.tolist() for m, n in lengths.items()})
    for m, x in vectors.items():  # whatever stands in the padding must not matter
        x[~(torch.arange(4) < lengths[m][:, None])] = 1e3
    found = term(vectors, whose, Steps(5, 4, lengths))
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_classes_are_different_orders_that_the_seed_draws():
    one, again, other = (made(24, seed, pieces=4, orders=24) for seed in (1, 1, 2))
    assert sorted(map(tuple, one.orders.tolist())) == list(permutations(range(4)))
    assert torch.equal(one.orders, again.orders)
    assert not torch.equal(one.orders, other.orders)
    assert "orders" in one.state_dict()  # a resumed run goes on with the same classes


def test_every_modality_has_its_share_of_every_place():
    term = made(pieces=3, orders=2)
    draws = [term.draw(torch.Generator().manual_seed(s), (), Steps(1, 1)) for s in range(600)]
    drawn = np.array([[NAMES.index(m) for m in term.drawn(d, NAMES[:3])] for d in draws])
    for place in range(3):
        assert np.bincount(drawn[:, place], minlength=3) / 600 == pytest.approx(
            [1 / 3] * 3, abs=0.07
        )
    assert term.drawn(torch.full((MOST_PIECES,), 1 - 2**-24), NAMES) == ["touch"] * 3


def view(z, steps=None, earlier=(), book=None):
    book = book or SharedCodebook(list(z), 6, CodebookOptions(size=4)).double()
    steps = steps or Steps.of(z)
    return View(Encoded({}, z, {}, {}, steps), book.lookup(z, steps), {}, book, earlier)


def test_the_term_reads_the_vectors_of_the_first_pass_straight_through():
    first = {m: x.requires_grad_() for m, x in some(seed=1).items()}
    term, draw = made(pieces=3, orders=2), torch.full((MOST_PIECES,), 0.5)  # of three the second
    before = view(first)
    loss = term.term(view(some(seed=2), earlier=(before,)), draw)
    assert loss.item() == pytest.approx(term(before.quantized.vectors, ["video"] * 3).item())
    loss.backward()
    assert first["video"].grad.abs().sum() > 0
    assert first["audio"].grad is None or first["audio"].grad.abs().sum() == 0


def test_features_of_a_model_without_codes_are_cut_likewise():
    z, term = some(), made()
    draw = torch.zeros(MOST_PIECES)
    found = term.term(view(z, book=Continuous(list(z), 6)), draw)
    assert found.item() == pytest.approx(term(z, ["audio", "audio"]).item())


def test_modalities_that_are_never_together_give_nothing():
    lengths = {"audio": torch.tensor([2, 0, 2]), "video": torch.tensor([0, 2, 0])}
    z = some(names=("audio", "video"))
    term, steps = made(), Steps(3, 2, lengths)
    assert term(z, ["audio", "video"], steps) is None
    assert term(z, ["video", "video"], steps) is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pieces": 2, "orders": 3}, "2 pieces have 2 orders, but orders = 3; lower orders or rai"),
        ({"pieces": 1}, "pieces: Input should be greater than or equal to 2"),
        ({"pieces": 21}, "pieces: Input should be less than or equal to 20"),
    ],
)
def test_a_puzzle_without_an_answer_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        checked_options(JigsawOptions, **given)


def modalities():
    return [Modality(name=m, kind=Kind.VECTORS, shape=(3,), detail_width=4) for m in NAMES[:2]]


@pytest.mark.parametrize(
    ("width", "pieces", "possible"), [(8, 3, "2, 4, 8"), (6, 12, "2, 3, 6"), (1, 2, "none")]
)
def test_pieces_that_do_not_divide_the_columns_are_refused(width, pieces, possible):
    """More pieces than columns among them."""
    options = ObjectiveOptions.model_validate({"jigsaw": {"pieces": pieces}})
    said = f"pieces = {pieces} does not divide the {width} columns of code vectors"
    with pytest.raises(ConfigError, match=f"{said}, which it cuts; possible: {possible}"):
        WeightedObjectives(modalities(), width, options)


def test_of_rows_it_cuts_the_whole_row():
    options = load_config(None, ["objectives.jigsaw={}"]).objectives
    found = WeightedObjectives(modalities(), 6, options, vectors=12)["jigsaw"]
    assert found.classifier[0].in_features == 12


@pytest.mark.parametrize("clip", ["per_part", "global"])
@pytest.mark.parametrize("clipped", [True, False])
def test_its_classifier_is_clipped_or_left_alone(clip, clipped):
    given = {"jigsaw": {"clipped": clipped, "hidden": 8}}
    model = ModelOptions.model_validate({"width": 8, "temporal": {"kind": "mlp", "hidden": 8}})
    state = TrainingState(
        modalities(),
        model,
        ObjectiveOptions.model_validate(given),
        OptimizerOptions.model_validate({"clip": clip, "clip_norm": 0.5}),
    )
    for p in state.model.parameters():
        p.grad = torch.ones_like(p)
    classifier = list(state.objectives["jigsaw"].parameters())
    for p in classifier:
        p.grad = torch.ones_like(p)
    norms = state.clip_gradients()
    one = float(classifier[0].grad.max())
    assert one == 1.0 if not clipped else one < 1.0
    assert all(p.grad.max() < 1.0 for p in state.model.parameters())
    assert ("gradient_norm/jigsaw" in norms) == (clipped and clip == "per_part")
