"""The private path on some steps of a clip: what is drawn, and that nothing is biased by it."""

from itertools import combinations, product

import pytest
import torch
from tests.paired import paired_store
from tests.tiny import QUICK, THREE

from cmg.config.load import load_config
from cmg.errors import ConfigError
from cmg.masking import DrawnSteps
from cmg.models.options import ModelOptions
from cmg.objectives import Draws, ObjectiveOptions, TermOptions, objectives
from cmg.objectives.base import Objective
from cmg.recipes.pretrain import prepare
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.training.together import Alone
from cmg.types import Batch

LENGTHS = {"audio": [3, 1, 2], "video": [3, 0, 3], "text": [2, 3, 1]}
"""Of clips of at most three steps, of which two are drawn."""
COMPLETE = {m: [3, 3, 3] for m in LENGTHS}
TERMS = ("reconstruction", "cross_reconstruction", "club")


def small_state():
    model = {"width": 6, "temporal": {"kind": "mlp", "hidden": 8, "dropout": 0.0}}
    terms = {"cross_reconstruction": {}, "club": {"hidden": 5}}
    state = TrainingState(
        [m.model_copy(update={"detail_width": 5, "token_hidden": 3}) for m in THREE],
        ModelOptions.model_validate(model | {"codebook": {"size": 8}}),
        ObjectiveOptions.model_validate(terms),
        OptimizerOptions(),
        "float64",
    )
    z = state.model.semantics(small_batch())
    features = {m: x.detach().flatten(0, 1) for m, x in z.items()}
    state.model.codebook.start_from(features, torch.Generator().manual_seed(0))
    return state


def small_batch(lengths=None):
    generator = torch.Generator().manual_seed(1)
    features = {m.name: torch.randn(3, 3, *m.shape, generator=generator) for m in THREE}
    told = {m: torch.tensor(n) for m, n in (lengths or LENGTHS).items()}
    return Batch(features, told).to("cpu", torch.float64).zero_padded()


def losses_of(state, batch, drawn):
    """By modality, the private terms on some steps and CLUB's fit, and their gradients."""
    view = Alone().view(state, batch, [], drawn)
    club = state.objectives["club"]
    fit = club.fit(view, torch.optim.SGD(club.parameters(), lr=0.0), None)
    slopes = {n: p.grad.clone() for n, p in club.named_parameters()}
    clips = {m: int((view.encoded.steps.length_of(m) > 0).sum()) for m in LENGTHS}
    permutations = {m: torch.arange(n).roll(1) for m, n in clips.items()}
    found = [state.objectives[name].term(view, permutations) for name in TERMS]
    trained = [p for part in (state.model, club) for p in part.parameters() if p.requires_grad]
    for m in LENGTHS:
        values = torch.stack([fit[f"club_nll/{m}"], *(term[m] for term in found)])
        gradients = torch.autograd.grad(
            values.sum(), trained, retain_graph=True, materialize_grads=True
        )
        own = [g for n, g in slopes.items() if n.startswith(f"nets.{m}.")]
        yield m, [values.detach(), *own, *gradients]


def every_draw(lengths):
    """All that may be drawn of clips, each as likely as the others."""
    kept = [list(combinations(range(n), 2)) if n > 2 else [(0, 1)] for n in lengths]
    for rows in product(*kept):
        yield DrawnSteps.of(torch.tensor(rows), torch.tensor(lengths))


@pytest.mark.parametrize("lengths", [LENGTHS, COMPLETE])
def test_the_mean_over_all_draws_is_the_value_of_all_steps(lengths):
    """Of every private term and of its gradients, with lengths and missing modalities."""
    state, batch = small_state(), small_batch(lengths)
    full = dict(losses_of(state, batch, {}))
    draws = {m: list(every_draw(n)) for m, n in lengths.items()}
    found = {m: [] for m in lengths}
    for turn in range(max(map(len, draws.values()))):
        some = {m: own[turn % len(own)] for m, own in draws.items()}
        for m, values in losses_of(state, batch, some):
            if turn < len(draws[m]):
                found[m].append(values)
    for m, values in full.items():
        spread = torch.stack([drawn[0] for drawn in found[m]]).std(0)
        assert bool((spread > 1e-5).all()), m
        assert sum(bool(x.any()) for x in values) > 20  # of parts that have a gradient
        for one, every in zip(values, zip(*found[m], strict=True), strict=True):
            torch.testing.assert_close(torch.stack(every).mean(0), one, rtol=0, atol=1e-12)


