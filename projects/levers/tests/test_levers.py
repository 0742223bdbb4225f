"""Mixed pairs and modality dropout, by hand and in a training."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import cmg
from cmg.errors import CmgError, ConfigError
from cmg.objectives import objectives
from cmg.types import Batch, Steps

ROOT = Path(__file__).parents[3]


@pytest.fixture
def levers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plugin, for one test: the others find the objectives that cmg has by itself."""
    monkeypatch.setattr(objectives, "entries", dict(objectives.entries))
    monkeypatch.delitem(sys.modules, "projects.levers.terms", raising=False)
    return importlib.import_module("projects.levers.terms")


def test_both_modalities_of_a_clip_are_mixed_by_one_share_with_one_other(
    levers: ModuleType,
) -> None:
    features = {
        "a": torch.tensor([[[0.0], [0.0]], [[4.0], [8.0]]]),
        "b": torch.tensor([[[1.0], [1.0]], [[3.0], [0.0]]]),
    }
    lengths = {"a": torch.tensor([2, 2]), "b": torch.tensor([2, 1])}
    drawn = (torch.tensor([1, 0]), torch.tensor([0.5, 1.0]))
    mixed = levers.Mixup(levers.MixupOptions(strength=0.5)).prepare(
        Batch(features, lengths), drawn, torch.arange(2)
    )
    assert mixed.features["a"].flatten().tolist() == [1.0, 2.0, 2.0, 4.0]
    # The second step of b is the first clip's alone, and padding of the other one.
    assert mixed.features["b"].flatten().tolist() == [1.5, 1.0, 2.0, 0.0]
    assert mixed.lengths == lengths


def test_a_part_of_a_batch_cannot_be_mixed(levers: ModuleType) -> None:
    batch = Batch({"a": torch.zeros(2, 1, 1)})
    drawn = levers.Mixup.draw(torch.Generator(), ["a"], Steps.of({"a": torch.zeros(4, 1, 1)}))
    with pytest.raises(ConfigError, match="the whole batch in one piece"):
        levers.Mixup().prepare(batch, drawn, torch.arange(2))


def test_modalities_are_left_out_but_never_the_last_one(levers: ModuleType) -> None:
    batch = Batch(
        {"a": torch.ones(3, 2, 1), "b": torch.ones(3, 2, 1)},
        {"a": torch.tensor([2, 1, 2]), "b": torch.tensor([2, 2, 0])},
    )
    drawn = {"a": torch.tensor([0.1, 0.2, 0.05]), "b": torch.tensor([0.9, 0.1, 0.9])}
    left = levers.ModalityDropout(levers.DropoutOptions(rate=0.3)).prepare(
        batch, drawn, torch.arange(3)
    )
    assert left.lengths is not None
    assert left.lengths["a"].tolist() == [0, 1, 2]
    assert left.lengths["b"].tolist() == [2, 0, 0]


def test_a_training_has_them(tmp_path: Path) -> None:
    """In a process of its own, as it is typed: what a plugin brings stays for the process."""
    rng = np.random.default_rng(0)
    arrays = {m: list(rng.normal(size=(24, 3, 4)).astype(np.float32)) for m in ("a", "b")}
    cmg.write_store(tmp_path / "store", arrays, split=["train"] * 20 + ["test"] * 4)
    command = [sys.executable, "-m", "cmg", "--plugin", "projects.levers.terms", "pretrain"]
    command += ["method=contrast", f"data={tmp_path / 'store'}", "data.batch_size=10"]
    command += ["model.width=8", "model.codebook.size=8", "training.epochs=1"]
    command += ["objectives.mixup.strength=0.3", "objectives.modality_dropout.rate=0.5"]
    run = tmp_path / "run"
    done = subprocess.run(
        [*command, "--out", str(run)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    kept = (run / "config.yaml").read_text()
    assert "plugins: [projects.levers.terms]" in kept or "- projects.levers.terms" in kept
    assert "rate: 0.5" in kept
    assert "strength: 0.3" in kept
    with pytest.raises(CmgError, match=r"--plugin projects\.levers\.terms"):
        cmg.load(run)
