"""What the recorded cases of the row-tied codebook notice: each quirk, left out, fails one."""

from pathlib import Path

import pytest

from cmg.golden import Status, codaar
from cmg.golden.cases import read_records
from cmg.golden.verify import verify_case
from cmg.objectives.commitment import CommitmentOptions

RECORDS = {r.name: r for r in read_records(Path(__file__).parent / "zoo")}
SMALL = "codaar_quantizer_AV_train3_warm"


@pytest.mark.parametrize(
    "changed",
    [
        {"gradient": "own"},
        {"writes": "row"},
        {"alignment": "mean"},
        {"alignment": "none"},
        {"ema": {"own_weight": None}},
        {"ema": {"smoothing": False}},
    ],
)
def test_options_of_the_codebook_are_noticed(monkeypatch, changed):
    coded = codaar.as_coded_codebook

    def other(size):
        told = coded(size).model_dump()
        ema = told["ema"] | changed.get("ema", {})
        return type(coded(size)).model_validate(told | changed | {"ema": ema})

    monkeypatch.setattr(codaar, "as_coded_codebook", other)
    result = verify_case(RECORDS[SMALL])
    assert result.status is Status.FAILED
    assert result.error > result.tolerance  # it ran to the end


def test_the_weight_of_partners_is_noticed(monkeypatch):
    """Of two modalities: of three it is what the paper's form has."""
    monkeypatch.setattr(codaar, "AS_CODED_COMMITMENT", CommitmentOptions())
    result = verify_case(RECORDS[SMALL])
    assert result.status is Status.FAILED
    assert "commit_loss" in result.detail


def test_what_restarts_would_be_noticed_if_it_lasted(monkeypatch):
    coded = codaar.as_coded_codebook

    def lasting(size):
        options = coded(size)
        reset = options.reset.model_copy(update={"reseed_stats": True})
        return options.model_copy(update={"reset": reset})

    monkeypatch.setattr(codaar, "as_coded_codebook", lasting)
    assert verify_case(RECORDS["codaar_reset_AVT"]).status is Status.FAILED
