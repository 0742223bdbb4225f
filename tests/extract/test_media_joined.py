"""Files of several recordings: all of them, one after the other, or a clear word."""

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.extract.decode import FramePlan, decode

from .media import counted_frame, join_files, tone_wave, write_sound, write_video

RATE = 16000
LOW, HIGH = (44100, 1), (22050, 2)  # samples per second, channels


def tone(path, hertz, kind, seconds=1.5, codec=None):
    """A sound of one pitch."""
    rate, channels = kind
    return write_sound(path, np.stack([tone_wave(seconds, hertz, rate)] * channels), rate, codec)


def joined(folder, name, first, second, codec=None):
    """One and a half second of 440 Hz, then as much of 880 Hz."""
    suffix = "." + name.split(".")[1]
    parts = (
        tone(folder / f"1{suffix}", 440, first, codec=codec),
        tone(folder / f"2{suffix}", 880, second, codec=codec),
    )
    return join_files(folder / name, *parts)


def pitches(wave, seconds=0.5):
    """The strongest frequency and the loudness of every half second."""
    size = round(seconds * RATE)
    found = []
    for first in range(0, len(wave) - size + 1, size):
        piece = wave[first : first + size]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(size)))
        found.append((round(spectrum.argmax() / seconds, -1), float(np.sqrt((piece**2).mean()))))
    return found


def assert_one_after_the_other(wave):
    assert len(wave) / RATE == pytest.approx(3.0, abs=0.12)  # with the priming of both
    found = pitches(wave)
    assert [hertz for hertz, _ in found] == [440] * 3 + [880] * 3
    assert all(loudness == pytest.approx(0.35, abs=0.06) for _, loudness in found)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("a.aac", LOW, HIGH), ("a.aac", HIGH, LOW), ("a.ts", LOW, HIGH), ("a.ts", HIGH, LOW),
        ("a.mpg", LOW, HIGH), ("a.mp3", HIGH, LOW), ("a.ac3", (48000, 1), (48000, 2)),
        ("a.ts", LOW, LOW), ("a.opus", (48000, 1), (48000, 1)),
    ],
)  # fmt: skip
def test_a_format_that_can_be_joined_is_read_wholly(tmp_path, name, first, second):
    path = joined(tmp_path, name, first, second)
    wave = decode(None, path, None, RATE).wave
    assert_one_after_the_other(wave)
    for start, end in ((0.2, 1.1), (2.2, 2.9)):  # the latter is the second recording alone
        part = decode(None, path, None, RATE, start, end).wave
        first, size = round(start * RATE), len(part) - 400
        assert len(part) == pytest.approx((end - start) * RATE, abs=0.01 * RATE)  # Opus: priming
        shared = [wave[first + 200 + shift :][:size] for shift in (-2, -1, 0, 1, 2)]
        # Within a recording a stamp may round by less than a sample: 0.17 of this tone.
        assert min(np.abs(part[200:-200] - s).max() for s in shared) < 0.09


def test_chained_ogg_is_read_wholly(tmp_path):
    assert_one_after_the_other(
        decode(None, joined(tmp_path, "a.ogg", LOW, LOW, "flac"), None, RATE).wave
    )


@pytest.mark.parametrize(
    ("name", "second", "why"),
    [
        ("a.wav", LOW, "holds several recordings"),
        ("a.aiff", LOW, "holds several recordings"),
        ("a.flac", LOW, "holds several recordings"),
        ("a.m4a", HIGH, "holds several recordings"),
        ("a.mka", LOW, "holds several recordings"),
        ("a.flv", HIGH, "holds several recordings"),
        ("a.avi", HIGH, "holds several recordings"),
        ("a.ogg", HIGH, "has 44100 Hz and 22050 Hz"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_the_remedy(tmp_path, name, second, why):
    path = joined(tmp_path, name, LOW, second, "flac" if name == "a.ogg" else None)
    with pytest.raises(DataError, match=rf"a\.\w+:? (its sound )?{why}.*split or convert it"):
        decode(None, path, None, RATE)
    assert len(decode(None, path, None, RATE, 0.0, 1.0).wave) == RATE  # the first is whole


def test_a_chain_that_ffmpeg_stops_at_is_refused(tmp_path):
    path = joined(tmp_path, "a.opus", (48000, 1), (48000, 2))
    with pytest.raises(DataError, match=r"a\.opus: only 1\.5 s could be read \(Not yet impl"):
        decode(None, path, None, RATE)
    assert len(decode(None, path, None, RATE, 0.0, 1.0).wave) == RATE


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_pictures_and_sound_of_joined_videos_stay_side_by_side(tmp_path, name):
    """In each part the picture turns white when the tone begins; sizes and lengths differ."""
    parts = []
    for number, (size, onset) in enumerate([((16, 16), 0.6), ((32, 48), 1.2)]):
        seconds = 2 * onset
        wave = tone_wave(seconds, 1000, 44100)
        wave[: round(onset * 44100)] = 0
        parts.append(
            write_video(
                tmp_path / f"{number}{name}", seconds, size=size, rate=44100, wave=wave,
                frames=lambda i, at=25 * onset, s=size: np.full((*s, 3), 255 * (i >= at), np.uint8),
                **({} if name == "a.ts" else
                   {"codec": "mpeg2video", "audio_codec": "mp2", "options": {"bf": "2"}}),
            )
        )  # fmt: skip
    path = join_files(tmp_path / name, *parts)
    found = decode(path, path, FramePlan(25, (8, 8)), RATE)
    assert found.seconds == pytest.approx(3.6, abs=0.12)
    white = found.frames.mean(axis=(1, 2, 3)) > 128
    turns = found.frame_times[np.flatnonzero(white[1:] & ~white[:-1]) + 1]
    loud = np.convolve(np.abs(found.wave), np.ones(160) / 160, "same") > 0.1
    onsets = (np.flatnonzero(loud[1:] & ~loud[:-1]) + 1) / RATE
    np.testing.assert_allclose(turns, [0.6, 2.4], atol=0.12)
    np.testing.assert_allclose(onsets, turns, atol=0.06)
    part = decode(path, path, FramePlan(5, (8, 8)), RATE, 2.1, 3.1)
    assert part.frames.mean(axis=(1, 2, 3)).round(-2).tolist() == pytest.approx(
        [0, 0, 300, 300, 300], abs=60
    )


def test_frames_of_joined_videos_are_counted_on(tmp_path):
    parts = [
        write_video(tmp_path / f"{first}.ts", 1.0, 5, tone=None, options={"bf": "2"},
                    frames=lambda i, n=first: counted_frame(i + n, (48, 64)))
        for first in (0, 5, 10)
    ]  # fmt: skip
    found = decode(join_files(tmp_path / "a.ts", *parts), None, FramePlan(5, (24, 32)), None)
    assert np.rint((found.frames.mean(axis=(1, 2, 3)) - 8) / 15).tolist() == list(range(15))
    assert found.seconds == pytest.approx(3.0, abs=1e-3)


def test_a_clock_that_wraps_is_no_new_recording(tmp_path):
    """The clock of ts has 33 bits: it begins anew every 26.5 hours."""
    path = write_video(
        tmp_path / "a.ts", 2.0, 5, rate=RATE, muxing={"output_ts_offset": str(2**33 / 90000 - 1)}
    )
    found = decode(path, path, FramePlan(5, (24, 32)), RATE)
    assert np.rint((found.frames.mean(axis=(1, 2, 3)) - 8) / 15).tolist() == list(range(10))
    assert found.seconds == pytest.approx(2.0, abs=0.15)
