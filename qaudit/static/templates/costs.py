"""Shapes of a template that cost far more time or memory than their length says."""

import re
from collections.abc import Iterator, Sequence

from jinja2 import nodes

from qaudit.static.templates.facts import Note
from qaudit.static.templates.folding import folded

MANY_ROUNDS = 100_000
MANY_STATEMENTS = 10_000  # outputs counted; the longest template in use has a tenth
LONG_TEXT = 100_000  # characters
DEEP = 100  # statements and expressions within one another; honest templates stay under 40
WIDTHS = {
    "center",
    "ljust",
    "rjust",
    "indent",
    "zfill",
    "wordwrap",
    "format",
    "expandtabs",
    "truncate",
    "batch",
    "slice",
}


# a width of five digits, or one that is given with the values
_WIDTH = re.compile(r"%[-+ #0]{0,5}(?:\d{5,}|\*|\d*\.(?:\d{5,}|\*))")


def costs(template: nodes.Template) -> Iterator[Note]:
    """Yield the loops, repetitions and depths that are out of proportion."""
    # (node, rounds of the loops around it, depth)
    waiting: list[tuple[nodes.Node, int, int]] = [(template, 1, 0)]
    told_depth = False
    statements = 0
    while waiting:
        node, rounds, depth = waiting.pop()
        statements += isinstance(node, nodes.Stmt)
        if depth > DEEP and not told_depth:
            told_depth = True
            yield Note("too-deep", _line(node), f"nested more than {DEEP} deep")
        inner = rounds
        if isinstance(node, nodes.For):
            inner = rounds * _rounds(node.iter)
            if inner > MANY_ROUNDS and rounds <= MANY_ROUNDS:
                yield Note("cost", node.lineno, f"loops run {inner} times whatever the conversation is")
        yield from _large(node)
        waiting += [(child, inner, depth + 1) for child in node.iter_child_nodes()]
    if statements > MANY_STATEMENTS:
        yield Note("cost", 0, f"has {statements} statements, more than can be compiled in little time")


def endless(template: nodes.Template) -> Iterator[Note]:
    """Yield the macros and recursive loops that call themselves under no condition."""
    macros = {macro.name: macro for macro in template.find_all(nodes.Macro)}
    calls = {name: set(_unconditional(macro.body)) & set(macros) for name, macro in macros.items()}
    for name, macro in macros.items():
        reached, waiting = set[str](), [name]
        while waiting:
            for called in calls[waiting.pop()] - reached:
                reached.add(called)
                waiting.append(called)
        if name in reached:
            yield Note("recursion", macro.lineno, f"the macro `{name}` calls itself whatever it is given")
    for loop in template.find_all(nodes.For):
        if loop.recursive and "loop" in _unconditional(loop.body):
            yield Note("recursion", loop.lineno, "a recursive loop calls itself whatever it is given")


def _unconditional(body: Sequence[nodes.Node]) -> Iterator[str]:
    """Yield the names that are called wherever the body runs, outside conditions and loops."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.If | nodes.For | nodes.CondExpr | nodes.Macro | nodes.And | nodes.Or):
            continue
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            yield node.node.name
        waiting += node.iter_child_nodes()


def _rounds(iterated: nodes.Node) -> int:
    while isinstance(iterated, nodes.Filter) and iterated.node is not None:
        iterated = iterated.node
    if (
        isinstance(iterated, nodes.Call)
        and isinstance(iterated.node, nodes.Name)
        and iterated.node.name == "range"
    ):
        return max(1, _range(iterated.args))
    constant = folded(iterated)
    return max(1, len(constant)) if isinstance(constant, str | list) else 1


def _range(arguments: Sequence[nodes.Node]) -> int:
    values = [folded(argument) for argument in arguments]
    if not values or any(not isinstance(value, int) for value in values):
        return 1
    try:
        span = range(*values[:3])
        return (span.stop - span.start) // span.step + 1 if span else 0
    except (TypeError, ValueError):
        return 1


def _large(node: nodes.Node) -> Iterator[Note]:
    match node:
        case nodes.Pow():
            power = folded(node.right)
            tower = isinstance(node.left, nodes.Pow)
            if tower or not isinstance(power, int | float) or power > 64:
                yield Note("huge-output", node.lineno, "raises to a power that is not a small number")
        case nodes.Mul():
            for text, count in ((node.left, node.right), (node.right, node.left)):
                times, length = folded(count), _length(text)
                if isinstance(times, int) and length * times > LONG_TEXT:
                    yield Note(
                        "huge-output", node.lineno, f"repeats a text or list to {length * times} characters"
                    )
        case nodes.Mod() | nodes.Filter(name="format"):
            pattern = folded(node.left if isinstance(node, nodes.Mod) else node.node)
            if isinstance(pattern, str) and _WIDTH.search(pattern):
                yield Note("huge-output", node.lineno, f"pads text by the format {pattern[:80]!r}")
        case nodes.Filter() if node.name in WIDTHS:
            yield from _wide([*node.args, *(pair.value for pair in node.kwargs)], node)
        case nodes.Call():
            if isinstance(node.node, nodes.Getattr) and node.node.attr in WIDTHS:
                yield from _wide(node.args, node)
            if (
                isinstance(node.node, nodes.Name)
                and node.node.name == "range"
                and _range(node.args) > MANY_ROUNDS * 10
            ):
                yield Note("cost", node.lineno, f"makes a range of {_range(node.args)}")
            if isinstance(node.node, nodes.Name) and node.node.name == "lipsum":
                yield Note("cost", node.lineno, "writes text at random")


def _wide(arguments: Sequence[nodes.Node], node: nodes.Node) -> Iterator[Note]:
    for argument in arguments:
        width = folded(argument)
        if isinstance(width, int) and width > LONG_TEXT:
            yield Note("huge-output", _line(node), f"pads or wraps text to {width} characters")


def _length(node: nodes.Node) -> int:
    """Return how long a text or list is, following repetitions within it."""
    length = 1
    for _ in range(DEEP):
        constant = folded(node)
        if isinstance(constant, str | list):
            return length * len(constant)
        if isinstance(node, nodes.Filter) and node.node is not None:
            node = node.node
        elif isinstance(node, nodes.Mul):
            left, right = folded(node.left), folded(node.right)
            if isinstance(right, int):
                length, node = length * right, node.left
            elif isinstance(left, int):
                length, node = length * left, node.right
            else:
                return 0
        elif isinstance(node, nodes.List | nodes.Tuple):
            return length * len(node.items)
        else:
            return 0
    return length


def _line(node: nodes.Node) -> int:
    return int(getattr(node, "lineno", 0) or 0)
