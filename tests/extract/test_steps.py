"""Steps of sound: how many, and which frames are whose."""

import numpy as np
import pytest

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.steps import in_whole_steps, pooled, step_count, step_of


@pytest.mark.parametrize(
    ("samples", "step", "steps"),
    [
        (0, 1.0, 0),
        (1, 1.0, 1),
        (16000, 1.0, 1),
        (23999, 1.0, 1),
        (24000, 1.0, 2),  # half full counts
        (160000, 1.0, 10),
        (160000, 0.96, 10),  # 10.4
        (4000, 0.1, 3),  # 2.5 whatever 0.25 / 0.1 is in floats
        (100, 10.0, 1),
    ],
)
def test_a_last_step_that_is_half_full_counts(samples, step, steps):
    assert step_count(samples, 16000, step) == steps


def test_no_more_than_half_a_step_is_padded_or_left_out():
    generator = np.random.default_rng(0)
    for _ in range(500):
        samples, step = int(generator.integers(1, 10**6)), float(generator.uniform(0.02, 20))
        steps = step_count(samples, 16000, step)
        assert steps == 1 or abs(steps * step - samples / 16000) <= step / 2 + 1e-6


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_that_is_no_duration_is_refused(step):
    with pytest.raises(ConfigError, match="steps must last longer than 0 s"):
        step_of(LoadOptions(step_seconds=step))
    assert step_of(LoadOptions()) == 1.0
    assert step_of(LoadOptions(step_seconds=0.5)) == 0.5


def test_a_wave_is_padded_or_cut_to_whole_steps():
    wave = np.arange(1, 8, dtype=np.float32)
    np.testing.assert_array_equal(in_whole_steps(wave, 4, 1.0), [1, 2, 3, 4, 5, 6, 7, 0])
    np.testing.assert_array_equal(in_whole_steps(wave, 5, 1.0), [1, 2, 3, 4, 5])
    assert len(in_whole_steps(wave[:0], 4, 1.0)) == 0


def test_a_step_is_the_mean_of_the_frames_whose_middle_lies_in_it():
    frames = np.array([[1, 0], [3, 2], [10, 4], [99, 99]], dtype=np.float32)
    times = np.array([0.1, 0.4, 0.5, 1.1])
    np.testing.assert_array_equal(pooled(frames, times, 0.5, 2), [[2, 1], [10, 4]])


def test_a_step_without_a_frame_takes_the_nearest():
    frames = np.array([[1.0], [2.0]], dtype=np.float32)
    found = pooled(frames, np.array([0.1, 0.9]), 0.25, 4)
    np.testing.assert_array_equal(found, [[1], [1], [2], [2]])
