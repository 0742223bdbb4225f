"""``cmg probe`` and ``cmg.probe``: one number for one question."""

from __future__ import annotations

import numpy as np

from cmg.config.load import load_config
from cmg.data import write_store
from cmg.decoders.heads import ProbeOptions
from cmg.recipes.evaluate import probe
from cmg.recipes.pretrain import pretrain
from cmg.runs.checkpoint import load_model


def test_a_penalty_is_chosen_on_the_validation_split_however_one_asks(cmg, tmp_path):
    """By the command, of a run, and of a model with its split named; without it another is."""
    rng = np.random.default_rng(3)
    kinds = [i % 3 for i in range(90)]
    shown = [rng.normal(size=(2, 4)) + k for k in kinds]
    kinds[30:60] = [0, 0, 1] * 10  # a validation part that says something else than training clips
    arrays = {m: [x + rng.normal(size=x.shape) for x in shown] for m in ("audio", "video")}
    split = ["train"] * 30 + ["val"] * 30 + ["test"] * 30
    store = write_store(tmp_path / "st", arrays, split=split, labels={"kind": kinds})
    small = ["model.width=8", "training.epochs=1", "data.batch_size=10", "model.codebook.size=8"]
    given = [f"data.store={store.path}", "data.val_split=val", *small]
    run = tmp_path / "run"
    pretrain(load_config(None, given, method="contrast"), run)
    options, pair = ProbeOptions(head="logistic", temperature=0.1), ("audio", "video")
    wanted = probe(run, store, *pair, options=options)
    model = load_model(run)
    assert probe(model, store, *pair, options=options, val_split="val") == wanted
    ends = ["--train-on", "audio", "--test-on", "video", "--seeds", 1]
    told = cmg("probe", "--model", run, *ends, "--json").json
    assert told["transfer"]["mean"] == wanted.transfer.mean
    assert probe(model, store, *pair, options=options) != wanted


def test_a_probe_reads_the_dimensions_that_it_is_told(cmg, tmp_path):
    """By an override; where the ratio does not divide them, refused or said."""
    rng = np.random.default_rng(0)
    kinds = [i % 3 for i in range(60)]
    arrays = {m: [rng.normal(size=(2, 4)) + k for k in kinds] for m in ("audio", "video")}
    split = ["train"] * 40 + ["test"] * 20
    store = write_store(tmp_path / "st", arrays, split=split, labels={"kind": kinds})
    small = ["model.width=8", "training.epochs=1", "data.batch_size=10", "model.codebook.size=8"]
    run = tmp_path / "run"
    pretrain(load_config(None, [f"data.store={store.path}", *small], method="light"), run)
    ends = ["--model", run, "--train-on", "audio", "--test-on", "video", "--seeds", 1]
    given = "probe.dimensions={keep: 7, largest: 1, smallest: 1"
    said = cmg("probe", *ends, f"{given}}}")
    assert said.code == 2
    assert "keep = 7 is no multiple of largest + smallest = 2; keep 6 or 8" in said.err
    said = cmg("probe", *ends, f"{given}, as_coded: true}}", "--json")
    assert said.code == 0
    assert any("6 of the 7 dimensions" in line for line in said.json["remarks"])
    assert cmg("probe", *ends, "probe.dimensions.keep=8").code == 0
    said = cmg("probe", *ends, "probe.dimensions.keep=9")
    assert said.code == 2
    assert "code vectors have 8 dimensions; keep at most so many" in said.err
