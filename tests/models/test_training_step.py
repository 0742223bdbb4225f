"""The pre-training step on small models: what it changes, what it refuses, what it costs."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cmg.codebook.codebook import SharedCodebook
from cmg.errors import ConfigError, NonFiniteError
from cmg.objectives import View
from cmg.training.optimizer import OptimizerOptions, learning_rate
from cmg.training.step import pretraining_step
from cmg.types import Batch

FOUR = ("audio", "video", "text", "eeg")


def clips_apart(batch):
    """Each clip has a vector of its own, the same at all steps and positions, and some noise."""
    features = {}
    for m, x in batch.features.items():
        own = x[:, :1].flatten(2, -2)[:, :, :1] if x.dim() > 3 else x[:, :1]
        features[m] = own.view(x.shape[0], *[1] * (x.dim() - 2), -1) + 0.2 * x
    return Batch(features)


@pytest.mark.parametrize("names", [FOUR, ("audio", "depth"), ("text", "eeg"), ("depth", "video")])
def test_training_lowers_the_loss(make_state, make_batch, draw, names):
    """Four modalities, maps of two sizes: every term is there, and what can be learned is."""
    state = make_state(names, optimizer={"lr": 3e-3}, codebook={"start": "samples"})
    batch = clips_apart(make_batch(names, clips=8))
    state.model.codebook.start_from(
        {m: z.flatten(0, 1) for m, z in state.model.semantics(batch).items()},
        torch.Generator().manual_seed(0),
    )
    logs = [pretraining_step(state, batch, draw(batch, step)) for step in range(50)]
    first, last = logs[0], logs[-1]
    terms = ("reconstruction", "commitment", "club")
    expected = {f"loss/{term}/{m}" for term in terms for m in names}
    expected |= {"loss/cross_cpc", "loss/cmcm", "loss/total"}
    assert {k for k in first if k.startswith("loss/")} == expected
    assert {k for k in first if k.startswith("club_nll/")} == {f"club_nll/{m}" for m in names}
    assert {k for k in first if k.startswith("perplexity/")} == {f"perplexity/{m}" for m in names}
    assert len([k for k in first if k.startswith("cpc_accuracy/")]) == len(names) ** 2
    assert last["loss/total"] < 0.85 * first["loss/total"]
    assert last["loss/cross_cpc"] < 0.85 * first["loss/cross_cpc"]
    for m in names:
        assert last[f"loss/reconstruction/{m}"] < 0.85 * first[f"loss/reconstruction/{m}"], m


def test_losses_are_of_the_codes_before_the_update(make_state, make_batch, draw):
    state, batch = make_state(optimizer={"lr": 1e-9}), make_batch()
    state.model.codebook.codes.mul_(100)
    before = state.model.codebook.codes.clone()
    encoded = state.model.represent(batch)
    nearest = torch.cdist(encoded.semantic["audio"], before).argmin(-1)
    found = pretraining_step(state, batch, draw(batch))["perplexity/audio"]
    share = torch.bincount(nearest.flatten()) / 20
    assert found == pytest.approx(float(torch.special.entr(share).sum().exp()), rel=1e-5)
    assert not torch.equal(state.model.codebook.codes, before)


@pytest.mark.parametrize("clip", ["per_part", "global", "none"])
def test_step_by_hand(make_state, make_batch, draw, clip):
    """Backward, clip, one plain Adam step, one codebook update on the features before it."""
    settings = {"lr": 1e-2, "clip": clip, "clip_norm": 0.05}
    changes = {"optimizer": settings, "objectives": {"club": None}, "precision": "float64"}
    state, other = (make_state(FOUR, **changes) for _ in range(2))
    batch = make_batch(FOUR, dtype=torch.float64)
    log = pretraining_step(state, batch, draw(batch))

    encoded = other.model.represent(batch)
    quantized = other.model.quantize(encoded)
    rebuilt = other.model.reconstruct(encoded, quantized)
    view = View(encoded, quantized, rebuilt, other.model.codebook)
    losses = other.objectives(draw(batch).terms, 0.0, view)
    losses.total.backward()
    named = other.named_parameters()
    groups = {"all": [p for _, p in named]}
    if clip == "per_part":
        groups = other.parts()
    for name, group in groups.items():
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in group if p.grad is not None))
        assert log[f"gradient_norm/{name}"] == pytest.approx(norm, rel=1e-9)
        for p in (p for p in group if p.grad is not None and clip != "none"):
            p.grad *= min(1.0, 0.05 / (norm + 1e-6))
    torch.optim.Adam([p for _, p in named], 1e-2).step()
    other.model.codebook.update(quantized, draw(batch).reset)

    mine = dict(state.named_parameters())
    for name, p in named:
        if "predictors" not in name or "bias" not in name:  # whose gradient is rounding noise
            torch.testing.assert_close(mine[name], p, rtol=1e-6, atol=1e-9, msg=name)
            if p.grad is not None:
                torch.testing.assert_close(mine[name].grad, p.grad, rtol=1e-8, atol=1e-14)
    for name, buffer in other.model.codebook.named_buffers():
        torch.testing.assert_close(state.model.codebook.get_buffer(name), buffer, msg=name)


def test_every_weight_of_the_main_adam_moves(make_state, make_batch, draw, snapshot):
    """But predictor biases, which shift whole softmax rows: their gradient is rounding."""
    state = make_state(FOUR, spatial_pool="attention")  # "sum" has no use for attention weights
    batch = make_batch(FOUR, clips=8)
    before = snapshot(state)
    pretraining_step(state, batch, draw(batch))
    after = snapshot(state)
    for name, _ in state.named_parameters():
        if not (name.startswith("objectives.cross_cpc.predictors") and name.endswith("bias")):
            assert not torch.equal(before[name], after[name]), name
    trained = {n for n, _ in state.named_parameters()}
    assert not any("club" in n for n in trained)
    assert any(
        not torch.equal(before[n], after[n]) for n in before if n.startswith("objectives.club")
    )


# ---- refusal ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("warm", [False, True])
def test_non_finite_feature_changes_nothing(make_state, make_batch, draw, snapshot, value, warm):
    state, batch = make_state(objectives={"club": None}), make_batch()
    if warm:
        pretraining_step(state, batch, draw(batch))
    before = snapshot(state)
    spoilt = make_batch(seed=1)
    spoilt.features["video"][1, 2] = value
    with pytest.raises(NonFiniteError) as error:
        pretraining_step(state, spoilt, draw(batch))
    message = str(error.value)
    assert "loss/reconstruction/video = " in message
    assert "loss/commitment/video = nan" in message
    assert "loss/reconstruction/audio" not in message
    assert "loss/total" not in message
    after = snapshot(state)
    assert before.keys() == after.keys()
    for name, kept in before.items():
        assert torch.equal(kept, after[name]), name
    pretraining_step(state, batch, draw(batch))  # and training can go on
    assert all(torch.isfinite(x).all() for x in snapshot(state).values())


def test_non_finite_feature_leaves_weights_and_codes(make_state, make_batch, draw, snapshot):
    """With CLUB, whose own nets are fitted to every batch before its terms are known."""
    state, batch = make_state(), make_batch()
    pretraining_step(state, batch, draw(batch))
    before = snapshot(state)
    batch.features["audio"][0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="loss/club/audio = nan"):
        pretraining_step(state, batch, draw(batch))
    for name, kept in snapshot(state).items():
        if not name.startswith(("objectives.club.", "club.")):
            assert torch.equal(kept, before[name]), name


def test_no_objective_to_train(make_state, make_batch, draw, snapshot):
    zero = {n: {"weight": 0.0} for n in ("reconstruction", "commitment", "cross_cpc", "cmcm")}
    state, batch = make_state(objectives=zero | {"club": None}), make_batch()
    before = snapshot(state)
    with pytest.raises(ConfigError, match="no objective with a weight above 0"):
        pretraining_step(state, batch, draw(batch))
    assert all(torch.equal(x, before[n]) for n, x in snapshot(state).items())


# ---- padding ------------------------------------------------------------------------------------


def padded(batch, extra):
    """The same clips with `extra` steps of padding."""
    features = {
        m: torch.cat([x, x.new_zeros(x.shape[0], extra, *x.shape[2:])], 1)
        for m, x in batch.features.items()
    }
    some = next(iter(batch.features.values()))
    lengths = {m: torch.full((some.shape[0],), some.shape[1]) for m in features}
    return Batch(features, lengths)


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
@pytest.mark.parametrize("partner", ["aligned", "cross_attention"])
def test_padded_step_equals_the_step(make_state, make_batch, draw, snapshot, kind, partner):
    """Three steps of behind-the-end zeros change no log entry, weight, or code."""
    names = ("audio", "video", "text")
    changes = {"temporal": {"kind": kind}, "codebook": {"ema": {"partner": partner}}}
    one, other = (make_state(names, precision="float64", **changes) for _ in range(2))
    for step in range(2):
        batch = make_batch(names, seed=step, dtype=torch.float64)
        plain = pretraining_step(one, batch, draw(batch, step))
        longer = pretraining_step(other, padded(batch, 3), draw(batch, step))
        assert plain == pytest.approx(longer, rel=1e-8, abs=1e-12)
    kept = snapshot(other)
    for name, x in snapshot(one).items():
        torch.testing.assert_close(x, kept[name], rtol=1e-6, atol=1e-9, msg=name)


def test_clips_of_nothing_add_nothing_to_the_codebook(make_state, make_batch, draw):
    """A clip that lacks every modality counts nowhere but in `clip_agreement`."""
    names = ("audio", "video")
    one, other = (make_state(names, precision="float64") for _ in range(2))
    batch = make_batch(names, dtype=torch.float64)
    more = Batch(
        {m: torch.cat([x, torch.zeros_like(x[:1])]) for m, x in batch.features.items()},
        {m: torch.tensor([5, 5, 5, 5, 0]) for m in names},
    )
    plain, longer = (
        pretraining_step(state, b, draw(b)) for state, b in ((one, batch), (other, more))
    )
    assert longer.pop("clip_agreement") == pytest.approx(0.8 * plain.pop("clip_agreement"))
    assert plain == pytest.approx(longer, rel=1e-8, abs=1e-12)
    torch.testing.assert_close(one.model.codebook.codes, other.model.codebook.codes)


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
def test_ragged_batches_train(make_state, make_batch, draw, snapshot, kind):
    """Missing modalities, clips of one step, and a clip with nothing but one word."""
    state = make_state(FOUR, temporal={"kind": kind})
    lengths = {
        "audio": [5, 3, 0, 1, 0, 5],
        "video": [2, 5, 4, 1, 0, 5],
        "text": [4, 0, 3, 1, 1, 5],
        "eeg": [5, 3, 1, 2, 0, 5],
    }
    for step in range(3):
        batch = make_batch(FOUR, clips=6, lengths=lengths, seed=step)
        log = pretraining_step(state, batch, draw(batch, step))
        assert log["loss/same_step_nce"] > 0.1
        assert log["loss/cross_cpc"] > 0.1
    assert all(torch.isfinite(x).all() for x in snapshot(state).values())


# ---- precision ----------------------------------------------------------------------------------


def test_bf16_keeps_state_and_losses_in_float32(
    make_state, make_batch, draw, snapshot, monkeypatch
):
    seen = {}
    state = make_state(FOUR, precision="bf16")
    compute = type(state.objectives).forward

    def watch(self, draws, epoch, view, scopes):
        encoded, quantized = view.encoded, view.quantized
        assert not torch.is_autocast_enabled("cpu")
        for part in ("semantic", "detail", "private"):
            seen[part] = {x.dtype for x in getattr(encoded, part).values()}
        seen["vectors"] = {x.dtype for x in quantized.vectors.values()}
        losses = compute(self, draws, epoch, view, scopes)
        seen["terms"] = {x.dtype for x in losses.terms.values()}
        return losses

    monkeypatch.setattr(type(state.objectives), "forward", watch)
    inside = {"content": [], "private": []}
    for part, layer in (
        ("content", state.model.semantic["audio"].temporal.input),
        ("private", state.model.detail["audio"].linear),
    ):
        layer.register_forward_hook(lambda *args, part=part: inside[part].append(args[-1].dtype))
    exact = make_state(FOUR)
    for step in range(3):
        batch = make_batch(FOUR, clips=8, seed=step)
        log = pretraining_step(state, batch, draw(batch, step))
        plain = pretraining_step(exact, batch, draw(batch, step))
        for name in ("loss/reconstruction/video", "loss/reconstruction/text", "loss/cross_cpc"):
            assert log[name] == pytest.approx(plain[name], rel=0.1), name
    assert inside == {"content": [torch.float32] * 3, "private": [torch.bfloat16] * 3}
    assert all(dtypes == {torch.float32} for dtypes in seen.values()), seen
    assert set(seen) == {"semantic", "detail", "private", "vectors", "terms"}
    assert {x.dtype for x in snapshot(state).values()} == {torch.float32, torch.int64}


def test_codes_are_chosen_from_the_same_content_in_bf16(make_state, make_batch):
    """The first step's features and codes are float32's to the bit."""
    batch = make_batch(FOUR, clips=8)
    found = []
    for precision in ("bf16", "float32"):
        state = make_state(FOUR, precision=precision)
        state.model.eval()
        with state.autocast():
            encoded = state.model.represent(batch)
        found.append((encoded.semantic, state.model.quantize(encoded).indices))
    for ours, plain in zip(*found, strict=True):
        assert all(torch.equal(ours[m], plain[m]) for m in FOUR)


def test_float64_is_float64_throughout(make_state, make_batch, draw, snapshot):
    state = make_state(precision="float64")
    batch = make_batch(dtype=torch.float64)
    pretraining_step(state, batch, draw(batch))
    kept = {n: x for n, x in snapshot(state).items() if not n.endswith(".step")}
    assert {x.dtype for x in kept.values()} == {torch.float64, torch.int64}


# ---- host synchronization -----------------------------------------------------------------------


class HostReads(TorchDispatchMode):
    """Counts how often a number is asked for on the host: on a GPU each one waits."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("ragged", [False, True])
