"""Recorded cases of successors notice their quirks: without one of them they do not hold."""

from functools import partial
from pathlib import Path

import pytest

from cmg.golden import Status, contrast, masked_steps, releases
from cmg.golden.cases import read_records
from cmg.golden.compare import VALUES
from cmg.golden.quantizer import verify_quantizer
from cmg.golden.verify import VERIFIERS, verify_case
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
    heard = releases.DEAF_RESET.model_copy(update={"unheard": ()})
    own = next(pattern for pattern in VERIFIERS if "MICU release" in pattern)
    monkeypatch.setitem(VERIFIERS, own, (partial(verify_quantizer, reset=heard), VALUES))
    assert fails("micu_quantizer_reset")
