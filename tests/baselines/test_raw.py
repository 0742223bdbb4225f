"""Raw features of clips: what they are, what they are scaled by, what choices are made on."""

import numpy as np
import pytest
import torch

from cmg import write_store
from cmg.baselines.raw import means, raw_clips
from cmg.data.options import DataOptions
from cmg.errors import DataError

TRAIN = [[0.0, 7.0], [2.0, 7.0], [4.0, 7.0], None]
TEST = [[5.0, 8.0], [3.0, 7.0]]
SIX = ["train"] * 4 + ["test"] * 2
KINDS = ["a", "b", "a", "b", "a", "b"]


@pytest.fixture
def six(written):
    """Six clips, of which one lacks a modality; the second feature is constant in training."""
    other = [[1.0], [1.0], [3.0], [5.0], [2.0], [2.0]]
    return lambda **more: written({"x": TRAIN + TEST, "y": other}, KINDS, SIX, **more)


def test_a_clip_is_the_mean_of_its_steps_and_of_the_places_of_maps():
    steps = torch.zeros(2, 3, 1, 2, 2)
    steps[0, 0, 0] = torch.tensor([[1.0, 10.0], [3.0, 20.0]])
    steps[0, 1, 0] = torch.tensor([[5.0, 30.0], [7.0, 40.0]])
    found = means(steps, torch.tensor([2, 0]))
    assert found.tolist() == [[4.0, 25.0], [0.0, 0.0]]
    assert found.dtype == torch.float64


def test_features_are_scaled_by_training_clips_that_have_them(six):
    clips = raw_clips(six(), DataOptions())
    third = (8 / 3) ** 0.5  # deviation of 0, 2, 4
    expected = torch.tensor([[-2 / third, 0.0], [0.0, 0.0], [2 / third, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(clips.train.features["x"], expected.double())
    assert clips.train.present["x"].tolist() == [True, True, True, False]
    # 1 above what is constant in training stays 1: there is no deviation to divide by.
    torch.testing.assert_close(clips.test.features["x"][0], torch.tensor([3 / third, 1.0]).double())
    assert [len(x) for x in clips.train.pairs("x", "y")] == [3, 3]
    assert clips.directions == [("x", "y"), ("y", "x")]


def test_pairs_are_the_clips_that_were_trained_on(six):
    clips = raw_clips(six(), DataOptions(fraction=0.5))
    assert int(clips.train.paired.sum()) == 2
    assert len(clips.train.labels) == 4  # heads see the labels of all


def parts(groups, **options):
    """What is chosen on of ten training clips, two of `val` and two of `test`, by their groups."""

    def of(written):
        split = ["train"] * 10 + ["val"] * 2 + ["test"] * 2
        rng = np.random.default_rng(0)
        features = {m: rng.normal(size=(14, 2)).tolist() for m in "xy"}
        meta = None if groups is None else [{"group": name} for name in groups]
        return raw_clips(
            written(features, ["a", "b"] * 7, split, meta=meta), DataOptions(**options)
        )

    return of


def test_choices_are_made_on_val_where_it_is_apart(written):
    clips = parts([0, 1, 2, 3, 4] * 2 + [5, 5, 6, 6])(written)
    assert clips.chosen_on == "split 'val'"
    assert clips.fit is clips.train
    assert len(clips.held.labels) == 2


def test_otherwise_on_whole_groups_of_training_clips(written):
    of = [0, 1, 2, 3, 4] * 2
    clips = parts([*of, 0, 5, 6, 6])(written)
    assert clips.chosen_on == "a fifth of the training clips"
    assert (len(clips.fit.labels), len(clips.held.labels)) == (8, 2)
    where = [
        int((clips.train.features["x"] == x).all(1).nonzero()) for x in clips.held.features["x"]
    ]
    assert len({of[i] for i in where}) == 1


def test_a_named_validation_part_that_leaks_is_refused(written):
    with pytest.raises(DataError, match="leak: splits 'val' and 'train\\+test' share group 6"):
        parts([0, 1, 2, 3, 4] * 2 + [5, 6, 6, 6], val_split="val")(written)


@pytest.mark.parametrize(
    ("options", "labels", "message"),
    [
        ({"modalities": ("x",)}, {"kind": KINDS}, r"one modality here \(x\)"),
        ({}, None, "has no labels; .* need a label per clip: .* --only infonce"),
        ({}, {"step": [["a"], ["b"]] * 3}, "has only labels per step"),
        ({}, {"kind": ["a", "a", "a", "a", "a", "b"]}, "fewer than two classes"),
        ({"test_split": "tset"}, {"kind": KINDS}, "did you mean 'test'"),
    ],
)
def test_what_has_no_baselines_is_refused(options, labels, message, tmp_path):
    features = {m: np.arange(12, dtype=np.float32).reshape(6, 1, 2) for m in "xy"}
    store = write_store(tmp_path / "store", features, split=SIX, labels=labels)
    with pytest.raises(DataError, match=message):
        raw_clips(store, DataOptions(**options))


def test_modalities_that_never_meet_are_refused(written):
    x, y = [[0.0], [1.0], None, None] * 2, [None, None, [0.0], [1.0]] * 2
    store = written({"x": x, "y": y}, ["a", "b"] * 4, ["train"] * 4 + ["test"] * 4)
    with pytest.raises(DataError, match="no two training clips have the same two of x, y"):
        raw_clips(store, DataOptions())
