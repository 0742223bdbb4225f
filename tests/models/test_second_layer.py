"""A second layer of content and detail: what it reads, whose codes heads see, what trains it."""

import pytest
import torch

from cmg.config.load import load_config
from cmg.errors import ConfigError
from cmg.evaluation.encoding import FrozenEncoder
from cmg.models.options import ModelOptions
from cmg.models.second import first_modalities, second_modalities
from cmg.models.unified import UnifiedModel
from cmg.objectives import Draws, ObjectiveOptions
from cmg.objectives.base import View
from cmg.objectives.second import MOMENTS, stacked
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.types import Encoded, Kind, Modality, Quantized, Steps

SHAPES = {"audio": (6,), "video": (5, 5, 4), "text": (7,)}
KINDS = {"audio": Kind.VECTORS, "video": Kind.MAPS, "text": Kind.TOKENS}
NAMES = ("audio", "video", "text")
BOTH = {"kind": "product", "groups": 2, "size": 9, "start": "uniform"}
FORMS = {
    "private": {"second": {"reads": "private"}, "codebook": BOTH},
    "clips": {"second": {"reads": "clips"}, "codebook": {"size": 9, "start": "uniform"}},
}
TERMS = {
    "private": {"second_layer": {"terms": {"cmcm": None}}, "cmcm": None},
    "clips": {
        "commitment": None,
        "cmcm": None,
        "second_layer": {"terms": {"cross_cpc": None, "clip_info_nce": {"pairs": "tokens"}}},
    },
}
LENGTHS = {"audio": [5, 3, 1, 0], "video": [5, 5, 5, 2], "text": [1, 2, 3, 4]}


def declared(name):
    return Modality(
        name=name, kind=KINDS[name], shape=SHAPES[name], detail_width=10, token_hidden=4
    )


@pytest.fixture
def options_of(options):
    def make(form, **changes):
        told = options(**changes).model_dump() | FORMS[form]
        return ModelOptions.model_validate(told)

    return make


@pytest.fixture
def model_of(options_of):
    def make(form, names=NAMES, **changes):
        model = UnifiedModel([declared(n) for n in names], options_of(form, **changes), 3).eval()
        for name, codes in model.codebook.named_buffers():
            if name.endswith("codes"):
                codes.copy_(torch.randn(codes.shape, generator=torch.Generator().manual_seed(1)))
        return model

    return make


@pytest.fixture
def state_of(options_of):
    def make(form, terms=None, names=NAMES):
        given = TERMS[form] if terms is None else terms
        return TrainingState(
            [declared(n) for n in names],
            options_of(form),
            ObjectiveOptions.model_validate(given),
            OptimizerOptions(lr=1e-3),
            precision="float64",
            seed=5,
        )

    return make


def step(state, batch, epoch=0.0, seed=0):
    """One training step with drawn choices."""
    own = batch.to("cpu", torch.float64)
    draws = Draws.of_step(
        state.objectives,
        state.model.codebook,
        own.modalities,
        own.steps,
        lambda what: torch.Generator().manual_seed(seed + len(what)),
    )
    return pretraining_step(state, own, draws, epoch=epoch)


# ---- features ----------------------------------------------------------------------------------


def test_the_private_layer_reads_what_the_first_calls_private(model_of, make_batch):
    model, batch = model_of("private"), make_batch(NAMES)
    whole = model.represent(batch)
    first, second = whole.layers
    widths = {"audio": 10, "video": 4, "text": 10}  # of maps what CLUB sees, as wide as their C
    for m in NAMES:
        assert second.inputs[m] is first.private[m]
        assert list(second.inputs[m].shape) == [4, 5, widths[m]]
        assert second.detail[m].shape == second.inputs[m].shape
        by_hand = torch.relu(model.second.detail[m].linear(first.private[m]))
        assert torch.equal(second.detail[m], by_hand)
        assert torch.equal(second.semantic[m], model.second.semantic[m](first.private[m], None))
        assert torch.equal(whole.semantic[m], torch.cat([first.semantic[m], second.semantic[m]], 2))
    codes, seen = model.encode(batch), model.quantize(whole)
    for m in NAMES:
        assert list(codes[m].shape) == [4, 5, 2]
        for level, layer in enumerate((first, second)):
            table = model.codebook.books[level].codes
            nearest = torch.cdist(layer.semantic[m].double(), table.double()).argmin(-1)
            assert torch.equal(codes[m][..., level], nearest)
            part = seen.vectors[m][..., 8 * level : 8 * (level + 1)]
            torch.testing.assert_close(part, table[nearest])


