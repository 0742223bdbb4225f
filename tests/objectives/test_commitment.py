import pytest
import torch

from cmg.objectives import CommitmentOptions, commitment_loss
from cmg.types import Steps

BETA = 0.25


def one(x):
    return torch.tensor([[[float(x)]]], requires_grad=True)


@pytest.mark.parametrize(
    ("form", "own", "cross"),
    [("as_coded", 0.5, 0.25), ("paper", 0.25, 0.125), ("own", 0.25, 0.0)],
)
def test_two_modalities_by_hand(form, own, cross):
    """z = 1 and 2, codes 3 and 5: own 4 and 9, cross 16 and 1."""
    z = {"audio": one(1), "video": one(2)}
    codes = {"audio": one(3), "video": one(5)}
    options = CommitmentOptions(beta=BETA, form=form)
    losses = commitment_loss(z, codes, Steps(1, 1), options)
    assert losses["audio"].item() == own * 4 + cross * 16
    assert losses["video"].item() == own * 9 + cross * 1
    losses["audio"].backward()
    assert float(z["audio"].grad) == own * 2 * (1 - 3) + cross * 2 * (1 - 5)
    assert z["video"].grad is None
    assert codes["audio"].grad is None  # codes move by MM-EMA alone
    assert codes["video"].grad is None


@pytest.mark.parametrize(
    ("form", "own", "cross"),
    [("as_coded", 0.5, 0.125), ("paper", 0.25, 0.0625), ("own", 0.25, 0.0)],
)
def test_three_modalities_by_hand(form, own, cross):
    z = {"audio": one(1), "video": one(2), "text": one(0)}
    codes = {"audio": one(3), "video": one(5), "text": one(1)}
    losses = commitment_loss(z, codes, Steps(1, 1), CommitmentOptions(form=form))
    assert losses["audio"].item() == own * 4 + cross * (16 + 0)
    assert losses["video"].item() == own * 9 + cross * (1 + 1)
    assert losses["text"].item() == own * 1 + cross * (9 + 25)


def loss_by_loops(z, codes, lengths, m, beta):
    def mse(own, code, n):
        total, count = 0.0, 0
        for b in range(own.shape[0]):
            for t in range(min(lengths[m][b], lengths[n][b])):
                total += ((own[b, t] - code[b, t]) ** 2).sum()
                count += own.shape[2]
        return total / count if count else 0.0

    partners = [n for n in z if n != m]
    value = 2 * beta * mse(z[m], codes[m], m)
    return value + sum(beta / len(partners) * mse(z[m], codes[n], n) for n in partners)


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("some_missing", [False, True])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_equals_loops(features, ragged, steps_of, modalities, some_missing, dtype, rtol):
    z, codes = features(modalities, seed=1, dtype=dtype), features(modalities, seed=2, dtype=dtype)
    lengths = ragged(modalities, 5, 4, seed=3) if some_missing else None
    losses = commitment_loss(z, codes, steps_of(z, lengths), CommitmentOptions(beta=0.4))
    reach = {m: lengths[m].tolist() if lengths else [4] * 5 for m in z}
    arrays = [{m: x.double().numpy() for m, x in group.items()} for group in (z, codes)]
    for m in z:
        expected = loss_by_loops(*arrays, reach, m, 0.4)
        assert losses[m].item() == pytest.approx(expected, rel=rtol)
        assert losses[m].dtype == dtype


def test_partners_that_never_meet(features, steps_of):
    """Clip 0 has audio alone, clip 1 video alone: only the own codes pull."""
    z, codes = features(2, (2, 3, 2), 1), features(2, (2, 3, 2), 2)
    lengths = {"audio": torch.tensor([3, 0]), "video": torch.tensor([0, 2])}
    losses = commitment_loss(z, codes, steps_of(z, lengths))
    own = 0.5 * (z["audio"][0] - codes["audio"][0]).square().mean()
    torch.testing.assert_close(losses["audio"], own)


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_a_weight_of_its_own_for_every_partner(features, steps_of, modalities):
    """In betas, however many partners there are: half a beta is half of the coded form's for two,
    and that of three modalities."""
    z, codes = features(modalities, seed=1), features(modalities, seed=2)
    losses = commitment_loss(z, codes, steps_of(z, None), CommitmentOptions(partner_weight=0.5))
    for m, loss in losses.items():
        pulls = [(z[m] - e).square().mean() * (0.5 if n == m else 0.125) for n, e in codes.items()]
        torch.testing.assert_close(loss, torch.stack(pulls).sum())