def test_drawn_steps_exist_and_are_drawn_evenly():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([5, 3, 2, 1, 0])
    counts = torch.zeros(5, 6)
    for _ in range(3000):
        drawn = DrawnSteps.draw(lengths, 6, 2, generator)
        assert bool((drawn.index[:, 1] > drawn.index[:, 0]).all())
        there = drawn.weights > 0
        assert bool((there == (drawn.index < lengths[:, None])).all())
        assert there.sum(1).tolist() == [2, 2, 2, 1, 0]
        counts += torch.zeros(5, 6).scatter_(1, drawn.index, there.float())
    assert drawn.weights[:, 0].tolist() == [2.5, 1.5, 1.0, 1.0, 0.0]
    expected = torch.tensor([[1200.0] * 5 + [0], [2000.0] * 3 + [0] * 3, [3000.0] * 2 + [0] * 4])
    # A standard deviation is 27 at most.
    torch.testing.assert_close(counts[:3], expected, rtol=0, atol=110)
    assert counts[3].tolist() == [3000, 0, 0, 0, 0, 0]


def step_on(batch, private_steps):
    """All that a step leaves, and its log."""
    state = small_state()
    generators = {}

    def of(purpose):
        return generators.setdefault(purpose, torch.Generator().manual_seed(7))

    book = state.model.codebook
    drawn = Draws.of_step(state.objectives, book, batch.modalities, batch.steps, of, private_steps)
    log = pretraining_step(state, batch, drawn)
    left = {**state.model.state_dict(), **state.objectives.state_dict()}
    return left, log, drawn


def test_as_many_as_there_are_is_all_to_the_bit():
    full, log, _ = step_on(small_batch(), None)
    for count in (3, 5):
        left, own, drawn = step_on(small_batch(), count)
        assert drawn.private == {}
        assert own == log
        assert all(torch.equal(x, full[n]) for n, x in left.items())
    left, own, drawn = step_on(small_batch(), 2)
    assert own["loss/reconstruction/audio"] != log["loss/reconstruction/audio"]
    # Content, codes and their draws are those of all steps.
    for key in ("loss/cmcm", "loss/commitment/video", "perplexity/text"):
        assert own[key] == log[key]
    assert torch.equal(left["codebook.codes"], full["codebook.codes"])


def test_the_private_path_runs_on_the_drawn_steps_alone():
    state, batch = small_state(), small_batch()
    drawn = {
        m: DrawnSteps.of(torch.tensor([[0, 2]] * 3), torch.tensor(LENGTHS[m])) for m in LENGTHS
    }
    some, whole = state.represent(batch, drawn), state.represent(batch)
    for m, detail in some.detail.items():
        assert detail.shape[:2] == (3, 2)
        torch.testing.assert_close(detail, whole.detail[m][:, [0, 2]])
        torch.testing.assert_close(some.private[m], whole.private[m][:, [0, 2]])
        assert torch.equal(some.semantic[m], whole.semantic[m])
    quantized = state.model.quantize(some)
    rebuilt, every = (state.reconstruct(x, quantized) for x in (some, whole))
    for m, x in rebuilt.items():
        torch.testing.assert_close(x, every[m][:, [0, 2]])


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of clips of 2 to 6 steps."""
    store = tmp_path_factory.mktemp("data") / "store"
    paired_store(store, THREE, {"train": 12, "test": 4}, steps=6, classes=3, lengths=(2, 6))
    return lambda *more: load_config(None, [f"data.store={store}", *QUICK, *more])


def test_more_than_any_clip_has_is_refused(config):
    prepare(config("training.private_steps=6"))
    said = r"^training\.private_steps=7 is more than the 6 steps of the longest clip .*null for all"
    with pytest.raises(ConfigError, match=said):
        prepare(config("training.private_steps=7"))
    with pytest.raises(ConfigError, match=r"training\.private_steps: .*greater than or equal to 1"):
        config("training.private_steps=0")


class DetailSize(Objective):
    """A term that knows nothing of drawn steps."""

    needs = frozenset({"detail"})

    def term(self, view, draw):
        return sum(x.square().mean() for x in view.encoded.private.values())


def test_what_needs_all_steps_is_refused_by_name(config, monkeypatch):
    monkeypatch.setattr(objectives, "entries", dict(objectives.entries))
    objectives.register("detail_size", TermOptions)(DetailSize)
    few = "training.private_steps=2"
    for override, said in (
        ("objectives.detail_size.weight=0.5", r"^objectives\.detail_size needs the private detail"),
        ("method=srcid", r"^objectives\.second_layer needs the private detail of all steps"),
        (
            "model.map_detail=normalized",
            r"^model\.map_detail=normalized .* leave out training\.pri",
        ),
    ):
        with pytest.raises(ConfigError, match=said):
            prepare(config(override, few))
    prepare(config("objectives.detail_size.weight=0.5"))
