"""Pickles: what is read equals what was written, and nothing that could act is ever run."""

from __future__ import annotations

import contextlib
import copyreg
import functools
import io
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.pickles.machine import MAX_OPERATIONS
from cmg.pickles.plain import load_plain_pickle

rng = np.random.default_rng(0)
ARRAYS = {
    "float32 maps": rng.random((3, 2, 2, 4)).astype(np.float32),
    "float64": rng.random((10, 128)),
    "float16": rng.random(5).astype(np.float16),
    "big endian": np.arange(6, dtype=">i4").reshape(2, 3),
    "columns first": np.asfortranarray(rng.random((3, 4))),
    "strided": np.arange(12).reshape(3, 4)[:, ::2],
    "bool": np.array([True, False]),
    "uint8": np.arange(256, dtype=np.uint8),
    "no steps": np.zeros((0, 128)),
    "no axis": np.array(2.5),
}
PLAIN = {
    "counts": {1037: 1, 2158: 2, 0: 0},
    "nested": {"a": [1, (2.5, None, True)], b"k": "ü\n'", 1.5: [], "t": (), "d": {}},
    "large": [2**31, -(2**63), 10**20, -1, 0, 255, 65536],
    "bytes": [b"", b"\x00\xff" * 200],
    "shared": [[1, 2]] * 2,
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_whatever_the_protocol(name, protocol):
    array = ARRAYS[name]
    found = load_plain_pickle(pickle.dumps(array, protocol), "it")
    np.testing.assert_array_equal(found, array, strict=False)
    assert (found.shape, found.dtype) == (array.shape, array.dtype.newbyteorder("="))
    assert not found.flags.writeable


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_come_back_whatever_the_protocol(name, protocol):
    found = load_plain_pickle(pickle.dumps(PLAIN[name], protocol), "it")
    assert found == PLAIN[name]
    assert repr(found) == repr(PLAIN[name])


@pytest.mark.parametrize("protocol", range(6))
def test_containers_of_arrays_and_numpy_scalars_are_read(protocol):
    one = np.arange(3.0)
    found = load_plain_pickle(
        pickle.dumps({"x": [one, one], "n": np.float32(0.5), "b": np.bool_(True)}, protocol), "it"
    )
    assert found["n"] == 0.5
    assert found["b"] is True
    assert found["x"][0] is found["x"][1]
    np.testing.assert_array_equal(found["x"][0], one)


def test_module_names_of_the_first_numpy_are_known():
    for protocol in (2, 3, 5):
        data = pickle.dumps(np.arange(4.0), protocol)
        old = data.replace(b"numpy._core", b"numpy.core")
        if protocol == 5:  # Lengths of texts and frames count bytes.
            old = pickle.PROTO + b"\x05" + old[11:].replace(b"\x8c\x13numpy", b"\x8c\x12numpy")
        assert load_plain_pickle(old, "it").tolist() == [0.0, 1.0, 2.0, 3.0]


def test_arrays_of_python_2_hold_latin_1_texts():
    raw = np.array([1.5, -2.25], dtype="<f4").tobytes()
    body = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\n"
        b"tp4\nRp5\n(I1\n(I2\ntp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\n"
        b"p11\nNNNI-1\nI-1\nI0\ntp12\nbI00\n"
    )
    as_line = body + b"S" + repr(raw).encode()[1:] + b"\np13\ntp14\nb."
    as_binary = body + b"T" + struct.pack("<i", len(raw)) + raw + b"tp14\nb."
    for data in (as_line, as_binary):
        assert load_plain_pickle(data, "it").tolist() == [1.5, -2.25]


class Harm:
    """Leaves a trace when it is run."""

    ran = False

    def __init__(self, call=None, arguments=()):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def touch() -> None:
    Harm.ran = True


class Setting:
    def __setstate__(self, state):
        Harm.ran = True


class Persistent(pickle.Pickler):
    def persistent_id(self, obj):
        return "id" if isinstance(obj, Harm) else None


def with_persistent_id() -> bytes:
    stream = io.BytesIO()
    Persistent(stream, 4).dump([Harm()])
    return stream.getvalue()


def short_bytes(raw: bytes) -> bytes:
    return b"C" + bytes([len(raw)]) + raw


