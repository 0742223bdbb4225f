"""The unified model: any modalities, any map size, and the laws of padding and order."""

import itertools

import pytest
import torch

from cmg.errors import ConfigError, DataError, ModalityError
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.types import Batch, Kind, Modality

ALL = ("audio", "video", "text", "eeg", "depth")
SETS = [c for n in range(2, 6) for c in itertools.combinations(ALL, n)]


@pytest.mark.parametrize("names", SETS, ids="+".join)
def test_any_set_of_modalities(make_model, make_batch, names):
    model, batch = make_model(names), make_batch(names)
    encoded = model.represent(batch)
    quantized = model.quantize(encoded)
    rebuilt = model.reconstruct(encoded, quantized)
    for m in names:
        assert encoded.semantic[m].shape == (4, 5, 8)
        expected = (4, 5, 8) if m == "text" else batch.features[m].shape
        assert encoded.inputs[m].shape == rebuilt[m].shape == expected
        distance = torch.cdist(encoded.semantic[m].flatten(0, 1), model.codebook.codes)
        assert torch.equal(quantized.indices[m].flatten(), distance.argmin(1))
    tokens = {"tokens"} if "text" in names else set()
    assert model.parts().keys() == {"encoder", "decoder"} | tokens


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (5, 5), (7, 7), (8, 6)])
@pytest.mark.parametrize("pooling", ["sum", "attention"])
def test_maps_of_every_size(options, size, pooling):
    modalities = [
        Modality(name="audio", kind=Kind.VECTORS, shape=(6,)),
        Modality(name="depth", kind=Kind.MAPS, shape=(*size, 3), detail_width=4),
    ]
    model = UnifiedModel(modalities, options(spatial_pool=pooling))
    batch = Batch({"audio": torch.randn(2, 3, 6), "depth": torch.randn(2, 3, *size, 3)})
    encoded = model.represent(batch)
    rebuilt = model.reconstruct(encoded, model.quantize(encoded))
    assert encoded.semantic["depth"].shape == (2, 3, 8)
    assert rebuilt["depth"].shape == (2, 3, *size, 3)
    (rebuilt["depth"] - encoded.inputs["depth"]).square().mean().backward()
    for name, p in model.decoder["depth"].named_parameters():
        assert p.grad.abs().sum() > 0, name


def test_encode_takes_plain_tensors_and_arrays(make_model, make_batch):
    model, batch = make_model(), make_batch()
    expected = model.encode(batch)
    for given in (
        batch.features,
        {m: x.numpy() for m, x in batch.features.items()},
        {m: x.double() for m, x in batch.features.items()},
        {"video": batch.features["video"]},
    ):
        found = model.encode(given)
        assert found.keys() == given.keys()
        assert all(torch.equal(found[m], expected[m]) for m in given)


