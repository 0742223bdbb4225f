"""Steps of different duration on one grid: exact by hand, against a slow oracle, and laws."""

import numpy as np
import pytest
import torch

from cmg.data import Clip, FeatureSpec, LabelSpec, StoreWriter, open_store
from cmg.data.alignment import chosen_grid, grid_steps, on_grid, step_weights
from cmg.errors import DataError
from cmg.types import Kind


def column(*numbers):
    return np.array(numbers, np.float32)[:, None]


def test_halves_become_their_mean_and_wholes_repeat():
    assert on_grid(column(1, 3, 5, 7), 0.5, 1.0).tolist() == [[2], [6]]
    assert on_grid(column(1, 3), 1.0, 0.5).tolist() == [[1], [1], [3], [3]]


def test_steps_that_do_not_fit_are_weighted_by_their_overlap():
    # Steps of 0.75 s on seconds: [0, 1) is 0.75 of the first and 0.25 of the second.
    found = on_grid(column(4, 8, 16, 0), 0.75, 1.0)
    np.testing.assert_allclose(found[:, 0], [5, (0.5 * 8 + 0.5 * 16), (0.25 * 16 + 0.75 * 0)])


def test_a_last_step_counts_where_it_is_half_full():
    assert grid_steps(3, 0.5, 1.0) == 2
    assert on_grid(column(1, 3, 5), 0.5, 1.0).tolist() == [[2], [5]]
    assert grid_steps(5, 0.25, 1.0) == 1
    assert grid_steps(1, 0.1, 1.0) == 1  # never none of something
    assert grid_steps(0, 0.1, 1.0) == 0


@pytest.mark.parametrize(("steps", "seconds", "grid"), [(10, 0.96, 1.0), (7, 1.0, 0.3), (5, 2, 2)])
def test_weights_are_those_of_a_fine_comb(steps, seconds, grid):
    weights = step_weights(steps, seconds, grid)
    fine = 20000
    for g, row in enumerate(weights):
        times = (g + (np.arange(fine) + 0.5) / fine) * grid
        which = np.floor(times / seconds).astype(int)
        which = which[which < steps]
        wanted = np.bincount(which, minlength=steps) / len(which)
        np.testing.assert_allclose(row, wanted, atol=2e-4)
    np.testing.assert_allclose(weights.sum(1), 1)


def test_a_constant_stays_and_maps_keep_their_shape():
    x = np.full((10, 2, 3, 4), 7, np.float32)
    found = on_grid(x, 0.96, 1.0)
    assert found.shape == (10, 2, 3, 4)
    np.testing.assert_array_equal(found, 7)


@pytest.fixture
def make(tmp_path):
    """A store: two modalities of 0.5 s and 1 s, words, and clips that lack one."""

    def write(durations=(0.5, 1.0), labels=None, per="clip"):
        specs = {
            "fast": FeatureSpec(kind=Kind.VECTORS, shape=(2,), step_seconds=durations[0]),
            "slow": FeatureSpec(kind=Kind.VECTORS, shape=(2,), step_seconds=durations[1]),
            "words": FeatureSpec(kind=Kind.TOKENS, shape=(2,)),
        }
        names = {"kind": LabelSpec(classes=("a", "b"), per=per)} if labels else {}
        rng = np.random.default_rng(0)
        path = tmp_path / f"{durations}{labels}"
        with StoreWriter(path, specs, names) as writer:
            for clip in range(6):
                seconds = 2 + clip
                features = {
                    "fast": rng.normal(size=(2 * seconds, 2)).astype(np.float32),
                    "slow": rng.normal(size=(seconds, 2)).astype(np.float32),
                    "words": rng.normal(size=(3 + clip, 2)).astype(np.float32),
                }
                if clip == 4:
                    del features["fast"]
                longest = max(map(len, features.values()))
                own = {"kind": [0] * longest if per == "step" else 1} if labels else {}
                writer.add(Clip(f"c{clip}", "test" if clip > 3 else "train", features, own))
        return open_store(path)

    return write


def test_clips_are_brought_to_the_longest_step(make):
    store = make()
    source = store.on_grid("auto")
    assert source.step_seconds == {"fast": 1.0, "slow": 1.0, "words": None}
    assert source.native_seconds == {"fast": 0.5, "slow": 1.0, "words": None}
    assert [row.lengths["fast"] for row in source.rows if "fast" in row.lengths] == [2, 3, 4, 5, 7]
    assert [row.lengths["words"] for row in source.rows] == [3, 4, 5, 6, 7, 8]
    clips = np.array([1, 4, 0])
    block, lengths = source.features("fast", clips)
    assert lengths.tolist() == [3, 0, 2]
    old, _ = store.features("fast", clips)
    torch.testing.assert_close(block[0, :3], old[0, :6].reshape(3, 2, 2).mean(1))
    assert not block[1].any()
    assert not block[2, 2:].any()
    assert torch.equal(source.features("slow", clips)[0], store.features("slow", clips)[0])


def test_the_order_of_the_clips_does_not_matter(make):
    source = make().on_grid(0.7)
    there, _ = source.features("fast", np.array([0, 1, 2, 3]))
    back, _ = source.features("fast", np.array([3, 2, 1, 0]))
    assert torch.equal(there, back.flip(0))


def test_equal_steps_and_no_wish_leave_the_store_itself(make):
    store = make((1.0, 1.0))
    assert store.on_grid("auto") is store
    assert store.on_grid(1.0) is store
    other = make()
    assert other.on_grid(None) is other
    assert other.on_grid("auto", ["slow", "words"]) is other
    assert chosen_grid(other.native_seconds, "auto", ["words"]) is None


def test_the_content_changes_with_the_grid(make):
    store = make()
    hashes = {store.on_grid(grid).content_hash for grid in (None, 1.0, 0.25)}
    assert len(hashes) == 3


def test_labels_per_step_are_refused_with_the_remedy(make):
    with pytest.raises(DataError, match=r"'kind' is per step.*data\.step_seconds=null"):
        make(labels="steps", per="step").on_grid()
