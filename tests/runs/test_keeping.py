"""What a run keeps: the newest whole, one per epoch as weights, and a kill at any moment."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from cmg.config.load import load_config, to_yaml
from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError, ConfigError
from cmg.models.saving import MODEL
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import TRAINING, list_checkpoints, load_model, read_checkpoint
from cmg.runs.folder import read_config
from cmg.runs.keeping import drop_training, thin
from cmg.saved import load_tensors
from cmg.studies.agreement import refuse_other_config

from .test_resume import assert_same_bits, bits


def kept(run):
    """Step of every folder, and what is in it."""
    return {
        int(folder.name[5:]): sorted(p.name for p in folder.iterdir())
        for folder in (run / "checkpoints").iterdir()
    }


WEIGHTS, WHOLE = ["checkpoint.json", MODEL], ["checkpoint.json", MODEL, TRAINING]
EPOCH_STEPS = 5


@pytest.fixture(scope="module")
def full(tiny_config, tmp_path_factory):
    """A finished run of four epochs that keeps all, and its folder."""
    run = tmp_path_factory.mktemp("full") / "run"
    rule = ["training.keep_checkpoints=null", "training.checkpoint_every_steps=4"]
    return pretrain(tiny_config("training.epochs=4", *rule), run), run


def copied(full, path, keep, steps=20):
    """The first steps of the run again, as one that was started with another rule."""
    training, run = full
    shutil.copytree(run, path)
    for folder in list_checkpoints(path):
        if int(folder.name[5:]) > steps:
            shutil.rmtree(folder)
    options = training.config.training.model_copy(update={"keep_checkpoints": keep})
    config = training.config.model_copy(update={"training": options})
    (path / "config.yaml").write_text(to_yaml(config))
    return config


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        ("epochs", {5: WEIGHTS, 10: WEIGHTS, 15: WEIGHTS, 16: WHOLE, 20: WHOLE}),
        (3, {15: WHOLE, 16: WHOLE, 20: WHOLE}),
        (1, {20: WHOLE}),
        (None, dict.fromkeys((4, 5, 8, 10, 12, 15, 16, 20), WHOLE)),
    ],
)
def test_what_is_kept_by_each_rule(full, tmp_path, keep, wanted):
    run, config = tmp_path / "run", copied(full, tmp_path / "run", keep)
    thin(run, config, EPOCH_STEPS)
    assert kept(run) == wanted
    for folder in list_checkpoints(run):
        checkpoint = read_checkpoint(folder)  # every file that is listed, by its checksum
        assert ["checkpoint.json", *checkpoint.files] == wanted[checkpoint.position.step]
        assert (folder / MODEL).read_bytes() == (
            full[1] / "checkpoints" / folder.name / MODEL
        ).read_bytes()
    files = (file for folder in list_checkpoints(run) for file in folder.glob("*.safetensors"))
    written = sum(x.nbytes for file in files for x in load_tensors(file).values())
    expected = replace(full[0], config=config).expected_bytes
    assert abs(expected - written) < 0.2 * written


class Killed(BaseException):
    """The process is gone."""


def killed_at(monkeypatch, number, act):
    """Do `act`, dead from the `number`-th change of a folder on; whether it came that far."""
    calls = 0

    def counted(real):
        def change(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls >= number:
                raise Killed
            return real(*args, **kwargs)

        return change

    with monkeypatch.context() as patch:
        for name in ("unlink", "rmdir", "replace", "rename"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            act()
        except Killed:
            return True
    return False


def complete(run):
    """What is kept, without the traces of a kill that no one reads."""
    return {step: [f for f in files if f[0] != "."] for step, files in kept(run).items()}


@pytest.mark.parametrize("keep", ["epochs", 2])
def test_killed_between_any_two_steps_of_thinning_out(full, tmp_path, monkeypatch, keep):
    """Every checkpoint can be read, the newest two are whole, and the next call ends the work."""
    config = copied(full, tmp_path / "done", keep)
    thin(tmp_path / "done", config, EPOCH_STEPS)
    for number in range(1, 99):
        run = tmp_path / f"killed-{number}"
        copied(full, run, keep)
        if not killed_at(monkeypatch, number, lambda run=run: thin(run, config, EPOCH_STEPS)):
            break
        for folder in list_checkpoints(run):
            read_checkpoint(folder)
        newest = [read_checkpoint(f).files for f in list_checkpoints(run)[-2:]]
        assert newest == [(MODEL, TRAINING)] * 2
        thin(run, config, EPOCH_STEPS)
        assert complete(run) == kept(tmp_path / "done")
    assert number > 10, "there are that many moments"
    assert kept(run) == kept(tmp_path / "done")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_while_keeping_goes_on_to_the_bits_of_a_whole_run(
    full, tmp_path, monkeypatch, number
):
    config = copied(full, tmp_path / "run", "epochs", steps=16)
    training = prepare(config, tmp_path / "run", resume=True)
    assert training.position.step == 16
    assert killed_at(monkeypatch, number, training.train)
    resumed = pretrain(config, tmp_path / "run", resume=True)
    assert_same_bits(bits(full[0]), bits(resumed))
    wanted = {5: WEIGHTS, 10: WEIGHTS, 15: WEIGHTS, 16: WHOLE, 20: WHOLE}
    assert complete(tmp_path / "run") == wanted


def test_what_a_killed_process_left_half_written_is_taken_away(full, tmp_path):
    config = copied(full, tmp_path / "run", None)
    partial = tmp_path / "run" / "checkpoints" / ".step-00000020.partial-0123abcd"
    partial.mkdir()
    (partial / MODEL).write_bytes(b"half of it")
    pretrain(config, tmp_path / "run", resume=True)
    assert kept(tmp_path / "run") == kept(full[1])


@pytest.mark.parametrize(("before", "wanted"), [("null", None), ("1", 1), (None, None)])
def test_an_old_run_keeps_what_it_was_promised(full, tmp_path, before, wanted):
    """Null kept all of them whole, as did runs from before there was the key."""
    run, config = tmp_path / "run", copied(full, tmp_path / "run", wanted, steps=16)
    if before is None:
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(text.replace("  keep_checkpoints: null\n", ""))
        for description in (run / "checkpoints").glob("*/checkpoint.json"):
            told = json.loads(description.read_text())
            del told["config"]["training"]["keep_checkpoints"]
            description.write_text(json.dumps(told))
        assert load_config(str(run / "config.yaml")).training.keep_checkpoints == "epochs"
        assert read_checkpoint(run).config.training.keep_checkpoints is None
    assert read_config(run) == config
    resumed = pretrain(read_config(run), run, resume=True)
    assert_same_bits(bits(full[0]), bits(resumed))
    assert kept(run) == ({20: WHOLE} if wanted else kept(full[1]))


def test_a_run_keeps_what_it_was_started_to_keep_whoever_resumes_it(full, tmp_path, tiny_config):
    """A study, or a script with `load_config("own-data")`, begun by a version with another rule."""
    new = copied(full, tmp_path / "run", 2, steps=16)
    old = copied(full, tmp_path / "old", None, steps=16)
    assert pretrain(new, tmp_path / "old", resume=True).config == old
    assert kept(tmp_path / "old") == kept(full[1])
    refuse_other_config("the study", old, new, "")
    with pytest.raises(ConfigError, match=r"training\.epochs"):
        refuse_other_config("the study", old, tiny_config(), "")


def test_a_run_whose_newest_checkpoint_is_weights_only_says_which_one_can_be_resumed(
    full, tmp_path
):
    run, config = tmp_path / "run", copied(full, tmp_path / "run", None)
    *_, middle, newest = list_checkpoints(run)
    drop_training(newest)
    with pytest.raises(CheckpointError, match=r"weights only.*newest that can is step-00000016"):
        prepare(config, run, resume=True)
    newest.rename(tmp_path / newest.name)  # as it says
    assert prepare(config, run, resume=True).position.step == 16
    for folder in list_checkpoints(run):
        drop_training(folder)
    with pytest.raises(CheckpointError, match=r"none of the 7 checkpoints can.*--model"):
        prepare(config, run, resume=True)
    assert load_model(run).size == 9
    assert read_checkpoint(middle).files == (MODEL,)


def test_an_edited_description_is_left_alone(full, tmp_path):
    config = copied(full, tmp_path / "run", "epochs")
    (tmp_path / "run" / "checkpoints" / "step-00000005" / "checkpoint.json").write_text("{")
    thin(tmp_path / "run", config, EPOCH_STEPS)
    assert kept(tmp_path / "run")[5] == WHOLE
    assert kept(tmp_path / "run")[10] == WEIGHTS


NEWEST = ["own-data", "digits", "digits-published", "tuxpaint", "watch", "emoji"]
EPOCHS = ["audio-video-text", "audio-video", "audio-text", "video-text", "simulated"]


@pytest.mark.parametrize(
    ("name", "wanted"), [(n, 2) for n in NEWEST] + [(n, "epochs") for n in EPOCHS]
)
def test_named_runs(name, wanted):
    assert load_config(name).training.keep_checkpoints == wanted
    assert RunConfig().training.keep_checkpoints == "epochs"


def test_the_command_says_what_is_kept_and_how_much(cmg, tiny_config, tmp_path):
    wide = tiny_config("training.epochs=2", "model.width=64")
    (tmp_path / "config.yaml").write_text(to_yaml(wide))
    said = cmg("pretrain", tmp_path / "config.yaml", "--out", tmp_path / "run", "--json")
    assert said.code == 0
    assert "checkpoints will take about 8 MB (training.keep_checkpoints=epochs)" in said.err
    size = sum(p.stat().st_size for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert (said.json["checkpoints"], said.json["bytes"]) == (2, size)
    again = cmg("pretrain", "--resume", "--out", tmp_path / "run")
    assert "2 checkpoints (training.keep_checkpoints=epochs), 8 MB in all" in again.out
