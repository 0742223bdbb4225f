"""Frames, players and words of one's own clips in the page of a report."""

import base64
import io
import re
import shutil
import wave

import numpy as np
import pytest
from PIL import Image
from tests.extract.media import tone_wave, write_sound

from cmg.errors import ConfigError, DataError
from cmg.extract.clip import MediaClip
from cmg.places import public_name, public_text
from cmg.report.gather import gather
from cmg.report.media import OwnMedia
from cmg.report.run import write_report
from cmg.report.samples import Place

from .conftest import Page

CAPTIONED = r'<div class="example">(.*?) <span>([^<]*)</span>'
EMBEDDED = re.compile(r'src="(data:(?:image/jpeg|audio/wav);base64,([^"]+))"')


def examples(html, tag):
    """What is beside each caption, of the examples that have a tag."""
    return [(told, EMBEDDED.search(shown)[2]) for shown, told in re.findall(CAPTIONED, html)
            if f"<{tag}" in shown and EMBEDDED.search(shown)]  # fmt: skip


def pixels(text):
    return np.array(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")).astype(int)


def heard(text):
    with wave.open(io.BytesIO(base64.b64decode(text))) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


@pytest.fixture(scope="module")
def whole(own_clips, tmp_path_factory):
    """The page with all of it."""
    out = tmp_path_factory.mktemp("whole")
    html, markdown = write_report(own_clips / "run", out, media=own_clips / "media")
    return html.read_text("utf-8"), markdown.read_text("utf-8")


def test_each_step_is_shown_by_the_frame_the_sound_and_the_word_that_it_is(whole):
    html, _ = whole
    frames, sounds = examples(html, "img"), examples(html, "audio")
    assert frames
    assert sounds
    for told, text in frames:
        kind, clip = re.match(r"test/(\w+)/(\d+), step [01]", told).groups()
        picture = pixels(text)
        assert picture.shape == (96, 128, 3)
        level = {"low": 50, "high": 200}[kind]
        assert np.abs(picture[4:12, 4:12] - level).max() < 12, told
        row = 2 * (15 + int(clip))  # the middle of the box, which each clip has lower
        assert np.abs(picture[row, 60] - (200, 90, 20)).max() < 40, told
    for told, text in sounds:
        samples, rate = heard(text)
        assert (len(samples), rate) == (16000, 16000), "one step of a second"
        spectrum = np.abs(np.fft.rfft(samples))
        assert spectrum.argmax() == pytest.approx(200 if "/low/" in told else 3000, abs=2)
    assert re.search(r'<div class="example sentence">(a|<mark>a</mark>) ', html)


def test_a_timeline_has_the_frames_the_waveform_and_the_sound_of_its_clip(whole):
    html, _ = whole
    timeline = html.split('class="card timeline"')[1]
    assert len(re.findall(r'<img class="frame" src="data:image/jpeg', timeline)) == 2
    assert timeline.count('<svg class="wave"') == 2
    samples, rate = heard(EMBEDDED.search(timeline)[2])
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1), "the whole clip"


def test_nothing_names_a_folder_of_this_machine_and_captions_are_text(whole, own_clips):
    for text in whole:
        assert str(own_clips.parents[1]) not in text  # of weights, which the notes name, too
    page = Page(whole[0])
    assert {"script", "b"} & {tag for tag, _ in page.tags} <= {"b"}
    assert "<b>tone" not in whole[0]
    assert "loading" not in dict(next(a for t, a in page.tags if ("class", "frame") in a.items()))


