"""Raw media as a source of features, with extractors whose numbers are known."""

import numpy as np
import pytest

from cmg.errors import ConfigError, DataError, ModalityError
from cmg.extract import source as module
from cmg.extract.clip import MediaClip
from cmg.extract.extractor import LoadOptions
from cmg.extract.reading import Reader, clip_features
from cmg.extract.source import ExtractedClips, WantedExtractor
from cmg.types import Kind

from .media import counted_frame, cut_file, write_picture, write_sound, write_video

COLOR, RATE = (6, 8), 8000


class Gray:
    """Mean gray of a frame, and how many frames went through together."""

    name, shape, step_seconds = "gray", (1, 1, 1), 1.0
    notes, identity, frames_per_step, size = "Gray.", "a" * 64, 4, COLOR

    def __init__(self):
        self.batches = []

    def extract(self, frames):
        self.batches.append(len(frames))
        return frames.mean((1, 2, 3), dtype=np.float64)[:, None, None, None].astype(np.float32)


class Loud:
    """Peak of every second."""

    name, shape, step_seconds = "loud", (1,), 1.0
    notes, identity, rate = "Peak.", "b" * 64, RATE

    def extract(self, wave):
        seconds = max(1, round(len(wave) / self.rate))
        parts = np.pad(wave, (0, self.rate))[: seconds * self.rate].reshape(seconds, -1)
        return np.abs(parts).max(1, keepdims=True).astype(np.float32)


class Letters:
    """Length of each word."""

    name, shape, step_seconds = "letters", (1,), None
    notes, identity = "Lengths.", "c" * 64

    def extract(self, text):
        return np.array([[len(word)] for word in text.split()], np.float32).reshape(-1, 1)


@pytest.fixture
def gray():
    return Gray()


@pytest.fixture
def readers(gray):
    return {
        "video": Reader("frames", gray),
        "audio": Reader("sound", Loud()),
        "text": Reader("text", Letters()),
    }


@pytest.fixture
def opened(readers, monkeypatch, tmp_path):
    """A source of clips whose extractors are those of `readers`."""
    monkeypatch.setattr(WantedExtractor, "load", lambda self: readers[self.name])
    monkeypatch.setattr(module, "card_of", readers.get)

    def make(*clips, names=("video", "audio", "text")):
        asked = {name: WantedExtractor(name, LoadOptions()) for name in names}
        return ExtractedClips(tmp_path, clips, asked)

    return make


def test_the_steps_of_a_clip_are_those_of_its_files(readers, tmp_path):
    path = write_video(tmp_path / "a.mp4", 3.0, fps=4, size=(48, 64), tone=200.0)
    clip = MediaClip("a", "train", {"video": path, "audio": path}, {"text": "one three"})
    found = clip_features(clip, readers)
    grays = [counted_frame(i, (1, 1))[0, 0, 0] for i in range(12)]
    wanted = [np.mean(grays[4 * s : 4 * s + 4]) for s in range(3)]
    np.testing.assert_allclose(found["video"].reshape(-1), wanted, atol=3)  # of the video's coding
    assert found["audio"].shape == (3, 1)
    np.testing.assert_allclose(found["audio"][:, 0], 0.5, atol=0.05)
    assert found["text"].tolist() == [[3.0], [5.0]]


def test_a_part_of_a_file_is_what_lies_between_its_times(readers, tmp_path):
    path = write_video(tmp_path / "a.mp4", 4.0, fps=4, size=(48, 64))
    whole = clip_features(MediaClip("a", "train", {"video": path}), readers)
    part = clip_features(MediaClip("b", "train", {"video": path}, start=1.0, end=3.0), readers)
    np.testing.assert_array_equal(part["video"], whole["video"][1:3])


def test_what_is_read_decides_what_a_step_is(opened):
    source = opened(MediaClip("a", "train", {}, {"text": "one"}))
    kinds = {m: spec.kind for m, spec in source.about.specs.items()}
    assert kinds == {"video": Kind.MAPS, "audio": Kind.VECTORS, "text": Kind.TOKENS}


