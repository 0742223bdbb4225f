"""The emulation of naive ranks in ``benchmarks.naive`` is naive ranks; its arithmetic by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks.naive import CMCM, CPC, EMA, EVERYTHING, ONE, RESET, Divided, outcome, table
from safetensors.torch import load_file
from tests.paired import paired_store
from tests.tiny import THREE, TINY

from cmg.config.load import load_config
from cmg.evaluation.results import CodebookStats
from cmg.evaluation.scores import Score
from cmg.recipes.pretrain import prepare
from cmg.runs.checkpoint import training_tensors
from cmg.saved import flat

SCRIPT = Path(__file__).parents[1] / "distributed" / "train_ranks.py"


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    """The demo's terms on ragged clips, some without a modality; 8 steps with resets."""
    store = tmp_path_factory.mktemp("data") / "store"
    sizes = {"train": 24, "test": 12}
    paired_store(store, THREE, sizes, steps=5, classes=3, lengths=(2, 5), missing=0.15)
    return [
        f"data.store={store}",
        *TINY,
        "model.temporal={kind: mlp, hidden: 16, dropout: 0.0}",
        "model.token_hidden={text: 4}",
        "model.codebook.size=9",
        "model.codebook.reset={patience: 2, active: 2, source: tokens}",
        "objectives.reconstruction=null",
        "objectives.club=null",
        "optimizer.lr=0.01",
        "training.epochs=2",
        "training.precision=float64",
    ]


def trained(overrides, apart, ranks=2):
    training = Divided.of(prepare(load_config(None, overrides)), ranks, frozenset(apart))
    training.train()
    return flat(training.state.model) | training_tensors(training.state)


def furthest(one, other):
    """The largest difference; a predictor's bias has no true gradient and follows rounding."""
    names = [n for n in one if not (".predictors." in n and n.endswith("bias"))]
    return max(float((one[n].double() - other[n].double()).abs().max()) for n in names)


@pytest.fixture(scope="module")
def plain(overrides):
    training = prepare(load_config(None, overrides))
    training.train()
    return flat(training.state.model) | training_tensors(training.state)


@pytest.mark.slow
def test_with_all_parts_it_is_the_naive_ranks(overrides, plain, tmp_path):
    (tmp_path / "jobs.json").write_text(
        json.dumps({"naive": [*overrides, "training.parallel=naive"]})
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", SCRIPT, tmp_path, tmp_path / "jobs.json"]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=variables, timeout=300, check=True, capture_output=True)
    ranks = [load_file(tmp_path / f"naive-{rank}.safetensors") for rank in (0, 1)]
    assert furthest(*ranks) == 0.0
    assert furthest(trained(overrides, EVERYTHING), ranks[0]) < 1e-11
    assert furthest(plain, ranks[0]) > 1e-2


def test_without_a_part_it_is_one_process(overrides, plain):
    assert furthest(trained(overrides, ()), plain) == 0.0


@pytest.mark.parametrize("part", [CPC, CMCM, EMA, RESET])
def test_every_part_changes_something(overrides, plain, part):
    assert furthest(trained(overrides, {part}), plain) > 1e-4


def test_measures_leave_out_a_modality_with_itself():
    score = {"a->a": Score(100.0, 0, 1), "a->b": Score(50.0, 0, 1), "b->a": Score(70.0, 0, 1)}
    one = outcome(score, score, {"a->b": Score(20.0, 0, 1)}, CodebookStats(64, 60.0, 40.0, 0.5))
    assert list(one.values()) == [60.0, 60.0, 20.0, 60.0, 40.0, 50.0]


def test_differences_are_paired():
    names = ("transfer, %", "one scan, %", "localization, %", "codes used", "perplexity")
    run = [dict.fromkeys((*names, "shared, %"), x) for x in (10.0, 20.0, 30.0, 41.0)]
    text = table({ONE: run[:2], "naive": run[2:]})
    assert "| naive | 2 | 35.5 ± 7.8 |" in text
    assert "| naive | 20.5 ± 0.7 |" in text
    assert torch.tensor([20.0, 21.0]).std().item() == pytest.approx(0.7071, abs=1e-4)
