"""Configurations: presets, methods, overrides, and what an error says."""

import json
from pathlib import Path
from typing import get_origin

import pytest
import yaml

from cmg.config.load import collapse_remedies, dotted_keys, load_config, override_config, to_yaml
from cmg.config.named import METHOD, PRESET, named
from cmg.config.schema import RunConfig
from cmg.config.shorthands import written_out
from cmg.errors import ConfigError

BEFORE = json.loads((Path(__file__).parent / "presets.json").read_text())
"""What every preset, and nothing, resolved to when each was a file of its own."""

RUNS, NAMED_METHODS = list(named(PRESET)), list(named(METHOD))


def value_of(config, key):
    for name in key.split("."):
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


def test_what_comes_with_the_package_is_told_in_the_docs(request):
    assert not {*RUNS} & {*NAMED_METHODS}
    told = (request.config.rootpath / "docs" / "methods.md").read_text()
    assert [n for n in (*RUNS, *NAMED_METHODS) if f"`{n}`" not in told] == []


@pytest.mark.parametrize("name", [*RUNS, *NAMED_METHODS])
def test_presets_and_methods_are_valid(name):
    """And say in their first lines what they are and how to start them."""
    preset = name in RUNS
    config = load_config(name) if preset else load_config(method=name)
    text = named(PRESET if preset else METHOD)[name]
    told = yaml.safe_load(text)
    own = told.pop("method", None)
    assert own in (NAMED_METHODS if preset else (None, *NAMED_METHODS))
    assert ("data" in told) is preset
    for key, value in leaves(told):
        found = value_of(config, key)
        assert (list(found) if isinstance(found, tuple) else found) == value, key
    called = f"cmg pretrain {name}" if preset else f"cmg pretrain method={name}"
    assert called in "\n".join(text.splitlines()[:3])


def agrees(now, before, default):
    """Whether what was recorded is so now, and what is new is as by default."""
    if not isinstance(before, dict):
        return now == before
    default = default or dict.fromkeys(now)
    assert before.keys() <= now.keys()
    return all(
        agrees(now[key], before[key], default[key]) if key in before else now[key] == default[key]
        for key in now
    )


@pytest.mark.parametrize("name", BEFORE)
def test_presets_are_what_they_were_to_the_last_key(name):
    now = load_config(None if name == "defaults" else name).model_dump(mode="json")
    assert agrees(now, BEFORE[name], RunConfig().model_dump(mode="json"))


MINE = """
model: {width: 32, temporal: {kind: mlp}}
objectives: {commitment: {weight: 2}}
training: {epochs: 3}
"""


@pytest.fixture
def mine(tmp_path):
    """A method of one's own."""
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path / "mine.yaml"


def test_a_method_says_all_of_its_terms_and_a_run_file_those_that_differ(mine):
    assert load_config(method=mine).objectives.weights() == {
        "reconstruction": None,
        "commitment": 2.0,
        "cross_cpc": None,
        "club": None,
        "cmcm": None,
    }
    assert load_config(mine).objectives.weights() == RunConfig().objectives.weights() | {
        "commitment": 2.0
    }


def test_a_method_comes_after_the_preset_and_before_the_overrides(mine):
    """Of the preset stay its data, the widths of its modalities, and how it is trained."""
    config = load_config("digits", ["model.width=16", "objectives.club.weight=3"], method=mine)
    digits, alone = load_config("digits"), load_config(method=mine)
    assert config.data == digits.data
    assert config.model.detail_width == digits.model.detail_width != alone.model.detail_width
    assert config.training == digits.training.model_copy(update={"epochs": 3})
    assert (config.model.width, alone.model.width) == (16, 32)
    assert config.model.codebook == RunConfig().model.codebook != digits.model.codebook
    assert (config.optimizer, config.probe) == (RunConfig().optimizer, RunConfig().probe)
    assert {n: w for n, w in config.objectives.weights().items() if w} == {
        "commitment": 2.0,
        "club": 3.0,
    }


def test_a_method_is_given_in_several_ways(mine):
    wanted = load_config("digits", method="dcid")
    assert load_config("digits", ["method=dcid"]) == wanted == load_config("digits", (), {}, "dcid")
    assert load_config("digits", ["method=light", "method=dcid"]) == wanted
    assert (wanted.data.store, wanted.training.precision) == ("digits", "float64")
    assert load_config("digits", [f"method={mine}"]) == load_config("digits", method=str(mine))
    (mine.parent / "run.yaml").write_text("method: mine.yaml\ndata: {store: here}\n")
    assert load_config(mine.parent / "run.yaml") == load_config(None, ["data=here"], method=mine)


