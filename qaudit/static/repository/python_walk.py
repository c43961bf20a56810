"""A Python file read as a syntax tree: what it calls, under which real name, and when. It is never run."""

import ast
import codecs
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.python_names import Names

When = Literal["import", "main", "call"]
MAX_SOURCE: Final = 1 << 20
MAX_TOKENS: Final = 150_000  # of source; the largest files of transformers have half as many
MAX_NODES: Final = 150_000
LONG_LITERAL: Final = 400
_ENCODED: Final = LazyPattern(r"[A-Za-z0-9+/=_\-\s\\$!%&*.:;<>?@^`{|}~]+\Z")
_TOKEN: Final = LazyPattern(rb"\w+|[^\s\w]")
_COOKIE: Final = LazyPattern(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class CodeCall:
    """One call.

    Attributes:
        name: what is called, with imports and aliases resolved: `os.system`.
        line: in the file.
        when: `import` where importing the file runs it, `main` where running it as a program does.
        argument: the first argument where it is a constant.
        keywords: the values of keyword arguments that are constants, or the names of what they are.
        computed: whether its name was put together, or fetched by `getattr` and the like.
        handed: what its first argument names, such as `os.environ`.
        fed: names of calls whose results are its arguments.
    """

    name: str
    line: int
    when: When
    argument: str = ""
    keywords: dict[str, object] = field(default_factory=dict)
    computed: bool = False
    fed: tuple[str, ...] = ()
    handed: str = ""


@dataclass(slots=True)
class PythonWalk:
    """Everything that was seen in one file.

    Attributes:
        problem: why it could not be read as Python; empty where it was.
        literals: (line, length) of long texts that look encoded.
        texts: (line, text) of shorter constant texts.
        handed_on: (line, name) where `exec` and the like are given to something else.
        odd: (line, what) of attribute names that only evasions use.
    """

    name: str
    text: str = ""
    problem: str = ""
    calls: list[CodeCall] = field(default_factory=list)
    literals: list[tuple[int, int]] = field(default_factory=list)
    texts: list[tuple[int, str]] = field(default_factory=list)
    odd: list[tuple[int, str]] = field(default_factory=list)
    handed_on: list[tuple[int, str]] = field(default_factory=list)
    encoding: str = "utf-8"


def walk_python(name: str, raw: bytes) -> PythonWalk:
    """Read a Python file; what is no Python is noted as a problem."""
    walk = PythonWalk(name)
    head = raw.split(b"\n", 2)[:2]
    cookie = next((match for line in head if (match := _COOKIE.match(line))), None)
    walk.encoding = cookie[1].decode("ascii").lower() if cookie else "utf-8"
    walk.text = _decoded(raw, walk.encoding)
    if sum(1 for _ in _TOKEN.finditer(raw)) > MAX_TOKENS:
        walk.problem = f"more than {MAX_TOKENS} words and signs; not read as Python"
        return walk
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are none, which are the file's own matter
            tree = ast.parse(walk.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        walk.problem = f"{type(error).__name__}: {getattr(error, 'msg', error)}"
        return walk
    _Reading(walk, tree).read()
    return walk


def _decoded(raw: bytes, encoding: str) -> str:
    """Return the text as Python reads it; UTF-7 and ROT13 hide code from whoever reads it as it stands."""
    try:
        known = codecs.lookup(encoding).name in (
            "utf-8",
            "ascii",
            "iso8859-1",
            "cp1252",
            "utf-7",
            "utf-8-sig",
        )
    except (LookupError, ValueError):
        known = False
    return raw.removeprefix(codecs.BOM_UTF8).decode(encoding if known else "utf-8", "replace")


class _Reading:
    """One pass for names, one for calls; neither goes deeper into Python's own stack than a few levels."""

    def __init__(self, walk: PythonWalk, tree: ast.Module) -> None:
        self.walk, self.tree, self.names = walk, tree, Names()

    def read(self) -> None:
        naming = [node for node in self._nodes() if isinstance(node, _NAMING)]
        # what is imported first, then as it stands: an alias holds only where its parts are known
        naming.sort(key=lambda node: (not isinstance(node, (ast.Import, ast.ImportFrom)), node.lineno))
        for _ in range(2):  # an alias of an alias
            for statement in naming:
                self.names.learn(statement)
        seen: set[int] = set()
        for node, when in sorted(self._timed(), key=lambda pair: _FIRST[pair[1]]):
            if id(node) not in seen:
                seen.add(id(node))
                self._look(node, when)

    def _nodes(self) -> Iterator[ast.AST]:
        waiting: list[ast.AST] = [self.tree]
        count = 0
        while waiting:
            node = waiting.pop()
            count += 1
            if count > MAX_NODES:
                self.walk.problem = f"more than {MAX_NODES} nodes; the rest was not looked at"
                return
            yield node
            _add_children(node, waiting)

    # when ------------------------------------------------------------------------------------------

    def _timed(self) -> Iterator[tuple[ast.AST, When]]:
        """Yield what is looked at and when it runs: functions that importing calls run then too."""
        waiting: list[tuple[ast.AST, When]] = [(self.tree, "import")]
        entered: set[tuple[int, When]] = set()
        count = 0
        while waiting and count < 2 * MAX_NODES:
            node, when = waiting.pop()
            count += 1
            if isinstance(node, _LOOKED_AT):
                yield node, when
            if isinstance(node, ast.If) and when == "import" and _is_main(node.test):
                waiting += [(child, "main") for child in node.body]
                waiting += [(child, when) for child in node.orelse]
                continue
            children: list[ast.AST] = []
            _add_children(node, children)
            if isinstance(node, _FUNCTIONS):
                bodies = {id(child) for child in (node.body if isinstance(node.body, list) else [node.body])}
                waiting += [(child, "call" if id(child) in bodies else when) for child in children]
                continue
            if (
                isinstance(node, ast.Call)
                and when != "call"
                and isinstance(node.func, (ast.Name, ast.Lambda))
            ):
                for body in self._bodies(node.func):
                    if (id(body), when) not in entered:
                        entered.add((id(body), when))
                        waiting.append((body, when))
            waiting += [(child, when) for child in children]

    def _bodies(self, function: ast.Name | ast.Lambda) -> list[ast.AST]:
        if isinstance(function, ast.Lambda):
            return [function.body]
        found: list[ast.AST] = []
        for node in self.names.functions.get(function.id, ())[:10]:
            if isinstance(node, ast.ClassDef):
                makers = ("__init__", "__new__", "__call__")
                found += [
                    s
                    for m in node.body
                    if isinstance(m, ast.FunctionDef) and m.name in makers
                    for s in m.body
                ]
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found += node.body
        return found

    # what happens ----------------------------------------------------------------------------------

    def _look(self, node: ast.AST, when: When) -> None:
        walk, names = self.walk, self.names
        if isinstance(node, ast.Call):
            name, computed = names.dotted(node.func)
            if name:
                walk.calls.append(self._call(node, name, computed, when))
            for argument in [*node.args[:20], *(word.value for word in node.keywords[:20])]:
                if isinstance(argument, ast.Name) and argument.id in _TELLING:
                    walk.handed_on.append((node.lineno, argument.id))
        elif isinstance(node, _DECORATED):
            # a decorator is called with what it stands above
            for decorator in node.decorator_list[:20]:
                name, computed = ("", False) if isinstance(decorator, ast.Call) else names.dotted(decorator)
                if name:
                    walk.calls.append(CodeCall(name, decorator.lineno, when, computed=computed))
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, (str, bytes)):
                self._literal(node, node.value)
        elif isinstance(node, ast.Attribute) and node.attr in _EVASIVE:
            walk.odd.append((node.lineno, node.attr))

    def _call(self, node: ast.Call, name: str, computed: bool, when: When) -> CodeCall:
        keywords = {word.arg: self._value(word.value) for word in node.keywords[:20] if word.arg}
        fed = tuple(
            told
            for argument in (node.args[:3] if name.rpartition(".")[2] in _FED else ())
            for inner in _few(ast.walk(argument))
            if isinstance(inner, ast.Call) and (told := self.names.dotted(inner.func)[0])
        )
        first = self.names.folded(node.args[0]) if node.args else None
        given = node.args[0] if node.args else None
        handed = self.names.dotted(given)[0] if isinstance(given, ast.Attribute) else ""
        return CodeCall(name, node.lineno, when, (first or "")[:200], keywords, computed, fed, handed)

    def _value(self, node: ast.expr) -> object:
        return node.value if isinstance(node, ast.Constant) else self.names.dotted(node)[0]

    def _literal(self, node: ast.Constant, value: str | bytes) -> None:
        text = value if isinstance(value, str) else value[:10_000].decode("latin-1")
        if len(text) < LONG_LITERAL:
            self.walk.texts.append((node.lineno, text))
        elif text.count(" ") < len(text) // 50 and _ENCODED.match(text[:10_000]):
            self.walk.literals.append((node.lineno, len(value)))


_DECORATED: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LOOKED_AT: Final = (ast.Call, ast.Constant, ast.Attribute, *_DECORATED)
_NAMING: Final = (ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FIRST: Final = {"import": 0, "main": 1, "call": 2}
# of these it matters where what they are given comes from
_FED: Final = frozenset(
    {"exec", "eval", "compile", "loads", "load", "system", "popen", "run", "Popen", "FunctionType"}
)
_TELLING: Final = frozenset({"exec", "eval", "compile", "__import__"})
_EVASIVE: Final = frozenset(
    {"__subclasses__", "__bases__", "__base__", "__mro__", "__globals__", "__code__", "f_globals"}
)


def _add_children(node: ast.AST, into: list[ast.AST]) -> None:
    """Append a node's children; the standard library's own way takes three times as long."""
    for name in node._fields:
        child = getattr(node, name, None)
        if isinstance(child, list):
            into += [item for item in child if isinstance(item, ast.AST)]
        elif isinstance(child, ast.AST) and not isinstance(child, ast.expr_context):
            into.append(child)


def _few(nodes: Iterator[ast.AST], most: int = 200) -> Iterator[ast.AST]:
    for number, node in enumerate(nodes):
        if number >= most:
            return
        yield node


def _is_main(test: ast.AST) -> bool:
    if not isinstance(test, ast.Compare) or not isinstance(test.left, ast.Name):
        return False
    return test.left.id == "__name__" and any(
        isinstance(c, ast.Constant) and c.value == "__main__" for c in test.comparators
    )
