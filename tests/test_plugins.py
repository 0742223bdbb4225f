"""Plugins: loaded when asked for, recorded where they are used, refused where they are missing."""

import json
import sys
from contextvars import copy_context
from importlib import metadata

import pytest
import yaml

import cmg as package
from cmg import registry
from cmg.config.load import load_config, override_config, to_yaml
from cmg.config.plugins import recorded
from cmg.config.schema import RunConfig
from cmg.process import signals_kept
from cmg.registry import PluginError, Registry
from cmg.runs.checkpoint import read_checkpoint
from cmg.runs.folder import read_config
from cmg.studies.definition import load_study
from cmg.studies.ledger import Identity, JobKey, identity_as_dict, read_identity, read_job
from cmg.workers import start_worker

PLUGIN = """
from pathlib import Path
from cmg.registry import Registry

Path("imported").touch()  # a side effect that shows
for registry in Registry.every:
    if registry.what == "objective":
        @registry.register({name!r})
        class Mine:
            pass
"""
MISSING = (
    "{} was made with plugin my_terms, which is not loaded; if you trust it, give --plugin "
    "my_terms (in Python: cmg.use('my_terms'))"
)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A plugin in the current folder that brings the objective `cmcm`, and whether it is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(Registry, "every", [])
    monkeypatch.setattr(registry._State, "loaded", [])
    Registry("objective")
    (tmp_path / "my_terms.py").write_text(PLUGIN.format(name="cmcm"))
    yield tmp_path / "imported"
    sys.modules.pop("my_terms", None)


@pytest.mark.parametrize(
    "line",
    [
        ("--plugin", "my_terms", "presets", "list"),
        ("presets", "--plugin=my_terms", "list"),
        ("presets", "list", "--plugin", "my_terms"),
        ("--plugin", "my_terms", "presets", "list", "--plugin", "my_terms"),
    ],
)
def test_a_plugin_is_loaded_before_or_after_the_command(line, cmg, plugin):
    assert cmg("presets", "list").code == 0
    assert not plugin.exists()
    said = cmg(*line)
    assert (said.code, said.err) == (0, "")
    assert plugin.exists()
    assert registry.known_plugins() == {"my_terms"}


def test_a_plugin_that_exits_is_told(cmg, plugin):
    plugin.parent.joinpath("my_script.py").write_text("import sys\nsys.exit(3)\n")
    said = cmg("presets", "list", "--plugin", "my_script")
    assert (said.code, "plugin my_script does not import: SystemExit: 3" in said.err) == (2, True)


def test_a_plugin_that_does_not_import_is_told(cmg, plugin):
    said = cmg("presets", "list", "--plugin", "my_trems", "--json")
    assert said.code == 2
    assert said.json["error"] == "PluginError"
    assert said.json["message"].startswith("plugin my_trems does not import: ModuleNotFoundError: ")


def test_an_installed_plugin_is_loaded_without_a_word(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin.parent)
    entry = metadata.EntryPoint("mine", "my_terms", registry.ENTRY_POINTS)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] * (group == entry.group))
    monkeypatch.setattr(registry._State, "installed", False)
    assert load_config(method="light").plugins == ("my_terms",)
    assert registry.loaded_plugins() == ("my_terms",)


def test_a_configuration_names_the_plugins_of_its_parts(plugin, monkeypatch):
    assert load_config(method="light").plugins == ()
    monkeypatch.syspath_prepend(plugin.parent)
    package.use("my_terms")
    config = load_config(method="light")
    assert config.plugins == ("my_terms",)
    assert yaml.safe_load(to_yaml(config))["plugins"] == ["my_terms"]
    without = override_config(config, ["objectives.cmcm=null"])
    assert without.plugins == ()
    assert override_config(without, ["objectives.cmcm.weight=2"]).plugins == ("my_terms",)
    tree = config.model_dump(mode="json")
    assert recorded(tree, "a file") == config == RunConfig.model_validate(tree)
    with signals_kept():
        copy_context().run(start_worker, None, registry.loaded_plugins())  # in a process of its own


@pytest.fixture
def foreign(tmp_path):
    """A run, a checkpoint, a study and files that name a plugin, and keys that only it knows."""
    tree = yaml.safe_load(to_yaml(RunConfig())) | {"plugins": ["my_terms"]}
    tree["objectives"]["puzzle"] = {"weight": 1}
    study = load_study("ablation-av").model_dump(mode="json")
    study["variants"][0]["changes"] = {"objectives.puzzle": None}
    own = {"format": "cmg-study", "version": 1, "study": study, "plugins": ["my_terms"]}
    job = {"format": "cmg-study-job", "version": 1, "variant": "v", "seed": 0, "scores": {}}
    description = {"format": "cmg-checkpoint", "version": 1, "config": tree, "sha256": {}}
    (tmp_path / "jobs" / "v").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "method.yaml").write_text("plugins: [my_terms]\nobjectives: {puzzle: {}}\n")
    (tmp_path / "study.json").write_text(json.dumps(own | {"base": tree}))
    (tmp_path / "jobs" / "v" / "seed-0.json").write_text(json.dumps(job | {"config": tree}))
    (tmp_path / "checkpoint.json").write_text(json.dumps(description))
    return tmp_path


def test_what_names_a_plugin_imports_nothing_and_says_how_to_load_it(foreign, plugin):
    for read, source in (
        (lambda: load_config("config.yaml", ["objectives.puzzle.weight=2"]), "config.yaml"),
        (lambda: load_config("digits", method="method.yaml"), "method.yaml"),
        (lambda: read_config(foreign), foreign / "config.yaml"),
        (lambda: read_checkpoint(foreign), foreign),
        (lambda: read_identity(foreign), foreign / "study.json"),
        (lambda: read_job(foreign, JobKey("v", 0)), foreign / "jobs/v/seed-0.json"),
    ):
        with pytest.raises(PluginError) as error:
            read()
        assert str(error.value) == MISSING.format(source)
    assert not plugin.exists()


def test_commands_say_which_plugin_is_missing_and_with_it_go_on(foreign, plugin, cmg):
    lines = [
        ("pretrain", "config.yaml", "--out", "run"),
        ("pretrain", "--resume", "--out", "."),
        ("probe", "--model", ".", "--train-on", "audio", "--test-on", "video"),
        ("encode", "digits", "--model", ".", "--out", "codes.jsonl"),
        ("report", "."),
        ("study", "table", "."),
    ]
    for line in lines:
        said = cmg(*line)
        assert (said.code, "give --plugin my_terms" in said.err) == (2, True), said.err
    assert not plugin.exists()
    said = cmg(*lines[0], "--plugin", "my_terms")
    assert "which is not loaded" not in said.err
    assert "unknown key 'objectives.puzzle'" in said.err


def test_a_study_records_the_plugins_of_its_variants(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin.parent)
    package.use("my_terms")
    study = load_study("ablation-av")
    base = load_config("digits", ["objectives.cmcm=null"])
    assert identity_as_dict(Identity(study, base, ""))["plugins"] == []
    back = study.variants[0].model_copy(update={"changes": {"objectives.cmcm": {}}})
    study = study.model_copy(update={"variants": (back, *study.variants[1:])})
    assert identity_as_dict(Identity(study, base, ""))["plugins"] == ["my_terms"]
