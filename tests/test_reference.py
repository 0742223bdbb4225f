"""Every key of a configuration is told, on the page and by `cmg config`."""

import pytest

from cmg.config.load import dotted_keys, load_config
from cmg.config.reference import key_groups
from cmg.config.schema import RunConfig
from cmg.config.values import alternatives, has_keys


def test_every_key_that_can_be_set_is_told_with_its_meaning():
    told = {key.name: key for group in key_groups() for key in group.keys}
    assert [name for name, key in told.items() if not (key.meaning and key.kind)] == []
    settable = {
        key
        for key, kind in dotted_keys(RunConfig).items()
        if not any(has_keys(k) and isinstance(k, type) for k in alternatives(kind))
        and not key.startswith("objectives.second_layer.terms.")
    }
    assert settable - told.keys() == {"plugins"}
    assert told.keys() <= settable


@pytest.mark.parametrize(
    ("key", "kind", "default", "begins"),
    [
        ("training.epochs", "whole number, at least 1", "6", "Passes over"),
        ("training.seed", "whole number, at least 0", "0", "Of weights"),
        ("data.step_seconds", "number, above 0 or auto or null", "auto", "Seconds that"),
        ("data.fraction", "number, above 0 and at most 1", "1", "Share of"),
        ("data.modalities", "list of text or null", "null", "Names to use"),
        ("model.detail_width", "{modality: whole number, above 0}", "{}", "Private width"),
        ("optimizer.schedule.milestones", "list of whole number", "[10, 20, 30]", "Epochs"),
        ("model.second.reads", "private or clips", "none: it has to be given", ""),
        ("training.keep_checkpoints", "whole number, at least 1 or epochs or null", "epochs", ""),
    ],
)
def test_what_is_told_of_a_key(cmg, key, kind, default, begins):
    said = cmg("config", key, "--json")
    (told,) = said.json["keys"]
    assert (told["name"], told["kind"], told["default"]) == (key, kind, default)
    assert told["meaning"].startswith(begins)
    first, second = cmg("config", key).out.splitlines()
    assert (first, second) == (f"{key}={default}", f"  {kind}. {told['meaning']}")


def test_defaults_that_are_told_are_those_of_a_configuration():
    told = [key for group in key_groups() for key in group.keys if "of kind" not in group.name]
    same = [k for k in told if not k.name.startswith(("objectives", "model.second", "probe.dim"))]
    given = [f"{key.name}={key.default}" for key in same if "codebook" not in key.name]
    assert len(given) > 60
    assert load_config(None, given) == load_config(None)


def test_the_page_is_what_the_options_say(cmg, request, tmp_path):
    page = tmp_path / "page.md"
    assert cmg("config", "--out", page).code == 0
    written = (request.config.rootpath / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page.read_text(encoding="utf-8"), "write it: cmg config --out docs/..."


def test_an_unknown_key_is_answered_by_the_nearest(cmg):
    said = cmg("config", "training.epoch")
    assert (said.code, "no key 'training.epoch' (did you mean 'training.epochs'?)" in said.err) == (
        2,
        True,
    )
    assert cmg("config", "model.codebook").out.count("model.codebook.kind=") > 9
