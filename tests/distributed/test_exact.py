"""Several ranks, or micro-batches, train what one process with the same batch trains."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

spec = importlib.util.spec_from_file_location(
    "train_ranks", Path(__file__).parent / "train_ranks.py"
)
train_ranks_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train_ranks_module)
trained = train_ranks_module.trained

DOUBLE = "training.precision=float64"
JOBS = {
    "float64": [DOUBLE],
    "published": [DOUBLE, "model.map_detail=published", "model.mask_tokens=false"],
    "mlp": [DOUBLE, "model.temporal.kind=mlp", "model.codebook.reset.source=tokens"],
    "no-reconstruction": [DOUBLE, "objectives.reconstruction=null"],
    "micro": [DOUBLE, "training.micro_batch=2"],
    "codebook": [DOUBLE, "training.codebook_only=true"],
    "float32": [],
}


@pytest.fixture(scope="session")
def alone(overrides):
    """Every job in this process, without micro-batches."""
    threads = torch.get_num_threads()
    found = {
        name: trained([o for o in overrides(*more) if "micro" not in o])
        for name, more in JOBS.items()
    }
    torch.set_num_threads(threads)
    return found


@pytest.fixture(scope="session")
def two(train_ranks, overrides):
    return train_ranks(2, {name: overrides(*more) for name, more in JOBS.items()})


def without_true_gradient(name, tensor):
    """What has a gradient of zero in exact numbers, and so follows rounding alone.

    A key's bias adds the same to all scores of a softmax, a predictor's bias to all of a row.
    """
    if ".predictors." in name and name.endswith("bias") and tensor.dim():
        return tensor.new_zeros(tensor.shape)
    if name.endswith("self_attn.in_proj_bias") and tensor.dim():
        third = len(tensor) // 3
        return torch.cat([tensor[:third], torch.zeros_like(tensor[:third]), tensor[2 * third :]])
    return tensor


def furthest(one, other):
    """The largest difference of any tensor, and whose it is."""
    assert one.keys() == other.keys()
    pairs = {
        n: (without_true_gradient(n, x), without_true_gradient(n, other[n])) for n, x in one.items()
    }
    return max((float((a.double() - b.double()).abs().max()), n) for n, (a, b) in pairs.items())


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("job", [n for n in JOBS if n != "float32"])
def test_two_ranks_end_where_one_process_does(two, alone, job, rank):
    """20 steps: weights, codes, counts, sums, idle counters, both Adams."""
    difference, name = furthest(alone[job][0], two[job, rank][0])
    assert difference < 1e-12, name


@pytest.mark.parametrize("job", JOBS)
def test_both_ranks_hold_the_same_to_the_bit(two, job):
    one, other = two[job, 0][0], two[job, 1][0]
    assert all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("job", JOBS)
def test_every_rank_logs_the_whole_batch(two, alone, job):
    steps = alone[job][1]
    assert len(steps) == 20
    assert [s["clips"] for s in steps[:4]] == [6, 6, 6, 4]
    tolerance = 1e-4 if job == "float32" else 1e-9
    for rank in (0, 1):
        for own, whole in zip(two[job, rank][1], steps, strict=True):
            assert own == pytest.approx(whole, rel=tolerance, abs=tolerance)


def test_codes_were_reset_and_gradients_flowed(alone, overrides):
    """The comparison means something: the runs have moved, and resets were among their steps."""
    never = trained(overrides(DOUBLE, "model.codebook.reset.enabled=false"))[0]
    assert furthest(alone["float64"][0], never)[0] > 1e-3
    steps = alone["float64"][1]
    assert steps[-1]["loss/total"] < 0.9 * steps[0]["loss/total"]


def test_in_float32_the_ranks_stay_within_rounding(two, alone):
    one, other = alone["float32"][0], two["float32", 0][0]
    weights = [n for n in one if not n.startswith(("optimizer", "club_optimizer"))]
    difference, name = furthest({n: one[n] for n in weights}, {n: other[n] for n in weights})
    assert difference < 1e-5, name
    assert torch.equal(one["codebook.idle"], other["codebook.idle"])


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_micro_batches_change_nothing(alone, overrides, size):
    found, log = trained(overrides(DOUBLE, f"training.micro_batch={size}"))
    difference, name = furthest(alone["float64"][0], found)
    assert difference < 1e-12, name
    assert log[-1] == pytest.approx(alone["float64"][1][-1], rel=1e-9, abs=1e-9)


def test_recomputed_maps_change_nothing(alone, overrides):
    found, _ = trained(overrides(DOUBLE, "training.recompute_maps=true"))
    assert furthest(alone["float64"][0], found)[0] < 1e-12


def test_recomputed_maps_are_really_recomputed(overrides, monkeypatch):
    from cmg.encoders.detail import MapDetail

    calls, real = [], MapDetail.forward
    monkeypatch.setattr(MapDetail, "forward", lambda self, x: calls.append(1) or real(self, x))
    trained(overrides("training.epochs=1"))
    once = len(calls)
    trained(overrides("training.epochs=1", "training.recompute_maps=true"))
    assert len(calls) - once == 2 * once
    assert once == 4


@pytest.mark.slow
def test_four_ranks_end_where_one_process_does(train_ranks, overrides, alone):
    four = train_ranks(4, {name: overrides(*more) for name, more in JOBS.items()})
    for (job, _), (tensors, _) in four.items():
        if job != "float32":
            assert furthest(alone[job][0], tensors)[0] < 1e-12
