"""Sound: where it is in time, how loud, and what is refused."""

import os
import re

import av
import numpy as np
import pytest

from cmg.errors import DataError
from cmg.extract.decode import FramePlan, decode
from cmg.extract.media.sound import resampled

from .media import add_sound, cut_file, tone_wave, write_picture, write_sound, write_video

PLAN = FramePlan(1, (8, 8))


def click(seconds, at, rate):
    """Silence with a short burst of 1 kHz."""
    wave = np.zeros(round(seconds * rate), np.float32)
    burst = tone_wave(0.02, 1000, rate)
    first = round(at * rate)
    wave[first : first + len(burst)] = burst
    return wave


def heard_at(wave, rate):
    """When the middle of the loudest stretch of 20 ms is."""
    power = np.convolve(wave.astype(np.float64) ** 2, np.ones(round(0.02 * rate)), "same")
    return int(power.argmax()) / rate


def pitch(wave, rate):
    """The strongest frequency."""
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * rate / len(wave)


def test_a_wav_keeps_its_numbers(tmp_path):
    wave = tone_wave(1.3, 440, 16000)
    found = decode(None, write_sound(tmp_path / "a.wav", wave), None, 16000)
    np.testing.assert_allclose(found.wave, wave, atol=1 / 32768)
    assert found.wave.dtype == np.float32
    assert (found.frames, found.steps, found.rate) == (None, 0, 16000)
    assert found.seconds == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("hertz", "low"), [((300, 900), None), ((300, 900, 60), 60), ((300, 900, 500, 700), None),
                       ((300, 900, 0, 60, 900, 900), 60)],
)  # fmt: skip
def test_channels_are_averaged(tmp_path, hertz, low):
    """Of stereo, 2.1, 4.0 and 5.1."""
    channels = np.stack([tone_wave(0.5, one, 16000) for one in hertz])
    path = write_sound(tmp_path / "a.wav", channels)
    wave = decode(None, path, None, 16000).wave
    np.testing.assert_allclose(wave, channels.mean(0), atol=1e-4)
    if low:  # that channel counts too
        loud = np.abs(np.fft.rfft(wave))[low // 2]
        assert loud == pytest.approx(len(wave) / 4 / len(hertz), rel=1e-2)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 192000])
def test_every_rate_becomes_the_one_asked_for(tmp_path, rate):
    path = write_sound(tmp_path / "a.wav", tone_wave(1.0, 440, rate), rate)
    wave = decode(None, path, None, 16000).wave
    assert len(wave) == 16000
    inner = slice(800, -800)
    np.testing.assert_allclose(wave[inner], tone_wave(1.0, 440, 16000)[inner], atol=2e-3)


def test_resampling_does_not_shift():
    wave = resampled(click(1.0, 0.5, 44100), 44100, 16000)
    assert heard_at(wave, 16000) == pytest.approx(0.51, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("a.flac", 22050), ("a.mp3", 44100), ("a.m4a", 44100), ("a.ogg", 48000), ("a.opus", 48000)],
)
def test_every_format_is_heard_when_it_sounds(tmp_path, name, rate):
    path = write_sound(tmp_path / name, click(2.0, 1.2, rate), rate)
    found = decode(None, path, None, 16000)
    assert found.seconds == pytest.approx(2.0, abs=0.08)
    late = 0.05 if name == "a.mp3" else 0.01  # this muxer does not note all of the delay
    assert heard_at(found.wave, 16000) == pytest.approx(1.21, abs=late)


PRIMING = {
    "a.aac": ("aac", 44100, 1024), "a.ts": ("aac", 44100, 1024), "a.flv": ("aac", 44100, 1024),
    "a.avi": ("aac", 44100, 1024), "frag.mp4": ("aac", 44100, 1024),
    "a.wav": ("libmp3lame", 44100, 1105), "slow.wav": ("libmp3lame", 16000, 1105),
    "b.avi": ("libmp3lame", 44100, 1105), "bare.mp3": ("libmp3lame", 44100, 1105),
    "a.mpg": ("mp2", 44100, 481), "a.ac3": ("ac3", 48000, 256), "b.ts": ("libopus", 48000, 312),
    "a.amr": ("libopencore_amrnb", 8000, 39),
    "a.mp3": ("libmp3lame", 44100, 0), "a.mp4": ("aac", 44100, 0), "a.mkv": ("aac", 44100, 0),
    "b.mkv": ("libmp3lame", 44100, 0), "a.opus": ("libopus", 48000, 0),
    "a.flac": ("flac", 44100, 0),
}  # fmt: skip
"""Codec, rate, and by how many samples sound is late: priming that the container cannot tell."""