@pytest.mark.parametrize("name", RUNS)
def test_the_method_that_a_preset_has_changes_nothing(name):
    own = yaml.safe_load(named(PRESET)[name])["method"]
    assert load_config(name, method=own) == load_config(name)


def test_a_method_may_change_another(tmp_path):
    (tmp_path / "one.yaml").write_text(
        "method: light\nobjectives: {cmcm: null, commitment: {beta: 1}}"
    )
    (tmp_path / "two.yaml").write_text("method: one.yaml\noptimizer: {lr: 0.5}")
    light = load_config("digits", method="light")
    changes = {"objectives.cmcm": None, "objectives.commitment.beta": 1.0, "optimizer.lr": 0.5}
    found = load_config("digits", method=tmp_path / "two.yaml")
    assert found == load_config("digits", [], changes, method="light") != light
    (tmp_path / "one.yaml").write_text("method: two.yaml")
    with pytest.raises(ConfigError, match=r"one\.yaml of .*two\.yaml|two\.yaml of .*one\.yaml"):
        load_config("digits", method=tmp_path / "two.yaml")


@pytest.mark.parametrize(
    ("method", "text", "message"),
    [
        ("dicd", "", "no method named 'dicd' (did you mean 'dcid'?); valid: baseline, cmcm, "),
        (
            "digits",
            "",
            "digits is a preset, which names a method itself; `cmg presets show digits`",
        ),
        ("absent.yaml", "", "method absent.yaml cannot be read"),
        ("m.yaml", "model: {width: 8}", "m.yaml names no objectives; a method names all of its"),
        ("m.yaml", "data: {store: x}", "m.yaml is a method, which is apart from data: leave out"),
        ("m.yaml", "method: [dcid]", "m.yaml: method must be a name or a YAML file, got ['dcid']"),
        ("m.yaml", "method: m.yaml", "is a change of itself"),
        ("m.yaml", "objectives: {comitment: {}}", "unknown key 'objectives.comitment' (did you me"),
        ("m.yaml", "objectives: 3", "objectives: Input should be a valid dictionary"),
    ],
)
def test_a_method_that_is_none(method, text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config("digits", method=method)
    assert message in str(error.value)


def test_a_preset_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match=r"^method= is chosen where a run is begun"):
        override_config(load_config("digits"), ["method=dcid"])
    with pytest.raises(ConfigError, match=r"^dcid is a method; give it as method=dcid, with"):
        load_config("dcid")
    (tmp_path / "a.yaml").write_text("method: [dcid]")
    with pytest.raises(
        ConfigError, match=r"a\.yaml: method must be a name or a YAML file, got \['"
    ):
        load_config(tmp_path / "a.yaml")


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("name", [*RUNS, None])
def test_resolved_yaml_is_the_same_configuration(name, tmp_path):
    config = load_config(name, ["training.seed=7", "objectives.cmcm=null"])
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert load_config(str(file)) == config
    assert to_yaml(load_config(str(file))) == to_yaml(config)
    assert set(yaml.safe_load(file.read_text())) == set(RunConfig.model_fields)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.seed=3", "training.seed", 3),
        ("training.checkpoint_every_steps=1e3", "training.checkpoint_every_steps", 1000),
        ("objectives.club=null", "objectives.club", None),
        ("objectives.club.weight=0", "objectives.club.weight", 0.0),
        ("data.modalities=[audio, text]", "data.modalities", ("audio", "text")),
        ("data.modalities=null", "data.modalities", None),
        ("optimizer.schedule.milestones=[1, 5]", "optimizer.schedule.milestones", (1, 5)),
        ("model.detail_width.audio=32", "model.detail_width.audio", 32),
        ("model.detail_width.eeg=32", "model.detail_width.eeg", 32),
        ("model.detail_width={eeg: 9}", "model.detail_width", {"eeg": 9}),
        ("model.temporal={kind: mlp}", "model.temporal.hidden", 1024),
        ("training.tensorboard=false", "training.tensorboard", False),
        ("data.store=a=b", "data.store", "a=b"),
        ("data.store=stores/mine", "data.store", "stores/mine"),
        ("data=stores/mine", "data.store", "stores/mine"),
        ("data={store: x}", "data.store", "{store: x}"),
    ],
)
def test_override(override, key, value):
    config = load_config("digits", [override])
    assert value_of(config, key) == value
    before, after = load_config("digits").model_dump(), config.model_dump()
    group = key.split(".")[0]
    assert {k: v for k, v in after.items() if k != group} == {
        k: v for k, v in before.items() if k != group
    }


def test_later_overrides_win():
    config = load_config("digits", ["training.seed=1", "training.seed=2"])
    assert config.training.seed == 2


