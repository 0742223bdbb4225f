import numpy as np
import pytest

from cmg.data import Batches, paired_clips, paired_store, verify_store
from cmg.errors import DataError
from cmg.types import Kind, Modality

MODALITIES = [
    Modality(name="audio", kind=Kind.VECTORS, shape=(24,)),
    Modality(name="video", kind=Kind.MAPS, shape=(2, 3, 20)),
    Modality(name="dot", kind=Kind.MAPS, shape=(1, 1, 20)),
    Modality(name="text", kind=Kind.TOKENS, shape=(22,)),
]


def explained(target, source):
    """Part of the variance of `target` [N, A] that is linear in `source` [N, B]."""
    source = np.column_stack([source, np.ones(len(source))])
    rest = target - source @ np.linalg.lstsq(source, target, rcond=None)[0]
    return 1 - rest.var() / (target - target.mean(axis=0)).var()


def test_features_are_functions_of_shared_and_own_factors():
    drawn = paired_clips(MODALITIES, 60, 5, 4, seed=0)
    shared = drawn.shared.reshape(300, -1)
    for modality in MODALITIES:
        x = drawn.features[modality.name].reshape(300, -1)
        own = drawn.private[modality.name].reshape(300, -1)
        assert drawn.features[modality.name].shape == (60, 5, *modality.shape)
        assert explained(x, np.hstack([shared, own])) > 0.9999
        assert 0.3 < explained(x, shared) < 0.98
        other = drawn.private["text" if modality.name == "audio" else "audio"].reshape(300, -1)
        assert explained(x, other) < 0.2


def test_the_mean_over_a_map_keeps_what_is_shared():
    drawn = paired_clips(MODALITIES, 60, 5, 4, seed=0, private_strength=0.0)
    pooled = drawn.features["video"].mean(axis=(2, 3)).reshape(300, -1)
    assert explained(drawn.shared.reshape(300, -1), pooled) > 0.9999


def test_classes_are_balanced_and_apart():
    drawn = paired_clips(MODALITIES, 40, 3, 4, seed=1, shared_noise=0.0)
    assert np.bincount(drawn.labels[:, 0]).tolist() == [10] * 4
    assert (drawn.labels == drawn.labels[:, :1]).all()
    assert len(np.unique(drawn.shared.reshape(120, -1), axis=0)) == 4
    steps = paired_clips(MODALITIES, 40, 3, 4, seed=1, per="step")
    assert np.bincount(steps.labels.ravel()).tolist() == [30] * 4
    assert (steps.labels != steps.labels[:, :1]).any()


def test_draws_share_their_maps_and_nothing_else():
    train, test = (paired_clips(MODALITIES, 50, 4, 3, seed=2, draw=d) for d in (0, 1))
    assert not np.array_equal(train.shared, test.shared)
    again = paired_clips(MODALITIES, 50, 4, 3, seed=2)
    assert np.array_equal(train.features["video"], again.features["video"])
    factors = [
        np.concatenate([d.shared, d.private["audio"]], axis=2).reshape(200, -1)
        for d in (train, test)
    ]
    outputs = [d.features["audio"].reshape(200, -1) for d in (train, test)]
    linear = np.linalg.lstsq(factors[0], outputs[0], rcond=None)[0]
    np.testing.assert_allclose(factors[1] @ linear, outputs[1], atol=1e-4)
    alone = paired_clips(MODALITIES[:1], 50, 4, 3, seed=2)
    linear_alone = np.linalg.lstsq(
        np.concatenate([alone.shared, alone.private["audio"]], axis=2).reshape(200, -1),
        alone.features["audio"].reshape(200, -1),
        rcond=None,
    )[0]
    np.testing.assert_allclose(linear_alone, linear, atol=1e-4)


def test_lengths_and_missing_modalities():
    drawn = paired_clips(MODALITIES, 200, 6, 3, seed=3, lengths=(2, 5), missing=0.6)
    lengths = np.stack(list(drawn.lengths.values()))
    assert set(np.unique(lengths)) == {0, 2, 3, 4, 5}
    assert lengths.any(axis=0).all()
    assert 0.3 < (lengths == 0).mean() < 0.6
    for m, x in drawn.features.items():
        beyond = np.arange(6)[None, :] >= drawn.lengths[m][:, None]
        assert not x[beyond].any()


@pytest.mark.parametrize("per", ["clip", "step"])
def test_store_of_paired_clips(tmp_path, per):
    sizes = {"train": 9, "test": 4}
    store = paired_store(
        tmp_path / per, MODALITIES, sizes, 6, 3, lengths=(1, 6), missing=0.3, per=per
    )
    assert store.splits == sizes
    assert verify_store(store.path) == []
    assert store.modalities == {m.name: m for m in MODALITIES}
    labels = store.split("train").label("class")
    assert labels.shape == ((9,) if per == "clip" else (9, 6))
    Batches(store.split("train"), 4).at(0, 0).check(store.modalities)


def test_single_step_clips(tmp_path):
    store = paired_store(tmp_path / "s", MODALITIES, {"train": 4}, steps=1, classes=2)
    assert Batches(store.split("train"), 4).at(0, 0).features["video"].shape == (4, 1, 2, 3, 20)


@pytest.mark.parametrize(
    "options",
    [
        {"modalities": []},
        {"modalities": MODALITIES[:1] * 2},
        {"clips": 0},
        {"steps": 0},
        {"classes": 0},
        {"lengths": (0, 3)},
        {"lengths": (3, 2)},
        {"lengths": (1, 11)},
        {"missing": 1.0},
    ],
)
def test_values_out_of_their_domain_are_refused(options):
    with pytest.raises(DataError):
        paired_clips(**({"modalities": MODALITIES, "clips": 4} | options))