def test_the_page_tells_which_containers_cannot_tell_the_priming(request):
    page = (request.config.rootpath / "docs" / "extract-media.md").read_text()
    before, _, table = page.partition("| container | codec | samples |")
    exact = before.rpartition("\nEncoders put priming")[2].partition("These cannot")[0]
    rows = [[cell.strip() for cell in row.split("|")] for row in table.splitlines()[2:] if row[:1]]
    told = {int(row[3]): re.findall(r"\w+", row[1]) for row in rows[:6]}
    assert set(told) == {samples for *_, samples in PRIMING.values()} - {0}
    for name, (*_, samples) in PRIMING.items():
        suffix = name.partition(".")[2]
        assert suffix in (told[samples] if samples else re.findall(r"\w+", exact)), name
    heard = re.findall(r"(\d+) ms at ([\d.]+) kHz", rows[0][4] + rows[1][4])
    found = [round(n / float(khz)) for n, (_, khz) in zip((1024, 1105, 1105), heard, strict=True)]
    assert [int(ms) for ms, _ in heard] == found == [23, 25, 69]


def late_by(folder, name):
    """Samples by which a stretch of noise is later than it was written."""
    codec, rate, _ = PRIMING[name]
    muxing = {"bare.mp3": {"write_xing": "0"}, "frag.mp4": {"movflags": "empty_moov+frag_keyframe"}}
    wave = np.zeros(rate, np.float32)
    first, size = rate // 2, rate // 4
    rough = np.convolve(np.random.default_rng(0).normal(size=size), np.ones(8) / 8, "same")
    wave[first : first + size] = 0.1 * rough
    path = write_sound(folder / name, wave, rate, codec, muxing.get(name))
    heard = decode(None, path, None, rate).wave[first - 100 : first + size + 1500]
    return int(np.correlate(heard, wave[first : first + size], "valid").argmax()) - 100


@pytest.mark.parametrize("name", PRIMING)
def test_sound_is_late_by_the_priming_that_the_container_cannot_tell(tmp_path, name):
    assert late_by(tmp_path, name) == PRIMING[name][2]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
