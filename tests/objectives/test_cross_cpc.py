"""Cross-CPC and its same-step form, against an LSTM and log-softmax written as loops."""

import math

import numpy as np
import pytest
import torch

from cmg.objectives import CrossCPC, CrossCPCOptions
from cmg.objectives.cross_cpc import contrast, diagonal_accuracy
from cmg.types import Steps


def lstm_by_loops(lstm, x):
    """Outputs [t, hidden] of one clip [t, D], zero initial state."""
    weights = {n: p.detach().double().numpy() for n, p in lstm.named_parameters()}
    outputs = list(x)
    for layer in range(lstm.num_layers):
        w, u, b, c = (
            weights[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = cell = np.zeros(lstm.hidden_size)
        for t, entry in enumerate(outputs):
            i, f, g, o = np.split(w @ entry + b + u @ h + c, 4)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            cell = f * cell + i * np.tanh(g)
            h = o * np.tanh(cell)
            outputs[t] = h
    return np.array(outputs)


def predicted_by_loops(cpc, m, k, context):
    predictor = cpc.predictors[m][k]
    weight = predictor.weight.detach().double().numpy()
    return weight @ context + predictor.bias.detach().double().numpy()


def nce(target, candidates, right):
    """-log softmax of the right candidate's score."""
    scores = np.array([target @ c for c in candidates])
    return math.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[right]


def reach_by_loops(lengths, b, total):
    return min((n[b] for n in lengths.values() if n[b]), default=total)


def cross_cpc_by_loops(cpc, z, lengths, draw):
    """The term over the clips that are long enough, and the last step's scores per pair."""
    o = cpc.options
    clips, total, _ = next(iter(z.values())).shape
    need = o.min_start + o.prediction_steps + 1
    t = {}
    for b in range(clips):
        reach = reach_by_loops(lengths, b, total)
        if reach >= need:
            t[b] = o.min_start + int(draw * (reach - o.prediction_steps - o.min_start))
    value, scores = None, {}
    for k in range(o.prediction_steps):
        for a in z:
            for s in z:
                rows = [b for b in t if lengths[a][b] and lengths[s][b]]
                if not rows:
                    continue
                predicted = [
                    predicted_by_loops(
                        cpc, s, k, lstm_by_loops(cpc.context[s], z[s][b, : t[b] + 1])[-1]
                    )
                    for b in rows
                ]
                targets = [z[a][b, t[b] + k + 1] for b in rows]
                found = np.mean([nce(x, predicted, i) for i, x in enumerate(targets)])
                weight = o.self_weight if a == s else 1.0
                value = (value or 0.0) + weight * found / o.prediction_steps
                scores[f"{a}_from_{s}"] = np.array([[x @ p for p in predicted] for x in targets])
    return value, scores


def same_step_by_loops(cpc, z, lengths):
    """Context of the source predicts the target of the same step, clips too short to look ahead."""
    o = cpc.options
    clips, total, _ = next(iter(z.values())).shape
    reach = [reach_by_loops(lengths, b, total) for b in range(clips)]
    need = o.min_start + o.prediction_steps + 1
    value = None
    for a in z:
        for s in z:
            if a == s:
                continue
            losses = []
            for b in range(clips):
                if reach[b] >= need:
                    continue
                for t in range(min(lengths[a][b], lengths[s][b], max_short(reach, need))):
                    others = [i for i in range(clips) if lengths[a][i] > t and lengths[s][i] > t]
                    predicted = [
                        predicted_by_loops(
                            cpc, s, 0, lstm_by_loops(cpc.context[s], z[s][i, : t + 1])[-1]
                        )
                        for i in others
                    ]
                    losses.append(nce(z[a][b, t], predicted, others.index(b)))
            if losses:
                value = (value or 0.0) + np.mean(losses)
    return value


def max_short(reach, need):
    return max(r for r in reach if r < need)


def make(modalities=2, dtype=torch.float64, width=3, **options):
    torch.manual_seed(0)
    names = ["audio", "video", "text", "eeg"][:modalities]
    return CrossCPC(names, width, CrossCPCOptions(**options)).to(dtype)


def accuracy_by_loops(scores):
    """METHOD section 5.3: argmax over the column of the row-softmax, compared to the diagonal."""
    rows = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in scores]
    n = len(rows)
    best = [max(range(n), key=lambda i, j=j: (rows[i][j], -i)) for j in range(n)]
    return sum(b == j for j, b in enumerate(best)) / n


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("ahead", [1, 2, 3])
@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_equals_loops(features, steps_of, modalities, ahead, draw):
    cpc = make(modalities, prediction_steps=ahead, hidden=4)
    z = features(modalities, (4, 7, 3), seed=ahead)
    result = cpc(z, steps_of(z), draw)
    arrays = {m: x.numpy() for m, x in z.items()}
    full = {m: [7] * 4 for m in z}
    expected, scores = cross_cpc_by_loops(cpc, arrays, full, draw)
    assert result.same_step_nce is None
    assert float(result.cross_cpc.detach()) == pytest.approx(expected, rel=1e-12)
    assert set(result.accuracy) == set(scores)
    assert len(scores) == modalities**2
    for pair, score in scores.items():
        assert float(result.accuracy[pair]) == pytest.approx(accuracy_by_loops(score))
        assert result.accuracy[pair].dtype == torch.float32


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("ahead", [1, 2, 3])
@pytest.mark.parametrize("draw", [0.0, 0.6, 0.999])
@pytest.mark.parametrize("seed", [0, 1])
def test_ragged_equals_loops(features, ragged, steps_of, modalities, ahead, draw, seed):
    """Lengths 0 .. 7 per modality: short and long clips, missing partners."""
    cpc = make(modalities, prediction_steps=ahead)
    z = features(modalities, (6, 7, 3), seed=ahead)
    lengths = ragged(modalities, 6, 7, seed)
    result = cpc(z, steps_of(z, lengths), draw)
    arrays = {m: x.numpy() for m, x in z.items()}
    told = {m: n.tolist() for m, n in lengths.items()}
    expected, scores = cross_cpc_by_loops(cpc, arrays, told, draw)
    assert float(result.cross_cpc.detach()) == pytest.approx(expected, rel=1e-12)
    assert set(result.accuracy) == set(scores)
    shorts = [reach_by_loops(told, b, 7) < ahead + 2 for b in range(6)]
    same = same_step_by_loops(cpc, arrays, told) if any(shorts) else None
    if same is None:
        assert result.same_step_nce is None
    else:
        assert float(result.same_step_nce.detach()) == pytest.approx(same, rel=1e-12)


def test_float32(features, steps_of):
    cpc = make(2, torch.float32)
    z = features(2, (4, 6, 3), dtype=torch.float32)
    value = cpc(z, steps_of(z), 0.4).cross_cpc.detach()
    arrays = {m: x.double().numpy() for m, x in z.items()}
    expected, _ = cross_cpc_by_loops(cpc, arrays, {m: [6] * 4 for m in z}, 0.4)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("self_weight", [0.0, 0.1, 1.0])
def test_options(features, steps_of, layers, self_weight):
    cpc = make(2, layers=layers, self_weight=self_weight, hidden=5)
    z = features(2, (4, 5, 3))
    expected, _ = cross_cpc_by_loops(
        cpc, {m: x.numpy() for m, x in z.items()}, {m: [5] * 4 for m in z}, 0.3
    )
    value = cpc(z, steps_of(z), 0.3).cross_cpc.detach()
    assert float(value) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("min_start", "ahead"), [(0, 1), (1, 1), (1, 3), (3, 2)])
