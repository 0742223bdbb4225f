import numpy as np
import pytest
import torch

from cmg.masking import mean_over_steps, mean_over_time
from cmg.objectives import reconstruction_loss


def mse_by_loops(a, b, lengths):
    total, count = 0.0, 0
    for clip, reach in enumerate(lengths):
        for t in range(reach):
            total += ((a[clip, t] - b[clip, t]) ** 2).sum()
            count += a[clip, t].size
    return total / count


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 2, 2, 4), (1, 1, 1)])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@pytest.mark.parametrize("some_missing", [False, True])
def test_equals_loops(features, ragged, steps_of, shape, dtype, rtol, some_missing):
    inputs, rebuilt = features(3, shape, 1, dtype), features(3, shape, 2, dtype)
    lengths = ragged(3, *shape[:2]) if some_missing else None
    losses = reconstruction_loss(inputs, rebuilt, steps_of(inputs, lengths))
    for m, x in inputs.items():
        reach = lengths[m].tolist() if lengths else [shape[1]] * shape[0]
        expected = mse_by_loops(x.double().numpy(), rebuilt[m].double().numpy(), reach)
        assert losses[m].dtype == dtype
        assert float(losses[m]) == pytest.approx(expected, rel=rtol)


def test_by_hand(steps_of):
    inputs = {"audio": torch.tensor([[[1.0, 2.0], [9.0, 9.0]], [[0.0, 0.0], [4.0, 0.0]]])}
    rebuilt = {"audio": torch.zeros(2, 2, 2)}
    lengths = {"audio": torch.tensor([1, 2])}
    # squares 1, 4, 0, 0, 16, 0 of the three steps that exist
    assert float(reconstruction_loss(inputs, rebuilt, steps_of(inputs, lengths))["audio"]) == 3.5


def test_modality_that_no_clip_has(features, steps_of):
    inputs = features(2, (2, 3, 4))
    lengths = {"audio": torch.tensor([3, 1]), "video": torch.tensor([0, 0])}
    assert set(reconstruction_loss(inputs, inputs, steps_of(inputs, lengths))) == {"audio"}


@pytest.mark.parametrize("detach", [True, False])
def test_gradient_through_the_target(features, steps_of, detach):
    """Not cut, the target's gradient is minus the output's: 2 (x - r) / n."""
    inputs, rebuilt = features(2, (2, 3, 4), 1), features(2, (2, 3, 4), 2)
    for x in [*inputs.values(), *rebuilt.values()]:
        x.requires_grad_()
    reconstruction_loss(inputs, rebuilt, steps_of(inputs), detach)["audio"].backward()
    expected = 2 * (rebuilt["audio"] - inputs["audio"]).detach() / 24
    torch.testing.assert_close(rebuilt["audio"].grad, expected)
    if detach:
        assert inputs["audio"].grad is None
    else:
        torch.testing.assert_close(inputs["audio"].grad, -expected)


def test_means_over_what_exists():
    x = torch.arange(12, dtype=torch.float64).view(2, 3, 2)
    mask = torch.tensor([[True, False, False], [True, True, False]])
    assert float(mean_over_steps(x, mask)) == (0 + 1 + 6 + 7 + 8 + 9) / 6
    assert mean_over_time(x, mask).tolist() == [[0, 1], [7, 8]]
    assert mean_over_time(x, torch.zeros(2, 3, dtype=torch.bool)).tolist() == [[0, 0], [0, 0]]
    assert np.array_equal(mean_over_time(x, None), [[2, 3], [8, 9]])
    assert float(mean_over_steps(x[..., 0], mask)) == (0 + 6 + 8) / 3