def test_a_picture_is_looked_at_once_and_pictures_go_together(opened, gray, tmp_path):
    clips = [
        MediaClip(
            f"{i:02d}",
            "train",
            {"video": write_picture(tmp_path / f"{i:02d}.png", np.full((12, 16, 3), i, np.uint8))},
        )
        for i in range(20)
    ]
    source = opened(*clips, names=("video",))
    assert [source[i]["features"]["video"].tolist() for i in range(20)] == [
        [[[[float(i)]]]] for i in range(20)
    ]
    assert sum(gray.batches) == 20
    assert len(gray.batches) <= 4


def test_slow_videos_are_looked_at_once_per_frame(readers, gray, tmp_path):
    path = write_video(tmp_path / "slow.mp4", 3.0, fps=1, size=(48, 64), tone=None)
    found = clip_features(MediaClip("a", "train", {"video": path}), readers)
    assert len(found["video"]) == 3
    assert gray.batches == [3]  # four frames a second are asked for, one is there


def test_order_of_asking_does_not_matter(opened, tmp_path):
    clips = [
        MediaClip(
            str(i),
            "train",
            {"audio": write_sound(tmp_path / f"{i}.wav", np.full(RATE, i / 20), RATE)},
        )
        for i in range(18)
    ]
    source = opened(*clips, names=("audio",))
    ahead = [source.features(i)["audio"] for i in range(18)]
    back = [source.features(i)["audio"] for i in reversed(range(18))]
    np.testing.assert_array_equal(np.stack(ahead), np.stack(back[::-1]))


def test_what_a_clip_lacks_is_left_out_and_what_it_never_had_is_an_error(opened, tmp_path):
    silent = write_video(tmp_path / "silent.mp4", tone=None)
    heard = write_sound(tmp_path / "heard.wav", np.ones(RATE, np.float32) / 2, RATE)
    source = opened(
        MediaClip("silent", "train", {"video": silent, "audio": silent}),
        MediaClip("heard", "test", {"audio": heard}),
        MediaClip("nothing", "test", {"audio": silent}),
    )
    assert set(source.features(0)) == {"video"}
    assert set(source.features(1)) == {"audio"}
    with pytest.raises(DataError, match=r"silent\.mp4"):
        source.features(2)
    assert [source[i]["split"] for i in range(2)] == ["train", "test"]


def test_a_broken_file_is_an_error_of_its_clip_alone(opened, tmp_path):
    broken = cut_file(write_video(tmp_path / "broken.mp4"), 0.3)
    sound = write_sound(tmp_path / "sound.wav", np.ones(RATE, np.float32) / 2, RATE)
    source = opened(
        MediaClip("broken", "train", {"video": broken}),
        MediaClip("sound", "train", {"audio": sound}),
    )
    with pytest.raises(DataError, match=r"broken\.mp4"):
        source[0]
    assert source.features(1)["audio"].shape == (1, 1)


def test_labels_are_classes_in_alphabetical_order(opened, tmp_path):
    path = write_sound(tmp_path / "a.wav", np.ones(RATE, np.float32), RATE)
    clips = [
        MediaClip(str(i), "train", {"audio": path}, labels={"kind": kind})
        for i, kind in enumerate(["dog", None, "cat"])
    ]
    source = opened(*clips, names=("audio",))
    assert source.about.labels["kind"].classes == ("cat", "dog")
    assert [source[i]["labels"]["kind"] for i in range(3)] == [1, None, 0]


def test_the_content_changes_with_files_texts_and_extractors(opened, readers, tmp_path):
    path = write_sound(tmp_path / "a.wav", np.ones(RATE, np.float32), RATE)
    clip = MediaClip("a", "train", {"audio": path}, {"text": "word"})
    before = opened(clip).content_hash
    assert opened(clip).content_hash == before
    assert opened(MediaClip("a", "train", {"audio": path}, {"text": "w"})).content_hash != before
    readers["audio"].extractor.identity = "d" * 64
    assert opened(clip).content_hash != before
    readers["audio"].extractor.identity = "b" * 64
    write_sound(path, np.ones(2 * RATE, np.float32), RATE)
    assert opened(clip).content_hash != before


def test_bad_questions_are_refused(opened, readers, tmp_path):
    path = write_sound(tmp_path / "a.wav", np.ones(RATE, np.float32), RATE)
    with pytest.raises(ConfigError, match="no extractor"):
        opened(MediaClip("a", "train", {"audio": path}), names=())
    readers["au dio"] = readers["audio"]
    with pytest.raises(ModalityError, match="plain word"):
        opened(MediaClip("a", "train", {"audio": path}), names=("au dio",))
