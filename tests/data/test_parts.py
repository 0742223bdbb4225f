"""Parts that share a group or lack a class are refused."""

import numpy as np
import pytest

from cmg.clips import training_clips
from cmg.data import Clip, FeatureSpec, LabelSpec, StoreWriter
from cmg.data.options import DataOptions
from cmg.data.parts import refuse_absent_classes, refuse_leak
from cmg.data.store import open_store
from cmg.errors import DataError

LABELS = {"kind": LabelSpec(classes=("a", "b"))}


@pytest.fixture
def store(tmp_path):
    """Of clips given as (split, group, label)."""

    def write(*clips):
        spec = {"audio": FeatureSpec(kind="vectors", shape=(2,))}
        with StoreWriter(tmp_path / "store", spec, LABELS) as writer:
            for i, (split, group, label) in enumerate(clips):
                meta = {} if group is None else {"group": group}
                features = {"audio": np.zeros((1, 2), "f4")}
                writer.add(Clip(str(i), split, features, {"kind": label}, meta))
        return open_store(tmp_path / "store")

    return write


def test_parts_without_a_common_group_pass(store):
    found = store(
        ("train", 1, 0), ("train", 1, 1), ("val", 2, 0), ("test", 3, 0), ("test", None, 1)
    )
    refuse_leak(found, "train", "val", "test")
    refuse_leak(found, "train+val", "test")


@pytest.mark.parametrize(
    ("groups", "splits", "told"),
    [
        ((1, 2, 2), ("val", "test"), "splits 'val' and 'test' share group 2;"),
        ((1, "x", "x"), ("train", "val", "test"), "splits 'val' and 'test' share group 'x';"),
        ((1, 2, 1), ("train+val", "test"), r"splits 'train\+val' and 'test' share group 1;"),
        ((1, 2, 3), ("train+val", "val"), "share group 2;"),
        ((None, None, None), ("val", "train+val+test"), "share clip '1';"),
    ],
)
def test_a_shared_group_is_refused_and_named(store, groups, splits, told):
    found = store(*zip(("train", "val", "test"), groups, (0, 0, 0), strict=True))
    with pytest.raises(DataError, match=f"store: leak: .*{told} what is chosen on one"):
        refuse_leak(found, *splits)


@pytest.mark.parametrize(
    ("val", "test", "told"),
    [
        ("vall", "test", r"data.val_split: .*'vall'.*; without one \(data.val_split=null\)"),
        ("val", "test", "leak: splits 'val' and 'test' share group 2;"),
        ("train", "test", "leak: splits 'train' and 'train' share group 1;"),
        ("test", "train+test", "leak: splits 'test' and 'train.test' share group 2;"),
    ],
)
def test_a_validation_split_is_looked_at_before_training(store, val, test, told):
    found = store(("train", 1, 0), ("val", 2, 0), ("test", 2, 0))
    data = DataOptions(store=str(found.path), val_split=val, test_split=test)
    with pytest.raises(DataError, match=told):
        training_clips(data)


def test_choices_are_judged_on_the_validation_split_itself(store):
    found = store(("train", 1, 0), ("val", 2, 0), ("test", 2, 0))
    data = DataOptions(store=str(found.path), val_split="val", test_split="val")
    assert set(training_clips(data).splits) == {"train", "val", "test"}


def test_it_says_how_many_more_are_shared(store):
    found = store(*((split, group, 0) for split in ("val", "test") for group in "abc"))
    with pytest.raises(DataError, match="share group 'a' and 2 more;"):
        refuse_leak(found, "val", "test")


def test_a_part_without_a_class_is_refused(store):
    rows = store(("train", 1, 0), ("train", 1, 1), ("val", 2, 1)).rows
    refuse_absent_classes(rows[:2], "kind", ("a", "b"))
    with pytest.raises(DataError, match="split 'val' has no clip whose kind is 'a'; divide"):
        refuse_absent_classes(rows, "kind", ("a", "b"))
