"""Looks through a pickle before anything is made of it: a few bytes can ask for hours, or for all memory."""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass

_OPCODES = 8_000_000  # the pickle of a large checkpoint with its optimiser has 200,000, a batch of CIFAR 250,000
_PARTS = 100  # of a tuple that is a key or in a set: it is hashed part by part, in C, which no Ctrl-C ends
_DIGITS = 18
_KEY = 2**61 - 1  # integers beyond hash as smaller ones do, and can be chosen to be all alike
_COPIED, _ALLOWANCE = 8, 2**20  # what calls copy, times the length of the pickle
_MEMO = 2**16  # memo entries beyond one per byte: the table is as long as the highest number
_OUTSIDE = 40_000  # references to storages, one per tensor: a network, its mean and its optimiser have 10,000
_MANY = 2**62


class UnsafePickle(ValueError):
    """What a pickle asks for is out of all proportion to its size; the message says what it is."""


@dataclass(slots=True, eq=False)
class _Value:
    """What is known of a value on the stack.

    Args:
        size: bytes of a text, items of a container, those of its arguments for what was called: what a copy takes.
        parts: of a tuple, with those of the tuples in it, each as often as it is there; 1 for anything else.
        most_parts: of what is in a container.
        items: of a tuple.
        name: of a global; a text, if it is short.
        is_text: bytes or text.
        is_list: a list, whose items may still come.
    """

    size: int = 1
    parts: int = 1
    most_parts: int = 0
    items: "tuple[_Value, ...]" = ()
    name: bytes = b""
    is_text: bool = False
    is_list: bool = False


_ATOM = _Value()
_HUGE = _Value()  # an integer that is no key
_NOTHING = _Value(0)  # an empty tuple
_MARK = _Value()
_SHARED = frozenset((_ATOM, _HUGE, _NOTHING, _MARK))


def check_pickle(data: bytes, named: Callable[[str], None], start: int = 0) -> int:
    """Follow a pickle to its end; what comes back is where that is.

    Memory and time are in proportion to the length of the pickle, and so are those of unpickling it afterwards, with
    globals that neither allocate more than they are given nor compare more than once per argument. What unpickling
    refuses by itself, such as an empty stack or an unknown memo entry, is left to it.

    Args:
        data: the pickle, and what may follow.
        named: told of each global, such as "collections.OrderedDict"; raises what it likes where it may not be named.
        start: where it begins.

    Raises:
        UnsafePickle: it asks for what its size does not account for.
        ValueError: it is cut short or damaged.
    """
    return _Follower(data, named, start).follow()