def test_sound_stays_beside_the_pictures(tmp_path, name):
    """A frame turns white when the click is heard, whatever the container's clock."""

    def draw(index):
        return np.full((16, 16, 3), 255 if index >= 30 else 0, np.uint8)

    path = write_video(
        tmp_path / name, 2.0, size=(16, 16), rate=44100, wave=click(2.0, 1.2, 44100), frames=draw,
        options={"bf": "2"},
    )  # fmt: skip
    found = decode(path, path, FramePlan(25, (8, 8)), 16000)
    white = found.frame_times[found.frames.mean(axis=(1, 2, 3)) > 128][0]
    assert heard_at(found.wave, 16000) - white == pytest.approx(0.01, abs=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_that_begins_later_is_preceded_by_silence(tmp_path, name):
    path = write_video(
        tmp_path / name, 3.0, rate=44100, wave=click(2.0, 0.2, 44100), sound_start=1.0
    )
    found = decode(path, path, PLAN, 16000)
    assert heard_at(found.wave, 16000) == pytest.approx(1.21, abs=0.01)
    assert np.abs(found.wave[: 16000 - 1200]).max() < 1e-3
    assert found.seconds == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.wav", "a.mp3"])
def test_a_part_of_a_file_is_that_part_of_the_whole(tmp_path, name):
    rng = np.random.default_rng(0)
    wave = 0.2 * np.convolve(rng.normal(size=6 * 16000), np.ones(8) / 8, "same").astype(np.float32)
    if name.endswith(("mp4", "mkv")):
        path = write_video(tmp_path / name, 6.0, wave=wave, options={"g": "25"})
    else:
        path = write_sound(tmp_path / name, wave)
    whole = decode(None, path, None, 16000).wave
    for start, end in ((0.5, 1.25), (3.7, 5.2), (4.0, None)):
        part = decode(None, path, None, 16000, start, end).wave
        first = round(start * 16000)
        assert abs(len(part) - (len(whole[first:]) if end is None else (end - start) * 16000)) <= 8
        shared = whole[first : first + len(part)]
        inside = slice(64, len(shared) - 64)  # a container's clock may round to milliseconds
        shifts = [
            np.abs(np.roll(part, s)[: len(shared)][inside] - shared[inside]).max()
            for s in range(-10, 11)
        ]
        assert min(shifts) < 2e-3


def test_both_streams_of_one_file_are_those_of_two(tmp_path):
    path = write_video(tmp_path / "a.mp4", 4.0)
    both = decode(path, path, PLAN, 16000, 2.5, 3.5)
    np.testing.assert_array_equal(both.frames, decode(path, None, PLAN, None, 2.5, 3.5).frames)
    np.testing.assert_allclose(both.wave, decode(None, path, None, 16000, 2.5, 3.5).wave, atol=1e-5)


def test_a_sound_beside_a_picture_or_another_video(tmp_path):
    sound = write_sound(tmp_path / "a.wav", tone_wave(2.5, 440, 8000), 8000)
    video = write_video(tmp_path / "b.mp4", 1.0, tone=200.0)
    found = decode(video, sound, PLAN, 16000)
    assert found.steps == 1
    assert pitch(found.wave, 16000) == pytest.approx(440, abs=1)
    assert found.seconds == pytest.approx(2.5)


def test_a_file_without_one_of_the_streams_gives_the_other(tmp_path):
    silent = write_video(tmp_path / "silent.mp4", 1.0, tone=None)
    found = decode(silent, silent, PLAN, 16000)
    assert (found.wave, found.steps) == (None, 1)
    sound = write_sound(tmp_path / "sound.mp4", tone_wave(1.0, 440, 16000))
    found = decode(sound, sound, PLAN, 16000)
    assert (found.frames, len(found.wave)) == (None, 16000)


def test_a_stream_that_is_asked_for_alone_must_be_there(tmp_path):
    silent = write_video(tmp_path / "silent.mp4", 1.0, tone=None)
    with pytest.raises(DataError, match=r"silent\.mp4 has no sound"):
        decode(None, silent, None, 16000)
    sound = write_sound(tmp_path / "a.wav", tone_wave(1.0, 440, 16000))
    with pytest.raises(DataError, match=r"a\.wav has no pictures"):
        decode(sound, None, PLAN, None)


def test_a_clip_after_the_end_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2.0)
    with pytest.raises(DataError, match=r"no frame after 5 s; the video ends at 2\.00 s"):
        decode(path, None, PLAN, None, 5.0)
    with pytest.raises(DataError, match=r"no sound after 5 s; it ends at 2\.0\d s"):
        decode(None, path, None, 16000, 5.0)
    with pytest.raises(DataError, match="no time from 2 to 1 s"):
        decode(path, None, PLAN, None, 2.0, 1.0)


