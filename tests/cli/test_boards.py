"""What is written for TensorBoard and Weights & Biases; the latter to a stand-in of its API."""

import re
import sys
from collections import namedtuple
from types import ModuleType

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.tiny import QUICK

from cmg.files import shutil
from cmg.runs.checkpoint import load_model
from cmg.runs.folder import read_metrics

RUN = ["digits", *QUICK, "data.batch_size=80", "data.fraction=0.1"]


class StandIn(ModuleType):
    """Of the package, as far as it is used: `init`, `log`, `finish`, `Image`, `Table`."""

    def __init__(self):
        super().__init__("wandb")
        self.begun, self.logged, self.finished = [], [], 0
        self.Image = namedtuple("Image", "pixels")
        self.Table = namedtuple("Table", "columns data")

    def init(self, **given):
        self.begun.append(given)
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1


def test_tensorboard_has_curves_settings_codes_and_transfer(cmg, tmp_path):
    run = tmp_path / "run"
    told = cmg("pretrain", *RUN, "training.tensorboard=true", "--out", run)
    assert told.code == 0, told.err
    assert f"tensorboard --logdir {run}" in told.err
    assert cmg("report", run).code == 0
    found = EventAccumulator(str(run / "tensorboard"))
    found.Reload()
    scalars = [event.value for event in found.Scalars("loss/total")]
    assert scalars == pytest.approx([line["loss/total"] for line in read_metrics(run)], rel=1e-5)
    (score,) = found.Scalars("transfer/audio->video")
    assert 0 <= score.value <= 100
    assert score.step == len(scalars)
    assert set(found.Tags()["images"]) == {
        *("codebook/audio", "codebook/text", "codebook/video"),
    }
    settings = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"model.codebook.size" in settings
    rows = next(run.glob("tensorboard/*/codes/tensors.tsv")).read_text().splitlines()
    read = torch.tensor([[float(x) for x in row.split("\t")] for row in rows])
    torch.testing.assert_close(read, load_model(run).codebook.codes)
    facts = next(run.glob("tensorboard/*/codes/metadata.tsv")).read_text().splitlines()
    assert facts[0].split("\t") == ["code", "audio", "video", "text", "class"]
    assert len(facts) == len(rows) + 1
    *_, told = max((line.split("\t") for line in facts[1:]), key=lambda line: int(line[1]))
    name, share = re.fullmatch(r"(\w+) \((\d+) %\)", told).groups()
    assert name in "zero one two three four five six seven eight nine".split()
    assert int(share) >= 10  # the most frequent of ten classes


def test_weights_and_biases_is_sent_the_same_and_goes_on(cmg, tmp_path, monkeypatch):
    run, asked = tmp_path / "run", [*RUN, "training.wandb=mine"]
    monkeypatch.setitem(sys.modules, "wandb", None)
    told = cmg("pretrain", *asked, "--out", run)
    assert (told.code, run.exists()) == (2, False)
    assert "pip install 'cmg-torch[wandb]'" in told.err
    there = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", there)
    assert cmg("pretrain", *asked, "--out", run).code == 0
    lines = read_metrics(run)
    sent = [(step, values) for step, values in there.logged if "loss/total" in values]
    assert [step for step, _ in sent] == [line["step"] for line in lines]
    assert sent[0][1]["loss/total"] == pytest.approx(lines[0]["loss/total"], rel=1e-5)
    names = {name for _, values in there.logged for name in values if name.startswith("code")}
    assert {"codes", "codebook/audio"} <= names
    (first,) = there.begun
    assert (first["project"], first["name"]) == ("mine", "run")
    assert first["config"]["model.codebook.size"] == 8
    assert cmg("pretrain", "training.epochs=2", "--out", run, "--resume").code == 0
    assert there.begun[1]["id"] == first["id"]
    assert there.finished == 2


def test_space_is_asked_for_before_anything_is_written(cmg, tmp_path, monkeypatch):
    run = tmp_path / "a" / "run"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(9_000))
    told = cmg("pretrain", *RUN, "--out", run)
    assert told.code == 2
    assert f"{run} is going to take about " in told.err
    assert "0 MB are free there; free space, choose another --out" in told.err
    assert not run.parent.exists()
