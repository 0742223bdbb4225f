"""``python -m projects.tuxpaint``, on stamps that the test draws."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import pytest

import cmg
from cmg.evaluation.scores import Score
from projects.tuxpaint import store as stamp_store
from projects.tuxpaint.__main__ import app
from projects.tuxpaint.compare import failing
from projects.tuxpaint.tests.drawn import READERS, draw_stamps

QUICK = ["model.width=8", "model.temporal.hidden=16", "model.codebook.size=16"]
QUICK += ["data.batch_size=8", "training.epochs=25", "probe.epochs=60", "probe.lr=0.05"]


@pytest.fixture
def tuxpaint(run):
    return partial(run, app)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    draw_stamps(folder, each=8)
    next(folder.rglob("hat2.png")).write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def readers(monkeypatch):
    monkeypatch.setattr(stamp_store, "packaged_readers", lambda: READERS)


def test_a_store_is_built_and_what_is_damaged_is_named(tuxpaint, package, tmp_path):
    command = ("build", "--source", package, "--out", tmp_path / "store")
    said = tuxpaint(*command)
    assert said.code == 0, said.err
    assert "24 stamps" in said.out
    assert "25 of 25 stamps read" in said.err
    assert "hat2.png cannot be read" in said.err
    store = cmg.open_clips(tmp_path / "store")
    assert store.content_hash in said.out
    said = tuxpaint(*command)
    assert said.code == 2
    assert "exists; name another --out" in said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("build", "--source", "."), "apt-get install tuxpaint-stamps-default"),
        (("compare", "--source", "."), "apt-get install tuxpaint-stamps-default"),
        (("build", "--stamps", "0"), "--stamps 0"),
        (("build", "--languages", "xx"), "described in xx"),
        (("build", "--languages", " ,"), "--languages ''"),
        (("build", "--seed", "-1"), "Invalid value for '--seed'"),
        (("compare", "--seeds", "0"), "Invalid value for '--seeds'"),
        (("compare", "trainin.epochs=1"), "did you mean 'training.epochs'"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(words, told, tuxpaint, package, tmp_path):
    source = () if "--source" in words else ("--source", package)
    said = tuxpaint(*words, *source, "--out", tmp_path / "out")
    assert said.code == 2
    assert told in said.err
    assert not (tmp_path / "out").exists()


def test_what_is_not_above_its_controls_is_named():
    """Across modalities only: heads against majority and shuffled pairs, retrieval the latter."""
    keys = ("classification/a->b", "classification/b->a", "classification/a->a")
    keys += ("retrieval R@1/a->b", "retrieval mAP/a->b", "retrieval R@10/a->b", "codebook/used")

    def row(name, *values):
        scores = {key: Score.of([value]) for key, value in zip(keys, values, strict=True)}
        return SimpleNamespace(variant=SimpleNamespace(name=name), scores=scores)

    trained = row("codes", 40.0, 60.0, 1.0, 9.0, 30.0, 1.0, 1.0)
    shuffled = row("shuffled", 10.0, 60.0, 90.0, 3.0, 30.0, 2.0, 9.0)
    summary = SimpleNamespace(rows=(trained, shuffled))
    assert failing(summary, 39.0) == ["classification/b->a", "retrieval mAP/a->b"]
    assert failing(summary, 40.0) == [*keys[:2], "retrieval mAP/a->b"]


@pytest.mark.slow
def test_a_comparison_has_controls_and_prompts_and_goes_on(tuxpaint, package, tmp_path):
    command = ("compare", *QUICK, "--source", package, "--out", tmp_path / "out")
    command += ("--workers", "1", "--seeds")
    said = tuxpaint(*command, "1")
    assert said.code == 0, said.err
    study = tmp_path / "out" / "study"
    found = json.loads((study / "study.json").read_text())
    rows = {name: row["scores"] for name, row in found["rows"].items()}
    assert {"codes", "codes/soft", "infonce", "shuffled", "untrained", "before"} < set(rows)
    assert {"prompts", "ridge", "cca", "majority"} < set(rows)
    assert "10 clips of 5 unseen stamps, 3 nouns. Of the clips 40.0 %" in found["study"]["about"]
    names = ("audio", "video", "text")
    assert {f"classification/{a}->{b}" for a in names for b in names} <= set(rows["codes"])
    # Colors, pitches and letters tell the nouns apart.
    assert rows["codes"]["classification/audio->video"]["mean"] > 40 + 20
    table = (study / "table.md").read_text()
    assert "## Retrieval mAP" in table
    assert "## Retrieval mAP" in said.out
    assert said.out.splitlines()[-1] == f"More in {study / 'report.html'}"
    again = tuxpaint(*command, "1")
    assert (again.code, again.out) == (0, said.out), again.err
    assert (study / "runs" / "codes" / "seed-0" / "config.yaml").is_file()
    other = tuxpaint(*command, "1", "--stamps", "20")
    assert other.code == 2
    assert "holds other stamps" in other.err
