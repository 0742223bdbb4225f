"""``python -m projects.voices`` from end to end, on recordings the tests make."""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np
import pytest

import cmg
from projects.voices import compare, pooling, sources
from projects.voices.__main__ import app
from projects.voices.embedded import POOLING

pytest.importorskip("av")

FAST = ["training.epochs=2", "training.threads=1", "probe.epochs=4"]


@pytest.fixture
def voices(run):
    return functools.partial(run, app)


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    monkeypatch.setattr(sources, "installed", lambda source: [])


def percent(out):
    """Words read, by head and source, of a printed table."""
    lines = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| h")]
    return {(head.strip(), source.strip()): float(value) for head, source, value in lines}


@pytest.mark.slow
def test_a_store_with_the_embedding_is_built_and_a_run_on_it_reads_recordings(
    voices, fake, spoken_folder, tmp_path
):
    store, run = tmp_path / "store", tmp_path / "run"
    sizes = ["--train-clips", 200, "--test-clips", 20]
    code, out, err = voices("build", "--out", store, *sizes)
    assert code == 0, err
    assert "{'train': 200, 'test': 20, 'test_one_scan': 20}" in out
    assert cmg.open_clips(store).modalities["audio"].shape == (48,)
    config = cmg.load_config("digits", [f"data={store}", "training.epochs=12", FAST[1]])
    cmg.pretrain(config, run)
    code, out, err = voices("read", "--model", run, "--recordings", spoken_folder)
    assert code == 0, err
    found = percent(out)
    # These recordings are synthetic words, so even the fake embedding reads far more than 10 %.
    assert found["heads on video", "all recorded"] > 25
    assert ("heads on text", "synthetic") in found
    assert ("heads without a codebook", "all unknown") in found
    own = tmp_path / "own words"
    own.mkdir()
    (own / "4_me.wav").write_bytes((spoken_folder / "captcha/data/4/default.wav").read_bytes())
    code, out, err = voices("read", "--model", run, "--own", own)
    assert code == 0, err
    assert {source for _, source in percent(out)} == {"synthetic", "own"}


def test_a_run_of_other_audio_is_refused(voices, fake, spoken_folder, tmp_path):
    store = cmg.write_store(
        tmp_path / "st", {m: [[[0.0], [1.0]]] * 4 for m in ("audio", "video")}, split="train"
    )
    small = ["model.width=8", "model.temporal.heads=2", "training.epochs=1", "data.batch_size=2"]
    with pytest.warns(UserWarning, match="has collapsed"):
        cmg.pretrain(
            cmg.load_config("own-data", [f"data={store.path}", "model.codebook.size=8", *small]),
            tmp_path / "run",
        )
    code, _, err = voices("read", "--model", tmp_path / "run", "--recordings", spoken_folder)
    assert code == 2
    assert "this run has audio of shape (1,)" in err


@pytest.mark.slow
def test_a_comparison_tells_its_tables_goes_on_and_fails_below_the_goal(
    voices, fake, spoken_folder, tmp_path, monkeypatch
):
    small = functools.partial(compare.build_digits, train_clips=200, test_clips=20)
    monkeypatch.setattr(compare, "build_digits", small)
    out = tmp_path / "voices"
    command = ("compare", "--out", out, "--recordings", spoken_folder, "--workers", 1)
    command = (*command, "--seeds", 1, "--least", 101, *FAST, "data.fraction=0.2")
    code, said, err = voices(*command)
    assert code == 1
    assert "less than 101 %" in err
    told = json.loads((out / "study/study.json").read_text())
    assert list(told["rows"]) == [
        f"{audio}{control}"
        for audio in ("speech-embedding", "log-mel")
        for control in ("", "-untrained", "-shuffled")
    ]
    scores = {key: score["mean"] for key, score in told["rows"]["log-mel"]["scores"].items()}
    assert scores["heads without a codebook/synthetic"] > 60
    assert 0 <= scores["heads on video/all recorded"] <= 100
    assert "160 synthetic, 10 asterisk" in said
    assert "| speech-embedding, shuffled pairs |" in said
    assert "| all recorded | 30 " in said
    monkeypatch.setattr(compare, "build_digits", None)  # what is there is not built again
    assert voices(*command)[1] == said
    code, _, err = voices(*command[:4], spoken_folder, "--sources", "captcha")
    assert code == 2
    assert "other words than were asked for" in err


def test_a_comparison_without_its_recordings_fails_and_writes_nothing(voices, tmp_path):
    out = tmp_path / "voices"
    code, _, err = voices("compare", "--out", out)
    assert code == 2
    for name in ("asterisk", "tuxpaint-us", "tuxpaint-gb", "captcha", "spokennumbers"):
        assert name in err
    code, _, err = voices("compare", "--out", out, "--sources", "asterix")
    assert code == 2
    assert "did you mean 'asterisk'" in err
    assert not out.exists()


def test_another_folder_and_a_wrong_configuration_are_refused(voices, spoken_folder, tmp_path):
    code, _, err = voices("compare", "--out", tmp_path, "--recordings", spoken_folder)
    assert code == 2
    assert "is no comparison" in err
    out = tmp_path / "out"
    code, _, err = voices(
        "compare", "--out", out, "--recordings", spoken_folder, "trainin.epochs=1"
    )
    assert code == 2
    assert "did you mean 'training.epochs'" in err
    assert not out.exists()


def test_a_goal_for_recordings_that_are_left_out_is_refused(voices, spoken_folder, tmp_path):
    part = ("compare", "--out", tmp_path / "x", "--recordings", spoken_folder)
    part = (*part, "--sources", "captcha", "--least")
    code, _, err = voices(*part, 90)
    assert code == 2
    assert "tuxpaint-gb" in err
    for goal in ("nan", "inf"):
        code, _, err = voices(*part, goal)
        assert (code, err) == (2, f"error: --least {goal} must be a number of percent\n")


def test_sources_tell_what_is_found_and_how_to_get_the_rest(voices, spoken_folder):
    code, out, _ = voices("sources", "--recordings", spoken_folder / "usr")
    assert code == 0
    lines = out.splitlines()
    assert lines[1].endswith("en_US_f_Allison/digits")
    assert "not found; pip install --no-deps captcha==0.7.1" in out
    assert "not found; apt-get install asterisk-core-sounds-en-wav" in voices("sources")[1]


def test_the_choice_of_the_pooling_can_be_seen_again(voices, fake, monkeypatch):
    monkeypatch.setattr(pooling, "HEAD", pooling.HEAD.model_copy(update={"epochs": 2}))
    monkeypatch.setattr(pooling, "CANDIDATES", (POOLING, (-3, -2, -1, 0, 1, 2, 3)))
    spoken = pooling.load_spoken()
    eight = dataclasses.replace(spoken, test_voices=np.arange(len(spoken.voice_names)) >= 8)
    monkeypatch.setattr(pooling, "load_spoken", lambda: eight)  # one voice of each accent
    code, out, _ = voices("pooling", "--takes", 1)
    assert code == 0
    assert "in use" in out
    assert "-240, -160, -80, +0, +80, +160, +240" in out
    assert voices("pooling", "--takes", 0)[0] == 2
