"""Files of CTranslate2 that are made here: what they hold, and everything that cannot be."""

import contextlib
import struct
import tracemalloc
from math import prod

import numpy as np
import pytest
import torch

from cmg.errors import ConfigError
from cmg.extract.ctranslate2_weights import float_tensors, stored_variables

from .ctranslate2_files import file_of, string, variable

ARRAYS = {
    "a/weight": np.arange(6, dtype=np.float16).reshape(2, 3) / 4,
    "b": np.array([0.5, -2], np.float32),
    "heads": np.int16(6),
    "q": np.array([[-3], [4]], np.int8),
    "z": np.zeros((0, 5), np.int32),
}
PLAIN = [variable(name, array) for name, array in ARRAYS.items()]
WHOLE = file_of(PLAIN, [("c", "b")])


@pytest.fixture
def listed(tmp_path):
    """The variables of a file of these bytes."""

    def read(found, network="WhisperSpec"):
        (tmp_path / "model.bin").write_bytes(found)
        return stored_variables(tmp_path / "model.bin", network)

    return read


def test_every_variable_has_its_values_also_by_its_other_name(listed):
    found = listed(WHOLE)
    assert list(found) == [*ARRAYS, "c"]
    for name, array in (ARRAYS | {"c": ARRAYS["b"]}).items():
        values = found[name].values()
        assert (values.dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(values, array)
    tensors = float_tensors(found, ["a/weight", "c"], "a thing")
    assert torch.equal(tensors["a/weight"], torch.arange(6.0).reshape(2, 3) / 4)
    assert torch.equal(tensors["c"], torch.tensor([0.5, -2.0]))


def test_a_file_that_ends_anywhere_else_is_refused(listed):
    for end in range(len(WHOLE)):
        with pytest.raises(
            ConfigError, match=r"cannot read the weights .*model\.bin: .*(it ends|bytes left)"
        ):
            listed(WHOLE[:end])
    with pytest.raises(ConfigError, match="3 bytes follow where it should end"):
        listed(WHOLE + b"abc")


def test_a_changed_byte_is_refused_or_changes_what_lies_inside_the_file(listed):
    """Whatever a file says, nothing outside of it is read, and nothing but our error is raised."""
    read = 0
    for at in range(len(WHOLE)):
        for value in {0xFF, WHOLE[at] ^ 1} - {WHOLE[at]}:
            with contextlib.suppress(ConfigError):
                found = listed(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])
                read += 1
                for one in found.values():
                    assert one.begin + prod(one.shape) * one.dtype.itemsize <= len(WHOLE)
    assert read > 50  # most changes of values, and some of names, are no faults


HUGE = 2**32 - 1
ZERO = np.zeros(1, np.int8)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (file_of(PLAIN, count=HUGE), f"it says {HUGE} variables, and has 1.. bytes left"),
        (file_of(PLAIN, others=HUGE), f"it says {HUGE} aliases, and has 0 bytes left"),
        (file_of([variable("a", ZERO, (HUGE,), HUGE, 1)]), rf"'a' \[{HUGE}\] of int8 would take"),
        (
            file_of([variable("a", ZERO, (2**30, 1), HUGE - 3, 0)]),
            r"'a' \[1073741824, 1\] of float32 takes 4294967296 bytes, not the 4294967292 that",
        ),
        (
            # What 32 and 64 bits would make 0 of.
            file_of([variable("a", ZERO, (2**31, 2**31, 4), 0, 0)]),
            r"'a' \[2147483648, 2147483648, 4\] of float32 takes 73786976294838206464 bytes, not",
        ),
        (file_of([variable("a", ZERO, (1,) * 9)]), "'a' has 9 dimensions; at most 8 can be"),
        (file_of([variable("a", ZERO, number=5)]), r"'a' \[1\] is of type 5; known: \[0, 1, 2"),
        (file_of([PLAIN[1], PLAIN[1]]), "'b' is there twice"),
        (file_of(PLAIN, [("b", "q")]), "'b' is there twice"),
        (file_of(PLAIN, [("c", "d")]), "the alias 'c' means 'd', which is no variable"),
        (file_of(PLAIN, version=5), "it begins with 5, not with 6, the version"),
        (file_of(PLAIN, network="BertSpec"), "it holds a 'BertSpec', not a 'WhisperSpec'"),
        (file_of([struct.pack("<H", 3) + b"abc" + PLAIN[0][11:]]), "variable 0 is no text: b'abc'"),
        (file_of([string("a\0b") + PLAIN[0][11:]]), "the name of variable 0 is no text"),
        (file_of([struct.pack("<H", 1) + b"\0" + PLAIN[0][11:]]), "variable 0 is no text"),
        (file_of([string("é") + b"12345"]), "variable 0 is no text"),
        (b"PK\x03\x04" + bytes(100), "it begins with 67324752, not with 6"),
    ],
)
def test_what_cannot_be_is_named_before_anything_is_allocated(listed, found, says):
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=rf"model\.bin: .*{says}.*; get the weights again"):
            listed(found)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_values_that_are_no_weights_are_named(listed, tmp_path):
    found = listed(file_of([*PLAIN, variable("n", np.array([1, np.nan], np.float16))]))
    with pytest.raises(ConfigError, match=r"is not of a thing: q \[2, 1\] is of int8, not of fl"):
        float_tensors(found, ["b", "q"], "a thing")
    with pytest.raises(ConfigError, match="1 of the 2 values of 'n' are NaN"):
        float_tensors(found, ["n"], "a thing")
    (tmp_path / "model.bin").write_bytes(WHOLE[:60])
    with pytest.raises(ConfigError, match="it ends within 'q'"):
        found["q"].values()
    (tmp_path / "model.bin").unlink()
    with pytest.raises(ConfigError, match=r"cannot read the weights .*model\.bin: No such file"):
        found["q"].values()
    with pytest.raises(ConfigError, match="Is a directory"):
        stored_variables(tmp_path, "WhisperSpec")
