"""Masked contrast and jigsaw as methods: they train, resume, and heads read them."""

import json
import math

import pytest
import torch
import yaml
from tests.paired import paired_store
from tests.tiny import THREE

from cmg.config.load import load_config
from cmg.config.named import METHOD, named
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import load_model, training_tensors
from cmg.saved import flat

METHODS = ("micu", "micu-as-coded")
TERMS = {"masked_contrast/steps", "masked_contrast/clips", "jigsaw"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Audio, video and text of 24 clips of 1 to 4 steps, some without a modality; two classes."""
    path = tmp_path_factory.mktemp("masked") / "store"
    splits = {"train": 24, "test": 12}
    return paired_store(path, THREE, splits, 4, 2, lengths=(1, 4), missing=0.2).path


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "modalities"),
    [
        ("micu", "audio,video,text"),
        ("micu", "audio,text"),
        ("micu-as-coded", "audio,video,text"),
        ("micu-as-coded", "video,audio"),
    ],
)
def test_it_trains_and_heads_read_it(cmg, store, small, tmp_path, name, modalities):
    run, of = tmp_path / "run", modalities.split(",")
    given = [f"data={store}", f"data.modalities=[{modalities}]", *small]
    said = cmg("pretrain", f"method={name}", *given, "--out", run)
    assert said.code == 0, said.err
    rows = rows_of(run)
    assert len(rows) == 8
    for row in rows:
        logged = {key.removeprefix("loss/") for key in row if key.startswith("loss/")}
        assert logged >= TERMS
        assert all(math.isfinite(x) for x in row.values() if isinstance(x, float))
    ends = ["--train-on", of[0], "--test-on", of[1]]
    probed = cmg("probe", "--model", run, *ends, "probe.dimensions.keep=4", "--json")
    assert probed.code == 0, probed.err
    assert 0.0 <= probed.json["transfer"]["mean"] <= 100.0


def bits(training):
    """Weights, codebook, nets and classes of objectives, and moments."""
    return flat(training.state.model) | training_tensors(training.state)


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(store, small, tmp_path, name):
    """With the same classes of the jigsaw, which are drawn once."""
    given = [f"method={name}", *small, f"data.store={store}", "objectives.jigsaw={pieces: 4}"]
    given.append("data.modalities=[audio,text]")
    config = load_config("own-data", given)
    whole = bits(pretrain(config))
    prepare(config, tmp_path / "run").train(lambda position: position.step == 3)
    parts = bits(pretrain(config, tmp_path / "run", resume=True))
    assert whole["objectives.jigsaw.orders"].shape == (2, 4)
    assert whole.keys() == parts.keys()
    assert [n for n, x in whole.items() if not torch.equal(x, parts[n])] == []


def test_the_clean_form_lowers_its_terms(store, small, tmp_path):
    more = ["training.epochs=12", "optimizer.lr=0.02", "model.temporal.dropout=0.0"]
    more += ["data.modalities=[audio,text]", "objectives.reconstruction=null"]
    config = load_config("own-data", ["method=micu", *small, f"data.store={store}", *more])
    pretrain(config, tmp_path / "run")
    rows = rows_of(tmp_path / "run")
    for term in ("masked_contrast/steps", "masked_contrast/clips"):
        values = [row[f"loss/{term}"] for row in rows]
        assert sum(values[-4:]) < 0.9 * sum(values[:4]), term


def test_the_coded_form_takes_code_0_for_zero_when_it_is_read(store, small, tmp_path):
    given = [*small, f"data.store={store}", "data.modalities=[audio,text]"]
    config = load_config("own-data", ["method=micu-as-coded", *given])
    pretrain(config, tmp_path / "run")
    book = load_model(tmp_path / "run").codebook
    assert book.codes[0].abs().sum() > 0
    assert book.table("audio")[0].abs().sum() == 0


def test_the_coded_form_names_its_quirks_and_the_clean_one_none():
    clean, coded = (yaml.safe_load(named(METHOD)[name]) for name in METHODS)
    assert coded["training"]["passes"] == 2
    assert "passes" not in clean.get("training", {})
    assert coded["objectives"]["masked_contrast"]["rounded_mean"] is True
    assert coded["model"]["codebook"]["reset"]["unheard"] == ["text"]
    quirks = {"rounded_mean", "words", "masked", "symmetric", "clipped", "unheard", "first_code"}
    assert not quirks & {key for key, _ in leaves(clean)}
    assert quirks <= {key for key, _ in leaves(coded)}


def leaves(tree):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield key, value


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("objectives.jigsaw.pieces=3", "pieces = 3 does not divide the 8 columns of code vectors"),
        ("objectives.jigsaw.pieces=16", "does not divide the 8 columns"),
        ("objectives.jigsaw.orders=3", "2 pieces have 2 orders, but orders = 3"),
        ("objectives.masked_contrast.ratio=1", "ratio: Input should be less than 1"),
        ("model.codebook.reset.unheard=[audio, video, text]", "names all modalities"),
    ],
)
def test_what_cannot_be_is_refused_before_a_step(cmg, store, small, tmp_path, override, said):
    told = cmg(
        "pretrain", "method=micu", f"data={store}", *small, override, "--out", tmp_path / "r"
    )
    assert told.code == 2
    assert said in told.err
    assert not (tmp_path / "r" / "metrics.jsonl").exists()