def test_the_layer_of_clips_reads_means_and_tokens_share_their_clips_code(model_of, make_batch):
    model, batch = model_of("clips"), make_batch(NAMES, lengths=LENGTHS)
    whole = model.represent(batch)
    first, second = whole.layers
    assert set(first.semantic) == {"audio", "video"}  # text has no fine layer
    assert set(model.detail) == set(model.decoder) == {"audio", "video"}
    assert whole.steps.length == 1
    assert [n.tolist() for n in whole.steps.lengths.values()] == [[1, 1, 1, 0], [1] * 4, [1] * 4]
    features = model.semantics(batch)
    for m, z in (("audio", first.semantic["audio"]), ("video", first.semantic["video"])):
        part = model.second
        means = [z[b, : max(1, n)].mean(0) for b, n in enumerate(LENGTHS[m])]
        u = part.project[m](torch.stack(means))
        there = torch.tensor(LENGTHS[m]) > 0
        torch.testing.assert_close(second.inputs[m][there, 0], u[there])
        torch.testing.assert_close(
            second.semantic[m][there, 0], torch.relu(part.semantic[m][0](u))[there]
        )
        moment = torch.relu(part.semantic[m][0](part.project[m](z)))
        torch.testing.assert_close(features[m], moment)
        assert bool((features[m] >= 0).all())
    torch.testing.assert_close(features["text"], second.semantic["text"].expand(-1, 5, -1))
    codes = model.encode(batch)["text"]
    assert [set(row[row >= 0].tolist()) for row in codes] == [{int(row[0])} for row in codes]
    assert model.second.project["audio"] is model.second.project["video"]
    assert model.second.project["text"] is not model.second.project["video"]
    assert model.second.decoder["audio"] is not model.second.decoder["video"]


@pytest.mark.parametrize("form", FORMS)
def test_a_modality_alone_has_the_codes_that_it_has_in_company(model_of, make_batch, form):
    model, batch = model_of(form), make_batch(NAMES, lengths=LENGTHS)
    together = model.encode(batch)
    for m in NAMES:
        assert torch.equal(model.encode(batch.only(m))[m], together[m])
    seen = model.decode(together)
    features = model.semantics(batch)
    looked_up = model.codebook.lookup(features, batch.steps).vectors
    for m in NAMES:
        there = batch.steps.mask(m)
        torch.testing.assert_close(seen[m][there], looked_up[m][there])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_halves_of_the_frozen_encoder_make_its_whole(model_of, make_batch, form, name):
    model, batch = model_of(form), make_batch(NAMES, lengths=LENGTHS)
    there, lengths = batch.steps.mask(name), torch.tensor(LENGTHS[name])
    encoder = FrozenEncoder(model, name)
    z = encoder.semantic(encoder.inputs(batch.features[name], lengths), lengths)
    torch.testing.assert_close(z[there], model.semantics(batch)[name][there])


def test_halves_of_a_gated_encoder_make_its_whole(make_model, make_batch):
    """The head behind the temporal encoder is part of the second half."""
    model, batch = make_model(NAMES, projection="gated"), make_batch(NAMES)
    lengths = torch.full((4,), 5)
    for m in NAMES:
        encoder = FrozenEncoder(model, m)
        z = encoder.semantic(encoder.inputs(batch.features[m], lengths), lengths)
        torch.testing.assert_close(z, model.semantics(batch)[m])


# ---- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_step_trains_both_layers(state_of, make_batch, form):
    state = state_of(form)
    before = {n: p.detach().clone() for n, p in state.named_parameters()}
    log = step(state, make_batch(NAMES, lengths=LENGTHS, clips=4))
    assert all(torch.tensor(x).isfinite() for x in log.values())
    assert {key.split("/")[2] for key in log if key.startswith("loss/second_layer/")} >= {
        "reconstruction",
        "commitment",
        "club",
    }
    still = [n for n, p in state.named_parameters() if torch.equal(p, before[n])]
    # Short clips leave the LSTM's later layers or predictors of one modality unused at most.
    assert [
        n for n in still if "second" in n and "context" not in n and "predictors" not in n
    ] == []


def test_before_it_starts_the_second_layer_is_left_alone(state_of, make_batch):
    """Neither gradients nor CLUB's inner fit: Adam would take gradients of zero for steps."""
    late = {"second_layer": {"start_epoch": 3, "terms": {"cmcm": None}}, "cmcm": None}
    state, batch = state_of("private", late), make_batch(NAMES)
    own = dict(state.named_parameters()) | dict(state.objectives.second_layer.named_parameters())
    second = {n: p for n, p in own.items() if "second" in n or n.startswith("parts")}
    before = {n: p.detach().clone() for n, p in second.items()}
    log = step(state, batch, epoch=2.9)
    assert log["loss/second_layer/club/audio"] != 0.0  # computed for the log
    assert all(torch.equal(p, before[n]) for n, p in second.items())
    assert all(p not in state.optimizer.state for p in second.values())
    step(state, batch, epoch=3.0)
    assert not any(torch.equal(p, before[n]) for n, p in second.items() if "decoder" in n)


