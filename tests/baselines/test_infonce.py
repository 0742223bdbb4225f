"""What InfoNCE at equal budget changes in a run, and what it leaves."""

import pytest

from cmg.baselines.infonce import infonce_config, is_infonce
from cmg.config.compare import changed_keys
from cmg.config.load import load_config, override_config


@pytest.mark.parametrize("method", ["light", "full", "dcid"])
def test_only_codes_and_objectives_go(method):
    config = load_config("digits", ["probe.epochs=7"], method=method)
    found = infonce_config(config)
    groups = {".".join(key.split(".")[:2]) for key in changed_keys(config, found)}
    terms = {*config.objectives.terms, "clip_info_nce"}
    assert groups == {"model.codebook", *(f"objectives.{name}" for name in terms)}
    assert found.model.codebook.kind == "none"
    assert list(found.objectives.terms) == ["clip_info_nce"]
    assert is_infonce(found)
    assert not is_infonce(config)


def test_the_contrasts_of_the_run_stay_as_they_are_but_on_features():
    own = {
        "clip_info_nce": {"temperature": 0.2, "of": ("features", "codes")},
        "step_info_nce": {"weight": 0.5},
    }
    changes = {f"objectives.{name}": options for name, options in own.items()}
    config = override_config(load_config("digits"), changes=changes)
    terms = infonce_config(config).objectives.terms
    assert list(terms) == ["clip_info_nce", "step_info_nce"]
    assert (terms["clip_info_nce"].temperature, terms["clip_info_nce"].of) == (0.2, ("features",))
    assert terms["step_info_nce"].weight == 0.5


def test_heads_on_a_posterior_read_features_instead():
    config = load_config("digits", ["probe.features=posterior"])
    assert infonce_config(config).probe.features == "codes"
    assert infonce_config(load_config("digits", ["probe.features=continuous"])).probe.features == (
        "continuous"
    )
