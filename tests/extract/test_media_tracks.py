"""Which of several tracks is read, and what is said of it."""

import numpy as np
import pytest
from av.stream import Disposition

from cmg.extract.decode import FramePlan, decode

from .media import copy_tracks, counted_frame, tone_wave, write_picture, write_sound, write_video

RATE = 16000
DEFAULT, COMMENT = Disposition.default, Disposition.comment
DEAF, BLIND = Disposition.hearing_impaired, Disposition.visual_impaired


@pytest.mark.parametrize(
    ("flags", "heard"),
    [
        ((0, 0), 1),
        ((DEFAULT, 0), 1),
        ((0, DEFAULT), 2),
        ((DEFAULT, DEFAULT), 1),
        ((DEFAULT | COMMENT, 0), 2),
        ((0, COMMENT | DEFAULT), 1),
        ((BLIND, DEAF, 0), 3),
        ((0, DEFAULT, DEFAULT), 2),
    ],
)
def test_the_default_sound_is_heard_and_else_the_first(tmp_path, flags, heard):
    sounds = [
        write_sound(tmp_path / f"{n}.m4a", tone_wave(0.5, 400 * (n + 1), RATE))
        for n in range(len(flags))
    ]
    path = copy_tracks(tmp_path / "a.mkv", *sounds, flags=flags, titles=["", "second"])
    found = decode(None, path, None, RATE)
    spectrum = np.abs(np.fft.rfft(found.wave * np.hanning(len(found.wave))))
    assert spectrum.argmax() * RATE / len(found.wave) == pytest.approx(400 * heard, abs=5)
    words = ["second"] * (heard == 2) + ["default"] * bool(flags[heard - 1] & DEFAULT)
    told = f" ({', '.join(words)})" if words else ""
    assert found.tracks == (f"sound: track {heard} of {len(flags)}{told}",)
    assert decode(None, sounds[0], None, RATE).tracks == ()


@pytest.mark.parametrize(("flags", "seen"), [((0, 0), 0), ((0, DEFAULT), 1), ((COMMENT, 0), 1)])
def test_the_default_video_is_seen(tmp_path, flags, seen):
    videos = [
        write_video(tmp_path / f"{n}.mp4", 0.2, tone=None,
                    frames=lambda i, n=n: counted_frame(8 * n, (16, 16)))
        for n in range(2)
    ]  # fmt: skip
    path = copy_tracks(tmp_path / "a.mkv", *videos, flags=flags)
    found = decode(path, None, FramePlan(1, (8, 8)), None)
    assert round((found.frames.mean() - 8) / 15) == 8 * seen
    assert found.tracks[0].startswith(f"video: track {seen + 1} of 2")


def test_a_cover_is_no_video(tmp_path):
    picture = write_picture(tmp_path / "0.png", np.zeros((16, 16, 3), np.uint8))
    video = write_video(
        tmp_path / "0.mp4", 0.2, tone=None, frames=lambda i: np.full((16, 16, 3), 255, np.uint8)
    )
    path = copy_tracks(tmp_path / "a.mp4", picture, video, flags=[Disposition.attached_pic, 0])
    found = decode(path, None, FramePlan(1, (8, 8)), None)
    assert (found.frames.min() > 240, found.tracks) == (True, ())
