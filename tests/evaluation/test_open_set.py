"""Known and unknown classes: figures by hand, against slow loops, and as a user types it."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import TINY

from cmg import write_store
from cmg.config.load import load_config
from cmg.errors import ConfigError, DataError
from cmg.evaluation.encoding import code_distances
from cmg.evaluation.open_set import (
    ClassSplit,
    ScoredClips,
    auroc,
    divided,
    evenly_spaced,
    every_threshold,
    false_positive_rate,
    part_of,
    rejections,
    scores_of,
)
from cmg.recipes.open_set import evaluate_open_set
from cmg.recipes.pretrain import pretrain

CLASSES = ["ant", "bee", "cat", "dog", "eel"]
SURE = torch.tensor([0.9, 0.6, 0.6, 0.2, 0.6, 0.1], dtype=torch.float64)
TARGETS = torch.tensor([0, 1, 0, 1, 2, 2])
NAMED = torch.tensor([0, 1, 1, 1, 0, 1])


def test_rejections_by_hand():
    tried = torch.tensor([0.0, 0.6, 0.61, 1.0], dtype=torch.float64)
    found = rejections(SURE, NAMED, TARGETS, tried, 2)
    assert found.known.tolist() == [0.75, 0.5, 0.25, 0.0]
    assert found.unknown.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert found.h_scores.tolist() == [0.0, 0.5, 0.4, 0.0]
    assert found.best == 1


def test_nobody_known_and_nobody_rejected_is_an_h_of_0():
    wrong = rejections(SURE, 1 - NAMED.clamp(max=1), TARGETS, torch.tensor([-1.0]).double(), 2)
    assert (wrong.known.tolist(), wrong.unknown.tolist()) == ([0.25], [0.0])
    none = rejections(SURE, TARGETS * 0 + 5, TARGETS, torch.tensor([-1.0]).double(), 2)
    assert (none.known.tolist(), none.unknown.tolist()) == ([0.0], [0.0])
    assert none.h_scores.tolist() == [0.0]


def test_areas_and_rates_by_hand():
    assert auroc(SURE, TARGETS, 2) == (4 + 3 + 0.5 * 2 - 2) / 8 == 0.75
    assert false_positive_rate(SURE, TARGETS, 2) == 0.5
    assert evenly_spaced(SURE, 3).tolist() == [0.1, 0.5, 0.9]
    assert every_threshold(SURE).tolist() == [0.1, 0.2, 0.6, 0.9]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=60))
def test_figures_agree_with_slow_ones(clips):
    scores = torch.tensor([float(score) for score, _ in clips])
    targets = torch.tensor([0 if known else 1 for _, known in clips])
    inside = [score for score, known in clips if known]
    outside = [score for score, known in clips if not known]
    if not inside or not outside:
        with pytest.raises(DataError, match="none of"):
            auroc(scores, targets, 1)
        return
    pairs = [(a > b) + (a == b) / 2 for a, b in product(inside, outside)]
    assert auroc(scores, targets, 1) == pytest.approx(np.mean(pairs), abs=1e-12)
    kept = max(t for t in inside if np.mean([x >= t for x in inside]) >= 0.95)
    assert false_positive_rate(scores, targets, 1) == np.mean([x >= kept for x in outside])


def test_scores_by_hand():
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    found = scores_of(logits, torch.tensor([0.5, 0.25], dtype=torch.float64))
    p = np.exp(2) / (1 + np.exp(2))
    assert found["probability"].tolist() == pytest.approx([0.5, p])
    assert found["entropy"].tolist() == pytest.approx(
        [-np.log(2), p * np.log(p) + (1 - p) * np.log(1 - p)]
    )
    assert found["energy"].tolist() == pytest.approx([np.log(2), np.log(1 + np.exp(2))])
    assert found["distance"].tolist() == [-0.5, -0.25]
    assert list(scores_of(logits)) == ["probability", "entropy", "energy"]


def test_classes_are_divided_as_they_are_named():
    assert divided(CLASSES, "2") == ClassSplit((0, 1), (2, 3, 4))
    assert divided(CLASSES, "dog, bee") == ClassSplit((3, 1), (0, 2, 4))
    one = divided(CLASSES, "dog,bee", "eel")
    assert one == ClassSplit((3, 1), (4,))
    labels = torch.tensor([0, 1, 2, 3, 4, -1])
    assert one.targets(labels).tolist() == [-1, 1, -1, 0, 2, -1]
    assert one.alone(labels).tolist() == [-1, 1, -1, 0, -1, -1]


@pytest.mark.parametrize(
    ("known", "unknown", "said"),
    [
        ("dog,bee", "bee", "class 'bee' is known and unknown at once"),
        ("5", None, "5 known and 0 unknown of 5 classes"),
        ("9" * 40, None, "5 known and 0 unknown"),
        ("1", None, "1 known and 4 unknown"),
        ("dog,dog", None, "1 known"),
        ("dog,bea", None, "--known bea: no such class.*bee"),
        ("2", "fox", "--unknown fox: no such class"),
        ("", None, "0 known"),
    ],
)
def test_classes_that_are_no_open_set_are_refused(known, unknown, said):
    with pytest.raises(ConfigError, match=said):
        divided(CLASSES, known, unknown)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both modalities say the class plainly; there are clips of every class in every part."""
    rng = np.random.default_rng(0)
    root, count = tmp_path_factory.mktemp("open"), 90
    kinds = np.arange(count) % len(CLASSES)
    centers = rng.normal(size=(len(CLASSES), 6)) * 3
    clips = centers[kinds][:, None] + 0.1 * rng.normal(size=(count, 3, 6))
    arrays = {"audio": list(clips.astype("f4")), "video": list(clips.astype("f4") @ np.eye(6, 4))}
    write_store(
        root / "store",
        arrays,
        split=["train"] * 50 + ["val"] * 20 + ["test"] * 20,
        labels={"kind": [CLASSES[k] for k in kinds]},
    )
    more = [f"data.store={root / 'store'}", "data.val_split=val", "training.epochs=3"]
    pretrain(load_config("own-data", [*TINY, *more]), root / "run")
    return root / "run"


