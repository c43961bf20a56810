"""Imports and calls: the opcodes of a pickle that make things happen while it loads."""

import math
from typing import Final

from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.pickles.machine import MAX_IMPORTS, MAX_RECORDS, Machine
from qaudit.static.pickles.stand_ins import CUT, THING, Allowance, Made
from qaudit.static.pickles.walk import Call, Import, PickleWalk
from qaudit.static.pickles.window import Window

MAX_SHOWN: Final = 300  # characters of the arguments of a call
MAX_NAME: Final = 200
_DTYPE: Final = LazyPattern(r"[<>|=]?([a-zA-Z])(\d+)$")
_WRAPPER: Final = ("joblib.numpy_pickle", "NumpyArrayWrapper")
# what protocols 0 to 2 call by the names of Python 2, and Python 3 reads all the same
_RENAMED: Final = {
    "__builtin__": "builtins", "copy_reg": "copyreg", "cPickle": "pickle", "commands": "subprocess",
    "exceptions": "builtins", "thread": "_thread", "urllib2": "urllib.request", "httplib": "http.client",
    "cStringIO": "io", "StringIO": "io", "UserDict": "collections", "anydbm": "dbm",
    "Queue": "queue", "SocketServer": "socketserver", "ConfigParser": "configparser",
}  # fmt: skip