@pytest.mark.parametrize("training", [True, False])
def test_looking_changes_nothing(make_model, make_batch, training):
    """Golden bug 16: an eval-mode forward must not count, move or reset codes."""
    model, batch = make_model(("audio", "video", "text")), make_batch(("audio", "video", "text"))
    model.codebook.idle.fill_(1000)
    model.train(training)
    before = {n: x.clone() for n, x in model.state_dict().items()}
    for _ in range(2):
        codes = model.encode(batch)
        model.decode(codes)
        model.semantics(batch)
        encoded = model.represent(batch)
        model.reconstruct(encoded, model.quantize(encoded))
    assert model.training == training
    assert all(module.training == training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_encode_is_without_dropout_in_train_mode(make_model, make_batch):
    model, batch = make_model(temporal={"dropout": 0.5}).train(), make_batch()
    first = model.semantics(batch)
    assert torch.equal(first["audio"], model.semantics(batch)["audio"])
    assert not torch.equal(first["audio"], model.represent(batch).semantic["audio"])


def test_mode_comes_back_after_an_error(make_model, make_batch):
    model = make_model().train()

    def fail(*_):
        assert not model.training
        raise RuntimeError("out of memory")

    model.semantic["audio"].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.semantics(make_batch())
    assert model.training


# ---- laws of padding, batches and order ---------------------------------------------------------

KINDS = {
    "transformer": {"temporal": {"kind": "transformer"}},
    "mlp": {"temporal": {"kind": "mlp"}},
    "words-alone": {"temporal": {"kind": "mlp", "skip": True}, "token_encoder": "none"},
}
LENGTHS = {
    "audio": [5, 3, 0, 1],
    "video": [2, 5, 4, 1],
    "text": [4, 0, 3, 1],
    "eeg": [5, 3, 1, 2],
    "depth": [1, 2, 3, 4],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grad", [True, False])
def test_padded_equals_truncated(make_model, make_batch, kind, grad):
    model = make_model(ALL, **KINDS[kind])
    batch = make_batch(ALL, lengths=LENGTHS)
    with torch.set_grad_enabled(grad):
        encoded = model.represent(batch)
    for m, b in itertools.product(ALL, range(4)):
        n = LENGTHS[m][b]
        if n == 0:
            assert torch.isfinite(encoded.semantic[m][b]).all()
            continue
        with torch.set_grad_enabled(grad):
            alone = model.represent(Batch({m: batch.features[m][b : b + 1, :n]}))
        for part in ("inputs", "semantic", "detail", "private"):
            torch.testing.assert_close(
                getattr(encoded, part)[m][b : b + 1, :n],
                getattr(alone, part)[m],
                rtol=1e-4,
                atol=1e-5,
            )


def test_as_coded_reads_padding_tokens(make_model, make_batch):
    batch = make_batch(("audio", "text"), lengths={"audio": [5, 5, 5, 5], "text": [5, 2, 3, 1]})
    cut = Batch({"text": batch.features["text"][1:2, :2]})
    for mask, same in ((True, True), (False, False)):
        model = make_model(("audio", "text"), mask_tokens=mask)
        full = model.represent(batch).inputs["text"][1:2, :2]
        assert torch.allclose(full, model.represent(cut).inputs["text"], atol=1e-6) == same


@pytest.mark.parametrize("kind", KINDS)
def test_split_batch_has_the_codes_of_the_whole(make_model, make_batch, kind):
    model = make_model(ALL, **KINDS[kind])
    batch = make_batch(ALL, clips=12, lengths={m: 3 * n for m, n in LENGTHS.items()})
    whole = model.encode(batch)
    for part in torch.arange(12).split(5):
        piece = Batch(
            {m: x[part] for m, x in batch.features.items()},
            {m: n[part] for m, n in batch.lengths.items()},
        )
        for m, codes in model.encode(piece).items():
            assert torch.equal(codes, whole[m][part])


def test_modalities_are_encoded_on_their_own(make_model, make_batch):
    """Another modality of the batch has no say in a modality's codes."""
    model, batch = make_model(ALL), make_batch(ALL, lengths=LENGTHS)
    together = model.encode(batch)
    for m in ALL:
        assert torch.equal(model.encode(batch.only(m))[m], together[m])


def test_order_of_declaration_does_not_matter(make_model, make_batch):
    """With one model's weights in the other, codes are the same, before and after a joint step."""
    names = ("audio", "video", "text")
    one = make_model(names, codebook={"ema": {"update": "joint"}})
    other = make_model(names[::-1], seed=7, codebook={"ema": {"update": "joint"}})
    other.load_state_dict(one.state_dict())
    batch = make_batch(names)
    for _ in range(2):
        for m, codes in one.encode(batch).items():
            assert torch.equal(codes, other.encode(batch)[m])
        for model in (one, other):
            model.codebook.accumulate(model.quantize(model.represent(batch)))
        torch.testing.assert_close(one.codebook.codes, other.codebook.codes)


def test_weights_are_a_function_of_the_seed(make_model):
    state = torch.random.get_rng_state()
    one, same, other = (make_model(ALL, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's stream is left be
    for (name, x), y in zip(one.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(x, y), name
    assert not torch.equal(one.codebook.codes, other.codebook.codes)
    assert not torch.equal(one.detail["audio"].linear.weight, other.detail["audio"].linear.weight)


# ---- errors -------------------------------------------------------------------------------------


def vectors(*names):
    return [Modality(name=n, kind=Kind.VECTORS, shape=(4,)) for n in names]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "needs different modalities, got none"),
        (["audio", "audio"], {}, "needs different modalities, got ['audio', 'audio']"),
        (
            ["audio"],
            {
                "width": 10,
                "temporal": {"kind": "mlp"},
                "codebook": {"kind": "product", "groups": 4},
            },
            "model.width = 10 is not a multiple of model.codebook.groups = 4",
        ),
        (
            ["audio", "eeg"],
            {"width": 10, "temporal": {"heads": 4}},
            "model.width = 10 is not a multiple of model.temporal.heads = 4",
        ),
        (["audio", "type"], {}, "modality name 'type' is taken by torch.nn; choose another"),
        (["values", "eeg"], {}, "modality name 'values' is taken by torch.nn; choose another"),
    ],
)
def test_models_that_cannot_be(names, options, message):
    with pytest.raises(ConfigError) as error:
        UnifiedModel(vectors(*names), ModelOptions.model_validate(options))
    assert message in str(error.value)


def test_width_need_not_divide_by_the_heads_of_no_attention():
    options = ModelOptions.model_validate({"width": 10, "temporal": {"kind": "mlp", "heads": 4}})
    assert UnifiedModel(vectors("audio", "eeg"), options).codebook.width == 10


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ({"adio": (2, 3, 6)}, ModalityError, "unknown modality 'adio' (did you mean 'audio'?)"),
        ({"audio": (2, 3, 5)}, ModalityError, "has shape (2, 3, 5); expected [B, T, 6]"),
        ({"video": (2, 3, 100)}, ModalityError, "expected [B, T, 5, 5, 4]"),
        ({"audio": (2, 0, 6)}, DataError, "[B, T] = [2, 0]: a batch needs a clip and a step"),
        ({"audio": (2, 3, 6), "video": (2, 4, 5, 5, 4)}, DataError, "pad with zeros"),
        ({}, DataError, "the batch has no modality"),
    ],
)
@pytest.mark.parametrize("method", ["encode", "represent", "semantics"])
def test_batches_that_do_not_fit(make_model, features, error, message, method):
    batch = Batch({m: torch.zeros(shape) for m, shape in features.items()})
    with pytest.raises(error) as raised:
        getattr(make_model(), method)(batch)
    assert message in str(raised.value)


def test_integer_features(make_model):
    with pytest.raises(ModalityError, match=r"dtype torch.uint8; convert it to float32"):
        make_model().encode({"audio": torch.zeros(2, 3, 6, dtype=torch.uint8)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("ids", "name"), [([], "number 1"), (["a", "b", "c", "d"], "'b'")])
def test_non_finite_features_have_no_codes(make_model, make_batch, value, ids, name):
    """One NaN would spread over the whole batch by the common scale of the distances."""
    model, batch = make_model(), make_batch()
    batch.features["video"][1, 2, 0, 3, 1] = value
    batch.ids = ids
    with pytest.raises(DataError) as error:
        model.encode(batch)
    assert str(error.value) == (
        f"modality 'video' has NaN or infinite features: clip {name}, step 2"
    )


def test_codes_of_an_unknown_modality(make_model):
    with pytest.raises(ModalityError, match=r"'txt'; valid: audio, video"):
        make_model().decode({"txt": torch.tensor([[0]])})
