"""Runs, stores and checkpoints that are elsewhere, or thinned; a preset on data of one's own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from cmg.config.load import load_config
from cmg.config.named import PRESET, named
from cmg.config.schema import RunConfig
from cmg.data.inmemory import write_store
from cmg.data.store import open_store
from cmg.errors import ModalityError
from cmg.recipes.pretrain import chosen_modalities
from cmg.runs.checkpoint import list_checkpoints, load_model, read_checkpoint
from cmg.runs.folder import settled

PROBE = ("--train-on", "audio", "--test-on", "video", "--seeds", 1, "probe.epochs=1")


@pytest.fixture
def project(oddly_named, cmg, monkeypatch, small):
    """A copy of the store and a run of one epoch, trained by relative paths; it is the cwd."""

    def make(root, **moved):
        shutil.copytree(oddly_named / "st", root / "st")
        monkeypatch.chdir(root)
        told = cmg("pretrain", "data=st", *small, "training.epochs=1", "--out", "run")
        assert told.code == 0, told.err
        return root

    return make


def as_before(run):
    """Let a run name its store as runs before did: as typed."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["store"] = "st"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for checkpoint in list_checkpoints(run):
        told = json.loads((checkpoint / "checkpoint.json").read_text())
        told["config"]["data"]["store"] = "st"
        (checkpoint / "checkpoint.json").write_text(json.dumps(told))
    facts = json.loads((run / "run.json").read_text())
    del facts["from_run"]
    (run / "run.json").write_text(json.dumps(facts))


def test_a_run_finds_its_store_from_every_folder_and_after_moves(
    project, tmp_path, cmg, monkeypatch
):
    root = project(tmp_path / "one")
    assert read_checkpoint("run").config.data.store == str(root / "st")
    (root / "elsewhere").mkdir()
    monkeypatch.chdir(root / "elsewhere")
    for command in (
        ["probe", "--model", "../run", *PROBE],
        ["evaluate", "retrieval", "--model", "../run", "--out", "found"],
        ["report", "../run"],
        ["pretrain", "--out", "../run", "--resume"],
    ):
        told = cmg(*command)
        assert told.code == 0, told.err
    (tmp_path / "one").rename(tmp_path / "two")  # the run together with its store
    monkeypatch.chdir(tmp_path)
    told = cmg("probe", "--model", "two/run", *PROBE)
    assert told.code == 0, told.err
    assert cmg("pretrain", "--out", "two/run", "--resume").code == 0


def test_a_moved_store_is_taken_where_its_content_agrees(project, tmp_path, cmg, monkeypatch):
    root = project(tmp_path / "p")
    hashed = open_store("st").content_hash
    other = write_store(tmp_path / "other", {m: np.ones((4, 2, 5)) for m in ("audio", "video")})
    Path("st").rename("moved")
    told = cmg("pretrain", "--out", "run", "--resume")
    assert told.code == 2
    assert f"no store at {root / 'st'}" in told.err
    assert "--resume data=STORE" in told.err
    told = cmg("pretrain", f"data={other.path}", "--out", "run", "--resume")
    assert told.code == 2
    assert hashed[:12] in told.err
    assert other.content_hash[:12] in told.err
    assert "only" not in told.err
    told = cmg("pretrain", "data=moved", "training.seed=3", "--out", "run", "--resume")
    assert "training.seed is 0 in the run, 3 here" in told.err
    assert "data=STORE" in told.err
    assert read_checkpoint("run").config.data.store == str(root / "st"), "nothing was changed"
    told = cmg("pretrain", "data=moved", "--out", "run", "--resume")
    assert told.code == 0, told.err
    monkeypatch.chdir(tmp_path)
    for command in (["probe", "--model", "p/run", *PROBE], ["report", "p/run"]):
        told = cmg(*command)
        assert told.code == 0, told.err


@pytest.fixture
def decoy():
    """Writes another store, which the run's commands could read as well."""

    def make(place):
        shape, splits = (12, 3, 5), ["train"] * 8 + ["test"] * 4
        audio, video = np.random.default_rng(1).normal(size=(2, *shape)).astype("f4")
        write_store(place, {"audio": audio, "video": video}, split=splits)

    return make


@pytest.mark.parametrize("told_of_the_move", [True, False])
def test_only_the_runs_own_data_are_found_beside_it(
    project, decoy, tmp_path, cmg, monkeypatch, told_of_the_move
):
    root = project(tmp_path / "p")
    monkeypatch.chdir(tmp_path)
    (root / "st").rename(root / "moved")
    if told_of_the_move:
        assert cmg("pretrain", f"data={root}/moved", "--out", root / "run", "--resume").code == 0
    decoy(root / "st")
    root.rename(tmp_path / "two")
    found = read_checkpoint("two/run").config.data.store
    assert found == str(tmp_path / "two" / "moved" if told_of_the_move else root / "st")
    told = cmg("probe", "--model", "two/run", *PROBE)
    assert told.code == (0 if told_of_the_move else 2), told.err
    assert told_of_the_move or f"no store at {root / 'st'}" in told.err


