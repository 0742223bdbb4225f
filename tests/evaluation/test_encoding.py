"""Splits encoded once: shapes, masks, order, and nothing of the model changed."""

import pytest
import torch
from tests.paired import paired_store

from cmg.codebook.measures import code_counts, collapse
from cmg.errors import ConfigError, DataError, ModalityError
from cmg.evaluation.encoding import code_usage, encode_split, read_by
from cmg.evaluation.results import CodebookStats
from cmg.types import Batch, Kind, Modality, Quantized


def clip(split, modality, index):
    """One clip's features, straight from the store."""
    features, lengths = split.features(modality, [index])
    return features[:, : int(lengths[0])].float()


@pytest.mark.parametrize("batch_size", [7, 256])
def test_every_clip_in_its_place(untrained, declared, ragged_store, batch_size):
    """Clip by clip what `encode` says; clips that lack every modality of the model stay too."""
    model, split = untrained(declared["audio"], declared["video"]), ragged_store.split("test")
    encoded = encode_split(model, split, batch_size)
    assert list(encoded) == ["audio", "video"]
    lengths = {m: split.lengths(m) for m in encoded}
    assert ((lengths["audio"] == 0) & (lengths["video"] == 0)).any()  # the case that is hard
    for m, one in encoded.items():
        assert one.indices.shape == (30, 4)
        assert one.semantic.shape == one.codes.shape == (30, 4, 16)
        assert torch.equal(one.mask.sum(1), lengths[m])
        assert torch.equal(one.present, lengths[m] > 0)
        assert torch.equal(one.codes[~one.mask], torch.zeros(int((~one.mask).sum()), 16))
        for b in range(30):
            n = int(lengths[m][b])
            if n == 0:
                continue
            alone = Batch({m: clip(split, m, b)})
            assert torch.equal(one.indices[b, :n], model.encode(alone)[m][0])
            z = model.semantics(alone)[m][0]
            torch.testing.assert_close(one.semantic[b, :n], z, rtol=1e-4, atol=1e-5)
            assert torch.equal(one.codes[b, :n], model.codebook.codes[one.indices[b, :n]])


def test_model_is_left_untouched(trained, paired):
    before = {n: x.clone() for n, x in trained.state_dict().items()}
    for training in (True, False):
        trained.train(training)
        for dropout in (True, False):
            encode_split(trained, paired.split("test"), dropout=dropout)
            assert trained.training == training
    trained.eval()
    for name, value in trained.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_dropout_only_where_asked(trained, paired):
    split = paired.split("test")
    plain = [encode_split(trained, split)["audio"].semantic for _ in range(2)]
    assert torch.equal(*plain)
    torch.manual_seed(0)
    noisy = encode_split(trained, split, dropout=True)["audio"].semantic
    assert (noisy - plain[0]).abs().mean() > 0.01
    torch.manual_seed(0)
    assert torch.equal(encode_split(trained, split, dropout=True)["audio"].semantic, noisy)


def test_modality_in_another_shape(untrained, paired):
    other = Modality(name="audio", kind=Kind.VECTORS, shape=(11,))
    eeg = Modality(name="eeg", kind=Kind.VECTORS, shape=(5,))
    with pytest.raises(
        ModalityError,
        match=r"store: modality 'audio' has steps of shape \(12,\), the model reads \(11,\); give",
    ):
        encode_split(untrained(other, eeg), paired.split("test"))


def test_split_without_a_modality_of_the_model(untrained, paired):
    others = [Modality(name=n, kind=Kind.VECTORS, shape=(5,)) for n in ("eeg", "imu")]
    with pytest.raises(DataError, match="at least one modality"):
        encode_split(untrained(*others), paired.split("test"))


def test_split_of_one_clip(untrained, declared, tmp_path):
    store = paired_store(tmp_path / "one", [declared["audio"], declared["video"]], {"test": 1}, 3)
    with pytest.raises(DataError, match=r"has 1 clip\(s\) with audio, video"):
        encode_split(untrained(), store.split("test"))


