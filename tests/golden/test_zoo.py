"""The recorded cases of successors and rivals hold; those of parts that are not here are named."""

from pathlib import Path

import pytest

from cmg.golden import Status
from cmg.golden.cases import read_records
from cmg.golden.verify import verify_case

ZOO = Path(__file__).parent / "zoo"
NOT_HERE = (
    "fcid_",
    "srcid_",
)
"""How the names of cases begin whose parts cmg does not have."""
RECORDS = read_records(ZOO)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_case(record):
    result = verify_case(record)
    if record.name.startswith(NOT_HERE):
        assert result.status is Status.NOT_COVERED, f"take {record.name} out of NOT_HERE: {result}"
        return
    assert result.status is Status.OK, result
    assert result.error <= result.tolerance


def test_every_case_of_the_recording_is_here():
    assert len(RECORDS) == 42
    files = {record.entry["file"] for record in RECORDS}
    assert files == {path.name for path in ZOO.glob("*.npz")}
