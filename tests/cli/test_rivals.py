"""Every rival trains on a small store as its YAML says, and heads read what it learned."""

import math

import numpy as np
import pytest
import yaml

from cmg.config.load import load_config, read_method
from cmg.config.named import METHOD, named
from cmg.data.inmemory import write_store
from cmg.data.store import open_store
from cmg.recipes.pretrain import pretrain
from cmg.recipes.two_stage import JoinOptions, join, joined_model
from cmg.runs.checkpoint import load_model

LABEL = "our re-implementation in this harness; the paper's adaptation is not published"
RIVALS = ("baseline", "cmcm", "s-mit", "mst", "turn", "codis")
WITH = ("cmcm", "s-mit", "mst", "turn", "codis")
EVERY = (*RIVALS, *(f"dcid-{name}" for name in WITH))
OTHERS = ("siglip",)
"""Contrasts that are no rows of the paper's tables."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """24 clips of three modalities and 4 to 6 steps, some without touch; two classes."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("rivals")
    kinds = [i % 2 for i in range(24)]
    features = {
        m: [
            rng.normal(2.0 * k, 0.5, (4 + (i + n) % 3, w)).astype(np.float32)
            for i, k in enumerate(kinds)
        ]
        for n, (m, w) in enumerate({"audio": 5, "video": 6, "touch": 4}.items())
    }
    features["touch"][3] = features["touch"][7] = None
    write_store(
        root / "store",
        features,
        split=["train"] * 12 + ["test"] * 12,
        labels={"kind": [("cat", "dog")[k] for k in kinds]},
    )
    return root / "store"


def told_by(name):
    """A method's values, and those of the one that it changes; the terms that it has."""
    told = read_method(name)[1]
    return told | {"objectives": {k: x for k, x in told["objectives"].items() if x is not None}}


@pytest.mark.parametrize("name", [*EVERY, *OTHERS])
def test_it_trains_and_heads_read_it(cmg, store, small, tmp_path, name):
    told = told_by(name)
    without = told["model"]["codebook"].get("kind") == "none"
    own = [x for x in small if not (without and "codebook" in x)]
    said = cmg("pretrain", f"method={name}", f"data={store}", *own, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 4
    terms = {key.partition("/")[0] for key in told["objectives"]}
    logged = yaml.safe_load(rows[-1])
    assert terms <= {key.split("/")[1] for key in logged if key.startswith("loss/")}
    assert all(math.isfinite(x) for x in logged.values() if isinstance(x, float))
    heads = ("--train-on", "audio", "--test-on", "video", "--json")
    probed = cmg("probe", "--model", tmp_path / "run", *heads)
    assert probed.code == 0, probed.err


@pytest.mark.parametrize("name", EVERY)
def test_its_file_says_what_it_is(name):
    comments = [x for x in named(METHOD)[name].splitlines() if x.startswith("#")]
    assert LABEL in " ".join(comments).replace("Our re-", "our re-")


def test_every_rival_is_the_paper_s_model_with_one_part_in_another_s_place():
    """dcid-X differs from dcid in MM-EMA, in CMCM, and in what X itself needs."""
    assert {n for n in named(METHOD) if n.startswith("dcid-")} == {f"dcid-{x}" for x in WITH}
    paper = told_by("dcid")
    for name in WITH:
        own, alone = told_by(f"dcid-{name}"), told_by(name)
        new = own["objectives"].keys() - paper["objectives"].keys()
        assert {x: own["objectives"][x] for x in new} == {x: alone["objectives"][x] for x in new}
        assert ("cmcm" in own["objectives"]) is (name == "cmcm")
        assert own["model"]["codebook"]["ema"]["partner"] == "none"
        for term in own["objectives"].keys() - new:
            assert own["objectives"][term] == paper["objectives"][term]
        assert own["optimizer"] == paper["optimizer"]


def test_a_modality_joins_shared_layers_and_leaves_them_as_they_are(store, small, tmp_path):
    two = [f"data.store={store}", "data.modalities=[audio,video]", "training.epochs=1"]
    pretrain(load_config("own-data", ["method=dcid-mst", *small, *two]), tmp_path / "run")
    opened, before = open_store(store), load_model(tmp_path / "run")
    model = joined_model(before, opened, "touch", 0)
    kept = {n: x.clone() for n, x in model.state_dict().items()}
    join(model, opened.split("train"), "audio", "touch", JoinOptions(epochs=2, lr=0.1), 0)
    moved = {n for n, x in model.state_dict().items() if not x.equal(kept[n])}
    assert {n.split(".")[1] for n in moved} == {"touch"}
    assert any("norm1" in n for n in moved)
    assert any("temporal.input" in n for n in moved)
    assert not any("self_attn" in n or "linear" in n for n in moved)
