"""Which frames of a video are taken, against decoding everything."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cmg.errors import ConfigError, DataError
from cmg.extract.decode import FramePlan, decode
from cmg.extract.media import frames as frames_module
from cmg.extract.media.choice import choose, step_count
from cmg.extract.media.frames import needed_runs

from .media import copy_tracks, counted_frame, tone_wave, turn_mp4, write_picture, write_video

SIZE = (24, 32)
TEXTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def moving(index):
    """A texture that moves, so that every frame differs and depends on those before."""
    return np.roll(TEXTURE, (index, 2 * index), (0, 1))


def levels(decoded):
    """Which :func:`counted_frame` each frame is."""
    return np.rint((decoded.frames.mean(axis=(1, 2, 3)) - 8) / 15).astype(int).tolist()


def all_frames(path):
    """Times and scaled frames of a video, every frame decoded, in the order of presentation."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        origin = (container.start_time or 0) / 1e6
        for frame in container.decode(stream):
            picture = frame.reformat(*SIZE[::-1], format="rgb24", interpolation="BILINEAR")
            found.append((float(frame.pts * stream.time_base) - origin, picture.to_ndarray()))
    return sorted(found, key=lambda pair: pair[0])


def expected(frames, plan, start, end):
    """Step and frame of every choice of the rule ``time``, one by one."""
    last = frames[-1][0] + np.median(np.diff([time for time, _ in frames]))
    length = (last if end is None else min(end, last)) - start
    steps = max(1, int(np.floor(length / plan.step_seconds + 0.5 + 1e-6)))
    choice = []
    for step in range(steps):
        for i in range(plan.frames_per_step):
            time = (step + (i + 0.5) / plan.frames_per_step) * plan.step_seconds
            if time < length or i == 0:
                before = [n for n, (t, _) in enumerate(frames) if t <= start + time + 1e-6]
                inside = [n for n in before if frames[n][0] < start + length]
                choice.append((step, inside[-1] if inside else 0))
    return choice


CODINGS = {
    "b-frames.mp4": ("libx264", {"bf": "3", "g": "12", "b-pyramid": "normal"}),
    "open.mkv": ("libx264", {"x264-params": "open-gop=1:keyint=20:bframes=3:scenecut=0"}),
    "one-group.mp4": ("libx264", {"preset": "slow", "g": "1000"}),
    "old.avi": ("mpeg4", {"bf": "2", "g": "12"}),
    "hidden.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "stream.ts": ("libx264", {"bf": "3", "g": "25"}),
    "film.mpg": ("mpeg2video", {"bf": "2", "g": "12"}),
    "refreshed.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=20"}),
}


@pytest.mark.parametrize("name", CODINGS)
def test_the_frames_are_those_that_decoding_everything_shows(tmp_path, name):
    codec, options = CODINGS[name]
    path = write_video(tmp_path / name, 5.0, tone=None, frames=moving, codec=codec, options=options)
    frames = all_frames(path)
    for per_step, seconds in ((16, 1.0), (1, 2.5), (3, 0.4)):
        plan = FramePlan(per_step, SIZE, seconds)
        for start, end in ((0.0, None), (3.3, None), (2.7, 4.1), (0.5, 0.9)):
            found = decode(path, None, plan, None, start, end)
            choice = expected(frames, plan, start, end)
            assert list(zip(found.frame_steps, choice, strict=True)) == [
                (s, (s, n)) for s, n in choice
            ]
            wanted = np.stack([frames[n][1] for _, n in choice])
            np.testing.assert_array_equal(found.frames, wanted)
            times = np.array([frames[n][0] for _, n in choice]) - start
            np.testing.assert_allclose(found.frame_times, times, atol=1e-6)


