"""Delimited text: what is a row, what is a column, and what is refused."""

import pytest

from cmg.errors import DataError
from cmg.tables import TOLD, Faults, once, read_records, read_table


def as_it_is(row):
    return row


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "t.csv").write_bytes(text.encode())
        return tmp_path / "t.csv"

    return write


def test_rows_have_the_line_of_the_file_and_cells_by_column(table):
    path = table('\ufeffid, name \r\n"a,b", two\n\n , \nc,"x\ny"\n')
    rows = [(row.line, row.cells) for row in read_table(path, as_it_is, strip=True)]
    assert rows == [(2, {"id": "a,b", "name": "two"}), (6, {"id": "c", "name": "x\ny"})]
    plain = [row.cells for row in read_table(path, as_it_is)]
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
        read_table(table(text), as_it_is, ",", ("id",), strip)


def test_an_index_without_a_name_is_let_pass_where_cells_are_taken_as_they_are(table):
    rows = read_table(table(",id\n0,a\n"), as_it_is, required=("id",))
    assert rows[0].cells == {"": "0", "id": "a"}


def number(line, cells):
    try:
        return line, int(cells["n"])
    except ValueError as error:
        raise DataError(f"{cells['n']!r} is no number") from error


def test_all_faults_of_a_file_are_told_at_once_up_to_a_number_of_them(table, tmp_path):
    path = table("n\n1\nx\n3,3\ny\n")
    with pytest.raises(DataError) as caught:
        read_records(path, number)
    assert str(caught.value) == (
        f"{path}: 3 lines are wrong\n  line 3: 'x' is no number\n"
        "  line 4: 2 cells where the header has 1; cells are separated by commas, and in double "
        "quotes where they hold one\n  line 5: 'y' is no number"
    )
    (tmp_path / "t.jsonl").write_text('{"n": 1}\n{"n": "x"}\n[]\n')
    with pytest.raises(
        DataError, match=r"2 lines are wrong\n  line 2: 'x' .*\n  line 3: not an ob"
    ):
        read_records(tmp_path / "t.jsonl", number)
    with pytest.raises(DataError) as caught:
        read_records(table("n\n" + "x\n" * (TOLD + 2)), number)
    assert str(caught.value).endswith(
        "t.csv, lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more: 'x' is no number"
    )
    with pytest.raises(DataError) as caught:
        read_records(table("n\n" + "".join(f"x{i}\n" for i in range(TOLD + 2))), number)
    assert str(caught.value).count("\n") == TOLD + 1
    assert str(caught.value).endswith("\n  and 2 other faults")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ('{"n": NaN}', "no JSON .*NaN is no JSON; write null"),
        ('{"n": 1, "n": 2}', "no JSON .*a key is there twice: n"),
        ('{"n": "\\ud800"}', "no JSON in UTF-8"),
        ('{"n": ' + "[" * 100_000, "no JSON"),
        ('{"n": ' + "9" * 5000 + "}", "no JSON"),
    ],
)
def test_lines_that_are_no_json_are_refused(tmp_path, line, said):
    (tmp_path / "t.jsonl").write_text(f'{{"n": 1}}\n{line}\n')
    with pytest.raises(DataError, match=f"line 2: {said}"):
        read_records(tmp_path / "t.jsonl", number)


def test_who_collects_faults_gets_the_rows_that_can_be_read(table):
    path = table("n\n1\nx\n3\n")
    faults = Faults(path)
    rows = read_table(path, lambda row: number(row.line, row.cells), faults=faults)
    assert rows == [(2, 1), (4, 3)]
    assert str(faults) == f"{path}, line 3: 'x' is no number"
    with pytest.raises(DataError, match="line 3"):
        faults.refuse()


def test_an_id_is_taken_once():
    lines = {}
    once(lines, "a", 2)
    once(lines, "b", 3)
    with pytest.raises(DataError, match="the id 'a' is in line 2 already; remove one of the two"):
        once(lines, "a", 4)
