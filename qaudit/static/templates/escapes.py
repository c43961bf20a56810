"""Expressions of a template that reach for what is outside it: Python's internals, other files, other names.

Inference engines have rendered templates without a sandbox, or in one with a hole (CVE-2024-34359,
CVE-2026-5760, CVE-2024-56326, CVE-2025-27516); a chat template needs none of this.
"""

import re
from collections.abc import Iterator

from jinja2 import nodes

from qaudit.static.templates.facts import Note
from qaudit.static.templates.folding import folded

_DUNDER = re.compile(r"__[A-Za-z]\w*__")
_INTERNAL = frozenset(
    {"mro", "func_globals", "f_globals", "f_locals", "f_builtins", "gi_frame", "gi_code", "cr_frame",
    "ag_frame", "tb_frame", "f_back", "co_code", "func_code", "environment", "eval_ctx", "exported_vars",
    "get_all", "_module", "resolve_or_missing", "_TemplateReference__context", "im_func", "im_self"}
)  # fmt: skip
# what the frameworks around Jinja put beside a template; a chat template has no use for any
_FOREIGN = frozenset(
    {"lipsum", "self", "config", "request", "session", "g", "url_for", "get_flashed_messages", "application",
     "settings"}
)  # fmt: skip
_HARMLESS_PARTS = {
    "cycler": {"next", "current", "reset"},
    "joiner": set[str](),
    "namespace": set[str](),
    "dict": set[str](),
}
_BY_ATTRIBUTE = {"map", "selectattr", "rejectattr", "groupby", "sum", "sort", "unique", "min", "max", "attr"}
_REFERENCE = re.compile(r"\{[^{}]*[.\[][^{}]*\}")


def escapes(template: nodes.Template) -> Iterator[Note]:
    """Yield what reaches out; grade 2 is certain, 1 is a way to hide it."""
    bound = {name.name for name in template.find_all(nodes.Name) if name.ctx in ("store", "param")}
    for node in template.find_all(nodes.Node):
        yield from _reaching(node, bound)


def _reaching(node: nodes.Node, bound: set[str]) -> Iterator[Note]:
    match node:
        case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
            yield Note("other-file", node.lineno, f"{{% {type(node).__name__.lower()} %}}")
        case nodes.Getattr():
            yield from _named(node.attr, node, ".", built=False)
            yield from _of_global(node, bound)
            yield from _method(node)
        case nodes.Keyword() if _DUNDER.fullmatch(node.key):
            yield Note("escape", node.lineno, f"uses the name `{node.key}`", grade=2)
        case nodes.Getitem() if not isinstance(node.arg, nodes.Slice):
            key = folded(node.arg)
            if isinstance(key, str):
                yield from _named(key, node, "[]", built=not isinstance(node.arg, nodes.Const))
        case nodes.Filter():
            yield from _filter(node)
        case nodes.Name() if node.ctx == "load" and node.name in _FOREIGN and node.name not in bound:
            yield Note(
                "escape", node.lineno, f"uses `{node.name}`, which is no part of a conversation", grade=1
            )
        case nodes.Name() if _DUNDER.fullmatch(node.name):
            yield Note("escape", node.lineno, f"uses `{node.name}`", grade=2)
        case nodes.Concat() | nodes.Add() | nodes.Mod() | nodes.Mul():
            built = folded(node)
            if isinstance(built, str) and (found := _DUNDER.search(built)):
                yield Note("escape", node.lineno, f"builds the name `{found.group()}` out of pieces", grade=2)


def _named(name: str, node: nodes.Node, how: str, *, built: bool) -> Iterator[Note]:
    if _DUNDER.search(name) or name in _INTERNAL:
        pieces = ", built out of pieces" if built else ""
        yield Note("escape", node.lineno, f"asks for `{name}` with {how}{pieces}", grade=2)


def _of_global(node: nodes.Getattr, bound: set[str]) -> Iterator[Note]:
    owner = node.node
    if isinstance(owner, nodes.Call):
        owner = owner.node
    if isinstance(owner, nodes.Name) and owner.name in _HARMLESS_PARTS and owner.name not in bound:
        # of a namespace that was just made every attribute is its own; of the class none is
        made = isinstance(node.node, nodes.Call) and owner.name in ("namespace", "dict")
        if not made and node.attr not in _HARMLESS_PARTS[owner.name]:
            yield Note("escape", node.lineno, f"asks `{owner.name}` for `{node.attr}`", grade=1)


def _filter(node: nodes.Filter) -> Iterator[Note]:
    arguments = [*node.args, *(pair.value for pair in node.kwargs)]
    for argument in arguments:
        name = folded(argument)
        if isinstance(name, str) and node.name in _BY_ATTRIBUTE:
            found = [part for part in name.split(".") if _DUNDER.search(part) or part in _INTERNAL]
            if found:
                yield Note(
                    "escape", node.lineno, f"asks for `{found[0]}` with the filter `{node.name}`", grade=2
                )
                return
    if node.name == "attr" or (node.name == "map" and any(folded(a) == "attr" for a in node.args)):
        yield Note(
            "dynamic-attribute", node.lineno, "uses the filter `attr`, which gets round checks on names"
        )
    elif node.name == "map" and any(p.key == "attribute" and folded(p.value) is ... for p in node.kwargs):
        yield Note("dynamic-attribute", node.lineno, "maps an attribute whose name is worked out on the way")
    elif node.name == "format":
        yield from _pattern(folded(node.node), node, "the filter `format`")


def _method(method: nodes.Getattr) -> Iterator[Note]:
    if method.attr == "format_map":
        yield Note("str-format", method.lineno, "calls `format_map`, which reads attributes", grade=2)
    elif method.attr == "format":
        pattern = folded(method.node)
        if isinstance(pattern, str) and _REFERENCE.search(pattern):
            yield Note(
                "str-format", method.lineno, f"formats with `{pattern[:80]}`, which reads attributes", grade=2
            )
        elif pattern is ...:
            yield Note(
                "str-format", method.lineno, "calls `format` of a text that is worked out on the way", grade=1
            )
    elif method.attr in ("encode", "decode", "fromhex"):
        yield Note("escape", method.lineno, f"calls `{method.attr}`, a way to hide text", grade=1)


def _pattern(pattern: object, node: nodes.Node, how: str) -> Iterator[Note]:
    if isinstance(pattern, str) and "%c" in pattern:
        yield Note("escape", node.lineno, f"makes text out of numbers with {how}", grade=1)