def test_two_threads_give_the_same_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2.0, frames=moving, options={"bf": "3"})
    one, two = (decode(path, None, FramePlan(5, SIZE), None, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.frames, two.frames)


def test_few_frames_are_decoded_where_few_are_wanted(tmp_path, monkeypatch):
    options = {"x264-params": "keyint=25:scenecut=0"}
    path = write_video(tmp_path / "a.mp4", 8.0, tone=None, frames=moving, options=options)
    fed = []
    real = frames_module.decoded

    def counting(part, packets, errors):
        packets = list(packets)
        fed.append(len(packets))
        return real(part, packets, errors)

    monkeypatch.setattr(frames_module, "decoded", counting)
    found = decode(path, None, FramePlan(1, SIZE, 4.0), None)
    assert len(found.frames) == 2
    assert fed == [1, 1]  # of 200: the key frames at 2 and 6 seconds


class FakePacket:
    def __init__(self, pts, key=False):
        self.pts, self.is_keyframe = pts, key

    def __repr__(self):
        return str(self.pts)


def test_a_group_is_needed_whole_if_frames_before_the_next_key_frame_refer_to_it():
    first = [FakePacket(0, key=True), FakePacket(1), FakePacket(2)]
    leading = [FakePacket(5, key=True), FakePacket(3), FakePacket(4), FakePacket(6)]
    last = [FakePacket(7, key=True), FakePacket(8)]
    packets = [*first, *leading, *last]
    assert needed_runs(packets, {4}) == [[*first, *leading[:3]]]
    assert needed_runs(packets, {1, 5}) == [first[:2], leading[:1]]
    assert needed_runs(packets, {4, 8}) == [[*first, *leading[:3]], last]
    assert needed_runs(packets, set()) == []


def test_the_published_rule_counts_frames():
    times = np.arange(253) / 25
    choice = choose(times, 10.12, FramePlan(16, SIZE, rule="count"))
    interval = 25
    by_hand = [
        int(np.floor(s * interval + i / 16 * interval)) for s in range(10) for i in range(16)
    ]
    assert choice.frames.tolist() == by_hand
    assert by_hand[:5] == [0, 1, 3, 4, 6]
    assert choice.steps.tolist() == [s for s in range(10) for _ in range(16)]
    assert choice.count == 10


def test_the_published_rule_repeats_frames_of_a_slow_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2.0, fps=8, tone=None)
    found = decode(path, None, FramePlan(4, SIZE, rule="count", segments=5), None)
    assert levels(found) == [n for s in range(5) for n in (3 * s, 3 * s, 3 * s + 1, 3 * s + 2)]
    assert found.steps == 5


def test_the_published_rule_begins_at_the_clip(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3.0, fps=5, tone=None)
    plan = FramePlan(1, SIZE, rule="count", segments=5)
    assert levels(decode(path, None, plan, None, 1.0, 2.0)) == [5, 6, 7, 8, 9]


def test_with_fewer_frames_than_segments_all_are_the_first(tmp_path):
    path = write_video(tmp_path / "a.mp4", 0.2, tone=None)
    found = decode(path, None, FramePlan(2, SIZE, rule="count"), None)
    assert levels(found) == [0] * 20


@pytest.mark.parametrize(
    ("seconds", "steps"), [(0.04, 1), (0.49, 1), (1.0, 1), (1.49, 1), (1.5, 2), (9.92, 10)]
)
def test_a_last_step_counts_if_half_of_it_is_there(seconds, steps):
    assert step_count(seconds, 1.0) == steps


def test_times_within_a_step_are_evenly_spaced(tmp_path):
    path = write_video(tmp_path / "a.mp4", 1.6, fps=10, tone=None)
    found = decode(path, None, FramePlan(2, SIZE, 0.4), None)
    assert levels(found) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert found.frame_steps.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.seconds == pytest.approx(1.6)