def test_every_start_is_drawn_evenly(features, steps_of, min_start, ahead):
    """T = 10: starts min_start .. 9 - K, each for its share of the draws; 1 .. 8 by default."""
    cpc = make(2, min_start=min_start, prediction_steps=ahead, self_weight=0.0)
    z = features(2, (3, 10, 3))
    starts = list(range(min_start, 10 - ahead))
    draws = [(i + 0.5) / len(starts) for i in range(len(starts))]
    values = [float(cpc(z, steps_of(z), d).cross_cpc.detach()) for d in draws]
    assert len(set(values)) == len(starts)
    for edge in (0.0, 1e-9):
        assert float(cpc(z, steps_of(z), edge).cross_cpc.detach()) == values[0]
    for edge in (1 - 1e-9, math.nextafter(1.0, 0.0)):
        assert float(cpc(z, steps_of(z), edge).cross_cpc.detach()) == values[-1]
    # The first start reads steps 0 .. min_start alone: later steps but the targets do not matter.
    reach = min_start + ahead + 1
    changed = {m: torch.cat([x[:, :reach], x[:, reach:] + 9], 1) for m, x in z.items()}
    assert float(cpc(changed, steps_of(z), 0.0).cross_cpc.detach()) == values[0]


# ---- what does not exist ------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [float("nan"), 1e30])
@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("ahead", [1, 2])
def test_every_target_exists(features, ragged, poisoned, steps_of, poison, draw, ahead):
    """NaN at every step that does not exist reaches neither the term nor an accuracy."""
    cpc = make(3, prediction_steps=ahead)
    z = features(3, (8, 7, 3))
    lengths = ragged(3, 8, 7, seed=5)
    steps = steps_of(z, lengths)
    clean, spoilt = cpc(z, steps, draw), cpc(poisoned(z, lengths, poison), steps, draw)
    assert torch.equal(clean.cross_cpc, spoilt.cross_cpc)
    assert torch.equal(clean.same_step_nce, spoilt.same_step_nce)
    for pair, value in clean.accuracy.items():
        assert torch.equal(value, spoilt.accuracy[pair])