def test_a_clip_that_is_a_part_of_its_file_is_heard_from_where_it_begins(own_clips, tmp_path):
    tones = [tone_wave(1.0, hertz, 16000) for hertz in (200, 400, 800, 1600)]
    path = write_sound(tmp_path / "long.wav", np.concatenate(tones), 16000)
    split = gather(own_clips / "run").split
    clip = MediaClip(split.ids[2], "test", {"audio": path}, start=1.0, end=3.0)
    media = OwnMedia(split, {clip.id: clip}, room=200_000)
    for html, hertz in (
        (media.example(Place("audio", 2, 0)), [400]),
        (media.example(Place("audio", 2, 1)), [800]),
        (media.sound(2), [400, 800]),
    ):
        samples, rate = heard(EMBEDDED.search(html)[2])
        for second, wanted in enumerate(hertz):
            spectrum = np.abs(np.fft.rfft(samples[second * rate : (second + 1) * rate]))
            assert spectrum.argmax() == pytest.approx(wanted, abs=2)
        assert len(samples) == len(hertz) * rate


def held(html):
    return [text for text, _ in EMBEDDED.findall(html)]


def test_beyond_the_room_features_are_drawn_and_counted(whole, own_clips, tmp_path):
    html = write_report(own_clips / "run", tmp_path, own_clips / "media", 0.1)[0].read_text("utf-8")
    parts = held(html)
    assert 0 < sum(map(len, parts)) <= 100_000
    frames, sounds = (
        int(n) for n in re.search(r"(\d+) frames? and (\d+) sounds? had no room", html).groups()
    )
    assert frames + sounds == len(held(whole[0])) - len(parts)
    assert "at most 0.1 MB of frames and sounds" in html
    assert "had no room" not in whole[0]


def test_media_that_moved_or_broke_since_are_named(own_clips, tmp_path):
    media = tmp_path / "media"
    shutil.copytree(own_clips / "media" / "test", media / "test")
    for kind, clips in (("low", (16, 18, 20, 22)), ("high", (17, 19, 21, 23))):
        for clip in clips:
            path = media / "test" / kind / f"{clip}.mp4"
            if clip < 18:
                path.unlink()
                path.with_suffix(".txt").unlink()
            elif clip < 20:
                path.write_bytes(path.read_bytes()[:200])
    html, _ = write_report(own_clips / "run", tmp_path / "out", media)
    text = html.read_text("utf-8")
    assert "The folder of media lacks 2 of 8 clips." in text
    assert "test/low/16: no such clip in the folder of media (moved since extraction?)" in text
    assert "test/low/18: 18.mp4 cannot be read" in text
    assert str(tmp_path) not in text
    assert any("test/low/20" in told for told, _ in examples(text, "img"))


def test_modalities_of_unknown_extractors_are_told(labeled):
    split = gather(labeled).split
    said = OwnMedia(split, {split.ids[0]: MediaClip(split.ids[0], "test")}).remarks
    assert said == [
        "The folder of media lacks 17 of 18 clips.",
        "The store does not say what eeg, depth, notes was extracted from: features are drawn.",
    ]


def test_paths_in_texts_are_told_by_their_ends():
    assert public_name("/home/me/stores/mine/") == "mine"
    assert public_name("stores/mine") == "stores/mine"
    told = "Of /home/me/net (1a), ~/x/y, file:///a/b C:\\Users\\me\\z.mp4 and/or http://a.b/c"
    assert public_text(told) == "Of net (1a), y, b z.mp4 and/or http://a.b/c"


def test_other_folders_and_sizes_are_refused_and_nothing_is_written(own_clips, cmg, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(own_clips / "media" / "test" / "low" / "16.mp4", tmp_path / "other" / "x.mp4")
    with pytest.raises(DataError, match=r"other has none of the 8 clips .* 'test/high/17'"):
        write_report(own_clips / "run", tmp_path / "out", tmp_path / "other")
    for size in (-1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="is no number of megabytes"):
            write_report(own_clips / "run", tmp_path / "out", own_clips / "media", size)
    said = cmg("report", own_clips / "run", "--out", tmp_path / "out", "--media-mb", 3)
    assert (said.code, "--media-mb goes with --media" in said.err) == (2, True)
    assert not (tmp_path / "out").exists()