def test_a_half_step_at_the_end_has_the_frames_that_are_there(tmp_path):
    path = write_video(tmp_path / "a.mp4", 1.5, fps=10, tone=None)
    found = decode(path, None, FramePlan(4, SIZE), None)
    assert found.frame_steps.tolist() == [0, 0, 0, 0, 1, 1]
    assert levels(found) == [1, 3, 6, 8, 11, 13]


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4"])
def test_one_frame_beside_a_sound_is_a_whole_file(suffix, tmp_path):
    """Of a Matroska track without a duration ffmpeg may give the whole file's."""
    codec, sound = ("libvpx-vp9", "libopus") if suffix == ".webm" else ("libx264", "aac")
    path = write_video(
        tmp_path / f"a{suffix}",
        times=[0.0],
        codec=codec,
        audio_codec=sound,
        wave=tone_wave(3.0, 440.0, 48000),
        rate=48000,
    )
    found = decode(path, path, FramePlan(1, (8, 8)), 16000)
    assert len(found.frames) == 1
    assert found.wave.shape[-1] == pytest.approx(48000, abs=1200)


def test_frames_of_a_variable_rate_are_taken_by_when_they_are_shown(tmp_path):
    path = write_video(tmp_path / "a.mkv", times=[0, 0.1, 0.5, 0.55, 1.3, 2.9], tone=None)
    found = decode(path, None, FramePlan(2, SIZE, 1.0), None)
    assert found.steps == 3
    assert levels(found) == [1, 3, 3, 4, 4, 4]  # at 0.25, 0.75, 1.25, 1.75, 2.25, 2.75
    assert levels(decode(path, None, FramePlan(1, SIZE, 1.0), None)) == [2, 4, 4]


def last_lasts(seconds):
    """Give the packet that was written last a duration."""

    def change(packet):
        last = float(packet.pts * packet.time_base) > 9.05
        packet.duration = round((seconds if last else 2) / packet.time_base)

    return change


VARIABLE = [0, 2, 4, 9, 9.1]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.ts", "a.flv", "a.mkv"])
def test_a_gap_of_decoding_times_is_not_how_long_the_last_frame_lasts(tmp_path, name):
    """The muxer of mp4 writes the gap between decoding times; ts and flv write no duration."""
    coded = write_video(tmp_path / "0.mp4", times=VARIABLE, tone=None, options={"bf": "2"})
    seconds = 0.04 if name == "a.mkv" else 2.0
    path = copy_tracks(tmp_path / name, coded, change=last_lasts(seconds))
    found = decode(path, None, FramePlan(2, SIZE), None)
    assert found.steps == 9
    assert found.seconds == pytest.approx(9.2 if name != "a.mkv" else 9.14, abs=2e-3)
    assert levels(found) == [0] * 4 + [1] * 4 + [2] * 10


def test_an_avi_of_a_variable_rate_ends_with_its_last_frame(tmp_path):
    path = write_video(
        tmp_path / "a.avi", times=VARIABLE, tone=None, codec="mpeg4", options={"g": "1"}
    )
    assert decode(path, None, FramePlan(1, SIZE), None).seconds == pytest.approx(9.2)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_last_frame_that_is_said_to_last_does(tmp_path, name):
    coded = write_video(tmp_path / "0.mp4", times=VARIABLE, tone=None, options={"bf": "0"})
    path = copy_tracks(tmp_path / name, coded, change=last_lasts(3.5))
    assert decode(path, None, FramePlan(1, SIZE), None).seconds == pytest.approx(12.6, abs=2e-3)
    one = write_video(tmp_path / "1.mp4", times=[0], tone=None)
    path = copy_tracks(tmp_path / f"1{name}", one, change=lambda p: setattr(p, "duration", 48000))
    assert decode(path, None, FramePlan(1, SIZE), None).steps == 3  # a picture, shown for 3 s


def test_a_gif_lasts_as_long_as_it_says(tmp_path):
    frames = [Image.fromarray(counted_frame(4 * i, (16, 16))) for i in range(4)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[500, 100, 2000, 3000])
    found = decode(path, None, FramePlan(1, SIZE), None)
    assert found.seconds == pytest.approx(5.6)
    assert levels(found) == [4, 8, 8, 12, 12, 12]


