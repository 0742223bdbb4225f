"""The zip of a clip: its array, or a DataError that names the file, whatever was done to it."""

import io
import pickle
import zipfile
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.conftest import damaged, or_refused

from cmg.errors import DataError
from cmg.official.zips import read_clip_zip

ARRAY = np.arange(60, dtype=np.float32).reshape(10, 6)


@cache
def sound(method, member="clip.pkl"):
    """The bytes of a zip with two members."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        archive.writestr("__MACOSX/._clip.pkl", b"nothing")
        archive.writestr(member, pickle.dumps(ARRAY))
    return data.getvalue()


METHODS = st.sampled_from(
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)


@given(whole=METHODS.map(sound), data=st.data())
def test_a_damaged_zip_is_its_array_or_refused(new_folder, whole, data):
    path = new_folder() / "clip.zip"
    path.write_bytes(damaged(data, whole))
    found = or_refused(lambda: read_clip_zip(path), DataError, path)
    assert found is None or np.array_equal(found, ARRAY)


@pytest.mark.parametrize(
    ("method", "at", "byte"),
    [(zipfile.ZIP_LZMA, 117, 0), (zipfile.ZIP_LZMA, 104, 1), (zipfile.ZIP_STORED, 530, 0)],
)
def test_what_python_says_of_a_damaged_zip_in_its_own_words_is_told_in_ours(
    tmp_path, method, at, byte
):
    """Broken LZMA data and options; a member whose name begins with a zero byte."""
    whole = bytearray(sound(method))
    whole[at] = byte
    (tmp_path / "clip.zip").write_bytes(whole)
    with pytest.raises(DataError, match=r"clip\.zip: no whole zip .*; unpack this file again"):
        read_clip_zip(tmp_path / "clip.zip")
