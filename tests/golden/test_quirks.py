"""Recorded cases of successors notice their quirks: without one of them they do not hold."""

from functools import partial
from pathlib import Path

import pytest

from cmg.golden import Status, contrast, masked_steps, releases
from cmg.golden import srcid as golden_srcid
from cmg.golden.cases import read_records
from cmg.golden.compare import VALUES
from cmg.golden.quantizer import verify_quantizer
from cmg.golden.verify import VERIFIERS, verify_case
from cmg.interop import fcid, srcid
from cmg.interop.micu import DEAF_RESET
from cmg.objectives.base import View

RECORDS = {record.name: record for record in read_records(Path(__file__).parent / "zoo")}


def fails(name):
    return verify_case(RECORDS[name]).status is Status.FAILED


@pytest.mark.parametrize(
    ("case", "without"),
    [
        ("micu_fcmi_1", {"symmetric": True}),
        ("micu_fcmi_1", {"masked": "left_out"}),
        ("micu_fcmi_b3", {"rounded_mean": False}),
    ],
)
def test_the_masked_contrast_as_coded(monkeypatch, case, without):
    assert not fails(case)
    monkeypatch.setattr(contrast, "AS_CODED", contrast.AS_CODED | without)
    assert fails(case)


def test_the_first_pass_is_the_one_that_is_read(monkeypatch):
    monkeypatch.setattr(View, "first", property(lambda view: view))
    assert fails("micu_step_small")


def test_code_0_is_zeroed_outside_training(monkeypatch):
    own = releases.deaf_options
    kept = lambda size: own(size).model_copy(update={"first_code": "kept"})  # noqa: E731
    for module in (releases, masked_steps):
        monkeypatch.setattr(module, "deaf_options", kept)
    assert fails("micu_lookup")
    assert fails("micu_step_small")


def test_text_picks_keep_no_code(monkeypatch):
    assert not fails("micu_quantizer_reset")
    heard = DEAF_RESET.model_copy(update={"unheard": ()})
    own = next(pattern for pattern in VERIFIERS if "MICU release" in pattern)
    monkeypatch.setitem(VERIFIERS, own, (partial(verify_quantizer, reset=heard), VALUES))
    assert fails("micu_quantizer_reset")


# ---- two layers --------------------------------------------------------------------------------

SRCID_STEPS, FCID_STEPS = "srcid_step_warmstart_and_full", "fcid_step_small"


def test_srcid_encodes_six_times(monkeypatch):
    assert not fails(SRCID_STEPS)
    monkeypatch.setattr(golden_srcid, "PASSES", 5)
    assert fails(SRCID_STEPS)


@pytest.mark.parametrize("change", [{"weight": 0.3}, {"start_epoch": 2}])
def test_srcid_weighs_its_second_layer_as_coded(monkeypatch, change):
    own = srcid.second_terms
    monkeypatch.setattr(srcid, "second_terms", lambda *given: own(*given).model_copy(update=change))
    assert fails(SRCID_STEPS)


def without(terms, name, change):
    """Terms of a second layer, one of which is changed."""
    one = getattr(terms.terms, name).model_copy(update=change)
    return terms.model_copy(update={"terms": terms.terms.model_copy(update={name: one})})


def test_srcid_lets_the_gradient_through_what_it_rebuilds(monkeypatch):
    own, cut = srcid.second_terms, {"detach_token_target": True}
    monkeypatch.setattr(
        srcid, "second_terms", lambda *given: without(own(*given), "reconstruction", cut)
    )
    assert fails(SRCID_STEPS)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("reconstruction", {"detach_token_target": True}),
        ("club", {"averages": "time"}),
        ("club", {"content": "codes"}),
        ("clip_info_nce", {"directions": "both"}),
    ],
)
def test_fcid_as_coded(monkeypatch, name, change):
    assert not fails(FCID_STEPS)
    own = fcid.as_coded_terms

    def changed(*given):
        terms = own(*given)
        return terms | {"second_layer": without(terms["second_layer"], name, change)}

    monkeypatch.setattr(fcid, "as_coded_terms", changed)
    assert fails(FCID_STEPS)


def test_fcid_moves_codes_by_video_first(monkeypatch):
    own = next(pattern for pattern in VERIFIERS if "FCID release" in pattern)
    usual = partial(verify_quantizer, reset=fcid.RESET)
    assert not fails("fcid_quantizer_reset")
    monkeypatch.setitem(VERIFIERS, own, (usual, VALUES))
    assert fails("fcid_quantizer_reset")
