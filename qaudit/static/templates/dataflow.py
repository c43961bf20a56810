"""What a template writes, and what decides it: a walk over its statements, none of which is run.

Every text that is written is noted together with the guards that it stands under: a condition, a loop, a
variable that was set under one, an index, a default. Loops are walked twice, so that what a later round
sees of an earlier one is seen; branches are joined.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jinja2 import nodes

from qaudit.static.templates.abstract_values import (
    ANY_ROLE,
    NOTHING,
    Edit,
    Guard,
    Text,
    Value,
    either,
    literal,
    ref,
)
from qaudit.static.templates.expressions import Expressions, OutOfSteps
from qaudit.static.templates.facts import GuardKind

MOST_CALLS_DEEP = 6
MOST_WRITTEN = 4000


@dataclass(slots=True)
class Written:
    """What a template writes.

    Attributes:
        texts: each literal with its line and guards, in the order of the walk.
        edits: what was done to messages before they are written.
        compared: guards of every condition, whatever stands under it.
        complete: whether the walk came to the end.
    """

    texts: dict[Text, None] = field(default_factory=dict)
    edits: dict[Edit, None] = field(default_factory=dict)
    compared: dict[Guard, None] = field(default_factory=dict)
    complete: bool = True


def written_by(template: nodes.Template) -> Written:
    """Walk a parsed template."""
    walk = _Walk()
    try:
        walk.block(template.body)
    except (OutOfSteps, RecursionError):
        walk.written.complete = False
    return walk.written


class _Walk:
    def __init__(self) -> None:
        self.written = Written()
        self.expressions = Expressions()
        self.expressions.call_macro = self._called
        self._guards: frozenset[Guard] = frozenset()
        self._macros: dict[str, nodes.Macro] = {}
        self._running: list[str] = []
        self._caller: list[Value] = []
        # where texts go: into a variable or a macro's result, or out
        self._capturing: list[list[Value]] = []
        self._known_calls: dict[object, Value] = {}

    def block(self, body: Sequence[nodes.Node]) -> None:
        for node in body:
            self._statement(node)

    def _statement(self, node: nodes.Node) -> None:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    self._write(self._of(part))
            case nodes.If():
                self._if(node)
            case nodes.For():
                self._for(node)
            case nodes.Assign():
                self._assign(node.target, self._of(node.node))
            case nodes.AssignBlock():
                captured = self._captured(node.body)
                if node.filter is not None:
                    captured = self._filtered(node.filter, captured)
                self._assign(node.target, captured)
            case nodes.Macro():
                name = f"{node.name}@{node.lineno}"
                self._macros[name] = node
                self._assign(nodes.Name(node.name, "store"), Value(macros=frozenset({name})))
            case nodes.CallBlock():
                self._caller.append(self._captured(node.body))
                self._write(self._of(node.call))
                self._caller.pop()
            case nodes.FilterBlock():
                self._write(self._filtered(node.filter, self._captured(node.body)))
            case nodes.With():
                for target, value in zip(node.targets, node.values, strict=False):
                    self._assign(target, self._of(value))
                self.block(node.body)
            case nodes.ExprStmt():
                self._of(node.node)
            case nodes.Block() | nodes.Scope() | nodes.ScopedEvalContextModifier():
                self.block(node.body)

    def _of(self, node: nodes.Node) -> Value:
        if isinstance(node, nodes.TemplateData):
            return literal(node.data, node.lineno)
        return self.expressions.value(node)

    def _write(self, value: Value) -> None:
        if self._capturing:
            self._capturing[-1].append(value.guarded(self._guards) if value.texts else value)
            return
        if len(self.written.texts) < MOST_WRITTEN:
            for text in value.texts:
                self.written.texts[replace(text, guards=text.guards | self._guards)] = None
        self.written.edits.update(dict.fromkeys(value.edits))

    def _captured(self, body: Sequence[nodes.Node]) -> Value:
        self._capturing.append([])
        self.block(body)
        return either(NOTHING, *self._capturing.pop()).plain()

    def _filtered(self, node: nodes.Filter, captured: Value) -> Value:
        kept = self.expressions.variables.get(" captured")
        self.expressions.variables[" captured"] = captured
        inner: nodes.Node = node
        while isinstance(inner, nodes.Filter) and inner.node is not None:
            inner = inner.node
        if isinstance(inner, nodes.Filter):
            inner.node = nodes.Name(" captured", "load", lineno=node.lineno)
        try:
            value = self._of(node)
        finally:
            if isinstance(inner, nodes.Filter):
                inner.node = None  # as Jinja has it, which compiles the same tree afterwards
        if kept is not None:
            self.expressions.variables[" captured"] = kept
        return value

    def _assign(self, target: nodes.Node, value: Value) -> None:
        if isinstance(target, nodes.Tuple):
            for part in target.items:
                self._assign(part, value.plain())
        elif isinstance(target, nodes.NSRef):
            space = self.expressions.variables.get(target.name, NOTHING).space
            self.expressions.spaces.setdefault(space, {})[target.attr] = value
        elif isinstance(target, nodes.Name):
            self.expressions.variables[target.name] = value

    def _if(self, node: nodes.If) -> None:
        branches = [(node.test, node.body)] + [(elif_.test, elif_.body) for elif_ in node.elif_]
        saved_guards, saved_roles = self._guards, self.expressions.roles
        ends: list[tuple[dict[str, Value], dict[int, dict[str, Value]]]] = []
        all_guards: frozenset[Guard] = frozenset()
        certain = False
        for test, body in branches:
            value = self._of(test)
            all_guards |= value.guards
            self.written.compared.update(dict.fromkeys(value.guards))
            if value.constant is not ... and not value.constant:
                continue  # `false == true and ...`: never taken
            yes, no = self.expressions.narrowed(test)
            ends.append(self._branch(body, all_guards, self.expressions.roles & yes))
            self.expressions.roles &= no
            if value.constant is not ... and value.constant:
                certain = True
                break
        if not certain:
            ends.append(self._branch(node.else_, all_guards, self.expressions.roles))
        self._guards, self.expressions.roles = saved_guards, saved_roles
        self._join(ends, all_guards)

    def _branch(
        self, body: Sequence[nodes.Node], guards: frozenset[Guard], roles: frozenset[str]
    ) -> tuple[dict[str, Value], dict[int, dict[str, Value]]]:
        expressions = self.expressions
        before = self._guards, expressions.roles, expressions.variables, expressions.spaces
        self._guards = self._guards | guards
        expressions.roles = roles
        expressions.variables = dict(expressions.variables)
        expressions.spaces = {number: dict(space) for number, space in expressions.spaces.items()}
        self.block(body)
        end = expressions.variables, expressions.spaces
        self._guards, expressions.roles, expressions.variables, expressions.spaces = before
        return end

    def _join(
        self, ends: list[tuple[dict[str, Value], dict[int, dict[str, Value]]]], guards: frozenset[Guard]
    ) -> None:
        if not ends:
            return
        self.expressions.variables = _joined([variables for variables, _ in ends], guards)
        numbers = sorted({number for _, spaces in ends for number in spaces})
        self.expressions.spaces = {
            number: _joined([spaces.get(number, {}) for _, spaces in ends], guards) for number in numbers
        }

    def _for(self, node: nodes.For) -> None:
        expressions = self.expressions
        several = self._of(node.iter)
        guards = several.guards
        # a loop over a range has as many rounds as the number says
        kinds: dict[str, GuardKind] = {"length": "length", "count": "count"}
        guards |= {
            Guard(kinds[part]) for part in several.refs & set(kinds) if several.against or part == "length"
        }
        outer_variables, outer_guards, outer_roles = expressions.variables, self._guards, expressions.roles
        if "messages" in several.refs:
            expressions.roles = ANY_ROLE
        for _ in range(2):
            before = {number: dict(space) for number, space in expressions.spaces.items()}
            expressions.variables = {**outer_variables, "loop": ref("loop")}
            self._assign(node.target, self._element(several))
            roles = expressions.roles
            if node.test is not None:
                test = self._of(node.test)
                guards |= test.guards
                self.written.compared.update(dict.fromkeys(test.guards))
                roles = roles & expressions.narrowed(node.test)[0]
            _, spaces = self._branch(node.body, guards, roles)
            expressions.variables = outer_variables
            self._join([({**outer_variables}, before), ({**outer_variables}, spaces)], guards)
        expressions.variables, expressions.roles = outer_variables, outer_roles
        self._guards = outer_guards | guards
        self.block(node.else_)
        self._guards = outer_guards

    def _element(self, several: Value) -> Value:
        parts = {"messages": "message", "tools": "tool", "count": "position"}
        if not several.edits:
            parts["content"] = "part"
        refs = frozenset(parts.get(part, part) for part in several.refs)
        return replace(several, refs=refs, constant=...)

    def _called(self, name: str, arguments: Sequence[Value], named: dict[str, Value]) -> Value:
        macro = self._macros.get(name)
        if macro is None or name in self._running or len(self._running) >= MOST_CALLS_DEEP:
            return either(NOTHING, *arguments, *named.values()).plain()
        expressions = self.expressions
        key = (name, tuple(arguments), tuple(named.items()), expressions.roles, self._guards)
        if key in self._known_calls:
            return self._known_calls[key]
        saved, guards = expressions.variables, self._guards
        bound = dict(saved)
        defaults = [self.expressions.value(default) for default in macro.defaults]
        for parameter, default in zip(macro.args[len(macro.args) - len(defaults) :], defaults, strict=True):
            bound[parameter.name] = default
        for parameter in macro.args[: len(macro.args) - len(defaults)]:
            bound[parameter.name] = ref("option")
        bound.update({parameter.name: value for parameter, value in zip(macro.args, arguments, strict=False)})
        bound.update(named)
        if self._caller:
            bound["caller"] = self._caller[-1]
        expressions.variables = bound
        self._guards = frozenset()  # those of the call are added where its result is written
        self._running.append(name)
        value = self._captured(macro.body)
        self._running.pop()
        expressions.variables, self._guards = saved, guards
        self._known_calls[key] = value
        return value


def _joined(ends: list[dict[str, Value]], guards: frozenset[Guard]) -> dict[str, Value]:
    joined: dict[str, Value] = {}
    for end in ends:
        for name in end:
            if name in joined:
                continue
            values = [other.get(name, NOTHING) for other in ends]
            first = values[0]
            same = all(value is first or value == first for value in values)
            # which of them it is depends on what was asked
            joined[name] = first if same else either(*values).plain().guarded(guards)
    return joined
