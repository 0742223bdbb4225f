"""A model around every kind of quantizer: what is encoded is what heads see."""

import pytest
import torch

from cmg.errors import ConfigError, DataError
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.types import Kind, Modality

SHAPES = {"audio": (6,), "video": (5, 5, 4), "text": (7,)}
NAMES = ("audio", "video", "text")
KINDS = {
    "shared": {"distance": "cosine"},
    "tied": {"kind": "tied"},
    "learned": {"kind": "learned", "distance": "cosine"},
    "row": {"kind": "tied", "heads": "row"},
    "residual": {"kind": "residual", "levels": 2},
    "product": {"kind": "product", "groups": 4, "distance": "cosine"},
    "alike": {"kind": "product", "groups": 4, "shared": True},
    "fsq": {"kind": "fsq", "levels": (3, 3)},
    "lfq": {"kind": "lfq", "bits": 3},
    "simvq": {"kind": "simvq"},
    "residual-vq": {"kind": "residual-vq", "levels": 2},
}


def declared(name):
    kind = {"audio": Kind.VECTORS, "video": Kind.MAPS, "text": Kind.TOKENS}[name]
    return Modality(name=name, kind=kind, shape=SHAPES[name], detail_width=12, token_hidden=4)


@pytest.fixture
def model_of(options):
    def make(names=NAMES, seed=0, **codebook):
        unsized = codebook.get("kind") in ("none", "fsq", "lfq")
        size = {} if unsized else {"size": 9}
        told = options(temporal={"kind": "mlp"}).model_dump() | {"codebook": size | codebook}
        return UnifiedModel([declared(n) for n in names], ModelOptions.model_validate(told), seed)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_gives_what_heads_saw(model_of, make_batch, kind):
    model = model_of(**KINDS[kind]).eval()
    lengths = {"audio": [5, 3, 1, 0], "video": [5, 5, 5, 2], "text": [1, 2, 3, 4]}
    batch = make_batch(NAMES, lengths=lengths)
    z = model.semantics(batch)
    model.codebook.start_from({m: x.flatten(0, 1) for m, x in z.items()}, torch.Generator())
    codes, encoded = model.encode(batch), model.represent(batch)
    seen, quantized = model.decode(codes), model.quantize(encoded)
    rebuilt = model.reconstruct(encoded, quantized)
    levels = [] if model.codebook.levels is None else [model.codebook.levels]
    for m in NAMES:
        there = batch.steps.mask(m)
        assert list(codes[m].shape) == [4, 5, *levels]
        assert codes[m].dtype == torch.int64
        assert bool((codes[m][~there] == -1).all())
        assert bool((codes[m][there] >= 0).all())
        torch.testing.assert_close(seen[m][there], quantized.vectors[m][there])
        assert not seen[m][~there].any()
        assert rebuilt[m].shape == encoded.inputs[m].shape
    assert len(torch.cat([x.flatten() for x in codes.values()]).unique()) > 4
    torch.stack([x.sum() for x in rebuilt.values()]).sum().backward()
    for m in NAMES:
        assert any(p.grad is not None and p.grad.any() for p in model.semantic[m].parameters())


def test_a_continuous_model(model_of, make_batch):
    model, batch = model_of(kind="none").eval(), make_batch(NAMES)
    encoded = model.represent(batch.features)
    quantized = model.quantize(encoded)
    assert quantized.indices == {}
    assert model.reconstruct(encoded, quantized).keys() == set(NAMES)
    assert torch.equal(model.semantics(batch.features)["audio"], model.semantics(batch)["audio"])
    assert (model.size, model.dtype, model.device.type) == (0, torch.float32, "cpu")
    index = {"audio": torch.zeros(1, 1, dtype=torch.int64)}
    for refused in (lambda: model.encode(batch), lambda: model.decode(index)):
        with pytest.raises(ConfigError, match=r"continuous \(model.codebook.kind=none\)"):
            refused()


def test_one_modality_is_a_model(model_of, make_batch):
    model, batch = model_of(("video",)).eval(), make_batch(("video",))
    assert model.decode(model.encode(batch))["video"].shape == (4, 5, 8)


@pytest.mark.parametrize(
    ("codes", "error", "said"),
    [
        (torch.zeros(1, 2, 2), DataError, "int64"),
        *((torch.full((1, 2, 2), code), DataError, "-1 .. 8") for code in (-2, 9)),
        (torch.zeros(1, 2, dtype=torch.int64)[..., None], ConfigError, "2 levels"),
    ],
)
def test_codes_of_another_model(model_of, codes, error, said):
    with pytest.raises(error, match=said):
        model_of(**KINDS["residual"]).decode({"audio": codes})
