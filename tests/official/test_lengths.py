"""Padding and cutting, rule by rule."""

from __future__ import annotations

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.official.lengths import RULES, LengthRule, fit_length

PADDED = [
    ("vggsound", "audio", 10),
    ("avvp", "audio", 10),
    ("ucf101", "video", 10),
    ("ucf101all", "audio", 10),
    ("ucf101all", "video", 10),
    ("avsbench", "audio", 5),
]
EXACT = [("vggsound", "video"), ("avvp", "video"), ("ave", "audio"), ("ave", "video")]


def counted(steps: int) -> np.ndarray:
    """Step t holds t."""
    return np.broadcast_to(np.arange(steps, dtype=np.float64)[:, None], (steps, 3)).copy()


def test_every_set_and_modality_has_a_rule():
    assert set(RULES) == {(d, m) for d, m, _ in PADDED} | set(EXACT)


@pytest.mark.parametrize(("data_set", "modality", "steps"), PADDED)
def test_a_short_clip_repeats_its_last_step_and_a_long_one_is_cut(data_set, modality, steps):
    rule = RULES[data_set, modality]
    for count in (1, steps - 1, steps, steps + 1, 3 * steps):
        found = fit_length(counted(count), rule, "clip")
        expected = [min(t, count - 1) for t in range(steps)]
        assert found[:, 0].tolist() == expected
        assert found.shape == (steps, 3)
        assert found.dtype == np.float64


@pytest.mark.parametrize(("data_set", "modality"), EXACT)
def test_features_that_the_release_never_pads_must_have_ten_steps(data_set, modality):
    rule = RULES[data_set, modality]
    assert fit_length(counted(10), rule, "clip")[:, 0].tolist() == list(range(10))
    for count in (1, 9, 11):
        with pytest.raises(DataError, match=rf"clip has {count} rows where exactly 10"):
            fit_length(counted(count), rule, "clip")


@pytest.mark.parametrize("rule", [LengthRule(), LengthRule(pad=False, cut=False)])
@pytest.mark.parametrize("nothing", [np.zeros((0, 128)), np.array(1.0)])
def test_a_clip_shorter_than_a_second_is_refused(rule, nothing):
    with pytest.raises(DataError, match="clip: shorter than one second"):
        fit_length(nothing, rule, "clip")


def test_maps_are_padded_along_time_only():
    maps = np.random.default_rng(0).random((2, 3, 3, 4)).astype(np.float32)
    found = fit_length(maps, LengthRule(steps=4), "clip")
    np.testing.assert_array_equal(found, maps[[0, 1, 1, 1]])
    assert found.dtype == np.float32