def test_what_is_now_where_a_project_was_is_not_the_runs_store(project, decoy, tmp_path):
    project(tmp_path / "one").rename(tmp_path / "two")
    decoy(tmp_path / "one" / "st")
    assert read_checkpoint(tmp_path / "two/run").config.data.store == str(tmp_path / "two/st")


def test_a_run_from_before_resumes_where_it_was_started(project, tmp_path, cmg, monkeypatch):
    root = project(tmp_path / "p")
    as_before(root / "run")
    (root / "elsewhere").mkdir()
    monkeypatch.chdir(root / "elsewhere")
    told = cmg("pretrain", "--out", "../run", "--resume")
    assert f"no store at st: there is no such folder in {root / 'elsewhere'};" in told.err
    monkeypatch.chdir(root)
    assert cmg("pretrain", "--out", "run", "--resume").code == 0
    assert read_checkpoint("run").config.data.store == str(root / "st"), "found from now on"


def test_names_and_addresses_stay_as_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for typed, kept in (
        ("digits", "digits"),
        ("digits:0", "digits:0"),
        ("s3://bucket/store", "s3://bucket/store"),
        ("./digits", str(tmp_path / "digits")),
        ("../st", str(tmp_path.parent / "st")),
        (str(tmp_path / "st"), str(tmp_path / "st")),
    ):
        config = RunConfig.model_validate({"data": {"store": typed, "lists": "l"}})
        assert settled(config).data.store == kept
        assert settled(config).data.lists == str(tmp_path / "l")


@pytest.fixture
def thinned(oddly_named, tmp_path):
    """A copy of the run, with weights alone in its newest checkpoint."""
    shutil.copytree(oddly_named / "run", tmp_path / "run")
    (list_checkpoints(tmp_path / "run")[-1] / "training.safetensors").unlink()
    return tmp_path / "run"


def test_weights_alone_suffice_to_use_a_model(thinned, oddly_named, cmg, tmp_path):
    load_model(thinned)
    id_, to = "-0abcdEfgh15", ["--from", "audio", "--to", "video"]
    for command in (
        ["probe", "--model", thinned, *PROBE],
        ["encode", oddly_named / "st", "--model", thinned, "--out", tmp_path / "codes.jsonl"],
        ["retrieve", id_, "--model", thinned, *to],
        ["evaluate", "retrieval", "--model", thinned, "--out", tmp_path / "found"],
        ["report", thinned],
    ):
        told = cmg(*command)
        assert told.code == 0, told.err


def test_weights_alone_do_not_suffice_to_resume(thinned, cmg):
    older, newest = list_checkpoints(thinned)
    told = cmg("pretrain", "--out", thinned, "--resume")
    assert told.code == 2
    assert f"{newest} holds weights only (no training.safetensors)" in told.err
    assert f"the newest that can is {older.name}" in told.err
    (older / "training.safetensors").unlink()
    assert "none of the 2 checkpoints can" in cmg("pretrain", "--out", thinned, "--resume").err
    told = cmg("convert", thinned, "--to-official", thinned / "official.pt")
    assert (told.code, "training.safetensors" in told.err) == (2, True)


def test_a_copied_method_trains_on_modalities_of_ones_own(oddly_named, cmg, tmp_path, small):
    """The widths of the preset beside it have no effect."""
    file = tmp_path / "my.yaml"
    assert cmg("presets", "copy", "light", file).code == 0
    given = [
        "pretrain",
        "digits",
        f"method={file}",
        f"data={oddly_named / 'st'}",
        *small,
        "--out",
        tmp_path / "run",
    ]
    with pytest.warns(UserWarning, match=r"model\.detail_width\.text has no effect: store .*video"):
        told = cmg(*given, "model.temporal={kind: mlp, hidden: 8}")
    assert told.code == 0, told.err


@pytest.mark.filterwarnings("ignore:model")
@pytest.mark.parametrize("name", named(PRESET))
def test_a_named_run_meets_other_modalities(oddly_named, name):
    store = open_store(oddly_named / "st")
    config = load_config(name)
    foreign = set(config.data.modalities or ()) - {"audio", "video"}
    if foreign:
        with pytest.raises(ModalityError, match=r"data\.modalities: store .* no modality '(\w+)'"):
            chosen_modalities(store, config)
        return
    found = chosen_modalities(store, config)
    assert {m.name: m.detail_width for m in found} == {
        m: config.model.detail_width.get(m, 256) for m in ("audio", "video")
    }
