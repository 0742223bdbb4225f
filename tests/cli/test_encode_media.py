"""``cmg encode clip.mp4``: from media files to codes, tables and pictures."""

import csv
import json
import os
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from cmg.data.inmemory import write_store
from cmg.extract import registry
from cmg.extract.extractor import Card
from cmg.extract.identity import identity_of
from cmg.extract.media_files import named_clips
from cmg.extract.reading import Reader, clip_features
from cmg.recipes.encode_media import words_of

from ..extract.media import cut_file, write_picture, write_sound, write_video
from .conftest import SMALL

STEP = 0.5
WORDS = ["low", "middle", "high"]


class Eyes:
    """The mean color of the four quarters of a frame."""

    name, shape, step_seconds = "eyes", (2, 2, 3), STEP
    notes, frames_per_step, size = "Colors.", 2, (8, 8)

    def __init__(self, options):
        self.identity = identity_of("0" * 64, folder=str(options.weights))

    def extract(self, frames):
        return frames.reshape(-1, 2, 4, 2, 4, 3).mean((2, 4), dtype=np.float32) / 255


class Ears:
    """Loudness and crossings of zero of each step."""

    name, shape, step_seconds = "ears", (2,), STEP
    notes, rate = "Loudness.", 4000

    def __init__(self, options):
        self.identity = identity_of("1" * 64)

    def extract(self, wave):
        size = int(STEP * self.rate)
        steps = max(1, int(len(wave) / size + 0.5))
        parts = np.pad(wave, (0, size))[: steps * size].reshape(steps, size)
        crossings = (np.diff(np.sign(parts), axis=1) != 0).mean(1)
        return np.stack([parts.std(1), 10 * crossings], 1).astype(np.float32)


class Letters:
    """A vector per word: its length and its first letter."""

    name, shape, step_seconds, notes = "letters", (2,), None, "Letters."

    def __init__(self, options):
        self.identity = identity_of("2" * 64)

    def extract(self, text):
        found = [(len(word) / 5, ord(word[0]) / 100) for word in text.split()]
        return np.array(found, np.float32).reshape(len(found), 2)


def card(kind, takes):
    return Card(
        name=kind.name,
        takes=takes,
        shape=" x ".join(map(str, kind.shape)),
        get="nothing",
        loader=f"{__name__}:{kind.__name__}",
        seconds=kind.step_seconds or 1.0,
    )


CARDS = (card(Eyes, "frames"), card(Ears, "sound"), card(Letters, "text"))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "CARDS", CARDS)


def write_clip(folder, number, seconds=2.0, caption=True):
    """A video whose color, tone and word say the same."""
    level = number % 3
    color = np.full((24, 32, 3), 40 + 90 * level, np.uint8)
    path = folder / f"clip{number}.mp4"
    write_video(path, seconds, 10, (24, 32), 200.0 * (level + 1), frames=lambda _: color)
    if caption:
        path.with_suffix(".txt").write_text(f"a {WORDS[level]} clip\n")
    return path


def readers():
    from cmg.extract.extractor import LoadOptions

    options = LoadOptions()
    return {
        "video": Reader("frames", Eyes(options)),
        "audio": Reader("sound", Ears(options)),
        "text": Reader("text", Letters(options)),
    }


