"""Ridge, CCA and InfoNCE as retrieval, beside a run's codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmg import write_store
from cmg.config.load import load_config
from cmg.data.options import DataOptions
from cmg.errors import ConfigError, DataError
from cmg.recipes.baselines import baselines
from cmg.recipes.pretrain import pretrain
from cmg.recipes.retrieval import evaluate_retrieval
from cmg.report.retrieval import retrieval_files
from cmg.retrieval.baselines import RawGalleries, computed_directions, searched

TINY = [
    "model.width=8",
    "model.temporal={kind: mlp, hidden: 8}",
    "model.codebook.size=8",
    "data.batch_size=8",
    "training.epochs=1",
    "training.threads=1",
    "training.tensorboard=false",
]
DIRECTIONS = ["audio->video", "video->audio"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Video is audio turned by an orthogonal matrix, a step per clip: nothing has a label."""
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(80, 4)).astype(np.float32)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    arrays = {
        "audio": list(audio[:, None]),
        "video": list((audio @ turn).astype(np.float32)[:, None]),
    }
    split = ["train"] * 50 + ["test"] * 30
    return write_store(tmp_path_factory.mktemp("turned") / "store", arrays, split=split)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "run"
    pretrain(load_config(None, [*TINY, f"data.store={store.path}"]), path)
    return path


def galleries(store):
    return RawGalleries.of(store, DataOptions(store=str(store.path)), ["audio", "video"], None)


@pytest.mark.parametrize("name", ["ridge", "cca"])
def test_what_is_linear_is_found_at_once(store, name):
    found = computed_directions(galleries(store), name)
    assert list(found) == DIRECTIONS
    for scores in found.values():
        assert scores.recall[1] > 95.0  # shrunk and rounded, a clip is as near as its neighbor
        assert scores.median_rank == 1.0
        assert (scores.queries, scores.gallery, scores.map) == (30, 30, None)


def test_a_fifth_of_the_training_clips_is_held_out_to_choose_by(store):
    clips = galleries(store)
    counts = [len(part.labels) for part in (clips.fit, clips.held, clips.train, clips.test)]
    assert counts == [40, 10, 50, 30]


def test_scores_are_of_cosines_to_the_mapped_query(store):
    """By hand: R@1 of a map that is not fitted."""
    clips = galleries(store)
    turn = torch.roll(torch.eye(4, dtype=torch.float64), 1, 0)
    found = searched(clips.test, "audio", "video", (lambda x: x @ turn, lambda x: x))
    x = (clips.test.features["audio"] @ turn).numpy()
    y = clips.test.features["video"].numpy()
    cosines = x @ y.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)
    assert found.recall[1] == pytest.approx(100 * np.mean(cosines.argmax(1) == np.arange(30)))


def test_an_evaluation_has_them_beside_the_codes(store, run):
    plainly = evaluate_retrieval([run], by=["mean"])
    assert plainly.baselines == {}
    found = evaluate_retrieval([run], by=["mean"], baselines=True)
    assert found.scores == plainly.scores
    assert list(found.baselines) == ["ridge", "cca"]
    files = retrieval_files(found)
    assert files["retrieval.json"]["baselines"]["cca"][0]["audio->video"]["recall"][1] == 100.0
    assert "Baseline: CCA" in files["report.md"]
    baselines(run, ["infonce"])
    beside = evaluate_retrieval([run], by=["mean"], baselines=True)
    own = evaluate_retrieval([run / "baselines" / "infonce"], by=["continuous"])
    assert list(beside.baselines) == ["infonce", "ridge", "cca"]
    assert beside.baselines["infonce"] == own.scores["continuous"]


def test_another_store_has_none(store, run):
    with pytest.raises(ConfigError, match="leave --data or --baselines out"):
        evaluate_retrieval([run], data=store.path, baselines=True)


def test_too_few_clips_to_choose_by_are_refused(tmp_path):
    arrays = {m: list(np.ones((6, 1, 2), np.float32)) for m in ("audio", "video")}
    store = write_store(tmp_path / "s", arrays, split=["train"] * 4 + ["test"] * 2)
    with pytest.raises(DataError, match="fewer than two clips have both 'audio' and 'video'"):
        computed_directions(galleries(store), "ridge")


def test_the_command_says_how_to_get_them(cmg, run, tmp_path):
    said = cmg("evaluate", "retrieval", "--model", run, "--by", "mean", "--out", tmp_path / "a")
    assert "ridge, cca): the same command with --baselines" in said.err
    given = ["--by", "mean", "--baselines", "--json", "--out", tmp_path / "b"]
    said = cmg("evaluate", "retrieval", "--model", run, *given)
    assert said.json["baselines"]["ridge"][0]["video->audio"]["recall"]["1"] > 95.0