def test_group_left_out_comes_back_with_defaults():
    """`digits` has ``club: null``; setting one of its keys brings the group back."""
    assert load_config("digits").objectives.club is None
    config = load_config("digits", ["objectives.club.weight=0.5"])
    assert config.objectives.club.weight == 0.5
    assert config.objectives.club.inner_steps == 5


def test_overrides_of_a_configuration_in_hand():
    config = load_config("digits")
    changed = override_config(config, ["model.codebook.size=9", "objectives.cmcm=null"])
    assert changed == load_config("digits", ["model.codebook.size=9", "objectives.cmcm=null"])
    assert config == load_config("digits")
    with pytest.raises(ConfigError, match=r"^overrides: training\.seed: "):
        override_config(config, ["training.seed=-1"])


# ---- errors -------------------------------------------------------------------------------------


TERMS = (
    "; valid: assignment, clip_info_nce, clip_margin, clip_sigmoid, club, cmcm, commitment, "
    "cross_cpc, cross_reconstruction, jigsaw, masked_contrast, quantizer_loss, reconstruction, "
    "second_layer, step_info_nce, teacher_info_nce; one of your own comes with --plugin MODULE "
    "(in Python cmg.use)"
)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model.codebok.size", "(did you mean 'model.codebook.size'?)"),
        ("codebook.size", "(did you mean 'model.codebook.size'?)"),
        ("model.ema.decay", "(did you mean 'model.codebook.ema.decay' or 'model.codebook.decay'?)"),
        ("training.epoch", "(did you mean 'training.epochs'?)"),
        ("training.epcohs", "(did you mean 'training.epochs'?)"),
        ("optimizer.lr.x", "(did you mean 'optimizer.lr'?)"),
        ("lr", "(did you mean 'probe.lr' or 'optimizer.lr' or 'objectives.club.lr'?)"),
        ("zzz", "; valid: data, model, objectives, optimizer, plugins, probe, training"),
        ("objectives.comitment", f"(did you mean 'commitment'?){TERMS}"),
        ("objectives.puzzle.weight", TERMS),
    ],
)
def test_unknown_key(key, hint):
    with pytest.raises(ConfigError) as error:
        load_config("digits", [f"{key}=1"])
    assert str(error.value) == f"unknown key {key!r}{' ' if hint[0] == '(' else ''}{hint}"


def test_unknown_keys_in_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training: {sed: 1}\nmodel: {codebook: {sizes: 4}}\nprob: {}\n")
    with pytest.raises(ConfigError) as error:
        load_config(str(file))
    assert str(error.value).removeprefix(f"{file}: ").splitlines() == [
        "unknown key 'model.codebook.sizes' (did you mean 'model.codebook.size'?)",
        "unknown key 'training.sed' (did you mean 'training.seed'?)",
        "unknown key 'prob' (did you mean 'probe'?)",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=-1", "optimizer.lr: Input should be greater than 0, got -1"),
        ("optimizer.lr=fast", "optimizer.lr: Input should be a valid number"),
        ("objectives.cmcm.weight=-0.1", "greater than or equal to 0, got -0.1"),
        ("objectives.club=3", "objectives.club: Input should be a valid dictionary"),
        ("training.epochs=0", "greater than or equal to 1, got 0"),
        ("training.precision=fp8", "'float32', 'bf16' or 'float64', got 'fp8'"),
        ("data.batch_size=1", "data.batch_size: Input should be greater than or equal to 2, got 1"),
        ("data.modalities=audio", "data.modalities: Input should be a valid tuple, got 'audio'"),
        ("model.codebook.size=1", "greater than or equal to 2, got 1"),
        ("model.codebook.ema.decay=1", "less than 1, got 1"),
        ("model.codebook.ema.update=both", "'sequential' or 'joint', got 'both'"),
        ("model.codebook.start=zeros", "'uniform', 'samples' or 'kmeans', got 'zeros'"),
        ("model.temporal.kind=lstm", "'transformer' or 'mlp', got 'lstm'"),
        ("model.temporal.dropout=1", "less than 1, got 1"),
        ("model.detail_width.audio=wide", "model.detail_width.audio: Input should be a valid int"),
        ("model.detail_width.audio=0", "model.detail_width.audio: Input should be greater than 0"),
        ("model.token_hidden.text=-4", "model.token_hidden.text: Input should be greater than 0"),
        ("training.epochs=null", "valid integer (digits only, at most 20), got null"),
        ("training.keep_checkpoints=0", "should be greater than or equal to 1 or 'epochs', got 0"),
        ("training.keep_checkpoints=true", "at most 20) or 'epochs', got true"),
        ("data.step_seconds=0", "seconds: Input should be greater than 0 or 'auto', got 0"),
        ("data.store=\udcc3", "(it is no UTF-8: rename it, or set PYTHONUTF8=1 where LC_ALL"),
        ("model=null", "model: Input should be a valid dictionary"),
    ],
)
def test_value_that_does_not_fit(override, message):
    with pytest.raises(ConfigError) as error:
        load_config("digits", [override])
    assert str(error.value).startswith("preset 'digits' with overrides: ")
    assert message in str(error.value)


