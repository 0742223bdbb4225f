"""Every command as a user types it: what it prints, writes and refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import cmg as package

from .conftest import write_arrays

FOUR = {"audio": (5,), "depth": (3, 4, 2), "eeg": (7,), "text": (6,)}


@pytest.fixture(scope="module")
def trained(cmg, small, tmp_path_factory):
    """A store of a user's own npy files and a run on it."""
    folder = tmp_path_factory.mktemp("trained")
    store, run = folder / "store", folder / "run"
    listed = write_arrays(folder, FOUR)
    told = cmg("data", "import", "--arrays", listed, "--out", store, "--kind", "text=tokens")
    assert told.code == 0, told.err
    told = cmg("pretrain", f"data={store}", "method=full", *small, "--out", run)
    assert told.code == 0, told.err
    return store, run


def test_help_does_not_import_torch():
    """Nor does what tells the presets; `cmg COMMAND --help` is told by the same imports."""
    code = (
        "import sys; from cmg.cli.main import app; app(['presets', 'list'], standalone_mode=False)"
        "; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_own_npy_files_of_four_modalities_train_probe_encode_and_report(cmg, trained, tmp_path):
    store, run = trained
    told = cmg("data", "info", store, "--json").json
    assert {m: s["kind"] for m, s in told["modalities"].items()} == {
        "audio": "vectors",
        "depth": "maps",
        "eeg": "vectors",
        "text": "tokens",
    }
    assert told["splits"] == {"train": 16, "test": 8}

    probe = ("probe", "--model", run, "--train-on", "eeg", "--test-on", "eeg", "--seeds", 2)
    found = cmg(*probe, "probe.epochs=150", "probe.lr=0.02", "--json").json
    assert found["transfer"]["n"] == 2
    assert found["chance"] == 50.0
    assert found["transfer"] == found["upper_bound"]

    codes = tmp_path / "codes.jsonl"
    assert cmg("encode", store, "--model", run, "--out", codes, "--json").json["clips"] == 24
    rows = [json.loads(line) for line in codes.read_text().splitlines()]
    assert {len(row["codes"]) for row in rows} == {4}
    assert all(0 <= c < 8 for row in rows for cs in row["codes"].values() for c in cs)

    written = cmg("report", run, "--json").json["written"]
    assert [p.rsplit("/", 1)[-1] for p in written] == ["report.html", "report.md"]


def test_test_clips_of_classes_without_a_training_clip_are_remarked(cmg, trained, tmp_path):
    _, run = trained
    kinds = [["cat", "dog"][i % 2] if i < 20 else "new" for i in range(24)]
    own = [f"u{i}" for i in range(24)]
    probe = ["probe", "--model", run, "--train-on", "eeg", "--test-on", "audio", "--seeds", 1]
    for name, classes, count in (("new", kinds, 4), ("own", own, 8)):
        table = tmp_path / f"{name}.csv"
        rows = [f"clip{i},{kind}" for i, kind in enumerate(classes)]
        table.write_text("\n".join(["id,kind", *rows]) + "\n")
        said = cmg(*probe, "probe.epochs=1", "--labels", table, "--json")
        remark = f"label 'kind': {count} of 8 test clips have classes without a training clip ("
        assert [line.startswith(remark) for line in said.json["remarks"]] == [True]
        assert said.json["remarks"][0] in said.err
    assert cmg(*probe, "probe.epochs=1", "--json").json["remarks"] == []


def test_a_run_that_has_collapsed_says_so_at_its_end_and_in_its_report(
    cmg, arrays, tmp_path, small
):
    store, run = tmp_path / "store", tmp_path / "run"
    assert (
        cmg("data", "import", "--arrays", arrays({"a": (2,), "b": (3,)}), "--out", store).code == 0
    )
    apart = ["model.codebook.start=uniform", "model.codebook.reset.enabled=false"]
    args = [
        f"data={store}",
        "method=full",
        *small,
        *apart,
        "training.codebook_only=true",
        "training.epochs=1",
    ]
    said = cmg("pretrain", *args, "--out", run, "--json")
    assert said.code == 0, said.err
    assert len(said.json["remarks"]) == 1
    assert said.json["remarks"][0] in said.err
    assert said.err.count("codes has collapsed") == 1
    with pytest.warns(UserWarning, match="codes has collapsed") as warned:
        package.pretrain(run / "config.yaml")
    assert [str(warning.message) for warning in warned] == said.json["remarks"]
    assert cmg("report", run).code == 0
    told = json.loads((run / "results.json").read_text())
    assert any("has collapsed" in remark for remark in told["remarks"])
    for name in ("report.md", "report.html"):
        assert "has collapsed" in (run / name).read_text()


def test_encoded_codes_are_the_models(cmg, trained, tmp_path):
    store, run = trained
    out = tmp_path / "codes.safetensors"
    cmg("encode", store, "--model", run, "--out", out, "--split", "test")
    clips = package.open_clips(store).split("test")
    batch = package.Batches(clips, 8, shuffle=False).at(0, 0)
    expected = package.load(run).encode(batch)
    for modality, codes in load_file(out).items():
        assert torch.equal(codes, expected[modality])


def test_a_clip_lacking_a_modality_trains_and_encodes_without_it(cmg, arrays, tmp_path, small):
    csv = arrays({"audio": (5,), "video": (2, 2, 3)}, missing="video")
    store, run = tmp_path / "store", tmp_path / "run"
    assert cmg("data", "import", "--arrays", csv, "--out", store).code == 0
    assert cmg("pretrain", f"data={store}", *small, "--out", run).code == 0
    cmg("encode", store, "--model", run, "--out", tmp_path / "codes.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "codes.jsonl").read_text().splitlines()]
    assert [sorted(row["codes"]) for row in rows[:3]] == [
        ["audio"],
        ["audio", "video"],
        ["audio", "video"],
    ]


def test_without_a_time_axis_the_predictive_term_is_same_step_nce(cmg, arrays, tmp_path, small):
    csv = arrays({"audio": (5,), "video": (4,)}, steps=1)
    store, run = tmp_path / "store", tmp_path / "run"
    cmg("data", "import", "--arrays", csv, "--out", store)
    told = cmg("pretrain", f"data={store}", "method=full", *small, "--out", run)
    assert told.code == 0, told.err
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(line["loss/same_step_nce"] > 0 for line in lines)
    assert not any("loss/cross_cpc" in line for line in lines)


@pytest.mark.parametrize("name", ["digits", "dcid"])
def test_presets_list_show_copy(cmg, tmp_path, name):
    """Presets and methods, apart; the copy of either is one to use."""
    told = cmg("presets", "list", "--json").json
    assert list(told) == ["presets", "methods"]
    assert name in told["presets" if name == "digits" else "methods"]
    assert f"  {name} " in cmg("presets", "list").out
    size = cmg("presets", "show", name, "--json").json["model"]["codebook"]["size"]
    assert size == (64 if name == "digits" else 400)
    file = tmp_path / "mine.yaml"
    assert "cmg pretrain" in cmg("presets", "copy", name, file).out
    assert file.read_text() == cmg("presets", "show", name).out
    again = cmg("presets", "copy", name, file)
    assert (again.code, "exists" in again.err) == (2, True)
    unknown = cmg("presets", "show", name[:-1])
    assert (unknown.code, "did you mean 'digits'" in unknown.err) == (2, name == "digits")


@pytest.mark.parametrize(
    ("old", "words", "new"),
    [
        ("tuxpaint", ["compare", "--strict", "-x=1"], "tuxpaint compare"),
        ("data tuxpaint", ["F", "--out", "x"], "tuxpaint build"),
        ("voices", ["read", "--model", "x"], "voices"),
        ("data digits", ["--audio", "log-mel"], "voices build"),
    ],
)
def test_an_experiment_that_is_a_project_now_is_named(old, words, new, cmg):
    for arguments in (words, ["--help"]):
        said = cmg(*old.split(), *arguments)
        assert said.code == 2
        assert f"`python -m projects.{new}`" in said.err
    *group, name = old.split()
    assert f"\n  {name} " not in cmg(*group, "--help").out


def test_verify_tells_a_sound_store_from_a_damaged_one(cmg, arrays, tmp_path):
    store = tmp_path / "store"
    cmg("data", "import", "--arrays", arrays({"a": (2,), "b": (3,)}), "--out", store)
    assert cmg("data", "verify", store).code == 0
    shard = next((store / "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    told = cmg("data", "verify", store, "--json")
    assert told.code == 1
    assert shard.name in told.json["problems"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "digits", "trainin.seed=1", "--out", "x"], "did you mean 'training.seed'"),
        (["pretrain", "digits", "training.epochs=abc", "--out", "x"], "training.epochs"),
        (["pretrain", "digits", "training.epochs=0", "--out", "x"], "training.epochs"),
        (["pretrain", "digit", "--out", "x"], "did you mean 'digits'"),
        (["pretrain", "data=missing", "--out", "x"], "missing"),
        (["probe", "--model", "x", "--train-on", "a", "--test-on", "b"], "does not exist"),
        (["report", "x"], "x"),
        (["encode", "digits", "--model", "x", "--out", "c.jsonl"], "does not exist"),
        (["data", "info", "x"], "x"),
        (["data", "import", "--arrays", "x.csv", "--out", "s"], "x.csv"),
        (["verify-golden", "x"], "cases.json"),
        (["demo", "--recipe", "publishd", "--out", "x"], "publishd"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(
    cmg, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    told = cmg(*arguments)
    assert told.code == 2
    assert said in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten(cmg, trained):
    store, run = trained
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    told = cmg("pretrain", f"data={store}", "--out", run)
    assert told.code == 2
    assert "--resume" in told.err
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*")}


def test_verify_golden_prints_a_line_per_case_and_fails_on_a_wrong_number(cmg, request, tmp_path):
    cases = request.config.rootpath / "tests" / "golden" / "cases"
    listed = json.loads((cases / "cases.json").read_text())["cases"]
    chosen = [c for c in listed if c["name"] in ("audio_encoder", "audio_decoder")]
    for case in chosen:
        shutil.copy(cases / case["file"], tmp_path)
    (tmp_path / "cases.json").write_text(json.dumps({"cases": chosen}))
    told = cmg("verify-golden", tmp_path)
    assert told.code == 0
    assert all(case["name"] in told.out for case in chosen)
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [chosen[0] | {"cls": "Unknown"}]}))
    assert cmg("verify-golden", tmp_path).code == 1


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit needs a POSIX shell")
def test_full_disk_while_importing_leaves_nothing(arrays, tmp_path):
    csv = arrays({"a": (200,), "b": (3,)}, clips=60)
    out = tmp_path / "out"
    command = f"ulimit -f 8; '{sys.executable}' -m cmg data import --arrays '{csv}' --out '{out}/s'"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(out.iterdir()) == []


def test_places_that_cannot_be_written_are_refused_before_any_work(cmg, trained, tmp_path):
    store, run = trained
    file = tmp_path / "file"
    file.write_text("")
    for arguments in (
        ["demo", "--out", file / "demo"],
        ["demo", "--out", tmp_path / "demo", "--json", file / "x.json"],
        ["encode", store, "--model", run, "--out", file / "codes.jsonl"],
        ["report", run, "--out", file / "report"],
    ):
        told = cmg(*arguments)
        assert told.code == 2, arguments
        assert "Traceback" not in told.err
    assert not (tmp_path / "demo").exists()


def test_own_warnings_are_one_line_and_others_say_where_they_are_from():
    from cmg.cli import main

    ours = Path(main.__file__).parents[1] / "recipes" / "pretrain.py"
    assert main.shown("goes on", UserWarning, str(ours), 7) == "warning: goes on\n"
    theirs = main.shown("old", UserWarning, "/other/module.py", 7)
    assert theirs.startswith("/other/module.py:7: UserWarning: old")