def test_host_reads_do_not_grow(make_state, make_batch, draw, ragged):
    """One transfer of the log and one of the reset: nothing per code, clip, or step."""

    def count(codes=64, clips=8, steps=6):
        state = make_state(FOUR, codebook={"size": codes})
        lengths = None
        if ragged:
            lengths = {m: [steps - b % 3 for b in range(clips)] for m in FOUR}
        batch = make_batch(FOUR, clips=clips, steps=steps, lengths=lengths)
        with HostReads() as reads:
            pretraining_step(state, batch, draw(batch))
        return reads.count

    base = count()
    assert base > 0
    assert count(codes=512) == base
    assert count(clips=32) == base
    assert count(steps=12) == base


# ---- clipping and schedule ----------------------------------------------------------------------


def set_gradients(state, sizes):
    """One gradient entry of the given size in each part, zero elsewhere."""
    for name, parameters in state.parts().items():
        for p in parameters:
            p.grad = torch.zeros_like(p)
        parameters[0].grad.view(-1)[0] = sizes[name]
    return {name: part[0].grad.view(-1) for name, part in state.parts().items()}


SIZES = {"encoder": 3.0, "tokens": 0.25, "decoder": 4.0, "cpc": 12.0}


@pytest.mark.parametrize(
    ("clip", "norms", "left"),
    [
        ("per_part", SIZES, {"encoder": 0.5, "tokens": 0.25, "decoder": 0.5, "cpc": 0.5}),
        (
            "global",  # the norm of (3, 1/4, 4, 12) is sqrt(169 + 1/16)
            {"all": math.sqrt(169.0625)},
            {n: x * 0.5 / math.sqrt(169.0625) for n, x in SIZES.items()},
        ),
        ("none", {"all": math.sqrt(169.0625)}, SIZES),
    ],
)
def test_clipping_by_hand(make_state, clip, norms, left):
    state = make_state(FOUR, optimizer={"clip": clip, "clip_norm": 0.5})
    gradients = set_gradients(state, SIZES)
    found = state.clip_gradients()
    assert {n: float(x) for n, x in found.items()} == pytest.approx(
        {f"gradient_norm/{n}": x for n, x in norms.items()}, rel=1e-6
    )
    assert {n: float(g[0]) for n, g in gradients.items()} == pytest.approx(left, rel=1e-5)


