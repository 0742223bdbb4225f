"""What files say of their end: what is stated is believed, what ffmpeg guesses is not."""

import av
import numpy as np
import pytest

from cmg.errors import DataError
from cmg.extract.decode import FramePlan, decode
from cmg.extract.media.claims import is_guess

from .media import copy_tracks, cut_file, join_files, tone_wave, write_sound, write_video

RATE = 16000


def noise(seconds, rate=RATE, channels=1):
    values = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, round(seconds * rate)))
    return values.astype(np.float32)


def quiet_start(seconds=2.0):
    """As much silence as noise: a rate of bytes taken from the beginning is far too low."""
    wave = noise(seconds)
    return np.concatenate([np.zeros_like(wave), wave], 1)


def growing(folder, name, rates, seconds=2.0, rate=44100, muxing=None):
    """Two pieces in one file, the second of more bits per second than the first."""
    parts = []
    for number, bits in enumerate(rates):
        path = folder / f"{number}{name}"
        with av.open(str(path), "w", options=muxing or {}) as container:
            codec = {"mp3": "libmp3lame", "amr": "libopencore_amrnb"}.get(name[2:], name[2:])
            stream = container.add_stream(codec, rate=rate, layout="mono")
            stream.codec_context.bit_rate = bits
            frame = av.AudioFrame.from_ndarray(noise(seconds, rate), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(path)
    return join_files(folder / name, *parts)


def test_a_guessed_duration_drops_no_whole_file(tmp_path):
    files = [
        write_sound(tmp_path / "a.aac", quiet_start()),
        growing(tmp_path, "a.mp3", (32000, 320000), muxing={"write_xing": "0"}),
        growing(tmp_path, "a.ac3", (64000, 448000), rate=48000),
        growing(tmp_path, "a.amr", (4750, 12200), rate=8000),
    ]
    for path in files:
        with av.open(str(path)) as container:
            assert container.duration > 5.4e6  # ffmpeg guesses the duration of 4 s
        assert is_guess(path)
        found = decode(None, path, None, RATE)
        assert found.seconds == pytest.approx(4.0, abs=0.15), path
        end = decode(None, path, None, RATE, 3.0, 3.5).wave
        assert np.sqrt((end**2).mean()) > 0.1


@pytest.mark.parametrize(
    "name", ["a.mp3", "a.wav", "a.flac", "a.aiff", "a.au", "a.flv", "a.mka", "a.avi"]
)
def test_a_stated_duration_is_no_guess_and_tells_a_truncated_file(tmp_path, name):
    path = write_sound(tmp_path / name, noise(4, 44100), 44100)
    assert decode(None, path, None, RATE).seconds == pytest.approx(4.0, abs=0.1)
    assert not is_guess(path)
    cut_file(path, 0.5)
    assert not is_guess(path)
    with pytest.raises(DataError, match=rf"{name}: only [12]\.\d of 4\.\d s could be read .*trunc"):
        decode(None, path, None, RATE)


@pytest.mark.parametrize("name", ["a.aac", "a.ogg", "a.ts", "a.mpg"])
def test_what_states_nothing_is_read_as_far_as_it_goes(tmp_path, name):
    path = write_sound(tmp_path / name, noise(4, 48000), 48000)
    found = decode(None, cut_file(path, 0.5), None, RATE)
    assert 0.9 < found.seconds < 3.1


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.flv"])
def test_a_clock_that_begins_late_makes_no_file_truncated(tmp_path, name):
    def later(packet):
        packet.pts, packet.dts = (
            t + round(10 / packet.time_base) for t in (packet.pts, packet.dts)
        )

    coded = write_video(tmp_path / "0.mp4", 3.0, tone=None, options={"bf": "2"})
    path = copy_tracks(tmp_path / name, coded, change=later)
    assert decode(path, None, FramePlan(1, (8, 8)), None).seconds == pytest.approx(3.0, abs=0.01)


def test_asking_for_a_guess_leaves_the_log_as_it_was(tmp_path):
    path = write_sound(tmp_path / "a.aac", tone_wave(0.5, 440, RATE))
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    assert is_guess(path)
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before
