import numpy as np
import pytest

from cmg.data import Clip, FeatureSpec, LabelSpec, StoreWriter, open_store, verify_store
from cmg.errors import DataError


def test_multiple_labels_come_back_multi_hot(tmp_path):
    spec = {"audio": FeatureSpec(kind="vectors", shape=(2,))}
    labels = {"events": LabelSpec(classes=("cat", "dog", "background"), per="step", multiple=True)}
    with StoreWriter(tmp_path / "store", spec, labels) as writer:
        writer.add(
            Clip(
                "a", "train", {"audio": np.zeros((3, 2), np.float32)}, {"events": [[0, 1], [2], []]}
            ),
        )
        writer.add(Clip("b", "test", {"audio": np.ones((1, 2), np.float32)}, {"events": [[1]]}))
        writer.add(Clip("c", "train", {"audio": np.ones((2, 2), np.float32)}))
    store = open_store(tmp_path / "store")
    joined = store.split("test+train")
    assert joined.ids == ["b", "a", "c"]
    assert joined.label("events").tolist() == [
        [[0, 1, 0], [-1, -1, -1], [-1, -1, -1]],
        [[1, 1, 0], [0, 0, 1], [0, 0, 0]],
        [[-1, -1, -1], [-1, -1, -1], [-1, -1, -1]],
    ]
    assert verify_store(store.path) == []


@pytest.mark.parametrize("label", [[0, 1], [[0], [3]], [[0]], 1])
def test_multiple_labels_that_do_not_fit_are_refused(tmp_path, label):
    spec = {"audio": FeatureSpec(kind="vectors", shape=(2,))}
    labels = {"events": LabelSpec(classes=("cat", "dog", "background"), per="step", multiple=True)}
    with (
        pytest.raises(DataError, match="events"),
        StoreWriter(tmp_path / "store", spec, labels) as writer,
    ):
        writer.add(Clip("a", "train", {"audio": np.zeros((2, 2), np.float32)}, {"events": label}))
