"""A tiny store and configuration on which a whole run takes a second."""

import pytest
from tests.paired import paired_store
from tests.tiny import THREE, TINY

from cmg.config.load import load_config


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """22 clips of up to 6 steps, some without a modality."""
    path = tmp_path_factory.mktemp("data") / "store"
    paired_store(
        path,
        THREE,
        {"train": 22, "test": 12},
        steps=6,
        classes=3,
        lengths=(2, 6),
        missing=0.15,
    )
    return path


@pytest.fixture(scope="session")
def tiny_config(tiny_store):
    """Every term, dropout, resets and a data-driven start; 3 epochs of 5 steps."""

    def make(*overrides):
        return load_config(
            None,
            [
                f"data.store={tiny_store}",
                *TINY,
                "data.batch_size=5",
                "model.detail_width={audio: 6, video: 6, text: 6}",
                "model.token_hidden={text: 4}",
                "model.codebook.size=9",
                "model.codebook.reset={patience: 3, active: 2, source: codes}",
                "objectives.club={hidden: 8}",
                "optimizer.lr=0.01",
                "training.epochs=3",
                *overrides,
            ],
        )

    return make