class _Follower:
    def __init__(self, data: bytes, named: Callable[[str], None], start: int) -> None:
        self._data, self._named, self._start, self._at = data, named, start, start
        self._stack: list[_Value] = []
        self._memo: dict[int, _Value] = {}
        self._copied = self._outside = 0
        self._long_tuples = False

    def follow(self) -> int:
        data, stack, memo, codes = self._data, self._stack, self._memo, _CODES
        # A local name for the place: most instructions are short, and a batch has hundreds of thousands.
        at, end, left = self._at, len(data), _OPCODES
        while at < end:
            left -= 1
            if not left:
                raise UnsafePickle(f"its pickle has more than {_OPCODES:,} instructions")
            found = codes.get(data[at])
            if found is None:
                raise ValueError(f"byte {at} is no instruction")
            name, kind, width = found
            at += 1
            if kind == "atom":
                stack.append(_ATOM)
                at += width
                continue
            if kind == "other" or width < 0:
                self._at = at
                if name == "STOP":
                    return at
                self._other(name)
                at = self._at
                continue
            number = int.from_bytes(data[at : at + width], "little")
            at += width
            if kind == "text":
                stack.append(_Value(number, 1, 0, (), data[at : at + number] if number <= _PARTS else b"", True))
                at += number
            elif kind == "put":
                self._at = at
                self._put(number if width else len(memo))
            elif kind == "get":
                stack.append(memo.get(number, _ATOM))
        raise ValueError("it is cut short")

    def _put(self, index: int) -> None:
        if index > self._at - self._start + _MEMO:
            raise UnsafePickle(f"its pickle asks for {index:,} places to remember values in")
        if self._stack:
            self._memo[index] = self._stack[-1]

    def _number(self, width: int) -> int:
        begin, self._at = self._at, self._at + width
        return int.from_bytes(self._data[begin : self._at], "little")

    def _line(self) -> bytes:
        begin, end = self._at, self._data.find(b"\n", self._at)
        if end < 0:
            raise ValueError("a line in it does not end")
        self._at = end + 1
        return self._data[begin:end]

    def _decimal(self) -> int:
        return int(self._line()[:20])

    # --- operations on the stack; one that lacks values is refused when the pickle is loaded ---

    def _pop(self) -> _Value:
        return self._stack.pop() if self._stack else _ATOM

    def _to_mark(self) -> list[_Value]:
        items = []
        while self._stack and (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def _other(self, name: str) -> None:
        match name:
            case "LONG1" | "LONG4":
                size = self._number(1 if name == "LONG1" else 4)
                value = int.from_bytes(self._data[self._at : self._at + size], "little", signed=True)
                self._stack.append(_ATOM if abs(value) < _KEY else _HUGE)
                self._at += size
            case "INT" | "LONG":
                self._stack.append(_ATOM if len(self._line()) <= _DIGITS else _HUGE)
            case "STRING" | "UNICODE":
                text = self._line()
                name_ = text.strip(b"'\"")
                self._stack.append(_Value(len(text), name=name_ if len(text) <= _PARTS else b"", is_text=True))
            case "PUT":
                self._put(self._decimal())
            case "GET":
                self._stack.append(self._memo.get(self._decimal(), _ATOM))
            case "FLOAT":
                self._line()
                self._stack.append(_ATOM)
            case "EMPTY_TUPLE":
                self._stack.append(_NOTHING)
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
                self._stack.append(_Value(0, is_list=name == "EMPTY_LIST"))
            case "MARK":
                self._stack.append(_MARK)
            case "POP":
                self._pop()
            case "POP_MARK":
                self._to_mark()
            case "DUP":
                self._stack.append(self._stack[-1] if self._stack else _ATOM)
            case "TUPLE":
                self._stack.append(self._tuple(self._to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._stack.append(self._tuple([self._pop() for _ in range(int(name[-1]))][::-1]))
            case "LIST":
                self._stack.append(_Value(0, is_list=True))
                self._extend(self._to_mark_below())
            case "APPEND":
                item = self._pop()
                self._extend([item])
            case "APPENDS":
                self._extend(self._to_mark())
            case "DICT":
                self._stack.append(_Value(0))
                self._set(self._to_mark_below())
            case "SETITEM":
                set_to, key = self._pop(), self._pop()
                self._set([key, set_to])
            case "SETITEMS":
                self._set(self._to_mark())
            case "ADDITEMS":
                self._hash(self._to_mark())
            case "FROZENSET":
                items = self._to_mark()
                self._hash(items)
                self._stack.append(_Value(len(items)))
            case "GLOBAL":
                self._global(self._line(), self._line())
            case "STACK_GLOBAL":
                last, first = self._pop(), self._pop()
                self._global(first.name or b"?", last.name or b"?")
            case "REDUCE" | "NEWOBJ":
                arguments, called = self._pop(), self._pop()
                self._call(called, arguments.items)
            case "NEWOBJ_EX":
                named, arguments, called = self._pop(), self._pop(), self._pop()
                self._call(called, (*arguments.items, named))
            case "OBJ":
                called, *rest = self._to_mark() or [_ATOM]
                self._call(called, tuple(rest))
            case "INST":
                rest = self._to_mark()
                self._global(self._line(), self._line())
                self._call(self._pop(), tuple(rest))
            case "BUILD":
                state = self._pop()
                self._copy(state)
                if self._stack and (built := self._stack[-1]) not in _SHARED:
                    built.size += state.size
            case "PERSID":
                self._line()
                self._stack.append(_Value())
            case "BINPERSID":
                self._outside += 1
                if self._outside > _OUTSIDE:
                    raise UnsafePickle(f"its pickle refers to more than {_OUTSIDE:,} storages of tensors")
                found = self._pop()
                self._copy(found)
                self._hash([found])
                self._stack.append(_Value())

    def _to_mark_below(self) -> list[_Value]:
        """What stands between the mark and the value on top, which stays."""
        top = self._stack.pop()
        items = self._to_mark()
        self._stack.append(top)
        return items

    def _tuple(self, items: list[_Value]) -> _Value:
        parts = min(1 + sum(item.parts for item in items), _MANY)
        self._long_tuples |= parts > _PARTS
        return _Value(len(items), parts, max((item.parts for item in items), default=0), tuple(items))

    def _extend(self, items: list[_Value]) -> None:
        if self._stack and (target := self._stack[-1]) not in _SHARED:
            target.size += len(items)
            target.most_parts = max(target.most_parts, *[item.parts for item in items], 0)

    def _set(self, items: list[_Value]) -> None:
        self._hash(items[::2])
        if self._stack and (target := self._stack[-1]) not in _SHARED:
            target.size += len(items) // 2

    # --- what is out of proportion ---

    def _hash(self, items: list[_Value]) -> None:
        for item in items:
            if item is _HUGE:
                raise UnsafePickle("an integer of more than 61 bits is a key in it")
            self._check_parts(item.parts)

    def _check_parts(self, parts: int) -> None:
        if parts > _PARTS:
            shown = f"{parts:,}" if parts < _MANY else "2^62 or more"
            raise UnsafePickle(f"a tuple of {shown} parts is a key in it, or part of a set")

    def _copy(self, *values: _Value) -> None:
        self._copied += sum(value.size + sum(item.size for item in value.items) for value in values)
        if self._copied > _COPIED * (self._at - self._start) + _ALLOWANCE:
            raise UnsafePickle("its pickle copies the same values again and again")

    def _global(self, module: bytes, name: bytes) -> None:
        full = _PYTHON_2.get(module, module) + b"." + name
        self._named(full.decode("utf-8", "replace"))
        self._stack.append(_Value(name=full))

    def _call(self, called: _Value, arguments: tuple[_Value, ...]) -> None:
        self._copy(*arguments)
        name = called.name.decode("utf-8", "replace")
        if name in _SETS:
            for value in arguments:
                self._check_parts(value.most_parts)
                if (value.is_list or value.items) and name not in _SETS[:2] and self._long_tuples:
                    raise UnsafePickle("it makes a dictionary of a list of pairs, and has long tuples")
        elif name == "builtins.bytearray":
            if arguments and not arguments[0].is_text:
                raise UnsafePickle("it asks for an array of bytes of any length")
        elif name == "_codecs.encode":
            if [value.name for value in arguments[1:]] not in ([b"latin1"], [b"latin-1"]):
                raise UnsafePickle("it asks for an encoding other than latin1")
        elif name == "torch._tensor._rebuild_from_type_v2":
            inner = arguments[0].name if arguments else b""
            if not inner.startswith(b"torch._utils._rebuild_"):
                raise UnsafePickle(f"it asks to rebuild a tensor with {inner.decode('utf-8', 'replace') or 'a value'}")
            self._copy(*arguments[2].items if len(arguments) > 2 else ())
        elif name.startswith("pathlib.") and not all(value.is_text for value in arguments):
            raise UnsafePickle("the parts of a path in it are no texts")
        size = sum(value.size for value in arguments)
        parts = min(1 + sum(value.parts for value in arguments), _MANY)
        self._stack.append(_Value(size, parts, is_text=name == "_codecs.encode"))


_PYTHON_2 = {b"__builtin__": b"builtins", b"copy_reg": b"copyreg"}
# What hashes what it is given: sets, and dictionaries; that of yacs stands for an OrderedDict.
_SETS = ("builtins.set", "builtins.frozenset", "collections.Counter", "collections.OrderedDict", "yacs.config.CfgNode")
# Instructions with a kind of their own, and how many bytes follow: a number of so many, or for -1 a line.
_KINDS = {
    "atom": {"NONE": 0, "NEWTRUE": 0, "NEWFALSE": 0, "BININT": 4, "BININT1": 1, "BININT2": 2, "BINFLOAT": 8}
    | {"EXT1": 1, "EXT2": 2, "EXT4": 4, "NEXT_BUFFER": 0},
    "text": {"SHORT_BINSTRING": 1, "BINSTRING": 4, "SHORT_BINBYTES": 1, "BINBYTES": 4, "BINBYTES8": 8}
    | {"SHORT_BINUNICODE": 1, "BINUNICODE": 4, "BINUNICODE8": 8, "BYTEARRAY8": 8},
    "put": {"BINPUT": 1, "LONG_BINPUT": 4, "MEMOIZE": 0, "PUT": -1},
    "get": {"BINGET": 1, "LONG_BINGET": 4, "GET": -1},
    "skip": {"PROTO": 1, "FRAME": 8, "READONLY_BUFFER": 0},
}
_OF_NAME = {name: (kind, width) for kind, widths in _KINDS.items() for name, width in widths.items()}
_CODES = {ord(code.code): (code.name, *_OF_NAME.get(code.name, ("other", 0))) for code in pickletools.opcodes}
