"""`cmg study`, as a user types it."""

import json
import shlex

import pytest

from .conftest import CHOICE, PAIR


def test_list_names_every_study(cmg):
    code, out, _ = cmg("study", "list")
    assert code == 0
    assert "ablation-avt" in out
    assert "(paper Table 3)" in out
    code, out, _ = cmg("study", "list", "--json")
    told = json.loads(out)["studies"]
    assert told["pretraining-lists"]["needs"] == "collection"
    assert told["ablation-av"]["variants"][-2:] == ["shuffled-pairs", "infonce"]


def test_run_then_table_then_run_again(cmg, store, tiny, tmp_path):
    out = tmp_path / "out"
    command = ["study", "run", "ablation-av", "--data", store, "--base", tiny, "--out", out]
    command += ["--seeds", 2, "--workers", 1, "--only", "full,no-cpc"]
    command += ["training.epochs=2", "model.codebook.size=6"]
    code, said, err = cmg(*command, "--json")
    assert code == 0, err
    told = json.loads(said)
    assert told == json.loads((out / "study.json").read_text()) | {
        "trained": 4,
        "finished_before": 0,
        "left": 0,
        "files": [str(out / n) for n in ("table.md", "plot.svg", "report.html")],
    }
    assert told["rows"]["no-cpc"]["seeds"] == [0, 1]
    assert told["base"]["model"]["codebook"]["size"] == 6
    assert told["base"]["objectives"]["club"]["weight"] == 1

    code, said, _ = cmg(*command)
    assert code == 0
    assert "Parts of the method, audio and video" in said
    assert "Not run yet: no-club" in said
    assert "The paper: Table 2, VGGSound 24k" in said
    before = (out / "table.md").read_bytes()
    (out / "table.md").unlink()
    code, again, _ = cmg("study", "table", out)
    assert code == 0
    assert again == said
    assert (out / "table.md").read_bytes() == before

    code, said, _ = cmg(*command, "--json")
    assert json.loads(said)["trained"] == 0


def test_a_study_of_ones_own_on_the_command_line(cmg, store, tiny, tmp_path):
    study = tmp_path / "mine.yaml"
    study.write_text(PAIR)
    command = ["study", "run", study, "--data", store, "--base", tiny, "--out", tmp_path / "out"]
    code, out, _ = cmg(*command, "--seeds", 1, "--workers", 1, "--keep-runs")
    assert code == 0
    assert "without CMCM" in out
    assert (tmp_path / "out" / "runs" / "full" / "seed-0" / "checkpoints").is_dir()


def test_parts_by_fold_and_by_the_hour_then_merged(cmg, folds, tiny, tmp_path, untrained):
    study = tmp_path / "choice.yaml"
    study.write_text(CHOICE)
    own = ["--only", "plain", "--data", folds, "--base", tiny, "--folds", 3, "--workers", 1]
    command = ["study", "run", study, *own, "--seeds", 1, "--out"]
    said = cmg(*command, tmp_path / "a", "--only-folds", "0,1", "--hours", 0)
    assert said.code == 0
    again = shlex.join(["cmg", *map(str, command), str(tmp_path / "a"), "--only-folds", "0,1"])
    last = f"Stopped after 0 hours; jobs left: 1. Go on with: {again} --hours 0"
    assert said.out.splitlines()[-1] == last
    told = cmg(*command, tmp_path / "a", "--only-folds", "0,1", "--json").json
    assert (told["trained"], told["finished_before"], told["left"]) == (1, 1, 0)
    assert cmg(*command, tmp_path / "b", "--only-folds", "2").code == 0
    told = cmg("study", "merge", tmp_path / "all", tmp_path / "a", tmp_path / "b", "--json").json
    assert told["rows"]["plain"]["folds"] == [0, 1, 2]
    assert told["left"] == 6  # of the variants that were never asked for
    assert untrained == [("plain 0", "0"), ("plain 0", "1"), ("plain 0", "2")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablation-va"], "did you mean 'ablation-av'"),
        (["ablation-av", "--only", "no-clubs"], "did you mean 'no-club'"),
        (["ablation-av", "--base", "nothing"], "no preset named 'nothing'"),
        (["ablation-av", "training.seed=1"], "--seeds"),
        (["ablation-avt"], "modalities=audio,video"),
        (["ablation-av", "--only-folds", "0"], "for a study with folds; say how many with --folds"),
        (["ablation-av", "--only-folds", "a"], "e.g. 0,1,2, and 'a' is none"),
        (["ablation-av", "--folds", "2"], "is a single folder; with folds"),
    ],
)
def test_errors_are_said_and_nothing_is_written(cmg, store, tmp_path, arguments, message):
    code, out, err = cmg("study", "run", *arguments, "--data", store, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
    assert out == ""
    assert not (tmp_path / "out").exists()
