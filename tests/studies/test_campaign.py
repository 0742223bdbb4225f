"""Studies that choose first: what is tried, what does not fit, what is settled, and its parts."""

import json
from dataclasses import replace

import pytest

from cmg.config.compare import changed_keys
from cmg.config.load import load_config, to_yaml
from cmg.errors import ConfigError
from cmg.studies.campaign import Asked, fitted, hours_of, part_of
from cmg.studies.choice import Winner, settled, tries_of
from cmg.studies.definition import load_study, read_study
from cmg.studies.ledger import read_identity
from cmg.studies.plan import base_config, variant_config
from cmg.studies.trial import seconds_per_clip

CAMPAIGN = """
title: Two methods
about: Of a tiny base.
reference: own
controls: []
lenient: true
keeps: [model.width, model.temporal, model.token_encoder, training.epochs, training.threads]
choices: [{optimizer.lr: 0.01}, {optimizer.lr: 0.1}]
variants:
  - {name: own, title: the base}
  - name: other
    title: another method
    method: light
    choices: [{optimizer.lr: 0.02}, {optimizer.lr: 0.2}]
  - {name: unfit, title: what does not fit, changes: {data.modalities: [audio, smell]}}
  - {name: shuffled, title: shuffled, control: true, seeds: 1, changes: {data.shuffled_pairs: true}}
"""


@pytest.fixture(scope="module")
def campaign():
    return read_study(CAMPAIGN, "campaign", "test")


@pytest.fixture(scope="module")
def contrast(tmp_path_factory):
    """YAML file of a tiny base of the default's method."""
    file = tmp_path_factory.mktemp("contrast") / "base.yaml"
    more = ["model.width=8", "model.codebook.size=8", "data.batch_size=8", "training.epochs=1"]
    more += ["model.temporal.hidden=8", "training.tensorboard=false", "probe.seeds=1"]
    file.write_text(to_yaml(load_config("own-data", more)))
    return str(file)


def test_each_variant_is_tried_as_often_as_it_has_choices(campaign):
    tries = tries_of(campaign)
    assert tries.tries() == {
        "own": ["own-0", "own-1"],
        "other": ["other-0", "other-1"],
        "unfit": ["unfit-0", "unfit-1"],
    }
    assert (tries.split, tries.reference, tries.controls) == ("val", "own-0", ())
    assert tries.variant("other-0").changes == {"optimizer.lr": 0.02}
    assert tries.variant("other-0").method == "light"
    assert tries_of(load_study("evidence")) is None


def test_another_method_brings_its_own_and_keeps_the_budget(campaign, contrast):
    base = base_config(campaign, "digits", contrast, [])
    config = variant_config(base, campaign.variant("other"), campaign.keeps)
    light = load_config("digits", method="light")
    assert config.objectives == light.objectives
    assert config.model.codebook == light.model.codebook
    assert config.optimizer == light.optimizer
    assert (config.model.width, config.training, config.data) == (8, base.training, base.data)
    assert config.model.temporal == base.model.temporal
    assert {key.partition(".")[0] for key in changed_keys(base, config)} <= {
        *("objectives", "model", "optimizer", "probe")
    }


def test_a_method_without_codes_has_no_posterior_to_read():
    study = load_study("zoo")
    base = base_config(study, "emoji:0", "emoji", [])
    assert base.probe.features == "posterior"
    for name, features in (("micu", "posterior"), ("siglip", "codes"), ("infonce", "codes")):
        config = variant_config(base, study.variant(name), study.keeps)
        assert (config.probe.features, config.probe.head) == (features, "logistic")


def test_what_does_not_fit_is_left_out_with_its_reason(campaign, contrast, folds, tmp_path):
    asked = Asked(folds, contrast, seeds=2, folds=3)
    study, costs = fitted(campaign, asked, tmp_path)
    assert [v.name for v in study.variants] == ["own", "other", "shuffled"]
    assert list(study.unfit) == ["unfit"]
    assert "smell" in study.unfit["unfit"]
    assert set(costs) == {"own", "other", "shuffled"}
    assert all(0 < cost < 1 for cost in costs.values())
    plan = asked.plan(study)
    costs = dict.fromkeys(costs, 3600.0)
    clips = plan.clips["own", 0]
    assert hours_of(plan, costs) == clips * 3 * (2 + 2 + 1)
    tries = tries_of(study)
    everyone = tries.tries()
    assert hours_of(asked.of_choice(tries, everyone).plan(tries), costs) == clips * 4
    with pytest.raises(ConfigError, match="own does not fit the data: why"):
        settled(campaign, [], {"own": "why"})


def test_a_reference_that_does_not_fit_ends_it(campaign, contrast, folds, tmp_path):
    asked = Asked(folds, contrast, ["data.modalities=[audio,smell]"], folds=3)
    with pytest.raises(Exception, match="smell"):
        fitted(campaign, asked, tmp_path)


