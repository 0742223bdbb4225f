"""The recorded cases of successors and rivals hold, and those of metrics of references."""

from pathlib import Path

import pytest

from cmg.golden import Status
from cmg.golden.cases import read_records
from cmg.golden.verify import verify_case

ZOO = Path(__file__).parent / "zoo"
RECORDS = read_records(ZOO)
METRICS = read_records(ZOO.parent / "references")


@pytest.mark.parametrize("record", RECORDS + METRICS, ids=lambda record: record.name)
def test_case(record):
    result = verify_case(record)
    assert result.status is Status.OK, result
    assert result.error <= result.tolerance


def test_every_case_of_the_recording_is_here():
    assert (len(RECORDS), len(METRICS)) == (42, 14)
    files = {record.entry["file"] for record in RECORDS}
    assert files == {path.name for path in ZOO.glob("*.npz")}
