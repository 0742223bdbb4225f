"""What each baseline says, by hand and by slow loops."""

import numpy as np
import pytest
import torch

from cmg.baselines.raw import raw_clips
from cmg.baselines.rows import COMPUTED, RIDGE_PENALTIES, computed
from cmg.data.options import DataOptions
from cmg.data.store import open_store
from cmg.errors import DataError
from cmg.evaluation.logistic import PENALTIES, Samples, fit_logistic
from cmg.studies.scorers import scorer_for


@pytest.fixture(scope="module")
def clips(store):
    return raw_clips(open_store(store), DataOptions())


@pytest.fixture(scope="module")
def rows(clips):
    return dict(computed(clips))


@pytest.fixture
def mirrored(written):
    """y is x turned and stretched; x tells the two kinds apart by its sign alone."""
    rng = np.random.default_rng(3)
    kinds = ["a", "b", "b", "b"] * 10
    side = np.array([1.0 if kind == "a" else -1.0 for kind in kinds])
    x = np.stack([side * (2 + rng.random(40)), rng.normal(size=40)], 1)
    y = x @ np.array([[0.0, 3.0], [-2.0, 1.0]]) + 5
    return written({"x": x.tolist(), "y": y.tolist()}, kinds, ["train"] * 32 + ["test"] * 8)


def test_what_is_linear_is_found_exactly_and_the_majority_is_counted(mirrored):
    found = dict(computed(raw_clips(mirrored, DataOptions())))
    across = ["x->y", "y->x"]
    assert [found["ridge"].scores[d].mean for d in across] == [100.0, 100.0]
    assert [found["cca"].scores[d].mean for d in across] == [100.0, 100.0]
    assert {s.mean for s in found["linear"].scores.values()} == {100.0}
    assert {s.mean for s in found["majority"].scores.values()} == {75.0}
    assert set(found["ridge"].scores) == set(found["cca"].scores) == set(across)
    assert set(found["linear"].scores) == {"x->x", "y->y", *across}


def test_ridge_is_what_slow_loops_find(clips, rows):
    """Penalties of head and map by trying all on the held clips; then all training clips."""

    def fitted(part, penalty):
        x, y = (t.numpy() for t in part.pairs("audio", "video"))
        a, b = x - x.mean(0), y - y.mean(0)
        weight = np.linalg.solve(b.T @ b + len(b) * penalty * np.eye(b.shape[1]), b.T @ a)
        return lambda new: torch.from_numpy((new.numpy() - y.mean(0)) @ weight + x.mean(0))

    def right(head, part, to):
        new, labels = part.labeled("video")
        return 100 * float(
            ((to(new) @ head.weight.T + head.bias).argmax(1) == labels).float().mean()
        )

    held = Samples(*clips.held.labeled("audio"))
    apart = fit_logistic(*clips.fit.labeled("audio"), 3, PENALTIES, held)
    tried = [right(apart, clips.held, fitted(clips.fit, p)) for p in RIDGE_PENALTIES]
    penalty = RIDGE_PENALTIES[int(np.argmax(tried))]
    whole = fit_logistic(*clips.train.labeled("audio"), 3, apart.l2)
    row = rows["ridge"]
    assert row.chosen["audio->video"] == {"penalty": penalty, "l2": apart.l2}
    expected = right(whole, clips.test, fitted(clips.train, penalty))
    assert row.scores["audio->video"].mean == pytest.approx(expected)
    assert row.tries == 2 * (len(RIDGE_PENALTIES) + len(PENALTIES))
    # Maps 5 x 6 + 6 and 6 x 5 + 5, heads 6 x 3 + 3 and 5 x 3 + 3.
    assert row.parameters == 36 + 35 + 21 + 18


def test_a_study_computes_them_on_a_store(store, config, rows):
    found = scorer_for(store).controls(config)
    assert list(found) == list(COMPUTED)
    assert found["cca"] == {
        f"classification/{direction}": score.mean for direction, score in rows["cca"].scores.items()
    }


def test_every_row_is_timed_and_beats_the_majority(rows):
    assert list(rows) == list(COMPUTED)
    assert all(row.seconds > 0 and row.steps == 0 for row in rows.values())
    for name in ("ridge", "cca", "linear"):
        for direction, score in rows[name].scores.items():
            assert score.mean > rows["majority"].scores[direction].mean
    assert rows["cca"].chosen["video->audio"]["dimensions"] <= 5


def test_wide_features_of_few_clips_are_no_obstacle(written):
    rng = np.random.default_rng(1)
    kinds = ["a", "b"] * 8
    sides = np.array([[1.0 if k == "a" else -1.0] for k in kinds])
    x, y = (sides * rng.normal(size=50) + 0.1 * rng.normal(size=(16, 50)) for _ in "xy")
    store = written({"x": x.tolist(), "y": y.tolist()}, kinds, ["train"] * 10 + ["test"] * 6)
    found = dict(computed(raw_clips(store, DataOptions()), ["ridge", "cca"]))
    assert {s.mean for row in found.values() for s in row.scores.values()} == {100.0}


def test_constant_features_share_nothing(written):
    x, y = [[float(i)] for i in range(8)], [[2.0]] * 8
    store = written({"x": x, "y": y}, ["a", "b"] * 4, ["train"] * 6 + ["test"] * 2)
    clips = raw_clips(store, DataOptions())
    with pytest.raises(DataError, match=r"CCA of x and y: .* the same for all clips"):
        dict(computed(clips, ["cca"]))
    assert dict(computed(clips, ["ridge"]))["ridge"].scores["x->y"].mean == 50.0


def test_a_part_without_labels_of_a_modality_is_named(written):
    x, y = [[float(i)] for i in range(8)], [[1.0]] * 6 + [None, None]
    store = written({"x": x, "y": y}, ["a", "b"] * 4, ["train"] * 6 + ["test"] * 2)
    with pytest.raises(DataError, match="labeled clips with 'y' among those that it learns from"):
        dict(computed(raw_clips(store, DataOptions()), ["linear"]))
