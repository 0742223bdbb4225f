"""A small store of pairs, and a run on it."""

import shutil

import numpy as np
import pytest
from tests.paired import paired_store
from tests.tiny import QUICK

from cmg import write_store
from cmg.config.load import load_config
from cmg.recipes.pretrain import pretrain
from cmg.types import Modality

MODALITIES = [
    Modality(name="audio", kind="vectors", shape=(6,)),
    Modality(name="video", kind="maps", shape=(2, 2, 5)),
]


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("baselines") / "store"
    splits = {"train": 40, "test": 16}
    paired_store(path, MODALITIES, splits, steps=3, classes=3, lengths=(1, 3), shared_noise=0.05)
    return str(path)


@pytest.fixture(scope="session")
def config(store):
    return load_config(None, [*QUICK, "training.epochs=2", f"data.store={store}"])


@pytest.fixture(scope="session")
def trained(config, tmp_path_factory):
    """A run, which tests copy before they change anything."""
    run = tmp_path_factory.mktemp("trained") / "run"
    pretrain(config, run)
    return run


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def written(tmp_path):
    """Write a store by hand, one step per clip: rows of numbers, None where a clip lacks them."""

    def write(features, kinds, split, **more):
        arrays = {
            m: [None if row is None else np.array([row], np.float32) for row in rows]
            for m, rows in features.items()
        }
        return write_store(tmp_path / "hand", arrays, labels={"kind": kinds}, split=split, **more)

    return write
