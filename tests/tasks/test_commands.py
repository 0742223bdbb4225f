"""``cmg evaluate`` and ``cmg select`` as they are typed."""

import json

import pytest

from cmg.cli import tasks as commands
from cmg.recipes.evaluate_tasks import CheckpointScore, Selection
from cmg.runs.selection import SELECTED


@pytest.fixture
def opened(monkeypatch, folder):
    """`--data` is the small collection, whatever it says."""
    import cmg.official.collection

    asked = []

    def open_collection(where, lists=None, **more):
        asked.append((where, lists, more))
        return folder

    monkeypatch.setattr(cmg.official.collection, "open_collection", open_collection)
    return asked


def test_cmg_evaluate_prints_a_table_per_benchmark(cmg, opened, early, tmp_path):
    out = tmp_path / "out"
    arguments = ["--data", "ROOT", "--model", early, "--seeds", 1, "--out", out, "--lists", "L"]
    said = cmg("evaluate", "ucf-vgg", *arguments, "--protocol", "clean")
    assert said.code == 0
    assert "UCF101 (video) and VGGSound (audio)" in said.out
    assert "clean video → audio" in said.out
    assert opened == [("ROOT", "L", {"text": "none"})]
    said = cmg("evaluate", "ucf-vgg", *arguments, "--protocol", "clean")
    assert said.code == 2
    assert "replace it with --overwrite" in said.err
    first, exported = json.loads((out / "results.json").read_text()), tmp_path / "exported"
    assert cmg("export", early, exported).code == 0
    arguments[3] = exported  # it is a run to the benchmarks as well
    said = cmg("evaluate", "ucf-vgg", *arguments, "--protocol", "clean", "--overwrite", "--json")
    assert said.json == first == json.loads((out / "results.json").read_text())


def test_cmg_select_prints_a_row_per_checkpoint(cmg, opened, run):
    said = cmg("select", run, "--data", "ROOT", "--protocol", "published", "--seeds", 1)
    assert said.code == 0
    assert said.out.count("step-000") == 4  # three rows, and the sentence
    assert "too late" in said.out
    assert f"27 of 30 epochs have no checkpoint in {run} and were not compared" in said.err
    said = cmg("select", run, "--data", "ROOT", "--seeds", 1, "--json")
    assert said.json["protocol"] == "clean"
    assert (said.json["epochs"], said.json["missing"]) == (30, 27)
    assert said.json["marked"] == str(run / SELECTED)
    (run / SELECTED).unlink()


@pytest.mark.parametrize(
    ("epochs", "missing"),
    [((1, 2, 3), 0), ((0, 1, 2, 2), 0), ((3,), 2), ((0, 4), 3), ((9, 10), 8), ((0,), 0)],
)
def test_cmg_select_counts_the_epochs_that_a_thinned_run_lacks(
    cmg, opened, tmp_path, monkeypatch, epochs, missing
):
    """Of the newest checkpoint; a start and a stop within an epoch are no epochs."""
    scores = [CheckpointScore(f"step-{n}", e, n, None) for n, e in enumerate(epochs)]
    found = Selection("ave", "clean", scores, scores[-1], epochs[-1])
    monkeypatch.setattr("cmg.recipes.evaluate_tasks.select", lambda *_: found)
    said = cmg("select", tmp_path, "--data", "ROOT", "--json")
    assert (said.code, said.json["missing"]) == (0, missing)
    warned = f"{missing} of {epochs[-1]} epochs have no checkpoint in {tmp_path} and"
    assert (warned in said.err) == (missing > 0)
    assert ("no checkpoint" in said.err) == (missing > 0)


def test_errors_of_the_commands_are_messages(cmg, opened, run, tmp_path):
    out = tmp_path / "out"
    said = cmg("evaluate", "avee", "--data", "ROOT", "--model", run, "--out", out)
    assert said.code == 2
    assert "did you mean 'ave'" in said.err
    said = cmg("evaluate", "ave", "--data", "ROOT", "--model", run, "--out", out)
    assert said.code == 2
    assert "use --protocol clean" in said.err
    said = cmg("evaluate", "ave", "--data", "R", "--model", run, "--out", out, "--device", "tpu")
    assert said.code == 2
    assert not out.exists()
    assert not list(tmp_path.iterdir())


def test_the_bar_follows_what_is_counted(capsys):
    with commands.progress_bar() as tell:
        tell("encode ave video", 32, 64)
        tell("encode ave video", 64, 64)
    assert capsys.readouterr().out == ""


def test_cmg_evaluate_reads_some_dimensions(cmg, opened, early, tmp_path):
    arguments = ["--data", "ROOT", "--model", early, "--seeds", 1, "--protocol", "clean"]
    kept = ["--dimensions", "keep=7,largest=2,smallest=1"]
    said = cmg("evaluate", "ucf-vgg", *arguments, "--out", tmp_path / "out", *kept)
    assert said.code == 2
    assert "keep 6 or 9, or set as_coded=true, which keeps 6" in said.err
    kept[1] += ",as_coded=true"
    said = cmg("evaluate", "ucf-vgg", *arguments, "--out", tmp_path / "out", *kept)
    assert said.code == 0
    assert "6 of the 7 dimensions asked for are kept" in said.out
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["about"]["dimensions"]["keep"] == 7
    said = cmg("evaluate", "ucf-vgg", *arguments, "--out", tmp_path / "o", "--dimensions", "7")
    assert said.code == 2
    assert "7: Extra inputs are not permitted" in said.err
