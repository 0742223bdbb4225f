"""Thumbnails and waveform of a clip of media."""

import io

import numpy as np
import pytest
from PIL import Image

from cmg.extract.thumbnails import (
    HEIGHT,
    RATE,
    jpeg_bytes,
    shown,
    thumbnail_seconds,
    thumbnail_size,
)

from .media import counted_frame, tone_wave, turn_mp4, write_picture, write_video


def opened(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("step", "seconds"),
    [(1.0, 1.0), (0.96, 0.96), (0.5, 0.5), (0.2, 0.6), (0.04, 0.52), (5.0, 5 / 3), (2.0, 2.0)],
)
def test_a_thumbnail_stands_for_whole_steps_or_whole_parts_of_one(step, seconds):
    assert thumbnail_seconds(step) == pytest.approx(seconds)


def test_a_jpeg_keeps_size_and_colors():
    picture = np.zeros((97, 131, 3), np.uint8)
    picture[:, :60] = (200, 30, 40)
    picture[:, 60:] = (10, 200, 90)
    assert np.abs(opened(jpeg_bytes(picture)) - picture).mean() < 2


def test_thumbnails_keep_the_shape_that_is_shown(tmp_path):
    wide = write_video(tmp_path / "wide.mp4", 1.0, 10, (40, 80))
    assert thumbnail_size(wide) == (HEIGHT, 2 * HEIGHT)
    assert thumbnail_size(turn_mp4(wide, 90)) == (HEIGHT, HEIGHT // 2)
    tall = write_picture(tmp_path / "tall.png", np.zeros((90, 30, 3), np.uint8))
    assert thumbnail_size(tall) == (HEIGHT, HEIGHT // 3)
    (tmp_path / "series").mkdir()
    write_picture(tmp_path / "series" / "1.png", np.zeros((30, 60, 3), np.uint8))
    assert thumbnail_size(tmp_path / "series") == (HEIGHT, 2 * HEIGHT)


def test_thumbnails_are_of_the_middle_of_their_time(tmp_path):
    video = write_video(tmp_path / "a.mp4", 3.0, 4, (32, 32), tone=None)
    found = shown(video, None, 1.0, 0.0, None)
    assert [(t.start, t.end) for t in found.thumbnails] == [(0, 1), (1, 2), (2, 3)]
    levels = [opened(t.jpeg).mean() for t in found.thumbnails]
    frames = [counted_frame(i, (1, 1)).mean() for i in (2, 6, 10)]  # shown at 0.5, 1.5 and 2.5 s
    assert levels == pytest.approx(frames, abs=4)
    assert found.wave is None


def test_a_part_of_a_file_is_shown_from_its_start(tmp_path):
    wave = np.concatenate([np.zeros(RATE), tone_wave(2.0, 300.0, RATE)]).astype(np.float32)
    video = write_video(tmp_path / "a.mp4", 3.0, 4, (32, 32), wave=wave)
    found = shown(video, video, 1.0, 1.0, 3.0)
    assert len(found.thumbnails) == 2
    assert found.seconds == pytest.approx(2.0, abs=0.1)
    assert len(found.wave) == pytest.approx(2 * RATE, abs=RATE / 10)
    assert np.abs(found.wave[: RATE // 2]).max() > 0.3


def test_a_picture_is_shown_for_one_step_and_words_show_nothing(tmp_path):
    picture = write_picture(tmp_path / "a.png", np.full((30, 30, 3), 120, np.uint8))
    found = shown(picture, None, 5.0, 0.0, None)
    assert found.seconds == 5.0
    assert [(t.start, t.end) for t in found.thumbnails] == [(0.0, 5.0)]
    assert shown(None, None, 1.0, 0.0, None).seconds == 0.0
