"""``cmg extract``: from a folder of media to a store, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from av.stream import Disposition

from cmg.data import open_store, verify_store
from cmg.recipes.extract import ExtractOptions, extract

from ..extract.media import (
    copy_tracks,
    counted_frame,
    cut_file,
    join_files,
    tone_wave,
    write_picture,
    write_sound,
)

RATE = 16000


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """200 clips, each a picture and half a second of sound, in folders of two classes; 5 broken."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for clip in range(200):
        kind = ["low", "high"][clip % 2]
        place = folder / kind / f"clip{clip:03d}"
        place.parent.mkdir(exist_ok=True)
        level = 40 if kind == "low" else 200
        picture = np.clip(level + rng.normal(0, 20, (24, 24, 3)), 0, 255).astype(np.uint8)
        write_picture(place.with_suffix(".png"), picture)
        tone = 200.0 if kind == "low" else 2000.0
        wave = 0.5 * np.sin(2 * np.pi * tone * np.arange(RATE // 2) / RATE).astype(np.float32)
        write_sound(place.with_suffix(".wav"), wave, RATE)
    for clip, kind in [(10, "low"), (51, "high"), (92, "low")]:
        (folder / kind / f"clip{clip:03d}.wav").write_bytes(b"")
    for clip, kind in [(133, "high"), (174, "low")]:
        cut_file(folder / kind / f"clip{clip:03d}.png", 0.5)
    return folder


BROKEN = ["high/clip051", "high/clip133", "low/clip010", "low/clip092", "low/clip174"]


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def extracted(pictures, networks, cmg, tmp_path_factory):
    """The store of the 200 clips, and what the command said."""
    out = tmp_path_factory.mktemp("store") / "store"
    command = ("extract", pictures, "--out", out, *networks, "--folder-label", "kind")
    said = cmg(*command, "--workers", 1, "--json")
    assert said.code == 0, said.err
    return out, said.json


def test_a_folder_of_200_with_5_broken_files_is_done_and_names_them(extracted):
    out, told = extracted
    assert told["clips"] == 195
    assert sorted(clip["id"] for clip in told["skipped"]) == BROKEN
    reasons = {clip["id"]: clip["reason"] for clip in told["skipped"]}
    assert "clip010.wav" in reasons["low/clip010"]
    assert "clip133.png" in reasons["high/clip133"]
    store = open_store(out)
    assert verify_store(store.path) == []
    assert set(store.labels["kind"].classes) == {"low", "high"}
    assert told["modalities"]["video"]["clips"] == told["modalities"]["audio"]["clips"] == 195
    assert store.extractors["video"].startswith("transformers-vision:")
    assert json.loads((out / "extract.json").read_text())["skipped"] == told["skipped"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["store"]


def test_a_second_run_does_nothing_but_say_so(extracted, pictures, networks, cmg):
    out, _ = extracted
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
    said = cmg("extract", pictures, "--out", out, *networks, "--folder-label", "kind")
    assert said.code == 0, said.err
    assert "195 clips" in said.out
    assert "already there, nothing to do" in said.out
    assert all(name in said.out for name in BROKEN)
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before}


def test_whole_sounds_are_kept_and_a_choice_of_tracks_is_recorded(tmp_path, networks, cmg):
    """Raw AAC that begins quietly, two recordings of different rates in one file, two tracks."""
    clips = tmp_path / "clips"
    clips.mkdir()
    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE).astype(np.float32)
    write_sound(clips / "quiet.aac", np.concatenate([0 * loud, loud]), RATE)
    parts = [write_sound(tmp_path / f"{rate}.aac", loud[:rate], rate) for rate in (44100, 22050)]
    join_files(clips / "two.aac", *parts)
    sounds = [write_sound(tmp_path / f"{n}.m4a", tone_wave(1, n, RATE), RATE) for n in (300, 600)]
    copy_tracks(clips / "tracks.mka", *sounds, flags=(0, Disposition.default))
    out = tmp_path / "store"
    said = cmg("extract", clips, "--out", out, *networks[2:], "--workers", "1")
    assert said.code == 0, said.err
    assert "left out" not in said.out
    assert "clips with several tracks: 1, which was read" in said.out
    rows = {row.id: row for row in open_store(out).rows}
    assert {name: row.lengths["audio"] for name, row in rows.items()} == {
        "quiet": 8, "two": 2, "tracks": 1
    }  # fmt: skip
    assert rows["tracks"].meta["tracks_read"] == ["sound: track 2 of 2 (default)"]
    assert "tracks_read" not in rows["quiet"].meta


def test_a_store_of_something_else_is_not_replaced(extracted, pictures, networks, cmg):
    out, _ = extracted
    before = content(out)
    said = cmg("extract", pictures, "--out", out, *networks[:2])
    assert said.code == 2
    assert "holds features of other clips, files, extractors or dtype" in said.err
    assert content(out) == before


@pytest.fixture
def few(tmp_path):
    """40 clips of pictures."""
    folder = tmp_path / "few"
    folder.mkdir()
    for clip in range(40):
        write_picture(folder / f"{clip:02d}.png", counted_frame(clip, (16, 16)))
    return folder


def test_the_bytes_do_not_depend_on_the_workers(few, networks, cmg, tmp_path):
    for workers in (1, 2):
        out = tmp_path / f"store{workers}"
        said = cmg("extract", few, "--out", out, *networks[:2], "--chunk", 16, "--workers", workers)
        assert said.code == 0, said.err
    assert content(tmp_path / "store1") == content(tmp_path / "store2")


def test_from_python_the_process_is_left_as_it_was(few, networks, tmp_path, untouched):
    extractors = {"video": networks[1]}
    with untouched():
        extract(few, tmp_path / "store", ExtractOptions(extractors, workers=1))


@pytest.mark.slow
def test_two_ranks_one_killed_and_started_again_give_the_bytes_of_one(
    pictures, networks, extracted, tmp_path
):
    out = tmp_path / "shared"
    command = [sys.executable, "-m", "cmg", "extract", str(pictures), "--out", str(out)]
    command += [*map(str, networks), "--folder-label", "kind", "--workers", "1", "--json"]

    def start(rank):
        variables = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        return subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE)

    first, second = start(0), start(1)
    chunks = tmp_path / ".shared.partial-import" / "chunks"
    give_up = time.monotonic() + 60
    while not (chunks / "00001.json").exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    second.send_signal(signal.SIGKILL)
    second.communicate(timeout=60)
    assert json.loads(first.communicate(timeout=60)[0]) == {"store": str(out), "waiting": True}
    assert not out.exists()
    last = start(1)
    told = json.loads(last.communicate(timeout=60)[0])
    assert told["clips"] == 195
    assert told["resumed"] >= 32
    assert content(out) == content(extracted[0])