def test_gradient_ignores_padding(features, ragged, poisoned, steps_of):
    cpc = make(2)
    lengths = ragged(2, 6, 5, seed=1)
    gradients = []
    for value in (0.0, 1e3):
        z = poisoned(features(2, (6, 5, 3)), lengths, value)
        for x in z.values():
            x.requires_grad_()
        result = cpc(z, steps_of(z, lengths), 0.5)
        (result.cross_cpc + result.same_step_nce).backward()
        gradients.append({m: x.grad for m, x in z.items()})
    for m, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][m], rtol=1e-12, atol=1e-14)
        outside = torch.arange(5)[None] >= lengths[m][:, None]
        assert torch.equal(gradient[outside], torch.zeros_like(gradient[outside]))
        assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("length", [1, 2])
def test_without_a_time_axis(features, steps_of, length):
    cpc = make(2)
    z = features(2, (5, length, 3))
    result = cpc(z, steps_of(z), 0.9)
    expected = same_step_by_loops(
        cpc, {m: x.numpy() for m, x in z.items()}, {m: [length] * 5 for m in z}
    )
    assert result.cross_cpc is None
    assert result.accuracy == {}
    assert float(result.same_step_nce.detach()) == pytest.approx(expected, rel=1e-12)
    assert expected > 0.5
    result.same_step_nce.backward()
    assert cpc.predictors["audio"][0].weight.grad.abs().max() > 1e-4
    assert cpc.context["video"].weight_ih_l0.grad.abs().max() > 1e-6


@pytest.mark.parametrize(
    ("length", "ahead", "min_start", "long"),
    [(3, 1, 1, True), (2, 1, 1, False), (4, 2, 1, True), (3, 2, 1, False), (2, 1, 0, True)],
)
def test_shortest_clip_with_a_prediction(features, steps_of, length, ahead, min_start, long):
    cpc = make(2, prediction_steps=ahead, min_start=min_start)
    z = features(2, (3, length, 3))
    result = cpc(z, steps_of(z), 0.5)
    assert (result.cross_cpc is not None) == long
    assert (result.same_step_nce is not None) != long


def test_one_modality_per_short_clip_has_no_term(features):
    z = features(2, (2, 1, 3))
    lengths = {"audio": torch.tensor([1, 0]), "video": torch.tensor([0, 1])}
    result = make(2)(z, Steps(2, 1, lengths), 0.5)
    assert result.cross_cpc is None
    assert result.same_step_nce is None


# ---- its pieces ---------------------------------------------------------------------------------


def test_contrast_by_hand():
    score = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]], dtype=torch.float64)
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert float(contrast(score)) == pytest.approx(expected, rel=1e-12)


def test_accuracy_mixes_directions_as_coded():
    """Row-softmax is [[.5, .5], [.88, .12]]: of column 0 row 1 is largest, of column 1 row 0.

    Row by row, clip 0 ties and would count; a plain argmax of column 1 would find row 1.
    """
    score = torch.tensor([[0.0, 0.0], [4.0, 2.0]])
    assert score.argmax(0).tolist() == [1, 1]
    assert float(diagonal_accuracy(score)) == 0.0
    better = torch.tensor([[5.0, 1.0], [4.0, 2.0]])  # rows (.98, .02) and (.88, .12)
    assert float(diagonal_accuracy(better)) == 1.0
    assert better.argmax(1).tolist() == [0, 0]  # where row-wise accuracy is one half
    assert float(diagonal_accuracy(better, "rows")) == 0.5


def test_predictor_bias_shifts_whole_rows(features, steps_of):
    cpc = make(2)
    z = features(2, (4, 5, 3))
    before = cpc(z, steps_of(z), 0.5).cross_cpc
    with torch.no_grad():
        cpc.predictors["audio"][0].bias += 3.0
    torch.testing.assert_close(cpc(z, steps_of(z), 0.5).cross_cpc, before)
