"""``cmg voices`` and ``cmg data digits`` from end to end, on recordings the tests make."""

from __future__ import annotations

import functools
import json
import signal
import sys

import pytest

from cmg.cli import main as entry
from cmg.cli.output import STATE
from cmg.data.digits import build_digits
from cmg.recipes import voices as recipe
from cmg.voices import sources

pytest.importorskip("av")

FAST = ["training.epochs=2", "training.threads=1", "probe.epochs=4"]


@pytest.fixture
def cmg(capsys, monkeypatch):
    """Run `cmg ARGS` in this process: (exit code, stdout, stderr)."""
    handler = signal.getsignal(signal.SIGINT)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["cmg", *map(str, args)])
        monkeypatch.setattr(STATE, "json", False)
        capsys.readouterr()
        try:
            entry.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    signal.signal(signal.SIGINT, handler)


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    monkeypatch.setattr(sources, "installed", lambda source: [])


def test_a_store_with_the_embedding_is_built_and_a_run_on_it_reads_recordings(
    cmg, fake, spoken_folder, tmp_path
):
    store, run = tmp_path / "store", tmp_path / "run"
    sizes = ["--train-clips", 200, "--test-clips", 20]
    code, out, _ = cmg("data", "digits", "--out", store, *sizes, "--json")
    assert code == 0
    assert json.loads(out)["modalities"]["audio"]["shape"] == [48]
    assert json.loads(out)["splits"] == {"train": 200, "test": 20, "test_one_scan": 20}
    code, _, err = cmg(
        "pretrain", "digits", f"data={store}", "training.epochs=25", *FAST[1:2], "--out", run
    )
    assert code == 0, err
    code, out, err = cmg("voices", "read", "--model", run, "--recordings", spoken_folder, "--json")
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert rows[0]["head"] == "video"
    assert rows[0]["accuracy"]["all recorded"]["words"] == 30
    # These recordings are synthetic words, so even the fake embedding reads far more than chance.
    assert rows[0]["accuracy"]["all recorded"]["mean"] > 40
    own = spoken_folder / "own"
    own.mkdir(exist_ok=True)
    (own / "4_me.wav").write_bytes((spoken_folder / "captcha/data/4/default.wav").read_bytes())
    code, out, _ = cmg("voices", "read", "--model", run, "--own", own, "--json")
    assert code == 0
    assert json.loads(out)["truth"]["own"] == [4]
    assert list(json.loads(out)["truth"]) == ["synthetic", "own"]


@pytest.mark.slow
def test_a_comparison_writes_its_tables_and_fails_below_the_goal(
    cmg, fake, spoken_folder, tmp_path, monkeypatch
):
    small = functools.partial(build_digits, train_clips=200, test_clips=20)
    monkeypatch.setattr(recipe, "build_digits", small)
    out = tmp_path / "voices"
    code, said, err = cmg(
        "voices", "compare", "--out", out, "--recordings", spoken_folder, "--seeds", 1,
        "--workers", 1, "--least", 101, *FAST, "data.fraction=0.2", "--json",
    )  # fmt: skip
    assert code == 1
    assert "less than 101 %" in err
    told = json.loads(said)
    kinds = {(r["audio"], r["variant"]) for r in told["rows"]}
    variants = {"trained", "shuffled_pairs", "untrained_encoders", "no codebook"}
    assert kinds == {(a, v) for a in ("log-mel", "speech-embedding") for v in variants}
    first = told["rows"][0]
    assert (first["audio"], first["variant"], first["head"]) == (
        "speech-embedding",
        "trained",
        "video",
    )
    plain = next(r for r in told["rows"] if r["variant"] == "no codebook")
    assert plain["accuracy"]["synthetic"]["words"] == 160
    assert plain["accuracy"]["synthetic"]["mean"] > 60
    assert "| all recorded |" in (out / "voices.md").read_text()
    assert json.loads((out / "voices.json").read_text())["truth"] == told["truth"]
    assert (out / "speech-embedding-seed-0/config.yaml").is_file()
    code, _, err = cmg("voices", "compare", "--out", out, "--recordings", spoken_folder)
    assert code == 2
    assert "is not empty" in err


def test_a_comparison_without_its_recordings_fails_and_writes_nothing(cmg, tmp_path):
    out = tmp_path / "voices"
    code, _, err = cmg("voices", "compare", "--out", out)
    assert code == 2
    for name in ("asterisk", "tuxpaint-us", "tuxpaint-gb", "captcha", "spokennumbers"):
        assert name in err
    assert not out.exists()
    code, _, err = cmg("voices", "compare", "--out", out, "--sources", "asterix")
    assert code == 2
    assert "did you mean 'asterisk'" in err


def test_a_goal_for_recordings_that_are_left_out_is_refused(cmg, spoken_folder, tmp_path):
    code, _, err = cmg(
        "voices", "compare", "--out", tmp_path / "x", "--recordings", spoken_folder,
        "--sources", "captcha", "--least", 90,
    )  # fmt: skip
    assert code == 2
    assert "tuxpaint-gb" in err
    for goal in ("nan", "inf"):
        code, _, err = cmg(
            "voices", "compare", "--out", tmp_path / "x", "--recordings", spoken_folder,
            "--sources", "captcha", "--least", goal,
        )  # fmt: skip
        assert (code, err) == (2, f"error: --least {goal} must be a number of percent\n")


def test_sources_tell_what_is_found_and_how_to_get_the_rest(cmg, spoken_folder):
    code, out, _ = cmg("voices", "sources", "--recordings", spoken_folder / "usr", "--json")
    assert code == 0
    found = {s["name"]: s["found"] for s in json.loads(out)["sources"]}
    assert found["captcha"] is None
    assert found["asterisk"].endswith("en_US_f_Allison/digits")
    code, out, _ = cmg("voices", "sources")
    assert "not found; apt-get install asterisk-core-sounds-en-wav" in out


def test_the_choice_of_the_pooling_can_be_seen_again(cmg, fake, monkeypatch):
    from cmg.voices import pooling

    monkeypatch.setattr(pooling, "HEAD", pooling.HEAD.model_copy(update={"epochs": 2}))
    code, out, _ = cmg("voices", "pooling", "--takes", 1)
    assert code == 0
    assert "in use" in out
    assert cmg("voices", "pooling", "--takes", 0)[0] == 2
    assert "-240, -160, -80, +0, +80, +160, +240" in out
