"""The machine below :mod:`cmg.pickles.plain`: it reads pickle opcodes and makes plain values.

It has a stack and a memo as :mod:`pickle` documents them, and no opcode that could import, call or
build anything outside a table of makers: names are looked up in the table, ``REDUCE`` calls only
its entries, and ``BUILD`` finishes only what they began. Instances (``INST``, ``OBJ``, ``NEWOBJ``),
extension codes, persistent ids, out-of-band buffers and sets are refused.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_OPERATIONS = 1 << 22
"""Opcodes in a pickle: one byte can make an object of 64, so that 4 M of them stay below 300 MB."""

MAX_INTEGER_BYTES = 32
"""Longer integers are no numbers of ours."""


class RefusedPickleError(Exception):
    """The pickle holds something that is not read here; the text says what."""


@dataclass(frozen=True, eq=False)
class Maker:
    """What a name in a pickle stands for.

    Attributes:
        name: For messages.
        make: Called by ``REDUCE``.
    """

    name: str
    make: Callable[..., Any]


@dataclass(eq=False)
class Pending:
    """Something that ``BUILD`` finishes.

    Attributes:
        finish: Makes the value of this and of the state.
        made: What it is so far; for a number type the type, which is complete without a state.
        memo: Where the memo holds it.
    """

    finish: Callable[[Pending, Any], Any]
    made: Any = None
    memo: list[int] = field(default_factory=list)


_MARK = object()
_KEYS = (str, bytes, int, float, type(None))


class Machine:
    """Runs one pickle.

    Args:
        data: The pickle.
        makers: What the names it may use stand for, by module and name.
    """

    def __init__(self, data: bytes, makers: Mapping[tuple[str, str], Maker]) -> None:
        self._data = data
        self._at = 0
        self._makers = makers
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value.

        Raises:
            RefusedPickleError: an opcode, a name or a value that is not allowed, or a pickle that
                is truncated or damaged.
        """
        try:
            for _ in range(MAX_OPERATIONS):
                code = self._take(1)
                if code == pickle.STOP:
                    return self._pop()
                if give := _VALUES.get(code):
                    self._stack.append(give(self))
                elif act := _ACTIONS.get(code):
                    act(self)
                else:
                    raise RefusedPickleError(_opcode(code))
        except (ValueError, OverflowError, struct.error, UnicodeError) as error:
            raise RefusedPickleError(f"damaged at byte {self._at} ({error})") from error
        raise RefusedPickleError(f"more than {MAX_OPERATIONS} operations")

    # --- reading -----------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if count < 0 or self._at > len(self._data):
            raise RefusedPickleError(f"truncated or damaged at byte {start}")
        return self._data[start : self._at]

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _sized(self, layout: str) -> bytes:
        return self._take(self._number(layout))

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._at)
        if end < 0:
            raise RefusedPickleError(f"truncated at byte {self._at}")
        line = self._data[self._at : end]
        self._at = end + 1
        return line

    # --- the stack ---------------------------------------------------------------------------

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise RefusedPickleError(f"damaged at byte {self._at} (nothing on the stack)")
        return self._stack.pop()

    def _top(self, kind: type[Any]) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise RefusedPickleError(f"damaged at byte {self._at} (nothing on the stack)")
        if not isinstance(self._stack[-1], kind):
            raise RefusedPickleError(f"something that is no {kind.__name__} is filled like one")
        return self._stack[-1]

    def _to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise RefusedPickleError(f"damaged at byte {self._at} (no mark)")

    def _last(self, count: int) -> tuple[Any, ...]:
        items = [self._pop() for _ in range(count)]
        return tuple(reversed(items))

    # --- operations that give a value --------------------------------------------------------

    def _int_line(self) -> int:
        line = self._line()
        return line == b"01" if line in (b"00", b"01") else _integer(line)

    def _long(self, layout: str) -> int:
        length = self._number(layout)
        if not 0 <= length <= MAX_INTEGER_BYTES:
            raise RefusedPickleError(f"an integer of {length} bytes")
        return int.from_bytes(self._take(length), "little", signed=True)

    def _string_line(self) -> str:
        line = self._line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise RefusedPickleError(f"damaged at byte {self._at} (a text without quotes)")
        raw, _ = codecs.escape_decode(line[1:-1])
        return bytes(raw).decode("latin1")

    def _recall(self, place: int) -> Any:
        if place not in self._memo:
            raise RefusedPickleError(f"damaged at byte {self._at} (nothing in memo {place})")
        return self._memo[place]

    def _look_up(self, module: Any, name: Any) -> Maker:
        maker = None
        if isinstance(module, str) and isinstance(name, str):
            maker = self._makers.get((module, name))
        if maker is None:
            raise RefusedPickleError(f"it asks for {module!s:.60}.{name!s:.60}")
        return maker

    def _reduce(self) -> Any:
        maker, arguments = self._last(2)
        if not isinstance(maker, Maker) or not isinstance(arguments, tuple):
            raise RefusedPickleError("a call of something that is no array or number")
        return maker.make(*arguments)

    def _build(self) -> Any:
        target, state = self._last(2)
        if not isinstance(target, Pending):
            raise RefusedPickleError("a state for something that is no array")
        made = target.finish(target, state)
        if target.made is not None:  # A number type: arrays go on referring to the same one.
            target.made = made
            return target
        for place in target.memo:
            if self._memo.get(place) is target:
                self._memo[place] = made
        return made

    # --- operations that do not --------------------------------------------------------------

    def _check_protocol(self) -> None:
        if (version := self._number("<B")) > 5:
            raise RefusedPickleError(f"pickle protocol {version}, newer than 5")

    def _drop(self) -> None:
        if not self._stack:
            raise RefusedPickleError(f"damaged at byte {self._at} (nothing on the stack)")
        self._stack.pop()

    def _append(self) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _extend(self) -> None:
        values = self._to_mark()
        self._top(list).extend(values)

    def _set_item(self) -> None:
        items = self._last(2)
        self._fill(self._top(dict), items)

    def _set_items(self) -> None:
        items = self._to_mark()
        self._fill(self._top(dict), items)

    @staticmethod
    def _fill(target: dict[Any, Any], items: Sequence[Any]) -> dict[Any, Any]:
        if len(items) % 2:
            raise RefusedPickleError("a dict with a key and no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):  # Hashing a deep tuple would overflow the C stack.
                raise RefusedPickleError("a dict whose keys are not texts or numbers")
            target[key] = value
        return target

    def _remember(self, place: int) -> None:
        value = self._top(object)
        if place < 0:
            raise RefusedPickleError(f"damaged at byte {self._at} (memo {place})")
        if isinstance(value, Pending):
            value.memo.append(place)
        self._memo[place] = value


def _integer(line: bytes) -> int:
    digits = line.strip().rstrip(b"L")
    if len(digits) > 2 * MAX_INTEGER_BYTES:
        raise RefusedPickleError(f"an integer of {len(digits)} digits")
    return int(digits)


def _opcode(code: bytes) -> str:
    names = {
        pickle.PERSID: "persistent ids",
        pickle.BINPERSID: "persistent ids",
        pickle.INST: "instances of a class",
        pickle.OBJ: "instances of a class",
        pickle.NEWOBJ: "instances of a class",
        pickle.NEWOBJ_EX: "instances of a class",
        pickle.EXT1: "extension codes",
        pickle.EXT2: "extension codes",
        pickle.EXT4: "extension codes",
        pickle.NEXT_BUFFER: "buffers outside the file",
        pickle.READONLY_BUFFER: "buffers outside the file",
    }
    known = names.get(code)
    return f"it asks for {known}" if known else f"the operation {code!r}"


_VALUES: dict[bytes, Callable[[Machine], Any]] = {
    pickle.MARK: lambda _: _MARK,
    pickle.DUP: lambda m: m._top(object),
    pickle.NONE: lambda _: None,
    pickle.NEWTRUE: lambda _: True,
    pickle.NEWFALSE: lambda _: False,
    pickle.INT: Machine._int_line,
    pickle.LONG: lambda m: _integer(m._line()),
    pickle.BININT: lambda m: m._number("<i"),
    pickle.BININT1: lambda m: m._number("<B"),
    pickle.BININT2: lambda m: m._number("<H"),
    pickle.LONG1: lambda m: m._long("<B"),
    pickle.LONG4: lambda m: m._long("<i"),
    pickle.FLOAT: lambda m: float(m._line()),
    pickle.BINFLOAT: lambda m: m._number(">d"),
    pickle.STRING: Machine._string_line,
    pickle.BINSTRING: lambda m: m._sized("<i").decode("latin1"),
    pickle.SHORT_BINSTRING: lambda m: m._sized("<B").decode("latin1"),
    pickle.UNICODE: lambda m: str(m._line(), "raw-unicode-escape"),
    pickle.BINUNICODE: lambda m: str(m._sized("<I"), "utf-8", "surrogatepass"),
    pickle.SHORT_BINUNICODE: lambda m: str(m._sized("<B"), "utf-8", "surrogatepass"),
    pickle.BINUNICODE8: lambda m: str(m._sized("<Q"), "utf-8", "surrogatepass"),
    pickle.BINBYTES: lambda m: m._sized("<I"),
    pickle.SHORT_BINBYTES: lambda m: m._sized("<B"),
    pickle.BINBYTES8: lambda m: m._sized("<Q"),
    pickle.BYTEARRAY8: lambda m: m._sized("<Q"),
    pickle.EMPTY_TUPLE: lambda _: (),
    pickle.TUPLE1: lambda m: m._last(1),
    pickle.TUPLE2: lambda m: m._last(2),
    pickle.TUPLE3: lambda m: m._last(3),
    pickle.TUPLE: lambda m: tuple(m._to_mark()),
    pickle.EMPTY_LIST: lambda _: [],
    pickle.LIST: Machine._to_mark,
    pickle.EMPTY_DICT: lambda _: {},
    pickle.DICT: lambda m: m._fill({}, m._to_mark()),
    pickle.GET: lambda m: m._recall(_integer(m._line())),
    pickle.BINGET: lambda m: m._recall(m._number("<B")),
    pickle.LONG_BINGET: lambda m: m._recall(m._number("<I")),
    pickle.GLOBAL: lambda m: m._look_up(str(m._line(), "utf-8"), str(m._line(), "utf-8")),
    pickle.STACK_GLOBAL: lambda m: m._look_up(*m._last(2)),
    pickle.REDUCE: Machine._reduce,
    pickle.BUILD: Machine._build,
}
"""The operations that put a value on the stack."""

_ACTIONS: dict[bytes, Callable[[Machine], object]] = {
    pickle.PROTO: Machine._check_protocol,
    pickle.FRAME: lambda m: m._take(8),
    pickle.POP: Machine._drop,
    pickle.POP_MARK: Machine._to_mark,
    pickle.APPEND: Machine._append,
    pickle.APPENDS: Machine._extend,
    pickle.SETITEM: Machine._set_item,
    pickle.SETITEMS: Machine._set_items,
    pickle.PUT: lambda m: m._remember(_integer(m._line())),
    pickle.BINPUT: lambda m: m._remember(m._number("<B")),
    pickle.LONG_BINPUT: lambda m: m._remember(m._number("<I")),
    pickle.MEMOIZE: lambda m: m._remember(len(m._memo)),
}
"""The operations that do not."""
