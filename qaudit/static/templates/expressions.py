"""What an expression of a template may be, worked out on its tree: nothing of it is run.

Parts of a conversation are followed by name through variables, loops, filters and methods; a comparison
of content, its length, the number of messages, the date or a tool's name with something gives a guard.
Questions about form (role, presence, type, first or last) give none: templates are made of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jinja2 import nodes

from qaudit.static.templates.abstract_values import (
    ANY_ROLE,
    NOTHING,
    Value,
    depending,
    either,
    literal,
    ref,
)
from qaudit.static.templates.comparisons import compared, measured, own_guards
from qaudit.static.templates.conversation_parts import ROLE_NAMES, part_of, source
from qaudit.static.templates.filters import SPLITS, applied
from qaudit.static.templates.folding import folded

MOST_STEPS = 20_000  # honest templates take a twentieth
_OF_FORM = {
    "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "boolean",
    "integer", "float", "callable", "true", "false", "filter", "test", "escaped", "odd", "even",
}  # fmt: skip


class Expressions:
    """Evaluates expressions; variables and macros are kept by whoever walks the statements."""

    def __init__(self) -> None:
        self.variables: dict[str, Value] = {}
        self.spaces: dict[int, dict[str, Value]] = {}
        self.roles: frozenset[str] = ANY_ROLE
        self.steps_left = MOST_STEPS
        self.call_macro: Callable[[str, Sequence[Value], dict[str, Value]], Value] = lambda *_: NOTHING
        self._by_node: dict[type[nodes.Node], Callable[[Any], Value]] = {
            nodes.Name: self._name,
            nodes.Getattr: lambda n: self.part(self.value(n.node), literal(n.attr, n.lineno)),
            nodes.Getitem: self._item,
            nodes.Call: self._call,
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Compare: self._compare,
            nodes.CondExpr: self._cond,
            nodes.Concat: lambda n: either(*map(self.value, n.nodes), NOTHING).plain(),
            nodes.Not: lambda n: depending(self.value(n.node).guards),
            nodes.List: lambda n: either(*map(self.value, n.items), NOTHING),
            nodes.Tuple: lambda n: either(*map(self.value, n.items), NOTHING),
            nodes.Dict: self._dict,
            nodes.NSRef: lambda n: self._space_part(self.variables.get(n.name, NOTHING), n.attr),
        }

    def value(self, node: nodes.Node) -> Value:
        """Return what an expression may be; `OutOfSteps` where a template is too much to follow."""
        self.steps_left -= 1
        if self.steps_left < 0:
            raise OutOfSteps
        constant = folded(node)
        if constant is not ...:
            return literal(constant, node.lineno)
        method = self._by_node.get(type(node))
        if method:
            return method(node)
        if isinstance(node, nodes.And | nodes.Or):
            return self._logic(node)
        if isinstance(node, nodes.BinExpr):
            return self._arithmetic(node)
        return either(*map(self.value, node.iter_child_nodes()), NOTHING).plain()

    def narrowed(self, test: nodes.Node) -> tuple[frozenset[str], frozenset[str]]:
        """Return the roles that a message may have where a test holds, and where it does not."""
        if isinstance(test, nodes.Not):
            return self.narrowed(test.node)[::-1]
        if isinstance(test, nodes.And | nodes.Or):
            (yes, no), (also_yes, also_no) = self.narrowed(test.left), self.narrowed(test.right)
            if isinstance(test, nodes.And):
                return yes & also_yes, no | also_no
            return yes | also_yes, no & also_no
        if isinstance(test, nodes.Compare) and len(test.ops) == 1:
            left, right = self.value(test.expr), self.value(test.ops[0].expr)
            operator = test.ops[0].op
            if "role" in right.refs:
                left, right = right, left
            named = {ROLE_NAMES.get(text.text, text.text) for text in right.texts} & ANY_ROLE
            if "role" in left.refs and right.texts and operator in ("eq", "in", "ne", "notin"):
                yes, no = frozenset(named), ANY_ROLE - named
                return (yes, no) if operator in ("eq", "in") else (no, yes)
        return ANY_ROLE, ANY_ROLE

    def _name(self, node: nodes.Name) -> Value:
        known = self.variables.get(node.name)
        if known is not None:
            return known
        return source(node.name)

    def _item(self, node: nodes.Getitem) -> Value:
        value = self.value(node.node)
        if isinstance(node.arg, nodes.Slice):
            bounds = [self.value(b) for b in (node.arg.start, node.arg.stop, node.arg.step) if b is not None]
            guards = own_guards(bounds)
            cut = "content" in value.refs and not any(edit.how in SPLITS for edit in value.edits)
            if cut:
                shown = tuple(str(b.constant) for b in bounds if b.constant is not ...)
                value = value.edited("slice", shown, node.lineno)
            return value.plain().guarded(guards) if value.texts else value.plain()
        return self.part(value, self.value(node.arg))

    def part(self, of: Value, key: Value) -> Value:
        """Return what lies in a value under a key."""
        if of.space and isinstance(key.constant, str) and key.constant:
            return self._space_part(of, key.constant)
        return part_of(of, key, self.roles)

    def _space_part(self, space: Value, name: str) -> Value:
        return self.spaces.get(space.space, {}).get(name, NOTHING)

    def _call(self, node: nodes.Call) -> Value:
        arguments = [self.value(argument) for argument in node.args]
        named: dict[str, Value] = {pair.key: self.value(pair.value) for pair in node.kwargs}
        arguments += [self.value(more) for more in (node.dyn_args, node.dyn_kwargs) if more is not None]
        if isinstance(node.node, nodes.Getattr):
            owner = self.value(node.node.node)
            return applied(node.node.attr, owner, [*arguments, *named.values()], node.lineno, self)
        if isinstance(node.node, nodes.Name):
            match node.node.name:
                case "namespace" | "dict":
                    return (
                        self._new_space(named) if node.node.name == "namespace" else either(*named.values())
                    )
                case "range":
                    return either(NOTHING, *arguments).plain()
                case "raise_exception":
                    return NOTHING
        function = self.value(node.node)
        if "clock" in function.refs:
            return ref("date")
        if function.macros:
            results = [self.call_macro(name, arguments, named) for name in sorted(function.macros)[:4]]
            return either(*results, *([NOTHING] if function.refs else [])).guarded(function.guards)
        return either(function, *arguments, *named.values()).plain()

    def _new_space(self, named: dict[str, Value]) -> Value:
        number = len(self.spaces) + 1
        self.spaces[number] = dict(named)
        return Value(refs=frozenset({"space"}), space=number)

    def _filter(self, node: nodes.Filter) -> Value:
        if node.node is None:
            return NOTHING
        owner = self.value(node.node)
        named: dict[str, Value] = {str(pair.key): self.value(pair.value) for pair in node.kwargs}
        arguments = [*(self.value(argument) for argument in node.args), *named.values()]
        if node.name == "map" and "attribute" in named:
            return self.part(self.part(owner, NOTHING), named["attribute"])
        return applied(node.name, owner, arguments, node.lineno, self)

    def _test(self, node: nodes.Test) -> Value:
        subject = self.value(node.node)
        arguments = [self.value(argument) for argument in node.args]
        guards = own_guards([subject, *arguments])
        if node.name in ("odd", "even") and "length" not in subject.refs and "content" not in subject.refs:
            return depending(guards)
        if node.name in _OF_FORM - {"odd", "even"}:
            return depending(guards)
        other = either(NOTHING, *arguments) if arguments else Value(against=frozenset({node.name}))
        return depending([*guards, *compared(subject, other), *compared(other, subject)])

    def _compare(self, node: nodes.Compare) -> Value:
        operands = [self.value(node.expr), *(self.value(operand.expr) for operand in node.ops)]
        if any(operand.op in ("in", "notin") for operand in node.ops):
            # `'image' in part` asks which kind of part it is
            operands = [replace(operand, refs=operand.refs - {"part"}) for operand in operands]
        guards = own_guards(operands)
        for number, operand in enumerate(operands):
            others = either(NOTHING, *operands[:number], *operands[number + 1 :])
            guards += compared(operand, others)
        return depending(guards)

    def _logic(self, node: nodes.And | nodes.Or) -> Value:
        left = self.value(node.left)
        before = self.roles
        yes, no = self.narrowed(node.left)
        self.roles = before & (yes if isinstance(node, nodes.And) else no)
        right = self.value(node.right).guarded(own_guards([left]))
        self.roles = before
        return either(left, right).plain()

    def _cond(self, node: nodes.CondExpr) -> Value:
        guards = self.value(node.test).guards
        before = self.roles
        yes, no = self.narrowed(node.test)
        self.roles = before & yes
        then = self.value(node.expr1).guarded(guards)
        self.roles = before & no
        other = self.value(node.expr2).guarded(guards) if node.expr2 is not None else NOTHING.guarded(guards)
        self.roles = before
        return either(then, other).plain()

    def _dict(self, node: nodes.Dict) -> Value:
        keys = either(NOTHING, *(self.value(pair.key) for pair in node.items))
        values = either(NOTHING, *(self.value(pair.value) for pair in node.items))
        return Value(values.refs, values.roles, values.texts, values.guards, values.edits,
                     values.against | keys.constants, ..., values.macros)  # fmt: skip

    def _arithmetic(self, node: nodes.BinExpr) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node, nodes.Mod) and right.constant == 2:
            return left.plain()
        if isinstance(node, nodes.Mul) or (isinstance(node, nodes.Mod) and _starred(left)):
            # how often a text is written, or how much of it
            how_much = [*measured(left), *measured(right), *left.guards, *right.guards]
            return (
                either(left, right).plain().guarded(how_much)
                if left.texts or right.texts
                else either(left, right)
            )
        return either(left, right).plain()


class OutOfSteps(Exception):
    """A template is too much to follow."""


def _starred(value: Value) -> bool:
    return isinstance(value.constant, str) and "*" in value.constant