def test_an_end_beyond_the_file_is_the_end_of_the_file(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2.0)
    found = decode(path, path, PLAN, 16000, 0.0, 10.0)
    assert (found.steps, len(found.wave)) == (2, 32000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"bad\.mp4 is empty"),
        (b"\0\0\0\x18ftypisom" + bytes(2000), r"bad\.mp4 cannot be read: .*moov atom not found"),
        (None, r"bad\.mp4 cannot be read: No such file"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_reason(tmp_path, content, message):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        decode(path, path, PLAN, 16000)


def noise(seconds, rate):
    return (0.1 * np.random.default_rng(0).normal(size=round(seconds * rate))).astype(np.float32)


def rough(_):
    return np.random.default_rng(_).integers(0, 255, (48, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", ["cut.mkv", "fast.mp4", "cut.avi"])
def test_a_truncated_video_is_refused_with_the_seconds_that_were_read(tmp_path, name):
    muxing = {"movflags": "faststart"} if name.endswith("mp4") else {}
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    options = {} if codec == "mpeg4" else None
    path = write_video(
        tmp_path / name, 4.0, frames=rough, tone=None, muxing=muxing, codec=codec, options=options
    )
    cut_file(path, 0.5)
    with pytest.raises(DataError, match=rf"{name}: only [12]\.\d of 4\.\d s could be read"):
        decode(path, None, PLAN, None)
    assert decode(path, None, PLAN, None, 0.0, 1.0).steps == 1  # this part is there


def test_a_video_that_lacks_less_than_a_second_is_read(tmp_path):
    path = write_video(tmp_path / "a.mkv", 4.0, frames=rough, tone=None)
    found = decode(cut_file(path, 0.85), None, PLAN, None)
    assert 3 <= found.seconds < 4


def test_damage_inside_a_video_is_refused_if_it_is_long(tmp_path):
    path = write_video(tmp_path / "a.mp4", 4.0, frames=rough, tone=None, options={"g": "5"})
    data = bytearray(path.read_bytes())
    first = data.find(b"mdat") + 2000
    data[first : first + len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mp4: \d+ of 100 frames cannot be decoded"):
        decode(path, None, FramePlan(10, (8, 8)), None)


def test_a_gap_in_the_sound_is_silent(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        add_sound(container, stream, tone_wave(1.024, 440, 16000)[None], 16000, 0)
    packets = []
    with av.open(str(path)) as container, av.open(str(tmp_path / "b.mkv"), "w") as out:
        stream = container.streams.audio[0]
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        for number, packet in enumerate(packets):
            packet.stream = copy
            packet.pts = packet.dts = packet.pts + (1000 if number >= len(packets) // 2 else 0)
            out.mux(packet)
    wave = decode(None, tmp_path / "b.mkv", None, 16000).wave
    quiet = np.convolve(np.abs(wave), np.ones(100), "same") == 0
    assert quiet.sum() == pytest.approx(16000, abs=200)
    assert len(wave) == pytest.approx(2.024 * 16000, abs=20)


def test_time_stamps_that_leave_hours_empty_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mkv", 1.0, sound_start=5000.0)
    with pytest.raises(DataError, match=r"a\.mkv: its time stamps leave 5000 s of the sound empty"):
        decode(None, path, None, 16000)


def test_tags_that_are_not_utf8_do_not_matter(tmp_path):
    path = write_sound(tmp_path / "a.flac", tone_wave(1.0, 440, 16000))
    data = path.read_bytes()
    assert b"encoder=" in data
    path.write_bytes(data.replace(b"encoder=", b"enc\xf6der="))
    assert len(decode(None, path, None, 16000).wave) == 16000


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged tags
def test_damage_anywhere_is_refused_by_name_or_read(tmp_path):
    rng = np.random.default_rng(0)
    paths = [
        write_video(tmp_path / "a.mp4", 0.6, frames=rough, options={"bf": "2", "g": "5"}),
        write_video(tmp_path / "a.mkv", 0.6, frames=rough),
        write_sound(tmp_path / "a.mp3", noise(1, 16000)),
        write_picture(tmp_path / "a.tif", rough(0)),
    ]
    read = 0
    for path in paths * 12:
        data = bytearray(path.read_bytes())
        for place in rng.integers(0, len(data) if read % 2 else 500, 6):
            data[place] = rng.integers(256)
        damaged = tmp_path / f"damaged{path.suffix}"
        damaged.write_bytes(data)
        try:
            decode(damaged, damaged, FramePlan(3, (8, 8)), 16000)
            read += 1
        except DataError as error:
            assert str(damaged) in str(error)  # noqa: PT017 - reading it is also right
    assert 0 < read < 48


def test_a_name_that_is_not_utf8_can_be_read(tmp_path):
    path = write_video(tmp_path / "a.mp4", 0.4)
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 #%:.mp4")
    os.rename(path, strange)
    assert decode(type(path)(strange), type(path)(strange), PLAN, 16000).steps == 1


def test_a_playlist_is_not_followed(tmp_path):
    write_video(tmp_path / "secret.ts", 1.0)
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DataError, match=r"list\.mp4"):
        decode(path, path, PLAN, 16000)
    path.write_text("ffconcat version 1.0\nfile secret.ts\n")
    with pytest.raises(DataError, match=r"list\.mp4 is a list of files"):
        decode(path, path, PLAN, 16000)
