"""What the filters and methods that templates use make of a value."""

from collections.abc import Sequence
from typing import Protocol

from qaudit.static.templates.abstract_values import NOTHING, Guard, Value, depending, either, ref
from qaudit.static.templates.comparisons import compared, own_guards

_SAME = {
    "list", "safe", "tojson", "string", "trim", "strip", "lstrip", "rstrip", "items", "dictsort", "dict",
    "copy", "keys", "values", "int", "float", "abs", "round", "e", "escape", "forceescape", "first", "last",
    "batch", "slice", "sort", "unique", "d", "default", "join", "indent", "expandtabs", "get", "flatten",
    "update", "json",
}  # fmt: skip
SPLITS = {"split", "rsplit", "splitlines", "partition", "rpartition"}
_QUESTIONS = {
    "startswith", "endswith", "count", "find", "rfind", "index", "rindex", "isdigit", "isalpha", "isupper",
    "islower", "isspace", "isalnum", "istitle", "isnumeric", "isdecimal", "isascii", "wordcount", "min",
    "max", "sum", "contains",
}  # fmt: skip
_COMPARING = {
    "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "gt", "greaterthan", "ge", "le", "in", "sameas",
    "<", ">", "<=", ">=", "divisibleby", "upper", "lower", "match", "search",
}  # fmt: skip


class LooksIntoParts(Protocol):
    """Whoever knows what the parts of a value are at this place of a template; `roles`: of its message."""

    roles: frozenset[str]

    def part(self, of: Value, key: Value) -> Value:
        """Return what lies in a value under a key."""


def applied(name: str, owner: Value, arguments: Sequence[Value], line: int, within: LooksIntoParts) -> Value:
    """Return what a filter or method gives.

    Args:
        name: the filter's or method's.
        owner: what it is applied to.
        arguments: that it is given, those by name last.
        line: where it stands.
        within: tells what the parts of the owner are there.
    """
    joined = either(owner, *arguments).plain() if arguments else owner.plain()
    constants = tuple(text.text for argument in arguments for text in argument.texts)
    match name:
        case "length" | "__len__":
            return _length(owner)
        case "get":
            found = within.part(owner, arguments[0]) if arguments else owner
            return either(found, *arguments[1:]).plain()
        case "random":
            return joined.guarded([Guard("chance", frozenset())])
        case "attr":
            return within.part(owner, arguments[0]) if arguments else owner
        case "string" | "tojson" | "json" if "messages" in owner.refs or "message" in owner.refs:
            return either(owner, ref("content", roles=within.roles)).plain()
        case "string" | "tojson" | "json" if "tools" in owner.refs:
            return either(owner, ref("tool-name")).plain()
        case "groupby" | "unique" | "sort" if arguments and "messages" in owner.refs:
            key = within.part(within.part(owner, NOTHING), arguments[0])
            return either(owner, key).plain()
        case "select" | "reject" if "content" in owner.refs and arguments:
            # words of a message that are left out
            return _selected(name, owner, arguments, within).edited(name, constants[1:], line)
        case "selectattr" | "rejectattr" | "select" | "reject":
            return _selected(name, owner, arguments, within)
        case "map":
            inner = next((text.text for text in arguments[0].texts), "") if arguments else ""
            return applied(inner, owner, arguments[1:], line, within) if inner != "map" else joined
        case "join" | "format":
            return joined
        case "replace" | "removeprefix" | "removesuffix" | "translate":
            edited = owner.edited(name, constants[:2], line)
            put_in = either(edited, *arguments[1:2]).plain()
            guards = (
                [Guard("content", owner.roles, frozenset(constants[:1]))] if "content" in owner.refs else []
            )
            replaced = tuple(text for text in put_in.guarded(guards).texts if text not in edited.texts)
            return Value(edited.refs, edited.roles, (*edited.texts, *replaced), edited.guards, edited.edits)
    if name in SPLITS:
        return owner.edited(name, constants[:1], line)
    if name in _QUESTIONS:
        asked = arguments[0] if arguments else Value(against=frozenset({name}))
        subject = either(owner, *arguments) if name == "contains" else owner
        return depending([*compared(subject, asked), *own_guards([owner, *arguments])])
    if name in _SAME:
        return joined
    return joined.edited(name, constants[:2], line)


def _length(owner: Value) -> Value:
    if "messages" in owner.refs:
        return Value(frozenset({"count"}), guards=owner.guards)
    if "content" in owner.refs and not any(edit.how in SPLITS for edit in owner.edits):
        return Value(frozenset({"length"}), owner.roles, guards=owner.guards)
    if "content" in owner.refs:
        # how often something occurs
        constants = frozenset(c for edit in owner.edits for c in edit.constants)
        return depending([Guard("content", owner.roles, constants), *owner.guards])
    return Value(frozenset({"form"}), guards=owner.guards)


def _selected(name: str, owner: Value, arguments: Sequence[Value], within: LooksIntoParts) -> Value:
    subject, rest = owner, arguments
    if name.endswith("attr") and arguments:
        subject, rest = within.part(within.part(owner, NOTHING), arguments[0]), arguments[1:]
    elif "messages" in owner.refs:
        subject = NOTHING
    asked = {text.text for text in rest[0].texts} if rest else set()
    if not asked & _COMPARING:
        return owner.plain()
    return owner.plain().guarded(compared(subject, either(NOTHING, *rest[1:])))
