"""Reading pickles of numbers without running them.

The official features are pickles. A pickle is a program, and :mod:`pickle` runs it; here a machine
of its own reads it (:mod:`cmg.pickles.machine`), which knows how to make plain values and
arrays of numbers and nothing else. No name found in a file is ever imported or called.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.pickles.machine import Machine, Maker, Pending, RefusedPickleError

MAX_DEPTH = 64
"""Containers inside containers; the official files need one."""

_NUMBERS = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())
_PLAIN = (bool, int, float, str, bytes, type(None), np.ndarray)


def load_plain_pickle(data: bytes, what: str, objects: bool = False) -> Any:
    """The value in a pickle that holds nothing but numbers, texts and arrays of numbers.

    Args:
        data: The pickle, protocol 0 to 5; a Python 2 pickle's texts are read as latin-1.
        what: What it is, for messages: a file, or a member of one.
        objects: Whether an array of such values, of at most one axis, is read: as their list.

    Returns:
        Arrays (bool, integer or float, native byte order, read-only), dicts, lists, tuples, texts,
        bytes, numbers and None; numpy scalars as Python numbers.

    Raises:
        DataError: the pickle asks for anything else, or is truncated or damaged. Nothing in it was
            executed.
    """
    try:
        value = Machine(data, _MAKERS | _OBJECTS if objects else _MAKERS).run()
        _check_plain(value)
    except RefusedPickleError as error:
        raise DataError(
            f"{what}: refused pickle: {error}. Only arrays of numbers and plain dicts, lists, texts"
            " and numbers are read, and nothing in the file was run. Do not open it elsewhere: get "
            "the file again from the authors' download, or save the array again with numpy"
        ) from error
    return value


def _reconstruct(*arguments: Any) -> Pending:
    if len(arguments) != 3 or arguments[0] is not _ARRAY:
        raise RefusedPickleError("an array of a class other than numpy.ndarray")
    return Pending(_array_from_state)


def _dtype(*arguments: Any) -> Pending:
    code = arguments[0] if arguments else None
    if not isinstance(code, str) or code.lstrip("<>=|") not in _NUMBERS:
        raise RefusedPickleError(f"an array whose elements are {code!r}, not plain numbers")
    native: np.dtype[Any] = np.dtype(code.lstrip("<>=|"))
    return Pending(_dtype_from_state, made=_ordered(native, code[:1]))


def _dtype_or_objects(*arguments: Any) -> Pending:
    if arguments[:1] == ("O8",):
        return Pending(_dtype_from_state, made=np.dtype(object))
    return _dtype(*arguments)


def _dtype_from_state(dtype: Pending, state: Any) -> np.dtype[Any]:
    plain = isinstance(state, tuple) and len(state) == 8 and state[0] == 3
    if not plain or state[1] not in ("<", ">", "=", "|") or any(x is not None for x in state[2:5]):
        raise RefusedPickleError("an array of records or with metadata, not of plain numbers")
    return _ordered(dtype.made, state[1])


def _ordered(dtype: np.dtype[Any], order: str) -> np.dtype[Any]:
    if order == ">":
        return dtype.newbyteorder(">")
    return dtype.newbyteorder("<") if order == "<" else dtype


def _array_from_state(_: Pending, state: Any) -> Any:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise RefusedPickleError("an array with a state that numpy does not write")
    shape, dtype, is_fortran, raw = state[-4:]
    if isinstance(raw, list) and isinstance(dtype, Pending) and dtype.made == np.dtype(object):
        if shape not in ((), (len(raw),)) or (shape == () and len(raw) != 1):
            raise RefusedPickleError(f"an array of objects of the shape {shape!r:.80}")
        return raw if shape else raw[0]
    return _array(raw, dtype, shape, "F" if is_fortran else "C")


def _frombuffer(*arguments: Any) -> NDArray[Any]:
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise RefusedPickleError("an array with a state that numpy does not write")
    return _array(*arguments)


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    kind = dtype.made if isinstance(dtype, Pending) else None
    if not isinstance(kind, np.dtype) or kind.hasobject:
        raise RefusedPickleError("an array without a number type")
    if isinstance(raw, str):
        raw = _latin1(raw)
    if not isinstance(raw, bytes):
        raise RefusedPickleError(f"an array whose content is a {type(raw).__name__}, not bytes")
    sizes = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not sizes or len(shape) > 32 or max(shape, default=0) > np.iinfo(np.intp).max:
        raise RefusedPickleError(f"an array of the impossible shape {shape!r:.80}")
    if math.prod(shape) * kind.itemsize != len(raw):
        raise RefusedPickleError(
            f"an array declared as {shape} of {kind} with {len(raw)} bytes of content"
        )
    try:
        flat = np.frombuffer(raw, dtype=kind) if raw else np.empty(0, dtype=kind)
        made = flat.reshape(shape, order=order)
    except ValueError as error:
        raise RefusedPickleError(f"an array of the impossible shape {shape}") from error
    made = made.astype(kind.newbyteorder("="), copy=False)
    made.flags.writeable = False
    return made


def _scalar(*arguments: Any) -> bool | int | float:
    if len(arguments) != 2:
        raise RefusedPickleError("a numpy scalar without a value")
    value: bool | int | float = _array(arguments[1], arguments[0], (), "C").item()
    return value


def _encode(*arguments: Any) -> bytes:
    if len(arguments) != 2 or arguments[1] != "latin1" or not isinstance(arguments[0], str):
        raise RefusedPickleError("_codecs.encode for something other than bytes")
    return _latin1(arguments[0])


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise RefusedPickleError("bytes with characters that are no bytes") from error


def _empty_bytes(*arguments: Any) -> bytes:
    if arguments:
        raise RefusedPickleError("bytes made from something")
    return b""


def _no_call(*_: Any) -> Any:
    raise RefusedPickleError("a call of numpy.ndarray")


_ARRAY = Maker("numpy.ndarray", _no_call)
_MAKERS = {
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): Maker("numpy.dtype", _dtype),
    ("_codecs", "encode"): Maker("_codecs.encode", _encode),
    ("__builtin__", "bytes"): Maker("bytes", _empty_bytes),
    ("builtins", "bytes"): Maker("bytes", _empty_bytes),
}
for _core in ("numpy.core", "numpy._core"):
    _MAKERS[f"{_core}.multiarray", "_reconstruct"] = Maker("_reconstruct", _reconstruct)
    _MAKERS[f"{_core}.multiarray", "scalar"] = Maker("scalar", _scalar)
    _MAKERS[f"{_core}.numeric", "_frombuffer"] = Maker("_frombuffer", _frombuffer)

_OBJECTS = {("numpy", "dtype"): Maker("numpy.dtype", _dtype_or_objects)}


def _check_plain(value: Any) -> None:
    """Raise unless `value` is made of finished plain values, not too deep and without circles."""
    inside: set[int] = set()
    checked: set[int] = set()

    def check(part: Any) -> None:
        if isinstance(part, _PLAIN) or id(part) in checked:
            return
        if not isinstance(part, dict | list | tuple):
            raise RefusedPickleError("an unfinished array, or a name used as a value")
        if id(part) in inside or len(inside) >= MAX_DEPTH:
            raise RefusedPickleError(f"containers nested in a circle or over {MAX_DEPTH} deep")
        inside.add(id(part))
        for one in part.values() if isinstance(part, dict) else part:
            check(one)
        inside.remove(id(part))
        checked.add(id(part))

    check(value)
