"""Tables of any dialect: rows as they were written, or a DataError that names the file."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.conftest import or_refused

from cmg.errors import DataError
from cmg.tables import DELIMITERS, read_lines, read_table

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
NAMES = st.lists(CELL.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True)
BITS = '\ufeff " "" \r \n \r\n \t , & a é \u2028 \0'.split(" ")
ROUGH = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(BITS), max_size=20).map("".join).map(str.encode),
)
DIALECTS = st.tuples(
    st.sampled_from(sorted(DELIMITERS)),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)


def quoted(cell, delimiter, always):
    if always or not cell or any(c in cell for c in f'{delimiter}"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


@given(header=NAMES, data=st.data(), dialect=DIALECTS, always=st.booleans())
def test_a_table_is_read_back_as_it_was_written(new_folder, header, data, dialect, always):
    cells = st.lists(CELL, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(cells, min_size=1, max_size=4))
    delimiter, end, mark = dialect
    lines = [delimiter.join(quoted(c, delimiter, always) for c in x) + end for x in [header, *rows]]
    path = new_folder() / "t.csv"
    path.write_bytes((mark + "".join(lines)).encode())
    found = read_table(path, lambda row: row, delimiter, header)
    assert [row.cells for row in found] == [dict(zip(header, row, strict=True)) for row in rows]
    assert all(a.line < b.line for a, b in pairwise(found))


@given(content=ROUGH, delimiter=st.sampled_from(sorted(DELIMITERS)), strip=st.booleans())
def test_whatever_else_is_in_a_file_is_rows_or_refused(new_folder, content, delimiter, strip):
    path = new_folder() / "t.csv"
    path.write_bytes(content)
    for read in (lambda: read_table(path, str, delimiter, strip=strip), lambda: read_lines(path)):
        assert or_refused(read, DataError, path) != []
