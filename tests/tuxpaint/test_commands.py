"""``cmg data tuxpaint`` and ``cmg tuxpaint compare``, on stamps that the test draws."""

from __future__ import annotations

import json

import pytest

from cmg.tuxpaint import store as tuxpaint_store

from .drawn import READERS, draw_stamps

QUICK = ["model.width=8", "model.temporal.hidden=16", "model.codebook.size=16"]
QUICK += ["data.batch_size=8", "training.epochs=25", "probe.epochs=60", "probe.lr=0.05"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(tuxpaint_store, "packaged_readers", lambda: READERS)
    draw_stamps(tmp_path / "package", each=8)
    return tmp_path / "package"


def test_a_store_is_built_and_what_is_damaged_is_named(cmg, package, tmp_path):
    damaged = next(package.rglob("hat2.png"))
    damaged.write_bytes(b"no picture")
    said = cmg("data", "tuxpaint", package, "--out", tmp_path / "store", "--json")
    assert said.code == 0, said.err
    assert said.json["stamps"] == 24
    assert f"skipped: {damaged} cannot be read" in said.err
    again = cmg("data", "tuxpaint", package, "--out", tmp_path / "store")
    assert again.code == 2
    assert "exists" in again.err


def test_without_the_package_it_fails_and_says_what_to_do(cmg, tmp_path):
    for command in (("data", "tuxpaint", tmp_path), ("tuxpaint", "compare", "--source", tmp_path)):
        said = cmg(*command, "--out", tmp_path / "out")
        assert said.code == 2
        assert "apt-get install tuxpaint-stamps-default" in said.err
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_comparison_has_controls_baselines_and_prompts(cmg, package, tmp_path):
    out = tmp_path / "out"
    said = cmg(
        "tuxpaint", "compare", *QUICK, "--source", package, "--out", out, "--seeds", "1",
        "--workers", "1", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    found = json.loads((out / "tuxpaint.json").read_text())
    assert set(found["transfer"]) == {"trained", "shuffled_pairs", "untrained_encoders", "prompts"}
    assert len(found["transfer"]["trained"]) == 9
    assert found["majority"] == pytest.approx(100 / 3)
    assert found["counts"]["test stamps"] == 6
    # Colors, pitches and letters tell the nouns apart.
    assert found["plain"]["audio"]["mean"] == found["plain"]["video"]["mean"] == 100
    assert found["transfer"]["trained"]["audio->video"]["mean"] > found["majority"] + 20
    assert found["retrieval_chance"]["audio->video"]["R@5"] == pytest.approx(100 * 5 / 6)
    text = (out / "tuxpaint.md").read_text()
    assert "majority 33.3" in text
    assert (out / "seed-0" / "config.yaml").is_file()
    assert [d for d in said.json["failing"] if not d.startswith("retrieval")] == [
        d
        for d, s in found["transfer"]["trained"].items()
        if len(set(d.split("->"))) == 2
        and s["mean"] <= max(found["majority"], found["transfer"]["shuffled_pairs"][d]["mean"])
    ]


def test_bad_options_are_refused_by_name(cmg, package, tmp_path):
    said = cmg("data", "tuxpaint", package, "--out", tmp_path / "s", "--stamps", "0")
    assert said.code == 2
    assert "--stamps 0" in said.err
    said = cmg("data", "tuxpaint", package, "--out", tmp_path / "s", "--languages", "xx")
    assert said.code == 2
    assert "described in xx" in said.err
    said = cmg("tuxpaint", "compare", "--source", package, "--out", tmp_path / "t", "--seeds", "0")
    assert said.code == 2
    assert "--seeds 0" in said.err
