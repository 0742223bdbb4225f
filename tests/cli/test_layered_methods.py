"""SRCID and FCID as methods: they train, resume, are evaluated, and refuse what they cannot do."""

import json
import math

import pytest
import torch
from tests.paired import paired_store
from tests.tiny import THREE

from cmg.config.load import load_config
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import load_model, training_tensors
from cmg.saved import flat

METHODS = ("srcid", "srcid-as-coded", "fcid", "fcid-as-coded")
TRAINED = ["srcid", pytest.param("srcid-as-coded", marks=pytest.mark.slow), "fcid"]
TRAINED += [pytest.param("fcid-as-coded", marks=pytest.mark.slow)]
"""What is as coded is held by recorded steps as well."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Audio, video and text of 24 clips of 1 to 4 steps, some without a modality; two classes."""
    path = tmp_path_factory.mktemp("layered") / "store"
    splits = {"train": 24, "test": 12}
    return paired_store(path, THREE, splits, 4, 2, lengths=(1, 4), missing=0.2).path


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", TRAINED)
def test_it_trains_and_heads_read_it(cmg, store, small, tmp_path, name):
    run = tmp_path / "run"
    given = [f"data={store}", "data.modalities=[video,audio,text]", *small]
    given.append("objectives.second_layer.start_epoch=1")
    said = cmg("pretrain", f"method={name}", *given, "--out", run)
    assert said.code == 0, said.err
    rows = rows_of(run)
    assert len(rows) == 8
    for row in rows:
        logged = {key.removeprefix("loss/") for key in row if key.startswith("loss/")}
        assert logged >= {"second_layer/reconstruction/audio", "second_layer/commitment/text"}
        assert all(math.isfinite(x) for x in row.values() if isinstance(x, float))
    model = load_model(run)
    assert model.codebook.width == (16 if "srcid" in name else 8)
    ends = ["--train-on", "video", "--test-on", "text"]
    probed = cmg("probe", "--model", run, *ends, "--json")
    assert probed.code == 0, probed.err
    assert 0.0 <= probed.json["transfer"]["mean"] <= 100.0
    assert cmg("report", run).code == 0


def bits(training):
    """Weights, codebooks, nets of objectives and moments."""
    return flat(training.state.model) | training_tensors(training.state)


@pytest.mark.parametrize("name", TRAINED)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(store, small, tmp_path, name):
    given = [f"method={name}", *small, f"data.store={store}"]
    given += ["data.modalities=[video,audio,text]", "objectives.second_layer.start_epoch=1"]
    config = load_config("own-data", given)
    whole = bits(pretrain(config))
    prepare(config, tmp_path / "run").train(lambda position: position.step == 5)
    torch.manual_seed(99)
    parts = bits(pretrain(config, tmp_path / "run", resume=True))
    assert whole.keys() == parts.keys()
    assert [n for n, x in whole.items() if not torch.equal(x, parts[n])] == []


def test_clean_forms_have_one_pass_and_coded_ones_their_own():
    passes = {n: load_config("own-data", [f"method={n}"]).training.passes for n in METHODS}
    assert passes == {"srcid": 1, "srcid-as-coded": 6, "fcid": 1, "fcid-as-coded": 1}
    fits = load_config("own-data", ["method=srcid-as-coded"]).objectives.club.inner_steps
    assert fits == 1  # in each pass


@pytest.mark.parametrize(
    ("method", "override", "said"),
    [
        ("fcid", "data.modalities=[audio,video]", "needs text, a modality of tokens"),
        ("fcid", "data.modalities=[text]", "needs text, a modality of tokens, beside"),
        ("srcid", "model.codebook.groups=4", "codebook.groups=2"),
        ("srcid", "objectives.second_layer=null", "is trained by objectives.second_layer"),
        ("srcid", "model.second=null", "is about a second layer, which the model has not"),
        ("fcid", "objectives.cmcm.weight=1", "objectives.cmcm needs codes"),
    ],
)
def test_what_cannot_be_is_refused_before_a_step(
    cmg, store, small, tmp_path, method, override, said
):
    told = cmg(
        "pretrain", f"method={method}", f"data={store}", *small, override, "--out", tmp_path / "r"
    )
    assert told.code == 2
    assert said in told.err
    assert not (tmp_path / "r" / "metrics.jsonl").exists()
