"""Cases of other sizes, depths and modalities, computed by slow NumPy written from the formulas.

Gradients come from complex steps: f(x + ih) = f(x) + ih f'(x) up to h^2, exact to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from tests.layers import log_softmax, transformer_layer

from cmg.golden import Status, verify_golden

Arrays = dict[str, np.ndarray]


def verified(folder):
    (result,) = verify_golden(folder)
    return result


def gradient(f: Callable[[Arrays], complex], arrays: Arrays, name: str) -> np.ndarray:
    step = 1e-30
    changed = arrays | {name: arrays[name].astype(complex)}
    slopes = np.zeros(arrays[name].shape)
    for place in np.ndindex(slopes.shape):
        changed[name][place] += 1j * step
        slopes[place] = f(changed).imag / step
        changed[name][place] -= 1j * step
    return slopes


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# ---- Cross-CPC --------------------------------------------------------------------------------


def last_output(weights: Arrays, slot: str, layers: int, x: np.ndarray) -> np.ndarray:
    sequence = [x[:, t] for t in range(x.shape[1])]
    for layer in range(layers):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w, u, b, c = (weights[f"{slot}_ar_lstm.{n}_l{layer}"] for n in names)
        hidden = cell = np.zeros((x.shape[0], u.shape[1]))
        for t, entry in enumerate(sequence):
            i, f, g, o = np.split(entry @ w.T + b + hidden @ u.T + c, 4, axis=1)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            sequence[t] = hidden
    return sequence[-1]


def cross_cpc(arrays: Arrays, slots: dict[str, str], t: int, ahead: int, layers: int):
    """Value, and the last step's scores by (target slot, source slot)."""
    z = {slot: arrays[m] for slot, m in slots.items()}
    context = {s: last_output(arrays, s, layers, x[:, : t + 1]) for s, x in z.items()}
    value, scores = 0.0, {}
    for k in range(ahead):
        for a in slots:
            for b in slots:
                weight, bias = (arrays[f"{b}_predictors.{k}.{p}"] for p in ("weight", "bias"))
                scores[a, b] = z[a][:, t + 1 + k] @ (context[b] @ weight.T + bias).T
                nce = -np.diagonal(log_softmax(scores[a, b])).mean()
                value = value + (0.1 if a == b else 1.0) * nce
    return value / ahead, scores


def column_accuracy(scores: np.ndarray) -> float:
    best = np.exp(log_softmax(scores)).argmax(0)
    return float((best == np.arange(len(best))).mean())


CPC_SIZES = [
    pytest.param({"video": "video", "audio": "audio"}, 3, 1, 2, id="audio-video"),
    pytest.param({"video": "text", "audio": "audio"}, 2, 3, 1, id="audio-text in its slots"),
    pytest.param({m: m for m in ("video", "audio", "text")}, 1, 1, 0, id="audio-video-text"),
]


@pytest.mark.parametrize(("slots", "ahead", "layers", "min_start"), CPC_SIZES)
def test_cross_cpc(write_case, slots, ahead, layers, min_start):
    clips, length, width, hidden = 3, 9, 4, 5
    t = length - 1 - ahead
    rng = np.random.default_rng(1)
    arrays = {m: rng.normal(size=(clips, length, width)) for m in slots.values()}
    shapes = {}
    for slot in slots:
        for layer in range(layers):
            entry = width if layer == 0 else hidden
            shapes[f"{slot}_ar_lstm.weight_ih_l{layer}"] = (4 * hidden, entry)
            shapes[f"{slot}_ar_lstm.weight_hh_l{layer}"] = (4 * hidden, hidden)
            shapes[f"{slot}_ar_lstm.bias_ih_l{layer}"] = (4 * hidden,)
            shapes[f"{slot}_ar_lstm.bias_hh_l{layer}"] = (4 * hidden,)
        for k in range(ahead):
            shapes[f"{slot}_predictors.{k}.weight"] = (width, hidden)
            shapes[f"{slot}_predictors.{k}.bias"] = (width,)
    params = {name: rng.normal(size=shape) / 2 for name, shape in shapes.items()}
    value, scores = cross_cpc(arrays | params, slots, t, ahead, layers)
    order = {2: "va av vv aa", 3: "av at vt va ta tv aa vv tt"}[len(slots)].split()
    by_letter = {slot[0]: slot for slot in slots}
    recorded = {f"in/{m}": x for m, x in arrays.items()} | {"in/t": np.array(t)}
    recorded |= {f"param/{name}": x for name, x in params.items()}
    recorded["out/nce"] = value
    recorded["out/accuracies"] = np.array(
        [column_accuracy(scores[by_letter[a], by_letter[b]]) for a, b in order]
    )

    def nce(given: Arrays) -> complex:
        return cross_cpc(given, slots, t, ahead, layers)[0]

    for m in slots.values():
        recorded[f"out/grad_{m}"] = gradient(nce, arrays | params, m)
    weight = "video_predictors.0.weight"
    recorded[f"out/grad_param/{weight}"] = gradient(nce, arrays | params, weight)
    cls = "Cross_CPC_AVT" if len(slots) == 3 else "Cross_CPC"
    entry = {"cls": cls, "ctor": {"min_start_steps": min_start, "n_prediction_steps": ahead}}
    result = verified(write_case(entry, recorded))
    assert result.status is Status.OK, result