def test_every_trained_weight_is_clipped(make_state):
    for names in (FOUR, ("audio", "eeg")):
        state = make_state(names)
        clipped = [p for part in state.parts().values() for p in part]
        trained = [p for _, p in state.named_parameters()]
        assert {id(p) for p in clipped} == {id(p) for p in trained}
        adam = [p for group in state.optimizer.param_groups for p in group["params"]]
        assert [id(p) for p in adam] == [id(p) for p in trained]


RATE = 4e-4


@pytest.mark.parametrize(
    ("schedule", "step", "epoch", "expected"),
    [
        ({"kind": "constant"}, 0, 0, RATE),
        ({"kind": "constant"}, 99, 40, RATE),
        ({"kind": "multistep"}, 5, 9, RATE),
        ({"kind": "multistep"}, 5, 10, RATE / 2),
        ({"kind": "multistep"}, 5, 19, RATE / 2),
        ({"kind": "multistep"}, 5, 20, RATE / 4),
        ({"kind": "multistep"}, 5, 30, RATE / 8),
        ({"kind": "multistep", "milestones": [2], "factor": 0.1}, 5, 7, RATE / 10),
        ({"kind": "cosine"}, 0, 0, RATE),
        ({"kind": "cosine"}, 25, 0, RATE * (0.5 + math.sqrt(0.125))),
        ({"kind": "cosine"}, 50, 0, RATE / 2),
        ({"kind": "cosine"}, 100, 0, 0.0),
        ({"kind": "constant", "warmup_steps": 4}, 0, 0, RATE / 4),
        ({"kind": "constant", "warmup_steps": 4}, 3, 0, RATE),
        ({"kind": "cosine", "warmup_steps": 20}, 9, 0, RATE / 2),
        ({"kind": "cosine", "warmup_steps": 20}, 20, 0, RATE),
        ({"kind": "cosine", "warmup_steps": 20}, 60, 0, RATE / 2),
    ],
)
def test_learning_rate_by_hand(schedule, step, epoch, expected):
    options = OptimizerOptions.model_validate({"lr": RATE, "schedule": schedule})
    found = learning_rate(options, step, epoch, 100)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-18)