def test_each_layer_has_its_own_total(state_of, make_batch):
    """The sum is that of the first layer's terms and the weighted ones of the second."""
    terms = {"cmcm": None, "second_layer": {"weight": 0.3, "terms": {"cmcm": None}}}
    log = step(state_of("private", terms), make_batch(NAMES))
    losses = {key: x for key, x in log.items() if key.startswith("loss/") and key != "loss/total"}
    second = sum(x for key, x in losses.items() if key.startswith("loss/second_layer/"))
    first = sum(losses.values()) - second
    assert log["loss/total"] == pytest.approx(first + 0.3 * second, rel=1e-12)


def test_a_term_of_weight_0_is_logged_only(state_of, make_batch):
    terms = {"cmcm": None, "second_layer": {"terms": {"cmcm": {"weight": 0}}}}
    log = step(state_of("private", terms), make_batch(NAMES))
    losses = {key: x for key, x in log.items() if key.startswith("loss/") and key != "loss/total"}
    assert log["loss/total"] == pytest.approx(
        sum(losses.values()) - losses["loss/second_layer/cmcm"], rel=1e-12
    )


def test_stacked_clips_are_rows_of_one_modality():
    z = {m: torch.arange(6.0).view(3, 1, 2) + 10 * i for i, m in enumerate(("a", "v", "t"))}
    steps = Steps(
        3, 1, {"a": torch.tensor([1, 0, 1]), "v": torch.ones(3).long(), "t": torch.ones(3).long()}
    )
    encoded = Encoded({}, z, {}, {m: x + 100 for m, x in z.items()}, steps)
    view = View(encoded, Quantized({}, {}, z, z, steps), {}, None)
    found = stacked(view, ["a", "v"]).encoded
    assert found.semantic[MOMENTS][:, 0, 0].tolist() == [0, 2, 4, 10, 12, 14]
    assert found.private["t"][:, 0, 0].tolist() == [120, 122, 124, 0, 0, 0]
    assert found.steps.lengths[MOMENTS].tolist() == [1, 0, 1, 1, 1, 1]
    assert found.steps.clips("t").tolist() == [0, 1, 2]


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"second": {"reads": "private"}, "codebook": {"size": 9}}, "codebook.groups=2"),
        ({"second": {"reads": "private"}, "codebook": BOTH | {"groups": 4}}, "codebook.groups=2"),
        ({"second": {"reads": "private"}, "codebook": BOTH | {"shared": True}}, "shared=false"),
        ({"second": {"reads": "clips"}, "teacher": 0.9}, "teacher is for models of one layer"),
    ],
)
def test_options_that_contradict_a_second_layer(options, changes, said):
    with pytest.raises(ValueError, match=said):
        ModelOptions.model_validate(options().model_dump() | changes)


@pytest.mark.parametrize("names", [("audio", "video"), ("text",)])
def test_clips_need_text_and_moments(options_of, names):
    with pytest.raises(ConfigError, match=r"second.reads=clips .* needs text.*another method"):
        UnifiedModel([declared(n) for n in names], options_of("clips"))


@pytest.mark.parametrize(
    ("form", "terms", "said"),
    [
        ("private", {}, "trained by objectives.second_layer, which is left out"),
        ("clips", {"second_layer": {}}, "objectives.commitment needs codes.*second layer alone"),
    ],
)
def test_terms_that_do_not_fit_the_layers(state_of, form, terms, said):
    with pytest.raises(ConfigError, match=said):
        state_of(form, terms)


def test_terms_of_a_layer_that_is_not_there(options):
    with pytest.raises(ConfigError, match=r"second_layer is about a second layer.*model.second"):
        TrainingState(
            [declared(n) for n in NAMES],
            options(),
            ObjectiveOptions.model_validate({"second_layer": {}}),
            OptimizerOptions(),
        )


def test_a_layer_has_no_layer_below_it():
    with pytest.raises(ValueError, match="second_layer"):
        ObjectiveOptions.model_validate({"second_layer": {"terms": {"second_layer": {}}}})


def test_declarations_of_the_layers():
    three = [declared(n) for n in NAMES]
    private, clips = (ModelOptions.model_validate(FORMS[f] | {"width": 8}).second for f in FORMS)
    assert [m.name for m in first_modalities(three, clips)] == ["audio", "video"]
    assert first_modalities(three, private) == first_modalities(three, None) == three
    assert [m.shape for m in second_modalities(three, private, 8)] == [(10,), (4,), (10,)]
    assert [m.detail_width for m in second_modalities(three, clips, 8)] == [8, 8, 8]
    assert [m.kind for m in second_modalities(three, clips, 8)][2] is Kind.TOKENS
    assert second_modalities(three, None, 8) == []


@pytest.mark.parametrize("more", ["training.micro_batch=2", "training.recompute_maps=true"])
def test_both_layers_see_whole_batches(more):
    from cmg.config.schema import refuse_unfit_parts

    config = load_config("own-data", ["method=srcid", more])
    with pytest.raises(ConfigError, match=r"model.second is for one process and whole batches"):
        refuse_unfit_parts(config, several=False)
