import math
from itertools import combinations

import numpy as np
import pytest
import torch

from cmg.objectives import cmcm_loss
from cmg.objectives.cmcm import pair_loss


def distribution_by_loops(z, codes, lengths):
    """METHOD section 5.5: mean over time of softmax(-distance)."""
    out = np.zeros((z.shape[0], len(codes)))
    for b, reach in enumerate(lengths):
        for t in range(reach):
            distance = np.sqrt(((z[b, t] - codes) ** 2).sum(1))
            weights = np.exp(-(distance - distance.min()))
            out[b] += weights / weights.sum() / reach
    return out


def pair_by_loops(p_a, p_b, floor):
    """L = mean_i [ ln( sum_j exp(S_ij - m) + floor ) - (S_ii - m) ]."""
    n = len(p_a)
    score = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            score[i, j] = p_a[i] @ np.log(p_b[j] + 1e-10) + p_b[i] @ np.log(p_a[j] + 1e-10)
    low = score.min()
    return float(
        np.mean(
            [
                math.log(np.exp(row - low).sum() + floor) - row[i] + low
                for i, row in enumerate(score)
            ]
        )
    )


def loss_by_loops(z, codes, lengths, floor):
    p = {m: distribution_by_loops(x, codes, lengths[m]) for m, x in z.items()}
    total = 0.0
    for a, b in combinations(z, 2):
        both = [i for i in range(len(p[a])) if lengths[a][i] and lengths[b][i]]
        if both:
            total += 0.5 * pair_by_loops(p[a][both], p[b][both], floor)
    return total


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("some_missing", [False, True])
@pytest.mark.parametrize("floor", [1e-5, 0.3])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_equals_loops(features, ragged, steps_of, modalities, some_missing, floor, dtype, rtol):
    z = features(modalities, (6, 4, 3), 1, dtype, scale=2.0)
    codes = features(1, (7, 3), 2, dtype, scale=2.0)["audio"]
    lengths = ragged(modalities, 6, 4, seed=2) if some_missing else None
    found = cmcm_loss(z, codes, steps_of(z, lengths), floor)
    reach = {m: lengths[m].tolist() if lengths else [4] * 6 for m in z}
    arrays = {m: x.double().numpy() for m, x in z.items()}
    expected = loss_by_loops(arrays, codes.double().numpy(), reach, floor)
    assert float(found) == pytest.approx(expected, rel=rtol)
    assert found.dtype == dtype


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_single_clip_is_the_floor_alone(features, steps_of, modalities):
    """With one clip S_ii is also the minimum: ln(1 + 1e-5) per pair, halved."""
    z = features(modalities, (1, 3, 4))
    codes = features(1, (5, 4), 1)["audio"]
    pairs = modalities * (modalities - 1) / 2
    found = float(cmcm_loss(z, codes, steps_of(z)))
    assert found == pytest.approx(0.5 * pairs * math.log1p(1e-5), rel=1e-9)
    assert float(cmcm_loss(z, codes, steps_of(z), floor=0.0)) == pytest.approx(0.0, abs=1e-14)


def test_pair_loss_by_hand():
    """Two clips on one code each, swapped or not: S is 0 or 2 ln(1e-10) = -46.05."""
    on = torch.eye(2, dtype=torch.float64)
    apart = 2 * math.log(1e-10)
    right = math.log1p(math.exp(apart) + 1e-5 * math.exp(apart))
    assert float(pair_loss(on, on, 1e-5)) == pytest.approx(right, abs=1e-9)
    swapped = float(pair_loss(on, on.flip(0), 1e-5))
    assert swapped == pytest.approx(-apart, rel=1e-9)


def test_indistinct_clips_cost_the_logarithm_of_their_number():
    same = torch.full((8, 4), 0.25, dtype=torch.float64)
    expected = math.log(8 + 1e-5)
    assert float(pair_loss(same, same, 1e-5)) == pytest.approx(expected, rel=1e-12)


def test_second_score_term_pairs_row_with_column():
    """S_ij = P_a[i].log P_b[j] + P_b[i].log P_a[j], not P_b[j].log P_a[i]: here they differ."""
    g = torch.Generator().manual_seed(0)
    p_a, p_b = (torch.rand(3, 4, generator=g, dtype=torch.float64) for _ in range(2))
    p_a, p_b = p_a / p_a.sum(1, keepdim=True), p_b / p_b.sum(1, keepdim=True)
    expected = pair_by_loops(p_a.numpy(), p_b.numpy(), 1e-5)
    assert float(pair_loss(p_a, p_b, 1e-5)) == pytest.approx(expected, rel=1e-13)
    cross = p_a @ torch.log(p_b + 1e-10).T
    other = cross + (p_b @ torch.log(p_a + 1e-10).T).T
    wrong = (torch.logsumexp(other, 1) - other.diagonal()).mean()
    assert abs(float(wrong) - expected) > 1e-3


def test_minimum_carries_gradient(features, steps_of):
    """Against finite differences: as coded the minimum inside the floor is not detached."""
    z = features(2, (3, 2, 3), 1)
    codes = features(1, (4, 3), 2)["audio"]
    for x in z.values():
        x.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, v: cmcm_loss({"audio": a, "video": v}, codes, steps_of(z), 0.5),
        (z["audio"], z["video"]),
    )


def test_no_clip_with_two_modalities(features, steps_of):
    z = features(2, (2, 3, 4))
    lengths = {"audio": torch.tensor([3, 0]), "video": torch.tensor([0, 3])}
    assert cmcm_loss(z, z["audio"][0], steps_of(z, lengths)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_feature_on_its_code(features, steps_of, dtype):
    """Golden bug 19: value and gradient were NaN."""
    codes = features(1, (20, 64), 1, dtype)["audio"]
    z = {m: codes[:6].view(2, 3, 64).clone().requires_grad_() for m in ("audio", "video")}
    loss = cmcm_loss(z, codes, steps_of(z))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z["audio"].grad).all()
    # Both modalities are the same clip by clip, and the two clips use different codes.
    assert loss.item() < 0.5 * math.log(2)