def record_extractors(run):
    """Let ``run.json`` say which extractors made the store."""
    path = run / "run.json"
    told = json.loads(path.read_text())
    told["extractors"] = {
        m: f"{r.extractor.name} sha256:{r.extractor.identity[:16]}" for m, r in readers().items()
    }
    path.write_text(json.dumps(told))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Media, the store of them, and a run on it that knows its extractors."""
    from cmg.config.load import load_config
    from cmg.recipes.pretrain import pretrain

    root = tmp_path_factory.mktemp("media")
    (root / "media").mkdir()
    paths = [write_clip(root / "media", i) for i in range(9)]
    clips = named_clips(paths)
    found = [clip_features(clip, readers()) for clip in clips]
    write_store(
        root / "store",
        {m: [x[m] for x in found] for m in ("video", "audio", "text")},
        ids=[clip.id for clip in clips],
        kinds={"text": "tokens"},
        step_seconds={"video": STEP, "audio": STEP},
        labels={"level": [i % 3 for i in range(9)]},
        classes={"level": WORDS},
    )
    small = [s for s in SMALL if not s.startswith("data.batch_size")]
    pretrain(
        load_config("own-data", [f"data.store={root / 'store'}", *small, "data.batch_size=4"]),
        root / "run",
    )
    record_extractors(root / "run")
    return root


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained / "run", tmp_path / "run")


def rows_of(out):
    with (out / "codes.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_clip_of_the_training_store_gets_the_codes_of_the_store(cmg, trained, run, tmp_path):
    codes = tmp_path / "codes.jsonl"
    assert cmg("encode", trained / "store", "--model", run, "--out", codes).code == 0
    stored = {r["id"]: r["codes"] for r in map(json.loads, codes.read_text().splitlines())}
    out = tmp_path / "out"
    told = cmg("encode", trained / "media", "--model", run, "--out", out, "--json")
    assert told.code == 0, told.err
    assert told.json["clips"] == 9
    found = {}
    for row in rows_of(out):
        found.setdefault(row["clip"], {}).setdefault(row["modality"], []).append(int(row["code"]))
    assert found == stored


def test_one_clip_gives_table_json_page_and_picture(cmg, trained, run, tmp_path):
    out = tmp_path / "out"
    told = cmg("encode", trained / "media" / "clip4.mp4", "--model", run, "--out", out)
    assert told.code == 0, told.err
    assert sorted(p.name for p in out.iterdir()) == [
        "codes.csv",
        "codes.json",
        "timeline.html",
        "timeline.svg",
    ]
    rows = rows_of(out)
    assert [(r["start"], r["end"]) for r in rows if r["modality"] == "video"] == [
        ("0.0", "0.5"),
        ("0.5", "1.0"),
        ("1.0", "1.5"),
        ("1.5", "2.0"),
    ]
    assert [r["word"] for r in rows if r["modality"] == "text"] == ["a", "middle", "clip"]
    assert all(float(r["distance"]) >= 0 and float(r["margin"]) >= 0 for r in rows)
    picture = ElementTree.fromstring((out / "timeline.svg").read_text())
    images = list(picture.iter("{http://www.w3.org/2000/svg}image"))
    assert len(images) == 4
    page = (out / "timeline.html").read_text()
    assert "Nearest known clips" in page
    assert "level middle" in page


def test_the_nearest_known_clips_are_of_the_training_store(cmg, trained, run, tmp_path):
    out = tmp_path / "out"
    cmg("encode", trained / "media" / "clip4.mp4", "--model", run, "--out", out)
    told = json.loads((out / "codes.json").read_text())
    known = told["known"]
    assert (known["store"], known["split"]) == (str(trained / "store"), "train")
    used = {step["code"] for steps in told["clips"][0]["modalities"].values() for step in steps}
    assert set(known["codes"]) == {str(code) for code in used}
    for m, steps in told["clips"][0]["modalities"].items():
        for step in steps:
            nearest = known["codes"][str(step["code"])][m]
            assert len(nearest) == 5
            # The clip is in the store, so the nearest is at most as far as its own step.
            assert nearest[0]["distance"] <= step["distance"] + 1e-3
    kept = list((run / "checkpoints").rglob("known-*.safetensors"))
    assert len(kept) == 1
    plain = cmg(
        "encode", trained / "media" / "clip4.mp4", "--model", run, "--out", tmp_path / "no",
        "--no-known",
    )  # fmt: skip
    assert plain.code == 0
    assert json.loads((tmp_path / "no" / "codes.json").read_text())["known"] is None


def test_another_store_can_be_the_known_one(cmg, trained, run, tmp_path):
    rng = np.random.default_rng(0)
    write_store(
        tmp_path / "other",
        {"audio": rng.normal(size=(3, 2, 2)).astype(np.float32)},
        ids=["x", "y", "z"],
        split=["train", "train", "test"],
    )
    out = tmp_path / "out"
    args = ("encode", trained / "media" / "clip1.mp4", "--model", run, "--out", out)
    told = cmg(*args, "--known", tmp_path / "other")
    assert told.code == 0, told.err
    codes = json.loads((out / "codes.json").read_text())["known"]["codes"]
    for found in codes.values():
        assert list(found) == ["audio"]
        assert sorted(step["id"] for step in found["audio"]) == ["x", "y", "z"]


def test_a_lost_training_store_is_said_with_what_to_do(cmg, trained, run, tmp_path):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace(str(trained / "store"), str(tmp_path / "gone")))
    args = ("encode", trained / "media" / "clip1.mp4", "--model", run, "--out", tmp_path / "out")
    refused = cmg(*args)
    assert refused.code == 2
    assert "--known STORE" in refused.err
    assert not (tmp_path / "out").exists()
    assert cmg(*args, "--no-known").code == 0


@pytest.mark.parametrize(
    ("make", "modalities"),
    [
        (lambda f: write_sound(f / "a.wav", np.sin(np.arange(9000) / 9) * 0.5, 8000), ["audio"]),
        (lambda f: write_picture(f / "a.png", np.full((30, 40, 3), 90, np.uint8)), ["video"]),
        (lambda f: write_video(f / "a.mp4", 1.0, 10, tone=None), ["video"]),
        (lambda f: text_file(f / "a.txt", "a low clip"), ["text"]),
    ],
)
def test_what_is_there_is_encoded(cmg, run, tmp_path, make, modalities):
    file = make(tmp_path)
    out = tmp_path / "out"
    told = cmg("encode", file, "--model", run, "--out", out)
    assert told.code == 0, told.err
    assert sorted({row["modality"] for row in rows_of(out)}) == modalities
    ElementTree.fromstring((out / "timeline.svg").read_text())


def text_file(path, text):
    path.write_text(text)
    return path


def test_words_come_from_the_option_before_the_caption(cmg, trained, run, tmp_path):
    out = tmp_path / "out"
    clip = trained / "media" / "clip0.mp4"
    assert cmg("encode", clip, "--model", run, "--out", out, "--text", "high  up").code == 0
    assert [r["word"] for r in rows_of(out) if r["modality"] == "text"] == ["high", "up"]


def test_files_of_one_name_are_one_clip(cmg, run, tmp_path):
    picture = write_picture(tmp_path / "dog.png", np.full((30, 40, 3), 90, np.uint8))
    sound = write_sound(tmp_path / "dog.wav", np.sin(np.arange(9000) / 9) * 0.5, 8000)
    out = tmp_path / "out"
    assert cmg("encode", picture, sound, "--model", run, "--out", out).code == 0
    assert {(r["clip"], r["modality"]) for r in rows_of(out)} == {
        ("dog", "video"),
        ("dog", "audio"),
    }


def test_a_broken_file_ends_it_or_is_skipped_by_name(cmg, trained, run, tmp_path):
    folder = shutil.copytree(trained / "media", tmp_path / "media")
    cut_file(folder / "clip3.mp4", 0.4)
    args = ("encode", folder, "--model", run, "--out", tmp_path / "out")
    refused = cmg(*args)
    assert refused.code == 2
    assert "clip3.mp4" in refused.err
    assert not (tmp_path / "out").exists()
    told = cmg(*args, "--on-error", "skip", "--json")
    assert told.code == 0
    assert list(told.json["failed"]) == ["clip3"]
    assert "clip3.mp4" in told.err
    assert told.json["clips"] == 8


def test_names_that_are_not_utf8_are_written_legibly(cmg, trained, run, tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    try:
        clip = shutil.copy(trained / "media" / "clip1.mp4", tmp_path / name)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    told = cmg("encode", clip, "--model", run, "--out", tmp_path / "out")
    assert told.code == 0, told.err
    assert {row["clip"] for row in rows_of(tmp_path / "out")} == {"caf\\xe9"}
    ElementTree.fromstring((tmp_path / "out" / "timeline.svg").read_text("utf-8"))


def test_other_weights_are_refused_unless_asked_for(cmg, trained, run, tmp_path):
    clip = trained / "media" / "clip1.mp4"
    args = ("encode", clip, "--model", run, "--out", tmp_path / "out")
    other = ("--weights", f"video={tmp_path}")
    refused = cmg(*args, *other)
    assert refused.code == 2
    assert "--extractor video=eyes" in refused.err
    assert not (tmp_path / "out").exists()
    told = cmg(*args, *other, "--extractor", "video=eyes", "--json")
    assert told.code == 0, told.err
    assert "may mean something else" in told.json["remarks"][0]
    assert "may mean something else" in told.err


def test_a_run_that_does_not_know_its_extractors_takes_those_that_are_named(
    cmg, trained, run, tmp_path
):
    facts = json.loads((run / "run.json").read_text())
    del facts["extractors"]
    (run / "run.json").write_text(json.dumps(facts))
    args = ("encode", trained / "media" / "clip1.mp4", "--model", run, "--out", tmp_path / "out")
    refused = cmg(*args)
    assert refused.code == 2
    assert "--extractor video=NAME" in refused.err
    told = cmg(*args, "--extractor", "audio=ears", "--json")
    assert told.code == 0, told.err
    assert {row["modality"] for row in rows_of(tmp_path / "out")} == {"audio"}
    assert len(told.json["remarks"]) == 2
    assert cmg(*args[:-1], tmp_path / "wrong", "--extractor", "video=ears").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.mp4"], "missing.mp4 does not exist"),
        (["file.xyz"], "no video, sound, picture or text"),
        (["empty"], "empty"),
        (["file.txt", "--split", "test"], "--split"),
        (["file.txt", "--known", "a", "--no-known"], "exclude"),
        (["file.txt", "--on-error", "x"], "'x' is not one of 'fail', 'skip'"),
        (["file.txt", "--extractor", "eyes"], "NAME=VALUE"),
        (["file.txt", "--extractor", "vido=eyes"], "did you mean 'video'"),
        (["file.txt", "--extractor", "video=eye"], "did you mean 'eyes'"),
        (["file.txt", "other.txt", "--text", "x"], "--text is for one clip"),
        (["digits", "--text", "x"], "is a store"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(cmg, run, tmp_path, monkeypatch, arguments, said):
    here = tmp_path / "here"
    (here / "empty").mkdir(parents=True)
    for name in ("file.xyz", "file.txt", "other.txt"):
        (here / name).write_text("a low clip")
    monkeypatch.chdir(here)
    before = sorted(here.rglob("*"))
    told = cmg("encode", *arguments, "--model", run, "--out", here / "out")
    assert told.code == 2, told.out
    assert said in told.err
    assert "Traceback" not in told.err
    assert sorted(here.rglob("*")) == before


def test_words_are_known_only_if_they_are_as_many_as_the_steps():
    assert words_of("a dog, barking", 4) == ("a", "dog", ",", "barking")
    assert words_of("a dog, barking", 3) == ("a", "dog,", "barking")
    assert words_of("a dog, barking", 2) == ()