# ---- the control --------------------------------------------------------------------------------


def test_the_control_moves_the_codebook_alone(make_state, make_batch, draw, snapshot):
    state, batch = make_state(temporal={"dropout": 0.5}), make_batch()
    state.model.train()
    before = snapshot(state)
    expected = SharedCodebook(["audio", "video"], 8, state.model.options.codebook)
    expected.load_state_dict(state.model.codebook.state_dict())
    quantized = expected.lookup(state.model.semantics(batch), batch.steps)
    expected.update(quantized, draw(batch).reset)
    state.learns = False
    log = pretraining_step(state, batch, draw(batch))
    assert set(log) == {f"perplexity/{m}" for m in ("audio", "video")} | {
        "code_usage",
        "agreement",
        "clip_agreement",
    }
    for name, value in snapshot(state).items():
        if name.startswith("model.codebook."):
            own = name.removeprefix("model.codebook.")
            assert torch.equal(value, expected.state_dict()[own]), name
        else:
            assert torch.equal(value, before[name]), name
    assert not torch.equal(before["model.codebook.codes"], state.model.codebook.codes)


def test_step_works_without_some_terms(make_state, make_batch, draw, snapshot):
    """Without reconstruction and CLUB no detail is encoded, and those weights stay."""
    state = make_state(objectives={"reconstruction": None, "club": None})
    assert state.inner == {}
    batch = make_batch()
    before = snapshot(state)
    log = pretraining_step(state, batch, draw(batch))
    assert {k for k in log if k.startswith("loss/")} == {
        "loss/commitment/audio",
        "loss/commitment/video",
        "loss/cross_cpc",
        "loss/cmcm",
        "loss/total",
    }
    for name, value in snapshot(state).items():
        if name.startswith(("model.detail.", "model.decoder.")):
            assert torch.equal(value, before[name]), name


def test_one_modality_of_the_model_is_a_batch(make_state, make_batch, draw):
    state = make_state(FOUR)
    batch = make_batch(("audio",))
    log = pretraining_step(state, batch, draw(batch))
    assert "loss/cmcm" not in log
    assert log["agreement"] == 0.0
