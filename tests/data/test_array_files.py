"""NumPy's files: equal to what NumPy reads, and no size believed that the file does not have."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, integer_dtypes
from numpy.lib import format as npy

from cmg.data.array_files import read_array, read_arrays
from cmg.errors import CmgError, DataError
from cmg.files import read_text

VALUES = arrays(integer_dtypes(), array_shapes(min_dims=0, max_dims=3, max_side=4))


def headed(shape, data=b"", dtype="<f4"):
    """A file that says it has this shape, and what follows."""
    out = io.BytesIO()
    npy.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue() + data


@given(VALUES, st.booleans())
def test_what_numpy_writes_is_read_back(tmp_path_factory, values, packed):
    folder = tmp_path_factory.mktemp("arrays")
    np.save(folder / "a.npy", values)
    (np.savez_compressed if packed else np.savez)(folder / "b.npz", one=values, two=values.T)
    for found, expected in (
        (read_array(folder / "a.npy"), values),
        (read_array(folder / "b.npz", "two"), values.T),
        (read_arrays(folder / "b.npz")["one"], values),
    ):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(10**6, 10**3), (2**40,), (10**9, 10**9, 10**9)])
@pytest.mark.parametrize("packed", [False, True])
def test_a_size_that_the_file_lacks_is_not_allocated(tmp_path, shape, packed):
    file = tmp_path / ("a.npz" if packed else "a.npy")
    if packed:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", headed(shape, bytes(64)))
    else:
        file.write_bytes(headed(shape, bytes(64)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"says that it holds .* and has 64; it is truncated"):
        read_array(file)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_an_array_that_grows_without_measure_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", zeros=np.zeros(200_000))  # 1.6 MB of 2 kB
    assert read_array(tmp_path / "a.npz").shape == (200_000,)
    monkeypatch.setattr("cmg.data.array_files.SMALL", 1 << 20)
    with pytest.raises(DataError, match=r"#zeros would grow from .* to 1,600,128 bytes"):
        read_array(tmp_path / "a.npz")


@settings(max_examples=300)
@given(st.integers(0, 400), st.integers(0, 255), st.booleans())
def test_damage_is_an_error_of_ours_or_another_array(tmp_path_factory, place, value, packed):
    folder = tmp_path_factory.mktemp("arrays")
    file = folder / "a.npz"
    if packed:
        np.savez_compressed(file, x=np.arange(30.0))
    else:
        file = folder / "a.npy"
        np.save(file, np.arange(30.0))
    data = bytearray(file.read_bytes())
    data[place % len(data)] = value
    file.write_bytes(data)
    said = ""
    try:
        assert read_array(file).nbytes <= 30 * 16
    except CmgError as error:
        said = str(error)
    assert said == "" or str(file) in said


def test_what_is_no_array_is_refused(tmp_path):
    objects, plain, many = tmp_path / "o.npy", tmp_path / "p.npy", tmp_path / "m.npz"
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    np.save(plain, np.arange(3))
    np.savez(many, a=np.arange(3), b=np.arange(2))
    (tmp_path / "text.npy").write_text("no array")
    os.mkfifo(tmp_path / "pipe.npy")
    for name, key, said in (
        ("o.npy", "", "it holds Python objects"),
        ("p.npy", "a", "single array, it has no key 'a'"),
        ("m.npz", "", "holds 2 arrays; name one as FILE.npz#KEY: a, b"),
        ("m.npz", "c", "has no array 'c'"),
        ("text.npy", "", "no readable .npy or .npz"),
        ("none.npy", "", "there is no file"),
        ("pipe.npy", "", "a pipe, a device or a socket"),
    ):
        with pytest.raises(DataError, match=said):
            read_array(tmp_path / name, key)
    with pytest.raises(DataError, match="is a single array, and no archive"):
        read_arrays(plain)
    with pytest.raises(DataError, match="a pipe, a device or a socket"):
        read_text(tmp_path / "pipe.npy")
