"""A folder in the official layout, any file of which is damaged: told, never stumbled over."""

import os
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.conftest import bounded, damaged, or_refused

from cmg.errors import CmgError, DataError
from cmg.official.collection import open_collection
from cmg.official.doctor import check_root
from cmg.official.h5 import H5Array

TABLES = (".csv", ".txt", ".json", ".h5")
BITS = st.sampled_from(
    ['"', '""', "\r", "\n\n", "\t", ",", "&", "9" * 30, "-1", "nan", "", "é", "0"]
)


@pytest.fixture(scope="module")
def root(simulated, tmp_path_factory):
    """A copy whose tables are files of its own; the rest are links."""
    folder = tmp_path_factory.mktemp("official") / "root"

    def copy(origin, target):
        (shutil.copy2 if origin.endswith(TABLES) else os.link)(origin, target)

    return shutil.copytree(simulated, folder, copy_function=copy)


def edited(data, whole):
    """Bytes of a table with some of its lines or cells in other words, orders and numbers."""
    lines = whole.decode().split("\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["out", "twice", "reversed", "cell", "bits"]))
    if how == "out":
        del lines[at]
    elif how == "twice":
        lines.insert(data.draw(st.integers(0, len(lines))), lines[at])
    elif how == "reversed":
        lines.reverse()
    elif how == "cell":
        cells = lines[at].split(",")
        cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(BITS)
        lines[at] = ",".join(cells)
    else:
        lines[at] += data.draw(BITS)
    return "\n".join(lines).encode()


@settings(max_examples=12)
@given(data=st.data(), text=st.sampled_from(["none", "published"]))
def test_damage_is_told(root, data, text):
    files = sorted(path for path in root.rglob("*") if path.suffix in TABLES)
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    binary = path.suffix == ".h5" or data.draw(st.booleans())
    path.write_bytes((damaged if binary else edited)(data, whole))
    try:
        with bounded():
            or_refused(lambda: check_root(root, deep=1), DataError)
        collection = or_refused(lambda: open_collection(root, text=text), CmgError)
        if collection is not None:
            name = data.draw(st.sampled_from(sorted(collection.names)))
            or_refused(lambda: collection.open(name), CmgError)
    finally:
        path.write_bytes(whole)


@given(data=st.data())
def test_a_damaged_h5_file_is_an_array_or_refused(new_folder, data):
    path = new_folder() / "labels.h5"
    with h5py.File(path, "w") as file:
        file["avadataset"] = np.arange(24.0).reshape(4, 6)
    path.write_bytes(damaged(data, path.read_bytes()))
    found = or_refused(lambda: H5Array(path, "avadataset").all(), DataError, path)
    assert found is None or isinstance(found, np.ndarray)


def test_an_h5_file_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "labels.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("avadataset", (10**13, 10), "f4", chunks=(100, 10))
    with bounded(), pytest.raises(DataError, match=r"labels\.h5: 'avadataset' claims 400,000,000"):
        H5Array(path, "avadataset").row(3)