def test_every_problem_has_a_line():
    bad = ["training.epochs=0", "data.batch_size=1", "model.codebook.ema.decay=1"]
    with pytest.raises(ConfigError) as error:
        load_config("digits", bad)
    lines = str(error.value).removeprefix("preset 'digits' with overrides: ").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "data.batch_size",
        "model.codebook.ema.decay",
        "training.epochs",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("noequals", "override 'noequals' must read key=value, e.g. training.seed=1"),
        (
            "plugins=[mine]",
            "plugins are recorded, not set; one of your own comes with --plugin MODULE (in Python "
            "cmg.use)",
        ),
        ("=3", "override '=3' must read key=value, e.g. training.seed=1"),
        (
            "data.modalities=[audio",
            "the value of 'data.modalities=[audio' is not valid YAML: line 1, column 7: while "
            "parsing a flow sequence expected ',' or ']', but got '<stream end>'",
        ),
        (
            "model.detail_width.audio.x=2",
            "model.detail_width.audio.x: 'audio' holds 64, which has no keys",
        ),
    ],
)
def test_override_that_cannot_be_read(override, message):
    with pytest.raises(ConfigError) as error:
        load_config("digits", [override])
    assert str(error.value) == message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"config .*absent\.yaml cannot be read: No such file"):
        load_config(str(tmp_path / "absent.yaml"))


def test_every_key_of_a_resolved_configuration_can_be_overridden():
    told = yaml.safe_load(to_yaml(RunConfig()))
    assert told.pop("plugins") == []  # recorded, not set
    known = dotted_keys(RunConfig)
    for key, value in leaves(told):
        assert key in known
        text = value if isinstance(value, list) else yaml.safe_dump(value).splitlines()[0]
        assert load_config(None, [f"{key}={text}"]) == RunConfig(), key
    free = [key for key, annotation in known.items() if get_origin(annotation) is dict]
    assert free == ["model.detail_width", "model.token_hidden"]


@pytest.mark.parametrize(
    ("given", "name", "overrides"),
    [
        (["recipe=published", "data=R"], "audio-video-text", ["data=R"]),
        (
            ["recipe=published", "data=R", "list=24k", "modalities=av"],
            "audio-video",
            ["data=R", "data.modalities=[audio, video]", "data.list=24k"],
        ),
        (
            ["modalities=vt", "recipe=published", "data=R", "training.seed=1"],
            "video-text",
            ["data=R", "training.seed=1", "data.modalities=[video, text]"],
        ),
        (["data=R", "modalities=eeg,gaze"], "own-data", ["data=R", "data.modalities=[eeg, gaze]"]),
        (["recipe=default", "data=R"], "own-data", ["data=R"]),
        (["digits-published", "optimizer.lr=1e-3"], "digits-published", ["optimizer.lr=1e-3"]),
        ([], "digits", []),
        (["method=dcid"], "digits", ["method=dcid"]),
        (["method=m.yaml", "data=R"], "own-data", ["method=m.yaml", "data=R"]),
    ],
)
def test_short_forms_are_written_out(given, name, overrides):
    assert written_out(given) == (name, overrides)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["recipe=publishd"], "did you mean 'published'"),
        (["recipe=published", "digits"], "not both"),
        (["recipe=published", "method=light"], "give recipe=published or method=light, not both"),
        (["recipe=published", "modalities=audio,eeg"], "valid: avt, av, at, vt"),
        (["data=R", "modalities=a v"], "separated by commas"),
        (["digits", "own-data"], "one preset at most"),
    ],
)
def test_short_forms_that_say_nothing_are_refused(given, complaint):
    with pytest.raises(ConfigError, match=complaint):
        written_out(given)


@pytest.mark.parametrize(
    ("preset", "overrides", "wanted"),
    [
        ("digits", [], []),  # it takes tokens already, and has no CLUB
        ("digits", ["model.codebook.reset.source=codes"], ["model.codebook.reset.source=tokens"]),
        ("own-data", ["objectives.club.weight=1"], ["objectives.club.weight=0.1"]),
        ("own-data", [], []),  # CLUB is at 0.1
        ("digits", ["model.codebook.kind=none"], []),
    ],
)
def test_remedies_of_a_collapse_are_those_that_change_something(preset, overrides, wanted):
    assert collapse_remedies(load_config(preset, overrides)) == wanted
