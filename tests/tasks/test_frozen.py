"""A source seen through a frozen model: encoded once, the same as by the model itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmg.codebook.dimensions import DimensionOptions, kept_dimensions
from cmg.codebook.kinds import of_kind
from cmg.data import write_store
from cmg.errors import ConfigError, DataError, ModalityError
from cmg.evaluation.encoding import FrozenEncoder, pad_steps
from cmg.evaluation.frozen import FrozenData, Opened
from cmg.evaluation.stack import HeadStack
from cmg.evaluation.training import HeadJob, HeadOptions, Watch, train_heads
from cmg.models.unified import UnifiedModel
from cmg.tasks.ave import AVE
from cmg.tasks.run import run_plan
from cmg.tasks.sides import side
from cmg.training.seeding import derived_seed
from cmg.types import Batch, Kind, Modality

from .conftest import AUDIO, OPTIONS, VIDEO, Folder


@pytest.fixture
def ragged(tmp_path):
    """Audio of 1 .. 7 steps, text of 2 .. 4 tokens."""
    rng = np.random.default_rng(0)
    audio = [rng.normal(size=(1 + i % 7, 6)).astype(np.float32) for i in range(45)]
    text = [rng.normal(size=(2 + i % 3, 5)).astype(np.float64) for i in range(45)]
    return write_store(
        tmp_path / "ragged",
        {"audio": audio, "text": text},
        labels={"kind": [i % 3 for i in range(45)]},
        kinds={"text": "tokens"},
    )


@pytest.fixture
def text_model(make_options):
    modalities = [
        Modality(name="audio", kind=Kind.VECTORS, shape=(6,), detail_width=4),
        Modality(name="text", kind=Kind.TOKENS, shape=(5,), detail_width=4, token_hidden=3),
    ]
    model = UnifiedModel(modalities, make_options).eval()
    model.codebook.codes.copy_(torch.randn(24, 8, generator=torch.Generator().manual_seed(0)))
    return model


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_codes_are_those_of_the_model(ragged, text_model, modality):
    frozen = FrozenData(Opened(Folder(ragged.path, {"ragged": ragged})), text_model)
    clips = np.array([44, 3, 3, 17, 0])
    found = frozen.features("ragged", modality, clips, "codes")
    assert found.codes.dtype == torch.int64
    for row, clip in zip(found.codes, clips, strict=True):
        x, lengths = ragged.features(modality, np.array([clip]))
        wanted = text_model.encode(Batch({modality: x.float()}, {modality: lengths}))[modality][0]
        steps = int(lengths)
        assert torch.equal(row[:steps], wanted[:steps])
        assert bool((row[steps:] == -1).all())
    z = frozen.features("ragged", modality, clips, "continuous")
    posterior = frozen.features("ragged", modality, clips, "posterior")
    assert posterior.vectors.shape == (*z.mask.shape, 24)
    assert torch.equal(posterior.vectors.argmax(2)[z.mask], found.codes[found.mask])
    torch.testing.assert_close(posterior.vectors.sum(2), z.mask.float())
    assert torch.equal(z.mask, found.mask)
    nearest = torch.cdist(z.vectors[z.mask], text_model.codebook.codes).argmin(1)
    assert torch.equal(nearest, found.codes[found.mask])


def test_every_clip_is_read_once(folder, model, monkeypatch):
    source = folder.stores["ave"]
    read = []
    features = type(source).features
    monkeypatch.setattr(
        type(source), "features", lambda self, m, x: read.extend(x) or features(self, m, x)
    )
    told = []
    frozen = FrozenData(Opened(folder), model, "published", progress=lambda *x: told.append(x))
    frozen.features("ave", "video", np.arange(40), "codes")
    frozen.features("ave", "video", np.arange(20, 50), "continuous")
    frozen.noisy("ave", "video", np.arange(50))
    assert sorted(read) == list(range(50))
    assert told[0] == ("encode ave video", 32, 40)


def test_the_model_is_left_as_it_was(folder, model):
    model = model.double().train()
    before = {n: x.clone() for n, x in model.state_dict().items()}
    frozen = FrozenData(Opened(folder), model, "published")
    frozen.noisy("ave", "audio", np.arange(8)).pick(torch.arange(8), 0, 0)
    assert all(module.training for module in model.modules())
    for name, x in model.state_dict().items():
        assert torch.equal(x, before[name])


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_dropout_after_pooling_draws_what_the_whole_encoder_draws(folder, model, modality):
    """The cached path against a naive one that encodes every batch from its features."""
    model = model.double()
    source = folder.stores["ave"]
    noisy = FrozenData(Opened(folder), model, "published").noisy("ave", modality, np.arange(40))
    chosen = torch.tensor([31, 2, 17, 5, 5])
    found = noisy.pick(chosen, seed=3, step=11)
    naive = naive_codes(model, source, modality, chosen, 3, 11)
    assert torch.equal(found, naive)
    frozen = FrozenData(Opened(folder), model)
    quiet = frozen.features("ave", modality, np.arange(40), "codes").codes[chosen]
    assert not torch.equal(found, quiet)
    assert not torch.equal(found, noisy.pick(chosen, seed=3, step=12))
    assert torch.equal(found, noisy.pick(chosen, seed=3, step=11))


def test_the_posterior_is_drawn_anew_with_dropout_too(folder, model):
    frozen = FrozenData(Opened(folder), model.double(), "published", by="posterior")
    noisy = frozen.noisy("ave", "audio", np.arange(40))
    chosen = torch.tensor([31, 2])
    found = noisy.pick(chosen, seed=3, step=11)
    assert found.shape == (2, 10, noisy.width)
    naive = naive_codes(model, folder.stores["ave"], "audio", chosen, 3, 11)
    assert torch.equal(found.argmax(2), naive)


def naive_codes(model, source, modality, chosen, seed, step):
    """Codes of a batch as the release makes them: the whole encoder in train mode."""
    x, lengths = source.features(modality, chosen.numpy())
    batch = Batch({modality: x.double()}, {modality: lengths})
    model.train()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(derived_seed(seed, f"dropout/{modality}", step))
        z = model.represent(batch).semantic
    codes = model.codebook.lookup(z, batch.steps).indices[modality]
    model.eval()
    return codes


def test_heads_on_cached_inputs_are_heads_that_encode_again_every_epoch(folder, model):
    model = model.double()
    source = folder.stores["ave"]
    frozen = FrozenData(Opened(folder), model, "published")
    clips = np.arange(40)
    labels = source.split("train").label("category")
    options = HeadOptions(epochs=3, batch_size=16)
    noisy = frozen.noisy("ave", "video", clips)
    quiet = frozen.features("ave", "video", clips, "codes")
    watch = {"x": Watch(quiet, lambda logits: 0.0, "last")}
    jobs = [HeadJob(seed, noisy, labels, 5, watch) for seed in range(2)]
    found = train_heads(jobs, options, torch.float64)
    for job, kept in zip(jobs, found, strict=True):
        head = naive_head(model, source, job, options)
        wanted = HeadStack.of([head])
        for mine, theirs in zip(kept["x"].head.weights, wanted.weights, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def naive_head(model, source, job, options):
    from cmg.data.batches import permutation

    head = job.new_head(torch.float64)
    adam = torch.optim.Adam(head.parameters(), lr=options.lr)
    step = 0
    for epoch in range(options.epochs):
        order = torch.from_numpy(permutation(40, job.seed, epoch))
        for some in order.split(options.batch_size):
            codes = naive_codes(model, source, "video", some, job.seed, step)
            logits = head(model.codebook.codes[codes])
            loss = torch.nn.functional.cross_entropy(logits, job.labels[some])
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), options.clip)
            adam.step()
            step += 1
    return head


def test_nan_names_the_clip(tmp_path, model, folder):
    x, lengths = folder.stores["ave"].features("audio", np.arange(4))
    x[2, 5, 0] = math.nan
    encoder = FrozenEncoder(model, "audio")
    with pytest.raises(DataError, match="'c', step 5"):
        encoder.inputs(x, lengths, list("abcd"))
    broken = Folder(folder.path, {"ave": broken_clips(folder.stores["ave"])})
    with pytest.raises(DataError, match=r"ave: .*'ave-00002', step 5; extract that clip again"):
        FrozenData(Opened(broken), model).features("ave", "audio", np.arange(4), "codes")


def broken_clips(good):
    """Clips with one bad number."""

    def read(modality, clips):
        x, lengths = good.read(modality, clips)
        x[clips == 2, 5] = math.nan
        return x, lengths

    return replace(good, read=read)


def test_other_shapes_and_modalities_are_refused(folder, text_model, model, make_options):
    with pytest.raises(ModalityError, match="the model has no modality 'video'"):
        FrozenData(Opened(folder), text_model).features("ave", "video", np.arange(2), "codes")
    with pytest.raises(ModalityError, match="ucf101 has no modality 'audio'"):
        FrozenData(Opened(folder), model).features("ucf101", "audio", np.arange(2), "codes")
    wide = [
        Modality(name="audio", kind=Kind.VECTORS, shape=(128,), detail_width=4),
        Modality(name="video", kind=Kind.MAPS, shape=(7, 7, 512), detail_width=4),
    ]
    big = UnifiedModel(wide, make_options)
    with pytest.raises(ModalityError, match=r"has steps of shape \(6,\), the model reads \(128,\)"):
        side(FrozenData(Opened(folder), big), "ave", "audio", "category")


def test_labels_are_fitted_to_the_steps():
    labels = torch.ones(2, 3, 4)
    assert pad_steps(labels, 2, -1).shape == (2, 2, 4)
    longer = pad_steps(labels, 5, -1)
    assert bool((longer[:, 3:] == -1).all())
    assert torch.equal(longer[:, :3], labels)


@pytest.mark.parametrize("protocol", ["clean", "published"])
def test_benchmarks_read_the_kept_dimensions_alone(folder, model, protocol):
    """As codes, whose table is cut; drawn anew with dropout; and as vectors."""
    options = DimensionOptions(keep=5, largest=3, smallest=1, as_coded=True)
    data = FrozenData(Opened(folder), model, protocol, dimensions=options)
    kept = kept_dimensions(data.model.codebook, options)
    whole = FrozenData(Opened(folder), model, protocol)
    clips = np.arange(6)
    found = data.features("ave", "audio", clips, "codes")
    assert torch.equal(found.table, whole.features("ave", "audio", clips, "codes").table[:, kept])
    assert found.width == 4
    continuous = data.features("ave", "audio", clips, "continuous")
    assert continuous.vectors.shape[2] == model.options.width
    if protocol == "published":
        assert data.noisy("ave", "audio", clips).width == 4
    outcome = run_plan(AVE().plan(data), HeadOptions(epochs=1), [0])
    assert "4 of the 5 dimensions asked for are kept" in outcome.remarks[0]


def test_segments_of_rows_are_read_in_the_kept_dimensions(folder):
    """Vectors of a kind whose modalities have no common table."""
    own = OPTIONS.model_copy(update={"codebook": of_kind({"kind": "tied", "size": 24})})
    model = UnifiedModel((AUDIO, VIDEO), own).eval()
    options, clips = DimensionOptions(keep=3), np.arange(4)
    data = FrozenData(Opened(folder), model, "published", dimensions=options)
    kept = kept_dimensions(data.model.codebook, options)
    found = data.features("ave", "video", clips, "codes").vectors
    whole = FrozenData(Opened(folder), data.model, "published")
    assert torch.equal(found, whole.features("ave", "video", clips, "codes").vectors[..., kept])
    assert data.noisy("ave", "video", clips).width == 3


def test_dimensions_of_what_has_none_are_refused(folder, model):
    with pytest.raises(ConfigError, match="those of code vectors, but heads read posterior"):
        FrozenData(Opened(folder), model, by="posterior", dimensions=DimensionOptions(keep=2))
