"""Several ranks, or micro-batches, train what one process with the same batch trains."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from cmg.codebook.distances import squared_gap
from cmg.config.load import load_config
from cmg.objectives import objectives
from cmg.recipes.pretrain import prepare, prepare_alone
from cmg.registry import _State
from cmg.saved import flat
from cmg.training.ranks import Ranks

spec = importlib.util.spec_from_file_location(
    "train_ranks", Path(__file__).parent / "train_ranks.py"
)
train_ranks_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train_ranks_module)
trained = train_ranks_module.trained


@pytest.fixture(scope="module", autouse=True)
def _plugin():
    """The terms from outside, in these tests alone."""
    kept, loaded, path = dict(objectives.entries), list(_State.loaded), list(sys.path)
    train_ranks_module.load_plugin()
    yield
    objectives.entries, _State.loaded, sys.path[:] = kept, loaded, path
    sys.modules.pop("outside_terms", None)


DOUBLE = "training.precision=float64"
JOBS = {
    "float64": [DOUBLE],
    "published": [DOUBLE, "model.map_detail=published", "model.mask_tokens=false"],
    "codebook": [DOUBLE, "training.codebook_only=true"],
    "sparse": [DOUBLE, "data.store=SPARSE"],
    "own-terms": [
        DOUBLE,
        "training.passes=2",
        "objectives.reconstruction.weight=0.5",
        *(f"objectives.{name}.weight=0.3" for name in ("clip_nce", "masked", "critic")),
    ],
    "contrast": [
        DOUBLE,
        "data.store=SPARSE",
        "objectives.clip_info_nce={of: [features, codes, posterior], learned: true}",
        "objectives.step_info_nce={of: [codes], learned: false}",
        "model.temporal={kind: mlp, hidden: 16, dropout: 0.1, skip: true, input_dropout: 0.2}",
        "model.token_encoder=none",
        "optimizer.weight_decay=0.01",
    ],
    "students": [
        DOUBLE,
        "data.store=SPARSE",
        "model={teacher: 0.9, projection: gated}",
        "model.temporal.shared=true",
        "model.codebook={kind: learned, size: 12, distance: cosine}",
        *(f"objectives.{name}.weight=0.3" for name in ("clip_margin", "clip_sigmoid")),
        "objectives.assignment.weight=0.5",
        "objectives.teacher_info_nce={queue: 8}",
        "objectives.cross_reconstruction.weight=0.2",
    ],
    "first-pass": [
        DOUBLE,
        "data.store=SPARSE",
        "training.passes=2",
        "objectives.masked_contrast={adaptive: true, words: true, weight: 0.3}",
        "objectives.jigsaw={pieces: 4, orders: 6, hidden: 16, clipped: false}",
        "model.codebook.reset={patience: 2, active: 2, unheard: [text], spread: constant}",
    ],
    "some-steps": [
        DOUBLE,
        "training.private_steps=3",
        "training.passes=2",
        "objectives.cross_reconstruction.weight=0.2",
    ],
    "float32": [],
}
MORE = {
    "mlp": [DOUBLE, "model.temporal.kind=mlp", "model.codebook.reset.source=tokens"],
    "no-reconstruction": [DOUBLE, "objectives.reconstruction=null"],
    "micro": [DOUBLE, "training.micro_batch=2"],
    "students-micro": [*JOBS["students"], "training.micro_batch=2"],
    "alike": [
        DOUBLE,
        "model.codebook={kind: product, groups: 4, size: 8, shared: true}",
        "model.codebook.ema={correction: true, initial_count: 0}",
    ],
    "product": [DOUBLE, "model.codebook={kind: product, groups: 4, size: 8}"],
    "residual": [DOUBLE, "model.codebook={kind: residual, size: 12}"],
    "tied": [DOUBLE, "model.codebook={kind: tied, size: 12, heads: row}"],
    "some-steps-sparse": [DOUBLE, "data.store=SPARSE", "training.private_steps=2"],
    "aligned": [
        DOUBLE,
        "data.store=SPARSE",
        "model.codebook={kind: tied, size: 12, heads: row, gradient: row, writes: segment}",
        "model.codebook.alignment=mean",
        "model.narrow_content=true",
    ],
    "none": [
        DOUBLE,
        "model.codebook={kind: none}",
        "objectives.commitment=null",
        "objectives.cmcm=null",
    ],
}
"""Compared by the slow tests."""


def trained_alone(overrides, jobs):
    """Jobs in this process, without micro-batches."""
    threads = torch.get_num_threads()
    found = {
        name: trained([o for o in overrides(*more) if "micro" not in o])
        for name, more in jobs.items()
    }
    torch.set_num_threads(threads)
    return found


@pytest.fixture(scope="module")
def alone(overrides):
    return trained_alone(overrides, JOBS)


@pytest.fixture(scope="module")
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
    """12 steps: weights, codes, counts, sums, idle counters, both Adams."""
    difference, name = furthest(alone[job][0], two[job, rank][0])
    assert difference < 1e-12, name


@pytest.mark.parametrize("job", JOBS)
def test_both_ranks_hold_the_same_to_the_bit(two, job):
    one, other = two[job, 0][0], two[job, 1][0]
    assert all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("job", JOBS)
def test_every_rank_logs_the_whole_batch(two, alone, job):
    steps = alone[job][1]
    assert len(steps) == 12
    assert [s["clips"] for s in steps[:4]] == [6, 6, 6, 4]
    tolerance = 1e-4 if job == "float32" else 1e-9
    for rank in (0, 1):
        for own, whole in zip(two[job, rank][1], steps, strict=True):
            assert own == pytest.approx(whole, rel=tolerance, abs=tolerance)


def test_codes_were_reset_and_gradients_flowed(alone, overrides):
    """The comparison means something: the runs have moved, and resets were among their steps."""
    never = trained(overrides(DOUBLE, "model.codebook.reset.enabled=false"))[0]
    assert furthest(alone["float64"][0], never)[0] > 1e-3
    start = flat(prepare(load_config(None, overrides(DOUBLE))).state.model)
    weights = {n: x for n, x in start.items() if not n.startswith("codebook.")}
    moved, _ = furthest({n: alone["float64"][0][n] for n in weights}, weights)
    assert moved > 5e-3  # twelve steps of Adam at 0.001


def test_in_float32_the_ranks_stay_within_rounding(two, alone):
    one, other = alone["float32"][0], two["float32", 0][0]
    weights = [n for n in one if not n.startswith(("optimizer", "club_optimizer"))]
    difference, name = furthest({n: one[n] for n in weights}, {n: other[n] for n in weights})
    assert difference < 1e-5, name
    assert torch.equal(one["codebook.idle"], other["codebook.idle"])


def codes_of(overrides, tensors):
    """Features of the training clips under trained weights, [N, D], and their codes, [N]."""
    training = prepare(load_config(None, overrides))
    model = training.state.model
    model.load_state_dict({n: tensors[n] for n in model.state_dict()})
    features, indices = [], []
    for batch in training.batches.epoch(0):
        there = model.encode(batch)
        z = model.semantics(batch)
        features += [z[m][there[m] >= 0] for m in z]
        indices += [there[m][there[m] >= 0] for m in z]
    return torch.cat(features), torch.cat(indices), model.codebook.codes


def test_in_float32_the_codes_are_the_same_unless_two_are_as_near(two, alone, overrides):
    z, one, codes = codes_of(overrides(), alone["float32"][0])
    _, other, _ = codes_of(overrides(), two["float32", 0][0])
    # Features and codes are off by 1e-5, squared distances by 1e-5 times some units of length.
    assert bool((squared_gap(z, codes)[one != other] < 1e-4).all())
    assert len(one.unique()) > 4


def test_a_rank_may_lack_a_modality(overrides):
    """What the job "sparse" is for happens in it."""
    config = load_config(None, overrides(*JOBS["sparse"]))
    batches = prepare(config).batches
    lacking = [
        not n[rank::2].any() and n.any()
        for index in range(len(batches))
        for n in batches.whole_lengths(0, index).values()
        for rank in (0, 1)
    ]
    assert any(lacking)


@pytest.mark.parametrize("rank", [0, 1])
def test_only_rank_0_writes(overrides, tmp_path, rank):
    official = (
        "data.modalities=[audio, text]",
        "model.temporal.heads=4",
        "model.mask_tokens=false",
    )
    config = load_config(None, overrides(*official))
    run = tmp_path / "run"
    device = torch.device("cpu")
    training = prepare_alone(config, run, False, True, device, Ranks(rank, 2))
    assert run.exists() == (rank == 0)
    assert (training.run, len(training.keepers)) == ((run, 1) if rank == 0 else (None, 0))


@pytest.mark.parametrize(("job", "size"), [("float64", 1), ("float64", 4), ("some-steps", 2)])
def test_micro_batches_change_nothing(alone, overrides, job, size):
    found, log = trained(overrides(*JOBS[job], f"training.micro_batch={size}"))
    difference, name = furthest(alone[job][0], found)
    assert difference < 1e-12, name
    assert log[-1] == pytest.approx(alone[job][1][-1], rel=1e-9, abs=1e-9)


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
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_end_where_one_process_does_with_more_options(train_ranks, overrides, alone, ranks):
    whole = alone | trained_alone(overrides, MORE)
    jobs = MORE if ranks == 2 else JOBS | MORE
    found = train_ranks(ranks, {name: overrides(*more) for name, more in jobs.items()})
    for (job, _), (tensors, _) in found.items():
        if job != "float32":
            difference, name = furthest(whole[job][0], tensors)
            assert difference < 1e-12, (job, name)