def test_usage_counts_existing_steps(untrained, declared, ragged_store):
    model, split = untrained(declared["audio"], declared["eeg"]), ragged_store.split("test")
    encoded = encode_split(model, split)
    usage = code_usage(encoded, 16)
    assert usage.modalities == ("audio", "eeg")
    for row, m in enumerate(usage.modalities):
        known = encoded[m].indices[encoded[m].mask]
        assert torch.equal(usage.counts[row], torch.bincount(known, minlength=16).double())
    first = torch.zeros(30, 4, dtype=torch.bool)
    first[:, 0] = True
    some = code_usage(encoded, 16, {"audio": first})
    head = encoded["audio"].indices[encoded["audio"].present, 0]
    assert torch.equal(some.counts[0], torch.bincount(head, minlength=16).double())
    assert torch.equal(some.counts[1], usage.counts[1])
    assert torch.equal(
        usage.counts[1],
        code_counts(encoded["eeg"].indices.clamp_min(0), 16, encoded["eeg"].mask),
    )


class Levels(torch.nn.Module):
    """A quantizer of two tables whose vectors add up, or of none."""

    kind = "residual"

    def __init__(self, levels):
        super().__init__()
        self.levels, generator = levels, torch.Generator().manual_seed(0)
        self.codes = torch.randn(levels, 5, 16, generator=generator)

    def lookup(self, semantic, steps):
        indices = {m: z.new_zeros(*z.shape[:2], 2).long() + 3 for m, z in semantic.items()}
        for one in indices.values():
            one[..., 1] = 4
        return Quantized(indices if self.levels else {}, {}, {}, dict(semantic), steps)

    def vectors(self, modality, indices):
        found = sum(self.codes[i][indices[..., i].clamp_min(0)] for i in range(2))
        return found * (indices[..., :1] >= 0)

    def posterior(self, modality, z, temperature):
        gap = (z[..., None, None, :] - self.codes).square().sum(-1)
        return (-gap / (temperature * 16)).softmax(-1)


def test_a_quantizer_with_levels_is_read_by_its_own_vectors(untrained, declared, ragged_store):
    model, split = untrained(declared["audio"], declared["eeg"]), ragged_store.split("test")
    plain = encode_split(model, split)["audio"]
    model.codebook = Levels(2)
    one = encode_split(model, split)["audio"]
    assert one.indices.shape == (30, 4, 2)
    assert torch.equal(one.mask, plain.mask)
    assert torch.equal(
        one.codes[one.mask][0], model.codebook.codes[0, 3] + model.codebook.codes[1, 4]
    )
    assert not one.codes[~one.mask].any()
    found = read_by(model, "audio", one.indices, one.semantic, "posterior")
    assert found.shape == (30, 4, 10)
    torch.testing.assert_close(found.sum(2), 2.0 * one.mask)
    usage = code_usage({"audio": one}, 5)
    count = float(one.mask.sum())
    assert usage.counts.tolist() == [[0, 0, 0, count, 0, 0, 0, 0, 0, count]]


def test_without_codes_steps_exist_all_the_same(untrained, declared, ragged_store):
    model, split = untrained(declared["audio"], declared["eeg"]), ragged_store.split("test")
    plain = encode_split(model, split)["audio"]
    model.codebook = Levels(0)
    one = encode_split(model, split)["audio"]
    assert torch.equal(one.mask, plain.mask)
    assert torch.equal(one.semantic, plain.semantic)
    assert torch.equal(one.codes, one.semantic * one.mask[..., None])  # what heads read
    with pytest.raises(ConfigError, match="has no codes, so no posterior"):
        read_by(model, "audio", one.indices, one.semantic, "posterior")
    usage = code_usage({"audio": one, "eeg": one}, 0)
    stats = CodebookStats.of(usage, usage)
    assert (stats.size, stats.used, stats.shared_share, collapse(usage)) == (0, 0.0, 0.0, [])
