"""``cmg baselines RUN``: what it keeps, does not do again, goes on with, and refuses."""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.paired import paired_store

from cmg.baselines.infonce import infonce_config
from cmg.baselines.record import NAMES, read_baselines
from cmg.config.load import override_config
from cmg.errors import ConfigError, DataError
from cmg.recipes.baselines import baselines, refuse_changed, refuse_control
from cmg.recipes.evaluate import evaluate
from cmg.recipes.pretrain import pretrain
from cmg.report.baselines import evaluation_note
from cmg.runs.checkpoint import read_checkpoint
from cmg.runs.loop import Pretraining

from .conftest import MODALITIES


class Killed(BaseException):
    """Stands for a signal."""


@pytest.fixture(scope="module")
def done(trained, tmp_path_factory):
    """A run with all baselines."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp("done") / "run")
    baselines(run)
    return run


@pytest.fixture
def killed_after(monkeypatch):
    """Stop a training after so many steps."""
    real = Pretraining._one_step

    def after(steps):
        def counted(self, batch, metrics):
            real(self, batch, metrics)
            if self.position.step == steps:
                raise Killed

        monkeypatch.setattr(Pretraining, "_one_step", counted)
        return lambda: monkeypatch.setattr(Pretraining, "_one_step", real)

    return after


def test_infonce_is_an_ordinary_run_of_that_configuration(done, config):
    """Same weights as training that configuration, same scores as evaluating it."""
    found = read_baselines(done).rows["infonce"]
    trained = pretrain(infonce_config(config))
    expected = evaluate(trained.state.model, infonce_config(config), 0).transfer
    assert found.scores == expected
    assert (found.steps, found.tries) == (10, 1)
    assert found.parameters == sum(p.numel() for _, p in trained.state.named_parameters())
    assert found.seconds > 0
    assert found.cpu_seconds > 0


def test_what_is_there_is_not_done_again(done, cmg):
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()}
    said = cmg("baselines", done, "--json")
    assert said.code == 0, said.err
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*") if p.is_file()} == before
    assert set(said.json["rows"]) == set(NAMES)
    assert said.json["label"] == "class"
    assert said.json["rows"]["ridge"]["scores"]["audio->video"]["n"] == 1


def test_only_some_and_then_the_others(run, cmg):
    said = cmg("baselines", run, "--only", "cca,majority")
    assert said.code == 0, said.err
    assert list(read_baselines(run).scores) == ["cca", "majority"]
    assert "CCA" in said.out
    assert not (run / "baselines").exists()
    kept = read_baselines(run).rows["cca"]
    baselines(run, ["ridge", "cca"])
    assert list(read_baselines(run).scores) == ["ridge", "cca", "majority"]
    assert read_baselines(run).rows["cca"] == kept


def test_a_stopped_training_goes_on(run, done, killed_after):
    go_on = killed_after(7)  # of 10, in the second of two epochs
    with pytest.raises(Killed):
        baselines(run, ["infonce"])
    stopped = read_baselines(run)
    assert stopped.missing == list(NAMES)
    spent = stopped.rows["infonce"].seconds
    assert spent > 0
    go_on()
    seen = []
    found = baselines(run, ["infonce"], lambda what, clips, of: seen.append((what, clips, of)))
    assert seen[0] == ("infonce", 48, 80)  # from the end of the first epoch
    assert seen[-1] == ("infonce", 80, 80)
    assert found.rows["infonce"].scores == read_baselines(done).rows["infonce"].scores
    assert found.rows["infonce"].seconds > spent


def test_probe_and_report_show_them_or_name_the_command(done, run, cmg):
    args = ("--train-on", "audio", "--test-on", "video", "--seeds", 1)
    ridge = read_baselines(done).scores["ridge"]["audio->video"].mean
    said = cmg("probe", "--model", done, *args)
    assert f"ridge {ridge:.1f} %" in said.out
    told = cmg("probe", "--model", done, *args, "--json").json
    assert list(told["baselines"]) == list(NAMES)
    assert told["baselines"]["ridge"]["mean"] == ridge
    command = f"`cmg baselines {run}` adds them"
    assert command in cmg("probe", "--model", run, *args).out
    cmg("report", run)
    page = (run / "report.md").read_text().replace("\\", "")
    assert f"`cmg baselines {run.name}` adds them" in page  # which names no folder of this machine
    cmg("report", done)
    shown = (done / "report.md").read_text()
    assert "cmg baselines" not in shown
    row = next(line for line in shown.splitlines() if line.startswith("| audio → video"))
    assert f" {ridge:.1f} " in row
    assert "What the baselines cost" in shown
    results = json.loads((done / "results.json").read_text())
    assert "ridge" not in results["controls"]  # told once, in baselines.json


def test_a_run_that_is_infonce_says_so(config, tmp_path, cmg):
    pretrain(infonce_config(config), tmp_path / "run")
    said = cmg("baselines", tmp_path / "run", "--only", "infonce")
    assert "is symmetric InfoNCE itself" in said.out
    assert not (tmp_path / "run" / "baselines").exists()
    assert read_baselines(tmp_path / "run").missing == ["ridge", "cca", "linear", "majority"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data.shuffled_pairs": True}, "is a control (shuffled pairs)"),
        ({"training.codebook_only": True}, "is a control (untrained encoders)"),
    ],
)
def test_a_control_has_no_baselines(config, change, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        refuse_control(Path("run"), override_config(config, changes=change))


def test_other_clips_than_those_of_the_run_are_refused(run, tmp_path):
    splits = {"train": 8, "test": 8}
    other = paired_store(tmp_path / "other", MODALITIES, splits, steps=3, classes=3, seed=9)
    with pytest.raises(DataError, match="baselines need the same clips"):
        refuse_changed(run, read_checkpoint(run), other)


def test_unknown_names_and_damaged_files_are_named(run, cmg):
    said = cmg("baselines", run, "--only", "ridge,ccca")
    assert (said.code, "did you mean 'cca'" in said.err) == (2, True)
    assert "names no baseline" in cmg("baselines", run, "--only", ",").err
    (run / "baselines.json").write_text('{"rows": 3}')
    said = cmg("baselines", run)
    assert (said.code, "baselines.json is damaged" in said.err) == (2, True)
    assert "delete it" in said.err


def test_an_evaluation_is_told_how_it_gets_baselines(done, run, tmp_path):
    named, train = ["ridge", "cca"], f"`cmg baselines {run} --only infonce` trains it"
    again = "the same command with --baselines."
    assert evaluation_note(done, named, False) == [f"Baselines (infonce, ridge, cca): {again}"]
    assert evaluation_note(done, named, True) == []
    assert evaluation_note(run, named, False) == [
        f"Baselines (ridge, cca): {again} InfoNCE at equal budget: {train} before."
    ]
    assert evaluation_note(run, named, True) == [
        f"Without InfoNCE: {train}, then the same command has it."
    ]
    assert evaluation_note(tmp_path, named, False) == []  # a checkpoint by itself