# ---- CMCM -------------------------------------------------------------------------------------


def cmcm(arrays: Arrays, modalities: tuple[str, ...], codes: np.ndarray) -> complex:
    p = {}
    for m in modalities:
        distance = np.sqrt(((arrays[m][:, :, None] - codes) ** 2).sum(-1))
        p[m] = np.exp(log_softmax(-distance)).mean(1)
    total = 0.0
    for a, b in combinations(modalities, 2):
        s = p[a] @ np.log(p[b] + 1e-10).T + p[b] @ np.log(p[a] + 1e-10).T
        s = s - s.ravel()[s.real.argmin()]
        total = total + (np.log(np.exp(s).sum(1) + 1e-5) - np.diagonal(s)).mean()
    return 0.5 * total


@pytest.mark.parametrize("exploded", [1.0, 1e5])
@pytest.mark.parametrize("modalities", [("audio", "text"), ("audio", "video", "text")])
def test_cmcm(write_case, modalities, exploded):
    """Also with codes far away whose counts say that they are in use."""
    rng = np.random.default_rng(2)
    codes = rng.normal(size=(9, 7))
    codes[:2] *= exploded
    arrays = {m: rng.normal(size=(5, 3, 7)) for m in modalities}
    recorded = {f"in/{m}": x for m, x in arrays.items()}
    recorded |= quantizer_params(codes, rng)
    recorded["out/cmcm_loss"] = cmcm(arrays, modalities, codes)
    for m in modalities:
        slopes = gradient(lambda given: cmcm(given, modalities, codes), arrays, m)
        recorded[f"out/grad/cmcm_loss/{m}"] = slopes
    suffix = "_AVT" if len(modalities) == 3 else "_AT"
    entry = {"cls": f"Cross_VQEmbeddingEMA{suffix} (CMCM term only)", "mode": "eval"}
    result = verified(write_case(entry, recorded))
    assert result.status is Status.OK, result


# ---- the codebook -----------------------------------------------------------------------------


def quantizer_params(codes: np.ndarray, rng: np.random.Generator) -> Arrays:
    counts = rng.uniform(1, 4, size=len(codes))
    return {
        "param/embedding": codes,
        "param/ema_count": counts,
        "param/ema_weight": codes * counts[:, None],
        "param/unactivated_count": rng.integers(0, 90, size=len(codes)).astype(float),
    }


def train_step(state: Arrays, z: Arrays) -> dict[str, np.ndarray]:
    """One forward pass in train mode, without the reset; `state` is changed. Indices per name."""
    picked = {
        m: ((x[:, :, None] - state["embedding"]) ** 2).sum(-1).argmin(-1) for m, x in z.items()
    }
    for m, indices in picked.items():
        counts, sums = np.zeros(len(state["ema_count"])), np.zeros_like(state["embedding"])
        for b, t in np.ndindex(indices.shape):
            others = [z[n][b, t] for n in z if n != m]
            mixed = 0.5 * z[m][b, t] + 0.5 * sum(others) / len(others)
            counts[indices[b, t]] += 1
            sums[indices[b, t]] += mixed
        n = 0.99 * state["ema_count"] + 0.01 * counts
        state["ema_count"] = (n + 1e-5) / (n.sum() + len(n) * 1e-5) * n.sum()
        state["ema_weight"] = 0.99 * state["ema_weight"] + 0.01 * sums
        state["embedding"] = state["ema_weight"] / state["ema_count"][:, None]
    state["unactivated_count"] = state["unactivated_count"] + 1
    for indices in picked.values():
        state["unactivated_count"][np.unique(indices)] = 0
    return picked


