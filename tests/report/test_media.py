"""What a report draws of a step of an embedded set."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from cmg.data import open_store
from cmg.data.clips import Clips
from cmg.data.emoji import load_pictures
from cmg.data.watch import load_recordings
from cmg.report.media import EmojiMedia, WatchMedia, media_of
from cmg.report.samples import Place


@pytest.fixture(scope="module")
def watch():
    return open_store("watch:3").split("test")


def curves(html):
    """The points of each curve, [3, samples, 2]."""
    found = re.findall(r'<polyline points="([^"]*)"/>', html)
    return np.array([[list(map(float, p.split(","))) for p in line.split()] for line in found])


def test_a_step_of_the_watch_is_its_13_samples(watch):
    media = media_of(watch)
    assert isinstance(media, WatchMedia)
    row = watch.rows[3]
    first = round(row.meta["start"] / 0.5 + 4) * 25 // 2
    samples = load_recordings().each[row.meta["recording"]].samples["accelerometer"]
    found = curves(media.thumbnail(Place("accelerometer", 3, 4)))
    assert found.shape == (3, 13, 2)
    assert found[0, :, 0].tolist() == [round(x, 1) for x in np.linspace(1, 45, 13)]
    wanted = 10 - 9 * np.clip(samples[first : first + 13].T / 4096 / 2, -1, 1)
    np.testing.assert_allclose(found[:, :, 1], wanted, atol=0.051)


def test_an_example_is_the_whole_clip_with_its_step_marked(watch):
    html = media_of(watch).example(Place("gyroscope", 3, 9))
    assert watch.rows[3].meta["start"] == 7.5, "step 15 of the recording, sample 187.5"
    assert curves(html).shape == (3, 300 + 13 - 187, 2)
    left, width = map(float, re.search(r'<rect x="([\d.]+)" y="0" width="([\d.]+)"', html).groups())
    assert left + width == pytest.approx(131, abs=0.11), "the last step ends with the clip"
    assert width == pytest.approx(130 * 12 / 125, abs=0.11)
    assert f"{watch.rows[3].id}, step 9 (±4 rad/s)" in html


@pytest.mark.parametrize(
    "meta", [{}, {"recording": 140, "start": 0.0}, {"recording": 0, "start": 999}, {"recording": 0}]
)
def test_a_clip_whose_source_is_unknown_shows_its_features(watch, meta):
    media = media_of(open_store("watch:3").split("test"))
    row = watch.rows[0].model_copy(update={"meta": meta})
    media.split = Clips.of_rows(watch.about, [row], watch.only([0]).features)
    place = Place("gyroscope", 0, 1)
    assert 'class="strip"' in media.thumbnail(place)
    assert 'class="strip"' in media.example(place)


@pytest.fixture(scope="module")
def cat():
    """The test clips of emoji, and which of them is the cat."""
    split = open_store("emoji:3").split("val+test+train")
    return split, next(k for k, row in enumerate(split.rows) if row.id == "1F408")


def test_a_step_of_an_emoji_is_its_drawing_or_one_of_its_words(cat):
    split, k = cat
    media = media_of(split)
    assert isinstance(media, EmojiMedia)
    shown = media.thumbnail(Place("noto", k, 3))
    uri = re.search(r'src="data:image/png;base64,([^"]+)" alt="cat, drawn for noto"', shown)
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(uri[1]))).convert("RGB"))
    drawn = load_pictures()["noto"][split.rows[k].meta["concept"]]
    assert (pixels == drawn).all()
    assert media.examples([Place("noto", k, 0), Place("noto", k, 7)]) == [
        f'<div class="example">{shown} <span>cat (noto)</span></div>'
    ], "views of one drawing are shown once"
    assert media.words("text_de", k) == ["Katze", "Haustier", "miau", "Tier"]
    assert media.thumbnail(Place("text_de", k, 2)) == ""
    assert "<mark>miau</mark> <span>cat</span>" in media.example(Place("text_de", k, 2))


@pytest.mark.parametrize("meta", [{}, {"concept": 1377, "phrases": {"text": ["cat"]}}])
def test_an_emoji_that_is_not_known_shows_its_features(cat, meta):
    split, k = cat
    media = media_of(split)
    row = split.rows[k].model_copy(update={"meta": meta})
    media.split = Clips.of_rows(split.about, [row], split.only([k]).features)
    assert 'class="strip"' in media.thumbnail(Place("noto", 0, 1))
    assert 'class="strip"' in media.example(Place("text", 0, 1))