class Follower(Machine):
    """A machine that notes what is imported, called and changed."""

    def __init__(self, window: Window, walk: PickleWalk, allowance: Allowance) -> None:
        self._seen_calls: set[tuple[str, str, bool]] = set()
        super().__init__(window, walk, allowance)

    # imports ---------------------------------------------------------------------------------------

    def _import(self, module: str, name: str, offset: int, opcode: str) -> Import:
        module = _RENAMED.get(module, module)[:MAX_NAME]
        self.named += 1
        found = Import(module, name[:MAX_NAME], offset, opcode)
        known = self.walk.imports.get((module, found.name))
        if known is not None:
            return known
        if len(self.walk.imports) < MAX_IMPORTS:
            self.walk.imports[module, found.name] = found
        else:
            self.walk.limit = f"more than {MAX_IMPORTS} different imports"
        if (module, found.name) == _WRAPPER:
            self.wrapped = True
        return found

    def _names(self) -> tuple[str, str]:
        module = self.window.line().decode("utf-8", "backslashreplace")
        return module, self.window.line().decode("utf-8", "backslashreplace")

    def _global(self) -> None:
        offset = self.window.offset - 1
        self.stack.append(self._import(*self._names(), offset, "GLOBAL"))

    def _stack_global(self) -> None:
        offset = self.window.offset - 1
        name, module = self._pop_one(), self._pop_one()
        if isinstance(name, str) and isinstance(module, str):
            self.stack.append(self._import(module, name, offset, "STACK_GLOBAL"))
        else:
            known = [part if isinstance(part, str) else "" for part in (module, name)]
            self.stack.append(self._import(f"?{known[0]}", known[1] or "?", offset, "STACK_GLOBAL"))

    def _extension(self, size: int) -> None:
        offset = self.window.offset - 1
        code = int.from_bytes(self.window.take(size), "little")
        if len(self.walk.extension_codes) < MAX_RECORDS:
            self.walk.extension_codes.append((offset, code))
        self.stack.append(THING)

    def _ext1(self) -> None:
        self._extension(1)

    def _ext2(self) -> None:
        self._extension(2)

    def _ext4(self) -> None:
        self._extension(4)

    # calls -----------------------------------------------------------------------------------------

    def called(self, target: object, opcode: str, arguments: object) -> None:
        """Note a call of an import or of what another call gave, once for each target and opcode."""
        known = target if isinstance(target, Import) else None
        if known is None and not isinstance(target, Made):
            return  # a constant cannot be called, and of anything else nothing is known
        origin = known or (target.target if isinstance(target, Made) else None)
        seen = (origin.full_name if origin else "", opcode, known is None)
        if seen in self._seen_calls or len(self.walk.calls) >= MAX_RECORDS * 2:
            return
        self._seen_calls.add(seen)
        shown = _constant_text(arguments)
        if known is None:
            shown = f"of what {origin.full_name if origin else 'another call'} gave, with {shown}"
        self.walk.calls.append(Call(known, self.window.offset - 1, opcode, shown))

    def _made(self, target: object, arguments: object) -> Made:
        first = arguments[0] if isinstance(arguments, tuple) and arguments else ""
        origin = target if isinstance(target, Import) else target.target if isinstance(target, Made) else None
        return Made(origin, first if isinstance(first, str) else "")

    def _reduce(self) -> None:
        arguments, target = self._pop_one(), self._pop_one()
        self.called(target, "REDUCE", arguments)
        self.stack.append(self._made(target, arguments))

    def _newobj(self) -> None:
        arguments, target = self._pop_one(), self._pop_one()
        self.called(target, "NEWOBJ", arguments)
        self.stack.append(self._made(target, arguments))

    def _newobj_ex(self) -> None:
        words, arguments, target = self._pop_one(), self._pop_one(), self._pop_one()
        self.called(target, "NEWOBJ_EX", (arguments, words))
        self.stack.append(self._made(target, arguments))

    def _obj(self) -> None:
        items = self._pop_to_mark()
        target, arguments = (items[0], tuple(items[1:9])) if items else (THING, ())
        self.called(target, "OBJ", arguments)
        self.stack.append(self._made(target, arguments))

    def _inst(self) -> None:
        offset = self.window.offset - 1
        target = self._import(*self._names(), offset, "INST")
        arguments = tuple(self._pop_to_mark()[:8])
        self.called(target, "INST", arguments)
        self.stack.append(self._made(target, arguments))

    def _build(self) -> None:
        state = self._pop_one()
        top = self.stack[-1] if self.stack else THING
        if isinstance(top, Import):
            self.called(top, "BUILD", state)
        elif isinstance(top, Made) and top.target and (top.target.module, top.target.name) == _WRAPPER:
            self._array(state)

    def _array(self, state: object) -> None:
        """Pass over the numbers of an array that joblib writes right behind its wrapper."""
        if not isinstance(state, dict):
            return
        dtype, shape = state.get("dtype"), state.get("shape")
        described = _DTYPE.match(dtype.text) if isinstance(dtype, Made) else None
        if described and described[1] == "O":
            # the array is a whole pickle of its own; the outer one goes on behind its STOP
            if len(self.kept) < 100:
                self.kept.append((self.stack, self.marks, self.memo))
                self.stack, self.marks, self.memo = [], [], {}
            return
        if described is None or not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
            self.problem("array", self.window.offset, "an array of joblib of which the size is not known")
            return
        width = int(described[2]) * (4 if described[1] == "U" else 1) if len(described[2]) < 9 else 0
        if "numpy_array_alignment_bytes" in state:
            self.window.skip(self.window.byte())
        self.window.skip(width * math.prod(n for n in shape if isinstance(n, int)))

    # persistent ids --------------------------------------------------------------------------------

    def _persistent(self, told: object) -> None:
        self.walk.persistent += 1
        torch = isinstance(told, tuple) and bool(told) and told[0] == "storage"
        if not torch and self.walk.odd_persistent is None:
            self.walk.odd_persistent = self.window.offset - 1
        self.stack.append(THING)

    def _binpersid(self) -> None:
        self._persistent(self._pop_one())

    def _persid(self) -> None:
        self._persistent(self.window.line())


def _constant_text(value: object, depth: int = 0) -> str:
    """Return constants as a person may read them, shortened."""
    if isinstance(value, tuple):
        if depth > 2:
            return "(…)"
        return f"({', '.join(_constant_text(item, depth + 1) for item in value[:6])})"[:MAX_SHOWN]
    if isinstance(value, Import):
        return value.full_name
    if isinstance(value, Made):
        return f"<{value.target.full_name}(…)>" if value.target else "<…>"
    if isinstance(value, (str, bytes)):
        return ascii(value[:MAX_SHOWN])
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 64 else "…"
    return "<long text>" if value is CUT else "…"
