"""mIoU and F by hand, against a slow form, and independent of batches."""

import math

import pytest
import torch

from cmg.segmentation.metrics import (
    MaskMeter,
    best_f,
    f_curves,
    ious,
    precision_recall,
    thresholds,
)


def test_iou_by_hand():
    logits = torch.tensor([[[3.0, 3.0], [-3.0, -3.0]]])
    masks = torch.tensor([[[1, 0], [1, 0]]])
    assert ious(logits, masks).item() == pytest.approx(1 / 3, abs=1e-6)
    assert ious(logits, masks[:, :, [0, 0]]).item() == pytest.approx(0.5, abs=1e-6)


def test_an_empty_mask_scores_what_is_left_empty():
    logits = torch.tensor([[[3.0, -3.0], [-3.0, -3.0]]])
    assert ious(logits, torch.zeros(1, 2, 2)).item() == pytest.approx(0.75, abs=1e-6)


def test_a_probability_of_one_half_is_not_inside():
    assert ious(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)).item() == 0.0


def test_f_against_a_slow_form():
    torch.manual_seed(1)
    logits, masks = torch.randn(3, 5, 4), torch.rand(3, 5, 4) > 0.6
    precision, recall = precision_recall(logits, masks)
    curves = f_curves(logits, masks)
    for n in range(3):
        probability = torch.sigmoid(logits[n].double())
        for k, cut in enumerate(thresholds()):
            inside = probability >= cut
            hits, found = int((inside & masks[n]).sum()), int(inside.sum())
            p = hits / found if found else 0.0
            r = hits / int(masks[n].sum())
            f = 1.3 * p * r / (0.3 * p + r) if p + r else 0.0
            assert precision[n, k] == pytest.approx(p, abs=1e-12)
            assert recall[n, k] == pytest.approx(r, abs=1e-12)
            assert curves[n, k] == pytest.approx(f, abs=1e-12)


def test_no_curve_scores_zero():
    assert best_f(torch.zeros(0, 255)) == 0.0
    with pytest.raises(ValueError, match="no frame"):
        MaskMeter().result()


def metered(logits, masks, size):
    meter = MaskMeter()
    for i in range(0, len(logits), size):
        meter.add(logits[i : i + size], masks[i : i + size])
    return meter.result()


def test_whole_set_does_not_depend_on_batches_and_the_published_form_does():
    torch.manual_seed(2)
    logits, masks = torch.randn(7, 6, 6), torch.rand(7, 6, 6) > 0.5
    masks[3] = False
    one, three, all_ = (metered(logits, masks, size) for size in (1, 3, 7))
    assert one.miou == pytest.approx(all_.miou)
    assert one.f_measure == pytest.approx(three.f_measure) == pytest.approx(all_.f_measure)
    assert all_.published_f == pytest.approx(all_.f_measure)
    assert all_.published_miou == pytest.approx(all_.miou)
    assert one.published_f > three.published_f - 100 * 1 / 7
    assert not math.isclose(one.published_f, all_.published_f, rel_tol=1e-3)
    assert (all_.frames, all_.empty) == (7, 1)


def test_a_batch_of_empty_masks_counts_as_zero_in_the_published_form():
    logits = torch.full((2, 2, 2), 5.0)
    masks = torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])
    result = metered(logits, masks, 1)
    assert result.published_f == pytest.approx(50.0)
    assert result.f_measure == pytest.approx(100.0)
