"""Mixed pairs and modality dropout, by hand and in a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import cmg
from cmg.errors import ConfigError
from cmg.objectives import objectives
from cmg.types import Batch, Steps
from projects.levers import DropoutOptions, Mixup, MixupOptions, ModalityDropout


@pytest.fixture(autouse=True, scope="module")
def taken_back() -> Iterator[None]:
    """The next tests find the objectives that cmg has by itself."""
    entries = objectives.entries
    yield
    for name in ("mixup", "modality_dropout"):
        entries.pop(name, None)
    sys.modules.pop("projects.levers", None)


def test_both_modalities_of_a_clip_are_mixed_by_one_share_with_one_other() -> None:
    features = {
        "a": torch.tensor([[[0.0], [0.0]], [[4.0], [8.0]]]),
        "b": torch.tensor([[[1.0], [1.0]], [[3.0], [0.0]]]),
    }
    lengths = {"a": torch.tensor([2, 2]), "b": torch.tensor([2, 1])}
    drawn = (torch.tensor([1, 0]), torch.tensor([0.5, 1.0]))
    mixed = Mixup(MixupOptions(strength=0.5)).prepare(
        Batch(features, lengths), drawn, torch.arange(2)
    )
    assert mixed.features["a"].flatten().tolist() == [1.0, 2.0, 2.0, 4.0]
    # The second step of b is the first clip's alone, and padding of the other one.
    assert mixed.features["b"].flatten().tolist() == [1.5, 1.0, 2.0, 0.0]
    assert mixed.lengths == lengths


def test_a_part_of_a_batch_cannot_be_mixed() -> None:
    batch = Batch({"a": torch.zeros(2, 1, 1)})
    drawn = Mixup.draw(torch.Generator(), ["a"], Steps.of({"a": torch.zeros(4, 1, 1)}))
    with pytest.raises(ConfigError, match="the whole batch in one piece"):
        Mixup().prepare(batch, drawn, torch.arange(2))


def test_modalities_are_left_out_but_never_the_last_one() -> None:
    batch = Batch(
        {"a": torch.ones(3, 2, 1), "b": torch.ones(3, 2, 1)},
        {"a": torch.tensor([2, 1, 2]), "b": torch.tensor([2, 2, 0])},
    )
    drawn = {"a": torch.tensor([0.1, 0.2, 0.05]), "b": torch.tensor([0.9, 0.1, 0.9])}
    left = ModalityDropout(DropoutOptions(rate=0.3)).prepare(batch, drawn, torch.arange(3))
    assert left.lengths is not None
    assert left.lengths["a"].tolist() == [0, 1, 2]
    assert left.lengths["b"].tolist() == [2, 0, 0]


@pytest.mark.parametrize("lever", ["mixup", "modality_dropout"])
def test_a_training_has_them(lever: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {m: list(rng.normal(size=(24, 3, 4)).astype(np.float32)) for m in ("a", "b")}
    cmg.write_store(tmp_path / "store", arrays, split=["train"] * 20 + ["test"] * 4)
    changes = [
        f"data={tmp_path / 'store'}",
        "data.batch_size=10",
        "model.width=8",
        "model.codebook.size=8",
        "training.epochs=1",
    ]
    codes = []
    for more in ([], [f"objectives.{lever}.weight=1"]):
        config = cmg.load_config(None, [*changes, *more], method="contrast")
        model = cmg.pretrain(config, tmp_path / f"run{len(more)}").state.model
        codes.append(model.codebook.table("").clone())
    assert not torch.equal(*codes)
