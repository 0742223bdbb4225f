"""The zip of a clip: which member counts, and what is refused."""

import pickle
import struct
import sys
import zipfile
import zlib
from importlib import import_module

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.official import zips
from cmg.official.zips import read_clip_zip

FEATURES = np.arange(40, dtype=np.float32).reshape(10, 4)


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def inflates(request, monkeypatch):
    """Everything holds with ISA-L and without."""
    if request.param == "isal":
        pytest.importorskip("isal")
        assert zips.inflater() is not zlib
    else:
        monkeypatch.setattr(zips, "inflater", lambda: zlib)


@pytest.fixture
def make(tmp_path):
    """Write a zip with these members, in this order."""

    def do(*members, method=zipfile.ZIP_DEFLATED):
        path = tmp_path / "clip.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members:
                raw = content if isinstance(content, bytes) else pickle.dumps(content)
                archive.writestr(name, raw)
        return path

    return do


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_the_array_comes_back_as_stored(make, method):
    found = read_clip_zip(make(("clip.pkl", FEATURES), method=method))
    np.testing.assert_array_equal(found, FEATURES)
    assert found.dtype == np.float32


def test_the_last_pickle_in_the_archives_order_counts(make):
    path = make(("b.pkl", FEATURES), ("z.txt", b"no"), ("a.pkl.old", FEATURES + 1), ("x", b"no"))
    assert read_clip_zip(path)[0, 0] == 1.0


def test_what_macos_adds_never_counts(make):
    path = make(
        ("d/clip.pkl", FEATURES),
        ("__MACOSX/d/clip.pkl", b"Mac OS X"),
        ("__MACOSX/d/._clip.pkl", b"Mac OS X"),
        ("d/._clip.pkl", b"Mac OS X"),
        ("folder.pkl/", b""),
    )
    np.testing.assert_array_equal(read_clip_zip(path), FEATURES)


def test_a_zip_without_a_pickle_is_refused_by_what_it_holds(make):
    with pytest.raises(DataError, match=r"clip\.zip: no member with \.pkl .*'clip\.npy'.*unpack"):
        read_clip_zip(make(("clip.npy", b"1")))
    with pytest.raises(DataError, match=r"it holds nothing"):
        read_clip_zip(make())
    with pytest.raises(DataError, match=r"no member with \.pkl"):
        read_clip_zip(make(("__MACOSX/._clip.pkl", b"1")))


@pytest.mark.parametrize("name", ["../x.pkl", "a/../../x.pkl", "/etc/x.pkl", "..\\x.pkl", "C:\\x"])
def test_a_member_that_points_outside_is_refused(make, tmp_path, name):
    path = make((name, FEATURES), ("fine.pkl", FEATURES))
    with pytest.raises(DataError, match="points outside the archive"):
        read_clip_zip(path)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.zip"]


def test_a_bomb_is_refused_before_it_is_unpacked(make):
    path = make(("x.pkl", b"\0" * (40 << 20)))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"would grow from .* to 41,943,040 bytes"):
        read_clip_zip(path)
    with pytest.raises(DataError, match=r"declares 41,943,040 bytes, over the limit of 1,000,000"):
        read_clip_zip(path, max_bytes=1_000_000)


def test_a_member_larger_than_it_declares_is_refused(make):
    """A bomb that declares 100 bytes: reading stops there, and the checksum differs."""
    path = make(("x.pkl", b"\0" * (30 << 20)))
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = raw.index(signature) + at
        raw[start : start + 4] = struct.pack("<I", 100)
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"clip\.zip: .*(CRC|bytes)"):
        read_clip_zip(path)


def test_damage_is_told_with_the_file(make, tmp_path):
    noise = np.random.default_rng(0).random((10, 40))  # does not compress
    path = make(("x.pkl", noise))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"clip\.zip: no whole zip .*authors' archive"):
        read_clip_zip(path)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(DataError, match=r"clip\.zip: no whole zip"):
        read_clip_zip(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"clip\.zip: no whole zip"):
        read_clip_zip(path)
    with pytest.raises(DataError, match=r"missing\.zip: No such file"):
        read_clip_zip(tmp_path / "missing.zip")
    with pytest.raises(DataError, match="Is a directory"):
        read_clip_zip(tmp_path)


def test_an_encrypted_member_is_refused(make):
    path = make(("x.pkl", FEATURES))
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + at] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"x\.pkl is encrypted"):
        read_clip_zip(path)


def test_an_unknown_compression_is_refused(make):
    path = make(("x.pkl", FEATURES))
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        raw[raw.index(signature) + at] = 98
    path.write_bytes(raw)
    with pytest.raises(DataError, match="no whole zip"):
        read_clip_zip(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": FEATURES}, "holds a dict, not one numpy array"),
        (b"cos\nsystem\n(S'false'\ntR.", r"refused pickle: .*os\.system"),
    ],
)
def test_a_pickle_of_anything_but_an_array_is_refused_by_file_and_member(make, content, said):
    with pytest.raises(DataError, match=rf"clip\.zip: x\.pkl:? {said}"):
        read_clip_zip(make(("x.pkl", content)))


def test_without_isal_zlib_inflates(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    assert zips.inflater.__wrapped__() is zlib


@pytest.mark.parametrize("seed", range(5))
def test_isal_and_zlib_say_the_same(make, monkeypatch, seed):
    """The same array of a whole zip, the same words about a damaged one."""
    pytest.importorskip("isal")
    rng = np.random.default_rng(seed)
    path = make(("x.pkl", rng.standard_normal((10, 400)).round(1)))
    whole = path.read_bytes()
    for _ in range(40):
        raw = bytearray(whole)
        raw[rng.integers(len(raw))] = rng.integers(256)
        path.write_bytes(raw)
        told = []
        for module in (zlib, import_module("isal.isal_zlib")):
            monkeypatch.setattr(zips, "inflater", lambda module=module: module)
            try:
                told.append(read_clip_zip(path).tobytes())
            except DataError as error:
                told.append(str(error))
        assert told[0] == told[1]