def test_a_model_is_told_with_every_score(run):
    found = evaluate_open_set([run], "ant,bee,cat")
    assert found.about["unknown"] == ["dog", "eel"]
    directions = ["audio->audio", "audio->video", "video->audio", "video->video"]
    scores = ("probability", "entropy", "energy", "distance")
    metrics = [f"{m}, {s}" for s in scores for m in ("AUROC", "FPR95", "H")]
    assert set(found.scores) == {"accuracy", "H, oracle", *metrics}
    assert all(list(row) == directions for row in found.scores.values())
    for row in found.scores.values():
        assert all(0 <= score.mean <= 100 for score in row.values())
    assert found.scores["accuracy"]["audio->audio"].mean > 90


def test_without_codes_or_validation_clips_less_is_told(run, tmp_path):
    store = str(run.parent / "store")
    plain = ["model.codebook.kind=none", "objectives.commitment=null"]
    plain += ["objectives.clip_info_nce.of=[features]", "objectives.step_info_nce.of=[features]"]
    config = load_config(
        "own-data",
        [f"data.store={store}", "model.width=8", "training.epochs=1", "data.batch_size=8", *plain],
    )
    pretrain(config, tmp_path / "run")
    found = evaluate_open_set([tmp_path / "run"], "3")
    assert {metric.partition(", ")[2] for metric in found.scores} == {
        *("", "probability", "entropy", "energy", "oracle")
    }
    assert not [
        metric for metric in found.scores if metric.startswith("H, ") and "oracle" not in metric
    ]
    assert found.about["remarks"] == [
        "no validation clips of both kinds of classes, so no threshold is chosen: no H"
    ]


def test_as_typed(run, tmp_path, cmg):
    out = tmp_path / "out"
    said = cmg("evaluate", "open-set", "--model", run, "--known", 3, "--out", out)
    assert said.code == 0
    told = json.loads((out / "open-set.json").read_text())
    assert told["about"]["known"] == ["ant", "bee", "cat"]
    assert (out / "report" / "auroc.csv").read_text().startswith("head trained on → read on,prob")
    refused = cmg("evaluate", "open-set", "--model", run, "--known", 5, "--out", tmp_path / "no")
    assert refused.code == 2
    assert "0 unknown of 5 classes" in refused.err
    assert not (tmp_path / "no").exists()


def test_figures_by_hand_with_a_threshold_of_other_clips():
    """On the other clips 0.5 is best; here it rejects one known clip of two and no unknown one."""

    def clips(scores, targets):
        names = torch.zeros(len(targets), dtype=torch.int64)
        given = {"probability": torch.tensor(scores, dtype=torch.float64)}
        return ScoredClips(given, names, torch.tensor(targets), 1)

    here = clips([0.9, 0.4, 0.6, 0.5], [0, 0, 1, 1])
    other = clips([0.5, 0.8, 0.2, 0.3], [0, 0, 1, 1])
    found = dict(here.figures(other))
    assert found == {
        "accuracy": 1.0,
        "AUROC, probability": 0.5,
        "FPR95, probability": 1.0,
        "H, probability": 0.0,
        "H, oracle": pytest.approx(2 / 3),
    }
    assert "H, probability" not in dict(here.figures(None))
    with pytest.raises(DataError, match="none of the 2 labeled clips val is of an unknown class"):
        part_of(torch.tensor([0, 0]), 1, "val")


def test_the_distance_to_codes_is_a_mean_over_steps_that_exist():
    z = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [9.0, 9.0]]])
    indices = torch.tensor([[0, 1], [1, -1]])
    codes = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    book = SimpleNamespace(levels=None, codes_of=lambda m, i: codes[i])
    model = SimpleNamespace(codebook=book, device="cpu")
    found = code_distances(model, "audio", indices, z)
    assert found.tolist() == [pytest.approx((1 / 2 + 1 / 2) / 2), pytest.approx(10 / 2)]


def test_what_no_head_can_learn_or_is_no_label_is_refused(run, cmg, tmp_path):
    def said(*more):
        return cmg("evaluate", "open-set", "--model", run, "--out", tmp_path / "no", *more)

    assert "no label 'kid', which" in said("--known", 3, "--label", "kid").err
    store = tmp_path / "store"
    rng = np.random.default_rng(1)
    arrays = {
        m: list(rng.normal(size=(40, 3, w)).astype("f4")) for m, w in (("audio", 6), ("video", 4))
    }
    split = ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    known = [CLASSES[i % 4 + 1] for i in range(20)] + [CLASSES[i % 5] for i in range(20)]
    write_store(store, arrays, split=split, labels={"kind": known})
    told = said("--known", "ant,bee", "--data", store)
    assert (told.code, "no training clip with audio is of 'ant'" in told.err) == (2, True)
    assert not (tmp_path / "no").exists()
