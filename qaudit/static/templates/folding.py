"""Working out the constants of a template without running any of it: what `'__cl' ~ 'ass__'` is.

Only strings, whole numbers and lists of them, only operations that cannot grow without bound; everything
is cut short at a few thousand characters.
"""

from collections.abc import Callable
from typing import Any

from jinja2 import nodes

MOST_CHARACTERS, MOST_ITEMS, MOST_DEPTH = 4096, 512, 40
MOST_INTEGER = 1 << 62
_BINARY: dict[type[nodes.BinExpr], Callable[[Any, Any], Any]] = {
    nodes.Sub: lambda a, b: a - b,
    nodes.Div: lambda a, b: a / b,
    nodes.FloorDiv: lambda a, b: a // b,
}
_METHODS = {
    "lower", "upper", "title", "capitalize", "strip", "lstrip", "rstrip", "swapcase", "replace", "split",
    "join", "zfill", "removeprefix", "removesuffix", "trim", "reverse", "first", "last", "string", "list",
    "int", "format", "casefold", "safe",
}  # fmt: skip


def folded(node: nodes.Node | None, depth: int = 0) -> Any:  # noqa: ANN401
    """Return the value of a constant expression, or `...` where it is none or none that is followed."""
    if node is None or depth > MOST_DEPTH:
        return ...
    try:
        value = _folded(node, depth + 1)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return ...
    return value if _small(value) else ...


def _folded(node: nodes.Node, depth: int) -> Any:  # noqa: ANN401
    match node:
        case nodes.Const():
            return node.value
        case nodes.TemplateData():
            return node.data
        case nodes.List() | nodes.Tuple():
            if len(node.items) > MOST_ITEMS:
                return ...
            return _known([folded(item, depth) for item in node.items])
        case nodes.Concat():
            parts = _known([folded(part, depth) for part in node.nodes])
            return ... if parts is ... else "".join(map(str, parts))
        case nodes.Neg():
            value = folded(node.node, depth)
            return -value if type(value) in (int, float) else ...
        case nodes.Add() | nodes.Mul() | nodes.Mod() | nodes.Sub() | nodes.Div() | nodes.FloorDiv():
            return _arithmetic(node, depth)
        case nodes.Getitem():
            return _item(node, depth)
        case nodes.Filter():
            return _method(node.name, node.node, node.args, node.kwargs, depth)
        case nodes.Call() if isinstance(node.node, nodes.Getattr):
            return _method(node.node.attr, node.node.node, node.args, node.kwargs, depth)
    return ...


def _arithmetic(node: nodes.BinExpr, depth: int) -> Any:  # noqa: ANN401
    left, right = folded(node.left, depth), folded(node.right, depth)
    if left is ... or right is ...:
        return ...
    if isinstance(node, nodes.Add):
        return left + right
    if isinstance(node, nodes.Mod):
        return (
            _formatted(left, right if isinstance(right, list) else [right])
            if isinstance(left, str)
            else left % right
        )
    if isinstance(node, nodes.Mul):
        sized = [side for side in (left, right) if isinstance(side, str | list)]
        count = right if sized and sized[0] is left else left
        if sized and (not isinstance(count, int) or len(sized[0]) * count > MOST_CHARACTERS):
            return ...
        return left * right
    return _BINARY[type(node)](left, right)


def _item(node: nodes.Getitem, depth: int) -> Any:  # noqa: ANN401
    value = folded(node.node, depth)
    if value is ... or not isinstance(value, str | list):
        return ...
    if isinstance(node.arg, nodes.Slice):
        bounds = [
            None if part is None else folded(part, depth)
            for part in (node.arg.start, node.arg.stop, node.arg.step)
        ]
        return ... if ... in bounds else value[slice(*bounds)]
    index = folded(node.arg, depth)
    return value[index] if isinstance(index, int) else ...


def _method(name: str, owner: nodes.Node | None, given: list[Any], kwargs: list[Any], depth: int) -> Any:  # noqa: ANN401
    if name not in _METHODS or kwargs:
        return ...
    value, arguments = folded(owner, depth), _known([folded(argument, depth) for argument in given])
    if value is ... or arguments is ...:
        return ...
    match name:
        case "trim":
            return value.strip(*arguments)
        case "safe" | "string":
            return str(value)
        case "int":
            return int(value)
        case "list":
            return list(value)
        case "reverse":
            return value[::-1]
        case "first":
            return value[0]
        case "last":
            return value[-1]
        case "join":
            return _joined(value, arguments)
        case "format":
            return _formatted(value, arguments)
        case "replace" if len(value) * max(1, len(arguments[1])) > MOST_CHARACTERS * 8:
            return ...
        case "zfill" if arguments[0] > MOST_CHARACTERS:
            return ...
    return getattr(value, name)(*arguments) if isinstance(value, str) else ...


def _joined(value: Any, arguments: list[Any]) -> Any:  # noqa: ANN401
    # 'a'.join(list) and list|join('a')
    if isinstance(value, str) and arguments and isinstance(arguments[0], list):
        return value.join(map(str, arguments[0]))
    return (arguments[0] if arguments else "").join(map(str, value))


def _formatted(pattern: Any, arguments: list[Any]) -> Any:  # noqa: ANN401
    """Return `%` or `{}` formatting of plain values, with nothing in the pattern that asks for width."""
    if not isinstance(pattern, str) or any(isinstance(argument, list) for argument in arguments):
        return ...
    if "%" in pattern:
        rest = pattern.replace("%%", "")
        wanted = [rest[i + 1 : i + 2] for i, c in enumerate(rest) if c == "%"]
        return pattern % tuple(arguments) if set(wanted) <= set("scdxrX") else ...
    if "{" in pattern:
        plain = pattern.replace("{}", "").replace("{0}", "").replace("{1}", "").replace("{:c}", "")
        return pattern.format(*arguments) if "{" not in plain else ...
    return pattern


def _known(values: list[Any]) -> Any:  # noqa: ANN401
    return ... if ... in values else values


def _small(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, str):
        return len(value) <= MOST_CHARACTERS
    if isinstance(value, list):
        return len(value) <= MOST_CHARACTERS and all(_small(item) for item in value)
    return not isinstance(value, int) or abs(value) < MOST_INTEGER