def test_a_trial_writes_nothing_and_ends_soon(contrast, folds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = folds.replace("{fold}", "0")
    config = load_config(contrast, [f"data.store={store}", "training.epochs=100000"])
    assert 0 < seconds_per_clip(config) < 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/", "-1/2", "1/2/3"])
def test_a_part_is_a_number_of_a_number(text):
    with pytest.raises(ConfigError, match="I/N"):
        part_of(text)


def test_parts_that_merge_are_the_whole(cmg, campaign, contrast, folds, tmp_path):
    """Two machines run half of the choice each, merge, then half of the study each."""
    file = tmp_path / "campaign.yaml"
    file.write_text(CAMPAIGN)

    def run(out, *more):
        args = ("--data", folds, "--folds", 3, "--base", contrast, "--seeds", 1, "--workers", 1)
        return cmg("study", "run", file, *args, "--out", tmp_path / out, "--json", *more)

    for one in ("a", "b"):
        said = run(one, "--part", "1/2" if one == "a" else "2/2")
        assert said.code == 0, said.err
        waiting = {"choice": str(tmp_path / one / "choice"), "finished": False, "left": 2}
        assert json.loads(said.out) == waiting
        assert not (tmp_path / one / "study.json").exists()
    assert "hours of a core" in said.err
    halves = [tmp_path / one for one in ("a", "b")]
    merged = cmg("study", "merge", tmp_path / "both", *halves, "--json")  # choices alone so far
    assert json.loads(merged.out)["left"] == 0
    assert not (tmp_path / "both" / "study.json").exists()
    for one in ("a", "b"):
        assert cmg("study", "merge", tmp_path / one, *halves).code == 0
        said = run(one, "--part", "1/2" if one == "a" else "2/2")
        assert said.code == 0, said.err
    told = json.loads(cmg("study", "merge", tmp_path / "both", *halves, "--json").out)
    assert (told["left"], list(told["rows"])) == (0, ["own", "other", "shuffled"])
    whole = json.loads(run("whole").out)
    assert (whole["trained"], whole["rows"]) == (9, told["rows"])
    assert json.loads(run("whole").out)["trained"] == 0
    study = read_identity(tmp_path / "whole").study
    assert study.variant("other").changes["optimizer.lr"] in (0.02, 0.2)
    assert study.variant("own").changes["optimizer.lr"] in (0.01, 0.1)
    table = (tmp_path / "whole" / "table.md").read_text()
    assert "Not applicable: unfit: " in table


def test_a_control_is_a_control_of_what_was_chosen():
    study = read_study(CAMPAIGN, "campaign", "test")
    best = [Winner("own", "own-1", "", 2, None, {"optimizer.lr": 0.1}, None)]
    found = settled(study, best, {})
    assert found.variant("own").changes == {"optimizer.lr": 0.1}
    assert found.variant("shuffled").changes == {
        "optimizer.lr": 0.1,
        "data.shuffled_pairs": True,
    }
    assert found.variant("other").choices == study.variant("other").choices
    zoo = settled(load_study("zoo"), [replace(best[0], group="default")], {})
    rates = {row.name: row.changes.get("optimizer.lr") for row in zoo.rows()}
    assert (rates["default"], rates["shuffled"], rates["untrained"]) == (0.1, 0.1, 0.1)


@pytest.fixture(scope="module")
def several(contrast, folds, cmg):
    """Runs a study of CAMPAIGN, or of a change of it, on fold 0."""

    def run(root, *more, text=CAMPAIGN):
        (root / "campaign.yaml").write_text(text)
        args = ("--data", folds.replace("{fold}", "0"), "--base", contrast, "--seeds", 1)
        more = (*more, "--workers", 1, "--out", root / "out", "--json")
        return cmg("study", "run", root / "campaign.yaml", *args, *more)

    return run


def test_some_are_chosen_and_run_before_the_others(several, tmp_path):
    """Only what is asked for is tried, with the reference; the rest follows, to the same end."""
    first = several(tmp_path, "--only", "other,shuffled")
    assert first.code == 0, first.err
    assert list(json.loads(first.out)["rows"]) == ["other", "shuffled"]
    own = several(tmp_path, "--only", "own")  # what was chosen for the others is still known
    assert own.code == 0, own.err
    assert json.loads(own.out)["trained"] == 1
    whole = several(tmp_path)
    assert whole.code == 0, whole.err
    told = json.loads(whole.out)
    assert (told["trained"], told["finished_before"]) == (0, 3)
    assert list(told["rows"]) == ["own", "other", "shuffled"]
    assert list(told["study"]["unfit"]) == ["unfit"]
    refused = several(tmp_path, "--only", "unfit,own")
    assert (refused.code, "does not fit the data" in refused.err) == (2, True)
    (tmp_path / "fresh").mkdir()
    once = json.loads(several(tmp_path / "fresh").out)
    assert once["rows"] == told["rows"]


@pytest.mark.parametrize("only", ["own-0", "oter", "shuffled,oter"])
def test_a_name_that_is_none_is_refused_before_anything_is_tried(several, tmp_path, only):
    said = several(tmp_path, "--only", only)
    assert said.code == 2
    assert "campaign has no variant" in said.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("method: light", "method: lihgt", "no method named 'lihgt' (did you mean 'light'?)"),
        ("keeps: [model.width,", "keeps: [model.wdth,", "unknown key 'model.wdth'"),
        ("choices: [{optimizer.lr: 0.01}, {optimizer.lr: 0.1}]\n", "", "but own has none"),
    ],
)
def test_a_mistake_of_the_study_is_no_lack_of_the_data(several, tmp_path, old, new, told):
    said = several(tmp_path, text=CAMPAIGN.replace(old, new, 1))
    assert said.code == 2
    assert told in json.loads(said.out)["message"]
    assert not (tmp_path / "out").exists()


def test_untuned_every_variant_is_as_its_method_says(campaign):
    plain = campaign.untuned()
    assert tries_of(plain) is None
    assert [v.name for v in plain.variants] == [v.name for v in campaign.variants]
    assert plain.choices == () == plain.variants[1].choices


def test_data_without_validation_clips_are_refused_before_a_try(cmg, tmp_path):
    """The embedded digits have none."""
    given = ["study", "run", "zoo", "--data", "digits", "--base", "digits", "--out", tmp_path / "s"]
    said = cmg(*given)
    assert said.code == 2
    assert "has no split 'val' to choose on (it has train, test" in said.err
    assert "--untuned" in said.err
    assert not (tmp_path / "s").exists()
