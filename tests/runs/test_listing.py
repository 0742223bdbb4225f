"""`cmg runs`: what is told of runs by their small files; damaged ones; folders without any."""

import json
import subprocess
import sys

import pytest

from cmg.config.load import load_config

SCORES = {"a->a": 90.0, "a->b": 50.0, "b->a": 30.0}


def made(run, config, epoch, day=1, transfer=True):
    """A run folder without tensors: 1000 bytes stand for them."""
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("training: {epochs: 9}\n")
    told = {"started": f"2026-01-0{day}T23:30:00-02:00", "data_hash": "0", "store": "digits"}
    (run / "run.json").write_text(json.dumps(told))
    if epoch:
        for step in (9, epoch * 10):
            folder = run / "checkpoints" / f"step-{step:08d}"
            folder.mkdir(parents=True)
            position = {"step": step, "epoch": epoch if step > 9 else 0}
            checkpoint = {"position": position, "config": config.model_dump(mode="json")}
            (folder / "checkpoint.json").write_text(json.dumps(checkpoint))
            (folder / "model.safetensors").write_bytes(bytes(500))
    if transfer:
        means = {d: {"mean": x, "std": 0.0, "n": 1} for d, x in SCORES.items()}
        (run / "results.json").write_text(json.dumps({"transfer": means}))
    return run


def test_every_run_is_told_in_a_line_the_newest_first(cmg, tmp_path):
    own = {"training.epochs": 3, "data.store": "/some/where/mine"}
    plain = load_config(None, method="contrast", changes=own)
    made(tmp_path / "first", plain, 3)
    other = load_config("digits", ["training.epochs=3"])
    made(tmp_path / "deep" / "seed-0", other, 2, day=2, transfer=False)
    terms = load_config("digits", ["objectives.clip_info_nce=null"])
    (made(tmp_path / "new", terms, 0, day=3, transfer=False) / "x").write_bytes(bytes(10))
    (tmp_path / "first" / "baselines").mkdir()
    told = cmg("runs", tmp_path, "--json").json["runs"]
    assert [run["name"] for run in told] == ["new", "deep/seed-0", "first"]
    new, deep, first = told
    assert (new["method"], new["epoch"], new["epochs"], new["finished"]) == ("?", 0, 9, False)
    assert (deep["method"], deep["epoch"], deep["epochs"]) == ("contrast, changed", 2, 3)
    assert (first["method"], first["data"], first["finished"]) == ("contrast", "mine", True)
    assert [run["transfer"] for run in told] == [None, None, 40.0]
    assert first["started"] == "2026-01-02T01:30:00+00:00"
    files = (p for p in (tmp_path / "first").rglob("*") if p.is_file())
    assert first["bytes"] == sum(p.stat().st_size for p in files) > 1000
    shown = cmg("runs", tmp_path).out
    assert "stopped or under way at 2 of 3" in shown
    assert "no epoch of 9 yet" in shown
    assert "40.0" in shown
    assert cmg("runs", tmp_path / "first", "--json").json["runs"][0]["name"] == "first"


def test_a_method_is_told_by_its_terms_and_values():
    from cmg.runs.listing import method_of, stated_methods

    methods = stated_methods()
    for name in methods:
        config = load_config(None, method=name).model_dump(mode="json")
        assert method_of(config, methods) == name
    own = load_config("digits", ["objectives.clip_margin={}"]).model_dump(mode="json")
    assert method_of(own, methods) == "clip_info_nce + clip_margin + commitment + step_info_nce"


def test_damaged_runs_are_listed_as_such(cmg, tmp_path):
    config = load_config("digits")
    made(tmp_path / "good", config, 1)
    bad = made(tmp_path / "bad[x]", config, 1)
    (bad / "run.json").write_text("{")
    (bad / "results.json").write_text('{"transfer": {"a->b": 3, "b->a": {"mean": "x"}}}')
    told = {run["name"]: run for run in cmg("runs", tmp_path, "--json").json["runs"]}
    assert told["bad[x]"]["damage"] == "run.json cannot be read"
    assert (told["bad[x]"]["transfer"], told["good"]["damage"]) == (None, "")
    assert "damaged: run.json" in cmg("runs", tmp_path).out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["absent"], "does not exist; `cmg pretrain --out runs/NAME` writes a run there"),
        (["."], "no run is in .; `cmg pretrain --out runs/NAME` writes one"),
        (["file"], "file is no folder"),
        (["list"], "presets and methods are told by `cmg presets list`"),
        (["show", "digits"], "told by `cmg presets show digits`"),
        ([], "runs does not exist"),
    ],
)
def test_folders_without_runs(cmg, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    said = cmg("runs", *words)
    assert said.code == 2
    assert told in said.err


def test_runs_and_presets_are_listed_without_torch(tmp_path):
    made(tmp_path / "one", load_config("digits"), 1)
    commands = [["runs", str(tmp_path)], ["presets", "list"], ["presets", "show", "digits"]]
    code = (
        "import sys; from cmg.cli.main import app; "
        f"[app(words, standalone_mode=False) for words in {commands!r}]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