def test_an_edit_list_that_ends_within_a_frame_ends_the_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", times=[0, 5, 10, 15], tone=None, options={"bf": "0"})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12  # after version, flags and count: the duration in milliseconds
    assert int.from_bytes(data[at : at + 4], "big") == 15040
    data[at : at + 4] = (6000).to_bytes(4, "big")
    path.write_bytes(data)
    found = decode(path, None, FramePlan(1, SIZE), None)
    assert (found.steps, levels(found)) == (6, [0] * 5 + [1])


def test_an_odd_size_is_scaled_and_a_small_one_enlarged(tmp_path):
    def draw(_):
        picture = np.zeros((38, 54, 3), np.uint8)
        picture[:, 27:] = 255
        return picture

    path = write_video(tmp_path / "a.mp4", 0.2, size=(38, 54), tone=None, frames=draw)
    found = decode(path, None, FramePlan(1, (101, 77)), None)
    assert found.frames.shape == (1, 101, 77, 3)
    assert found.frames[0, :, :30].max() < 30
    assert found.frames[0, :, -30:].min() > 225


@pytest.mark.parametrize(("degrees", "white"), [(90, "right"), (180, "bottom"), (270, "left")])
def test_a_turned_video_is_upright(tmp_path, degrees, white):
    def draw(_):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:24] = 255  # the upper half, as recorded
        return picture

    path = turn_mp4(write_video(tmp_path / "a.mp4", 0.2, tone=None, frames=draw), degrees)
    frame = decode(path, None, FramePlan(1, (40, 20)), None).frames[0].mean(-1)
    assert frame.shape == (40, 20)
    halves = {
        "left": frame[:, :8], "right": frame[:, 12:], "top": frame[:16], "bottom": frame[24:]
    }  # fmt: skip
    opposite = {"left": "right", "right": "left", "bottom": "top"}[white]
    assert halves[white].min() > 200
    assert halves[opposite].max() < 50


def test_a_picture_is_one_step(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    for name in ("a.png", "a.bmp", "a.webp", "a.jpg"):
        path = tmp_path / name
        Image.fromarray(array).save(path, **({"lossless": True} if name == "a.webp" else {}))
        found = decode(path, None, FramePlan(16, (20, 30)), None)
        assert (found.steps, found.frame_steps.tolist()) == (1, [0])
        if name != "a.jpg":
            np.testing.assert_array_equal(found.frames[0], array)


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for index in range(12):  # by the alphabet, 10 comes before 2
        write_picture(folder / f"frame{index}.png", counted_frame(index, SIZE))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_folder_of_pictures_is_one_per_step(series):
    found = decode(series, None, FramePlan(4, SIZE, 0.5), None)
    assert levels(found) == list(range(12))
    assert found.frame_steps.tolist() == list(range(12))
    assert found.seconds == 6.0
    assert levels(decode(series, None, FramePlan(4, SIZE, 0.5), None, 1.0, 2.0)) == [2, 3]


def test_a_folder_of_pictures_with_a_rate_is_a_video(series):
    found = decode(series, None, FramePlan(2, SIZE, 1.0), None, picture_fps=4.0)
    assert levels(found) == [1, 3, 5, 7, 9, 11]
    assert found.steps == 3


def test_the_published_rule_works_on_a_folder_of_pictures(series):
    found = decode(series, None, FramePlan(2, SIZE, rule="count", segments=3), None)
    assert levels(found) == [0, 2, 4, 6, 8, 10]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no picture"):
        decode(tmp_path, None, FramePlan(1, SIZE), None)


def test_more_frames_than_fit_into_memory_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mkv", times=[0, 20 * 3600], tone=None)
    plan = FramePlan(16, (224, 224))
    with pytest.raises(DataError, match=r"a\.mkv: its 1152000 frames .* list parts of it"):
        decode(path, None, plan, None)
    found = decode(path, None, plan, None, 3600.0, 3602.0)
    assert (found.steps, np.unique(levels(found)).tolist()) == (2, [0])


def test_a_plan_must_be_positive():
    with pytest.raises(ConfigError, match="positive"):
        FramePlan(0, SIZE)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ConfigError, match=r"cmg-torch\[extract\]"):
        decode(Path("a.mp4"), None, FramePlan(1, SIZE), None)