def perplexity(indices: np.ndarray, size: int) -> float:
    p = np.bincount(indices.ravel(), minlength=size) / indices.size
    return math.exp(-(p * np.log(p + 1e-10)).sum())


def test_codebook_steps_with_a_reset(write_case):
    rng = np.random.default_rng(3)
    modalities, size, width = ("audio", "video", "text"), 8, 5
    codes = rng.normal(size=(size, width))
    codes[0] += 40.0  # too far for any token, and idle for long enough in the second step
    recorded = quantizer_params(codes, rng)
    recorded["param/unactivated_count"][0] = 299.0
    state = {name.removeprefix("param/"): x.copy() for name, x in recorded.items()}
    for step in range(3):
        z = {m: rng.normal(size=(2, 4, width)) for m in modalities}
        picked = train_step(state, z)
        idle = state["unactivated_count"]
        stale, active = np.flatnonzero(idle > 300), np.flatnonzero((idle >= 0) & (idle < 100))
        assert list(stale) == ([0] if step == 1 else [])
        if stale.size:
            picks = rng.integers(0, active.size, size=stale.size)
            noise = rng.uniform(-1 / 1024, 1 / 1024, size=(stale.size, width))
            state["embedding"][stale] = state["embedding"][active[picks]] + noise
            idle[stale] = 0
            reset = (stale, active, picks, active[picks], noise)
            names = ("reset_codes", "active_codes", "random_picks", "source_codes", "noise")
            recorded |= {f"in/step{step}/{n}": x for n, x in zip(names, reset, strict=True)}
        for m in modalities:
            recorded[f"in/step{step}/{m}"] = z[m]
            recorded[f"out/step{step}/{m}_indices"] = picked[m]
            recorded[f"out/step{step}/{m}_perplexity"] = np.array(perplexity(picked[m], size))
        for name, buffer in state.items():
            recorded[f"out/step{step}/state_after/{name}"] = buffer.copy()
    entry = {"cls": "Cross_VQEmbeddingEMA_AVT", "mode": "train"}
    result = verified(write_case(entry, recorded))
    assert result.status is Status.OK, result


# ---- the temporal encoder ---------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_temporal_encoder(write_case, layers):
    in_width, width, hidden = 5, 8, 12
    rng = np.random.default_rng(4)
    shapes = {
        "self_attn.in_proj_weight": (3 * width, width),
        "self_attn.in_proj_bias": (3 * width,),
        "self_attn.out_proj.weight": (width, width),
        "self_attn.out_proj.bias": (width,),
        "linear1.weight": (hidden, width),
        "linear1.bias": (hidden,),
        "linear2.weight": (width, hidden),
        "linear2.bias": (width,),
        **{f"norm{i}.{p}": (width,) for i in (1, 2) for p in ("weight", "bias")},
    }
    stack = [{n: rng.normal(size=s) / 2 for n, s in shapes.items()} for _ in range(layers)]
    affine = {"weight": rng.normal(size=(width, in_width)), "bias": rng.normal(size=width)}
    x = rng.normal(size=(6, 2, in_width))  # time first
    outputs = []
    for clip in range(x.shape[1]):
        encoded = x[:, clip] @ affine["weight"].T + affine["bias"]
        for weights in stack:
            encoded = transformer_layer(encoded, weights)
        outputs.append(encoded)
    recorded = {"in/x": x, "out/y": np.stack(outputs, 1)}
    recorded |= {f"param/affine_matrix.{n}": w for n, w in affine.items()}
    for i, weights in enumerate(stack):
        recorded |= {f"param/encoder.layers.{i}.{n}": w for n, w in weights.items()}
    recorded |= {f"param/encoder_layer.{n}": w for n, w in stack[0].items()}
    result = verified(write_case({"cls": "InternalTemporalRelationModule"}, recorded))
    assert result.status is Status.OK, result