def test_fail_ends_at_a_broken_file_and_leaves_no_store(pictures, networks, cmg, tmp_path):
    out = tmp_path / "store"
    said = cmg("extract", pictures, "--out", out, *networks, "--on-error", "fail", "--workers", 1)
    assert said.code == 2
    assert "clip051.wav" in said.err
    assert not out.exists()


def test_a_fixed_file_is_noticed(few, networks, cmg, tmp_path):
    out = tmp_path / "store"
    cut_file(few / "07.png", 0.5)
    first = cmg("extract", few, "--out", out, *networks[:2], "--workers", 1, "--json")
    assert [clip["id"] for clip in first.json["skipped"]] == ["07"]
    write_picture(few / "07.png", counted_frame(7, (16, 16)))
    assert cmg("extract", few, "--out", out, *networks[:2]).code == 2
    again = cmg("extract", few, "--out", out, *networks[:2], "--workers", 1, "--overwrite")
    assert again.code == 0, again.err
    assert len(open_store(out).rows) == 40


def test_a_caption_in_another_encoding_leaves_out_its_clip_alone(networks, reader, cmg, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "store"
    folder.mkdir()
    latin, utf16 = "café".encode("latin-1"), "a dog".encode("utf-16")
    for clip, text in enumerate((b"a dog", latin, utf16, b"a cat")):
        write_picture(folder / f"p{clip}.png", counted_frame(clip, (16, 16)))
        (folder / f"p{clip}.txt").write_bytes(text)
    command = ("extract", folder, "--out", out, *networks[:2], "--workers", 1, "--json")
    ended = cmg(*command, *reader, "--on-error", "fail")
    assert ended.code == 2
    assert "p1.txt, line 1 is not UTF-8" in ended.err
    assert not out.exists()
    told = cmg(*command, *reader).json
    assert told["clips"] == 2
    reasons = {clip["id"]: clip["reason"] for clip in told["skipped"]}
    assert list(reasons) == ["p1", "p2"]
    assert reasons["p2"].endswith("p2.txt is UTF-16, not UTF-8; save it as UTF-8")
    assert cmg(*command, *reader).json["already"]
    assert cmg(*command, *reader, "--on-error", "fail").code == 2
    (folder / "p1.txt").write_text("a cat")
    assert cmg(*command, *reader).code == 2  # these are other clips now
    assert cmg(*command, "--overwrite").json["clips"] == 4  # nobody reads texts


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say which extractors to use"),
        (("--video", "vgg91"), "did you mean 'vgg19'"),
        (("--video", "vgg19"), "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        (("--extractor", "video"), "must read NAME=VALUE"),
        (
            ("--audio", "vgg19"),
            "'vgg19' reads frames, but audio is sound; extractors of sound: v",
        ),
        (("--video", "clap:x"), "'clap:x' reads sound, but video is frames"),
        (("--extractor", "text=vggish"), "'vggish' reads sound, but text is text; extractors of"),
        (("--audio", "vggish", "--weights", "video=x"), "no extractor reads 'video'"),
        (("--audio", "vggish", "--step", "audio=x"), "not a number"),
        (("--audio", "vggish", "--shares", "train=0.5"), "add up to 1"),
        (("--audio", "vggish", "--chunk", "20"), "multiple of 16"),
        (("--audio", "vggish", "--engine", "torchrun"), "torchrun --nproc-per-node"),
    ],
)
def test_bad_options_are_refused_with_the_remedy(few, cmg, tmp_path, monkeypatch, options, said):
    monkeypatch.setenv("CMG_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = cmg("extract", few, "--out", tmp_path / "store", *options)
    assert found.code == 2
    assert said in found.err.replace("\n", " ")
    assert not (tmp_path / "store").exists()


def test_an_empty_folder_is_an_error(networks, cmg, tmp_path):
    (tmp_path / "empty").mkdir()
    said = cmg("extract", tmp_path / "empty", "--out", tmp_path / "store", *networks)
    assert said.code == 2
    assert "holds no video, sound or picture file" in said.err


def test_the_extractors_are_listed_with_their_licenses(cmg):
    said = cmg("extractors", "--json")
    rows = {row["name"]: row for row in said.json["extractors"]}
    assert rows["vggish"]["weights"] == "Apache-2.0"
    assert rows["efficientnet-lite0"]["shape"] == "7 x 7 x 1280"


def test_four_commands_from_media_to_codes(own_clips, cmg, tmp_path):
    """A folder of videos with captions: extract, pretrain (both in `own_clips`), probe, encode."""
    run, clip = own_clips / "run", own_clips / "media" / "test" / "low" / "16.mp4"
    said = cmg("probe", "--model", run, "--train-on", "audio", "--test-on", "video", "--json")
    assert said.code == 0, said.err
    said = cmg("encode", clip, "--model", run, "--out", tmp_path / "codes", "--json")
    assert said.code == 0, said.err
    names = {p.name for p in (tmp_path / "codes").rglob("*")}
    assert {"codes.csv", "codes.json"} <= names
    assert any(name.endswith(".svg") for name in names)