def declared(shape: tuple[int, ...], raw: bytes) -> bytes:
    """An array of protocol 5 that declares any shape."""
    sizes = b"(" + b"".join(pickle.dumps(n, 2)[2:-1] for n in shape) + b"t"
    return (
        b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(" + short_bytes(raw) + b"cnumpy\ndtype\n"
        b"X\x02\x00\x00\x00f4\x89\x88\x87R" + sizes + b"X\x01\x00\x00\x00CtR."
    )


MALICIOUS = {
    "os.system by REDUCE": (pickle.dumps(Harm(os.system, ("false",))), "posix.system"),
    "builtins.eval": (pickle.dumps(Harm(eval, ("1",))), "builtins.eval"),
    "builtins.eval, protocol 0": (pickle.dumps(Harm(eval, ("1",)), 0), "__builtin__.eval"),
    "own function": (pickle.dumps(Harm(touch)), "touch"),
    "subprocess": (pickle.dumps(Harm(subprocess.Popen, (["true"],))), "subprocess.Popen"),
    "getattr": (pickle.dumps(Harm(getattr, (1, "real"))), "builtins.getattr"),
    "functools.partial": (pickle.dumps(functools.partial(touch)), "functools.partial"),
    "numpy.load": (pickle.dumps(Harm(np.load, ("/etc/passwd",))), "numpy.load"),
    "numpy by attribute path": (
        b"\x80\x04\x8c\x05numpy\x8c\x1ecore.multiarray._reconstruct.x\x93.",
        "numpy.core.multiarray._reconstruct.x",
    ),
    "numpy's os by attribute path": (
        b"\x80\x04\x8c\x05numpy\x8c\x0elib.npyio.os.x\x93.",
        "numpy.lib.npyio",
    ),
    "numpy memmap": (pickle.dumps(Harm(np.memmap, ("x",))), "numpy.memmap"),
    "codecs.decode": (b"c_codecs\ndecode\n(S'x'\nS'rot13'\ntR.", "_codecs.decode"),
    "_codecs.encode to another codec": (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "other than bytes"),
    "nested names by STACK_GLOBAL": (
        b"\x80\x04\x8c\x08builtins\x8c\x0eprint.__self__\x93\x8c\x01x\x85R.",
        "builtins.print.__self__",
    ),
    "names that are no texts": (b"\x80\x04K\x01K\x02\x93.", "1.2"),
    "INST": (b"(S'false'\nios\nsystem\n.", "instances of a class"),
    "OBJ": (b"(cos\nsystem\nS'false'\no.", "os.system"),
    "OBJ of an allowed name": (b"(cnumpy\nndarray\nK\x01o.", "instances of a class"),
    "NEWOBJ": (b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.", "instances of a class"),
    "NEWOBJ_EX": (b"\x80\x04cnumpy\nndarray\nK\x01\x85}\x92.", "instances of a class"),
    "BUILD with __setstate__": (pickle.dumps([Setting()]), "copyreg|Setting"),
    "BUILD on a list": (b"\x80\x02]}X\x01\x00\x00\x00aK\x01sb.", "a state for something"),
    "BUILD on an allowed name": (
        b"\x80\x02cnumpy\nndarray\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
        "a state for something",
    ),
    "call of numpy.ndarray": (b"cnumpy\nndarray\n(I9999999\ntR.", "call of numpy.ndarray"),
    "call of a text": (b"S'os'\n(tR.", "a call of something"),
    "a name as a value": (b"cnumpy\ndtype\n.", "name used as a value"),
    "an array never finished": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
        "unfinished",
    ),
    "an array of a subclass": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        "class other than",
    ),
    "EXT1": (b"\x80\x02\x82\x01.", "extension codes"),
    "EXT2": (b"\x80\x02\x83\x01\x00.", "extension codes"),
    "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "extension codes"),
    "persistent id": (with_persistent_id(), "persistent ids"),
    "persistent id by line": (b"Pid\n.", "persistent ids"),
    "out-of-band buffer": (b"\x80\x05\x97.", "buffers outside"),
    "object array": (pickle.dumps(np.array([Harm(touch)], dtype=object)), "'O8'|touch"),
    "object array without harm": (pickle.dumps(np.array([None], dtype=object)), "'O8'"),
    "text array": (pickle.dumps(np.array(["a"])), "'U1'"),
    "date array": (pickle.dumps(np.array(["2020"], dtype="M8[D]")), "'M8'"),
    "record array": (pickle.dumps(np.zeros(2, dtype=[("a", "f4"), ("b", "O")])), "'V12'"),
    "records in a number type": (
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\nt(dI-1\nI-1\nI0\ntb.",
        "records or with metadata",
    ),
    "type with metadata": (
        pickle.dumps(np.zeros(2, dtype=np.dtype("f4", metadata={"a": 1}))),
        "metadata",
    ),
    "huge shape": (declared((2**40, 2**20), b"\0" * 8), "8 bytes of content"),
    "shape beyond any memory": (declared((2**200,), b""), "impossible shape"),
    "huge empty shape": (declared((2**62, 0, 2**62), b""), "impossible shape"),
    "negative shape": (declared((-2, -1), b"\0" * 8), "impossible shape"),
    "too many axes": (declared((1,) * 40, b"\0" * 4), "impossible shape"),
    "too little content": (declared((3,), b"\0" * 8), "8 bytes of content"),
    "long integer": (b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\1" * 10**6 + b".", "integer"),
    "negative length": (b"\x80\x02\x8b" + struct.pack("<i", -1) + b".", "integer"),
    "long decimal": (b"L" + b"9" * 100_000 + b"L\n.", "integer of 100000"),
    "deep lists": (b"]" * 100_000 + b"a" * 99_999 + b".", "deep"),
    "deep tuples as a key": (b"}" + b")" + b"\x85" * 100_000 + b"Ns.", "keys"),
    "a list inside itself": (b"]q\x00h\x00a.", "circle"),
    "a dict with half a pair": (b"}(K\x01u.", "no value"),
    "a set": (pickle.dumps({1}), "operation"),
    "an opcode nobody knows": (b"\xff.", "operation"),
    "a future protocol": (b"\x80\x63N.", "protocol 99"),
    "a mark as a value": (b"(.", "nothing on the stack"),
    "a memo that is empty": (b"h\x07.", "memo 7"),
    "no end": (pickle.dumps([1, 2])[:-1], "truncated"),
    "an end that is cut": (pickle.dumps(np.zeros(100))[:-50], "truncated"),
    "a length beyond the end": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.", "truncated"),
    "nothing": (b"", "truncated"),
    "no pickle at all": (b"PK\x03\x04 not a pickle", "refused"),
    "a bad number": (b"Iabc\n.", "damaged"),
    "bad text": (b"\x80\x04\x8c\x02\xff\xff.", "damaged"),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_what_is_not_plain_is_refused_with_file_reason_and_remedy(name):
    data, reason = MALICIOUS[name]
    with pytest.raises(DataError, match=reason) as caught:
        load_plain_pickle(data, "clip.zip: x.pkl")
    message = str(caught.value)
    assert message.startswith("clip.zip: x.pkl: refused pickle: ")
    assert "get the file again" in message
    assert not Harm.ran
    assert len(message) < 600


@pytest.mark.parametrize("name", ["object array", "record array", "type with metadata"])
def test_nothing_more_than_lists_of_objects_is_read_where_they_are_asked_for(name):
    data, _ = MALICIOUS[name]
    with pytest.raises(DataError, match="refused pickle"):
        load_plain_pickle(data, "it", objects=True)
    assert not Harm.ran


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_objects_are_read_as_lists_where_they_are_asked_for(protocol):
    inner = np.arange(3.0)
    for array, wanted in (
        (np.array({"x": [inner]}, dtype=object), {"x": [inner]}),
        (np.array([1, "a", None], dtype=object), [1, "a", None]),
    ):
        found = load_plain_pickle(pickle.dumps(array, protocol), "it", objects=True)
        assert repr(found) == repr(wanted)
    itself = np.array([None], dtype=object)
    itself[0] = itself
    for bad in (itself, np.array([[1, "a"]], dtype=object)):
        with pytest.raises(DataError, match="refused pickle"):
            load_plain_pickle(pickle.dumps(bad, protocol), "it", objects=True)


def test_an_extension_code_that_is_registered_is_refused_too():
    copyreg.add_extension(__name__, "touch", 77)
    try:
        with pytest.raises(DataError, match="extension codes"):
            load_plain_pickle(b"\x80\x02\x82\x4d)R.", "it")
    finally:
        copyreg.remove_extension(__name__, "touch", 77)
    assert not Harm.ran


def test_no_module_is_imported_for_a_name():
    sys.modules.pop("antigravity", None)
    with pytest.raises(DataError, match=r"antigravity\.fly"):
        load_plain_pickle(b"cantigravity\nfly\n.", "it")
    assert "antigravity" not in sys.modules


def test_a_pickle_of_endless_operations_is_refused():
    data = b"]" + b"N0" * (MAX_OPERATIONS // 2) + b"."
    with pytest.raises(DataError, match="operations"):
        load_plain_pickle(data, "it")


def test_refused_pickles_leave_the_next_one_untouched():
    """Nothing a pickle does can reach the table of names."""
    for data, _ in list(MALICIOUS.values())[:40]:
        with pytest.raises(DataError):
            load_plain_pickle(data, "it")
    np.testing.assert_array_equal(load_plain_pickle(pickle.dumps(np.eye(2)), "it"), np.eye(2))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_pickles_are_read_or_refused_but_never_crash(seed):
    """Random bytes overwritten: the result is a value or a DataError."""
    rng = np.random.default_rng(seed)
    for protocol in range(6):
        data = bytearray(pickle.dumps({"a": np.arange(6.0), "b": [1, "x"]}, protocol))
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        with contextlib.suppress(DataError):
            load_plain_pickle(bytes(data), "it")
