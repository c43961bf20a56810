"""One pickle followed opcode by opcode, with a stack and a memo of what is known, which is little.

Nothing is imported or called. Values are stand-ins: short texts and numbers are themselves, a global is
an `Import`, what a call gives is a `Made`, everything else is `THING`. An opcode that the stack has too
little for is passed over, as a loader that is not Python's own might do.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from qaudit.static.kinds import content_of
from qaudit.static.pickles.opcodes import FIXED, OPCODES
from qaudit.static.pickles.stand_ins import (
    CUT,
    THING,
    Allowance,
    Nest,
    as_latin,
    number_of,
    unescaped,
)
from qaudit.static.pickles.walk import Embedded, Ending, Import, PickleWalk, Problem
from qaudit.static.pickles.window import Ended, Window

MAX_KEPT: Final = 256  # characters of a text that is kept
MAX_IMPORTS: Final = 2000
MAX_RECORDS: Final = 200  # of calls, problems, embedded files each
MAX_STACK: Final = 200_000
DEEP: Final = 2000  # marks within marks; a pickler of Python's own cannot get there
FAR: Final = 1_000_000  # how far a memo entry may be ahead
HEAD: Final = 64  # bytes of a byte string that say what it is


class Machine(ABC):
    """Follows one pickle from an offset to its STOP, or to where it breaks."""

    def __init__(self, window: Window, walk: PickleWalk, allowance: Allowance) -> None:
        self.window, self.walk, self.allowance = window, walk, allowance
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.operations = 0
        self.named = 0  # imports in this pickle
        self.start = window.offset
        self.kept: list[tuple[list[object], list[int], dict[int, object]]] = []  # around a pickle within
        self.wrapped = False  # joblib's arrays stand between the opcodes
        self._do: list[Callable[[], None] | None] = [None] * 256
        for code, (name, layout) in OPCODES.items():
            handler = getattr(self, f"_{name.lower()}", None)
            self._do[code] = handler or self._plain(layout)

    def run(self) -> Ending:
        """Follow the pickle; the window stands behind it afterwards, or where it broke."""
        window, do, allowance = self.window, self._do, self.allowance
        at = window.offset
        try:
            while allowance.operations > 0 and len(self.stack) < MAX_STACK:
                at = window.offset
                code = window.byte()
                allowance.operations -= 1
                self.operations += 1
                if code == 0x2E:
                    if not self.kept:
                        return "stop"
                    self.stack, self.marks, self.memo = self.kept.pop()
                    continue
                handler = do[code]
                if handler is None:
                    self.problem("opcode", at, f"byte 0x{code:02x} is no opcode")
                    window.at -= 1
                    return "broken"
                handler()
        except Ended:
            name = OPCODES[code][0] if at < window.size else "STOP"
            self.problem("truncated", at, f"the file ends within, or before, {name}")
            return "truncated"
        return "limit"

    def problem(self, code: str, offset: int, text: str) -> None:
        """Note something that no pickler writes."""
        if len(self.walk.problems) < MAX_RECORDS:
            self.walk.problems.append(Problem(code, offset, text))

    # constants -------------------------------------------------------------------------------------

    def _plain(self, layout: str) -> Callable[[], None]:
        """Return what an opcode does that has an argument and only pushes something unknown."""
        window = self.window

        def line() -> None:
            window.line()
            self.stack.append(THING)

        def counted() -> None:
            window.skip(self._count(layout))
            self.stack.append(THING)

        def fixed() -> None:
            window.skip(FIXED[layout])
            self.stack.append(THING)

        def nothing() -> None:
            self.stack.append(THING)

        if layout == "line":
            return line
        return counted if layout[0] == "c" else nothing if layout == "none" else fixed

    def _count(self, layout: str) -> int:
        return int.from_bytes(self.window.take(FIXED[layout]), "little")

    def _text(self, length: int) -> None:
        window = self.window
        if length > MAX_KEPT or self.allowance.text_bytes < length:
            offset = window.offset
            head = window.take(min(length, HEAD))
            window.skip(length - len(head))
            if head.startswith(b"\xc2\x80"):  # a byte string of protocol 2 is a text in latin-1
                self._hidden(offset, length, as_latin(head), text=True)
            self.stack.append(CUT)
            return
        offset = window.offset
        raw = window.take(length)
        self.allowance.text_bytes -= length
        if raw.startswith(b"\xc2\x80"):
            self._hidden(offset, length, as_latin(raw), text=True)
        self.stack.append(raw.decode("utf-8", "backslashreplace"))

    def _bytes(self, length: int) -> None:
        window, offset = self.window, self.window.offset
        head = window.take(min(length, MAX_KEPT))
        window.skip(length - len(head))
        self._hidden(offset, length, head[:HEAD])
        self.stack.append(head if length <= MAX_KEPT else CUT)

    def _hidden(self, offset: int, length: int, head: bytes, text: bool = False) -> None:
        content = content_of(head) if length > 3 else None  # a tar has its signature further in
        if content and content not in ("image", "media") and len(self.walk.embedded) < MAX_RECORDS:
            self.walk.embedded.append(Embedded(offset, length, content, text))

    def _short_binunicode(self) -> None:
        self._text(self.window.byte())

    def _binunicode(self) -> None:
        self._text(self._count("c4"))

    def _binunicode8(self) -> None:
        self._text(self._count("c8"))

    def _short_binstring(self) -> None:
        self._text(self.window.byte())

    def _binstring(self) -> None:
        self._text(self._count("c4"))

    def _short_binbytes(self) -> None:
        self._bytes(self.window.byte())

    def _binbytes(self) -> None:
        self._bytes(self._count("c4"))

    def _binbytes8(self) -> None:
        self._bytes(self._count("c8"))

    def _bytearray8(self) -> None:
        self._bytes(self._count("c8"))

    def _unicode(self) -> None:
        self._line_text()

    def _string(self) -> None:
        self._line_text(quoted=True)

    def _line_text(self, quoted: bool = False) -> None:
        raw = self.window.line()
        self.allowance.text_bytes -= len(raw)
        if len(raw) > MAX_KEPT or self.allowance.text_bytes < 0:
            self.stack.append(CUT)
            return
        text = raw.decode("utf-8", "backslashreplace")
        self.stack.append(unescaped(text[1:-1] if quoted and len(text) > 1 else text))

    def _binint1(self) -> None:
        self.stack.append(self.window.byte())

    def _binint2(self) -> None:
        self.stack.append(self._count("u2"))

    def _binint(self) -> None:
        self.stack.append(int.from_bytes(self.window.take(4), "little", signed=True))

    def _int(self) -> None:
        line = self.window.line()
        self.stack.append(int(line) if len(line) < 19 and line.isdigit() else THING)

    def _empty_tuple(self) -> None:
        self.stack.append(())

    def _empty_dict(self) -> None:
        self.stack.append({} if self.wrapped else Nest())

    def _proto(self) -> None:
        at, protocol = self.window.offset - 1, self.window.byte()
        self.walk.protocols.add(protocol)
        if self.operations > 1 and at != self.start and not self.kept:
            self.problem("proto", at, f"a second or misplaced PROTO ({protocol})")
        if protocol > 5:
            self.problem("protocol", at, f"protocol {protocol}, of which there is none")

    def _frame(self) -> None:
        at, length = self.window.offset - 1, self._count("u8")
        if length > self.window.size - self.window.offset:
            self.problem("frame", at, f"a frame of {length} bytes, which the file has not")

    def _next_buffer(self) -> None:
        self.stack.append(THING)

    def _readonly_buffer(self) -> None:  # noqa: B027 - an opcode that changes nothing here
        """Leaves the buffer on top of the stack as it is."""

    # the stack -------------------------------------------------------------------------------------

    def _pop_one(self) -> object:
        if self.stack and (not self.marks or self.marks[-1] < len(self.stack)):
            return self.stack.pop()
        return THING

    def _pop_to_mark(self) -> list[object]:
        start = self.marks.pop() if self.marks else 0
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _mark(self) -> None:
        self.marks.append(len(self.stack))
        if len(self.marks) == DEEP:
            self.problem("depth", self.window.offset - 1, f"{DEEP} marks one in another")
        if len(self.marks) > MAX_STACK:
            self.marks.clear()

    def _pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self._pop_one()

    def _pop_mark(self) -> None:
        self._pop_to_mark()

    def _dup(self) -> None:
        self.stack.append(self.stack[-1] if self.stack else THING)

    def _tuple(self) -> None:
        items = self._pop_to_mark()
        doublings = self._doublings(items)
        if doublings:
            self.stack.append(Nest(doublings))
        else:
            self.stack.append(tuple(items) if len(items) <= 8 else (*items[:8], THING))

    def _tuple1(self) -> None:
        item = self._pop_one()
        self.stack.append(Nest(item.doublings) if isinstance(item, Nest) and item.doublings else (item,))

    def _tuple2(self) -> None:
        second, first = self._pop_one(), self._pop_one()
        doublings = self._doublings([first, second]) if isinstance(second, (Nest, tuple)) else 0
        self.stack.append(Nest(doublings) if doublings else (first, second))

    def _tuple3(self) -> None:
        third, second = self._pop_one(), self._pop_one()
        self.stack.append((self._pop_one(), second, third))

    def _list(self) -> None:
        self.stack.append(Nest(self._doublings(self._pop_to_mark())))

    _dict = _frozenset = _list

    def _empty_list(self) -> None:
        self.stack.append(Nest())

    _empty_set = _empty_list

    def _append(self) -> None:
        self._grow([self._pop_one()])

    def _appends(self) -> None:
        self._grow(self._pop_to_mark())

    _additems = _appends

    def _grow(self, items: list[object]) -> None:
        top = self.stack[-1] if self.stack else THING
        if isinstance(top, Nest):
            top.doublings = max(top.doublings, self._doublings(items))

    def _doublings(self, items: list[object]) -> float:
        """Return how much larger than itself a container of these is, as a power of two."""
        times: dict[int, int] = {}
        deepest = 0.0
        for item in items:
            if isinstance(item, (Nest, tuple)) and item != ():
                times[id(item)] = times.get(id(item), 0) + 1
                inner = item.doublings if isinstance(item, Nest) else 0.0
                deepest = max(deepest, inner + math.log2(times[id(item)]))
        self.walk.doublings = max(self.walk.doublings, int(deepest))
        return deepest

    def _setitem(self) -> None:
        value = self._pop_one()
        self._set([self._pop_one(), value])

    def _setitems(self) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list[object]) -> None:
        top = self.stack[-1] if self.stack else THING
        if isinstance(top, dict) and len(top) < 64:
            top.update(
                (key, value)
                for key, value in zip(items[:64:2], items[1:64:2], strict=False)
                if isinstance(key, str)
            )
        elif isinstance(top, Nest):
            self._grow(items)
        elif isinstance(top, Import):
            self.called(top, "SETITEM", tuple(items[:4]))

    @abstractmethod
    def called(self, target: object, opcode: str, arguments: object) -> None:
        """Note that something is called or changed; what follows imports says how."""

    # the memo --------------------------------------------------------------------------------------

    def _remember(self, index: int) -> None:
        value = self.stack[-1] if self.stack else THING
        # entries of which nothing is known count too: MEMOIZE takes the number of entries for its index
        self.memo[index] = value
        if index > self.operations + FAR and not self.walk.far_memo:
            self.walk.far_memo = index
            self.problem(
                "memo", self.window.offset, f"memo entry {index}, for which a loader makes room at once"
            )

    def _recall(self, index: int) -> None:
        self.stack.append(self.memo.get(index, THING))

    def _memoize(self) -> None:
        self._remember(len(self.memo))

    def _binput(self) -> None:
        self._remember(self.window.byte())

    def _long_binput(self) -> None:
        self._remember(self._count("u4"))

    def _put(self) -> None:
        self._remember(number_of(self.window.line()))

    def _binget(self) -> None:
        self._recall(self.window.byte())

    def _long_binget(self) -> None:
        self._recall(self._count("u4"))

    def _get(self) -> None:
        self._recall(number_of(self.window.line()))
