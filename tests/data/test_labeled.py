"""Labels of a file for the clips of a store."""

import json

import numpy as np
import pytest

from cmg.data.labeled import read_labels
from cmg.errors import DataError


@pytest.fixture
def file(tmp_path):
    def write(text, name="labels.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_csv_and_json_lines_say_the_same(file):
    one = read_labels(file('id,kind,place\na,dog,"in, out"\nb,,x\n\nc,cat,\n'))
    rows = [
        {"id": "a", "kind": "dog", "place": "in, out"},
        {"id": "b", "kind": None, "place": "x"},
        {"id": "c", "kind": "cat"},
    ]
    other = read_labels(file("\n".join(map(json.dumps, rows)) + "\n", "labels.jsonl"))
    assert one.classes == other.classes
    assert one.classes == {"kind": {"a": "dog", "c": "cat"}, "place": {"a": "in, out", "b": "x"}}


def test_names_stay_names(file):
    """Numbers as ids, words that YAML reads as another thing, and signs that end a line."""
    table = file(
        'id,kind\n0,no\n2024,null\nnull,010\n1e3,~\nnan,"two\nlines"\nno,a\u2028b\n',
    )
    kinds = {"0": "no", "2024": "null", "null": "010", "1e3": "~", "nan": "two\nlines"}
    assert read_labels(table).classes == {"kind": kinds | {"no": "a\u2028b"}}
    lines = '{"id": 0, "kind": 2024}\n{"id": "1e3", "kind": true}\n{"id": 7, "kind": "a\u2028b"}\n'
    assert read_labels(file(lines, "l.jsonl")).classes == {
        "kind": {"0": "2024", "1e3": "true", "7": "a\u2028b"}
    }


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("", "l.csv", "line 1: no column 'id'"),
        ("clip,kind\na,b\n", "l.csv", "line 1: no column 'id'"),
        ("id\na\n", "l.csv", "labels no clip; give a column"),
        ("id,kind\na,b\na,c\n", "l.csv", r"line 3: the id 'a' is in line 2 already"),
        ("id,kind\n,b\n", "l.csv", "line 2: no id"),
        ("id,kind\na,\n", "l.csv", "labels no clip"),
        ('{"id": "a"', "l.jsonl", "line 1: no JSON"),
        ('{"id": "a", "kind": ["b"]}', "l.jsonl", "line 1: 'kind' must be one name"),
        ('{"id": {}, "kind": "b"}', "l.jsonl", "line 1: 'id' must be one name"),
        ('{"id": "", "kind": "b"}', "l.jsonl", "line 1: no id"),
    ],
)
def test_bad_files_are_refused_by_row(file, text, name, said):
    with pytest.raises(DataError, match=said):
        read_labels(file(text, name))


def test_clips_get_the_labels_of_the_file(store, file):
    ids = [row.id for row in store.rows]
    lines = [f"{clip},{'odd' if i % 2 else 'even'}" for i, clip in enumerate(ids[:-1])]
    source = store.labelled(file("\n".join(["id,parity", *lines, "zz,odd"])))
    assert source.labels["parity"].classes == ("even", "odd")
    found = [row.labels for row in source.rows]
    assert found == [{"parity": i % 2} for i in range(len(ids) - 1)] + [{"parity": None}]
    assert [row.lengths for row in source.rows] == [row.lengths for row in store.rows]
    first, second = source.about.remarks
    assert "1 clips not in the store, e.g. 'zz'" in first
    assert f"1 clips without a label, e.g. {ids[-1]!r}" in second
    for m in store.modalities:
        for mine, own in zip(
            source.features(m, np.arange(3)), store.features(m, np.arange(3)), strict=True
        ):
            np.testing.assert_array_equal(mine, own)
    assert source.content_hash != store.content_hash
    assert source.splits == store.splits


def test_a_file_of_other_clips_is_an_error(store, file):
    with pytest.raises(
        DataError, match=r"labels none of the 12 clips .*'other'.*ids must be equal"
    ):
        store.labelled(file("id,kind\nother,x\n"))
