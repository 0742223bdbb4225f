"""Delimited text: what is a row, what is a column, and what is refused."""

from __future__ import annotations

import pytest

from cmg.errors import DataError
from cmg.tables import read_table


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "t.csv").write_bytes(text.encode())
        return tmp_path / "t.csv"

    return write


def test_rows_have_the_line_of_the_file_and_cells_by_column(table):
    path = table('\ufeffid, name \r\n"a,b", two\n\n , \nc,"x\ny"\n')
    rows = [(row.line, row.cells) for row in read_table(path, strip=True)]
    assert rows == [(2, {"id": "a,b", "name": "two"}), (6, {"id": "c", "name": "x\ny"})]
    plain = [row.cells for row in read_table(path)]
    assert plain[:2] == [{"id": "a,b", "name": " two"}, {"id": " ", "name": " "}]


@pytest.mark.parametrize(
    ("text", "strip", "said"),
    [
        ("", False, r"line 1: no column 'id' in \[\]; expected a header with id, separated by"),
        ("id,id\n1,2\n", False, "line 1: every column needs a name of its own"),
        ("id,\n1,2\n", True, "line 1: every column needs a name of its own"),
        ("id\n1,2\n", False, "line 2: 2 cells where the header has 1; .* in double quotes"),
        ('id\n"1\n', False, "line 2: no table"),
        ("id\n", False, "lists nothing: there is no row below its header"),
    ],
)
def test_another_dialect_is_refused(table, text, strip, said):
    with pytest.raises(DataError, match=f"t.csv.*{said}"):
        read_table(table(text), ",", ("id",), strip)


def test_an_index_without_a_name_is_let_pass_where_cells_are_taken_as_they_are(table):
    assert read_table(table(",id\n0,a\n"), required=("id",))[0].cells == {"": "0", "id": "a"}
