"""Go's text/template, as Ollama uses it, read into the tree of a Jinja template that does the same.

So the rules, the walk and the rendering are the same for both. Fields become names in lower case with
underscores (`.Messages` is `messages`, `.ToolCalls` `tool_calls`); Go's variables live in a namespace,
because an assignment in a Go loop lasts beyond it.
"""

import re
from collections.abc import Callable, Sequence

from jinja2 import nodes

from qaudit.sandboxed_templates import TemplateProblem, chat_environment
from qaudit.static.templates.go_lexer import Piece, Token, pieces, unquoted

VARIABLES = "go_variables"
_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "lteq", "gt": "gt", "ge": "gteq"}
_DATES = {"currentDate": "%Y-%m-%d", "yesterdayDate": "%Y-%m-%d", "now": "%Y-%m-%d"}
_PASSED_ON = {
    "json",
    "toJson",
    "html",
    "js",
    "urlquery",
    "toTypeScriptType",
    "lower",
    "upper",
    "title",
    "trim",
}
_FILTERS = {
    "json": "tojson",
    "toJson": "tojson",
    "lower": "lower",
    "upper": "upper",
    "title": "title",
    "trim": "trim",
}
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def parsed_go(text: str) -> nodes.Template:
    """Parse a template of Go's text/template into Jinja's tree.

    Raises:
        TemplateProblem: it does not parse, or calls a function that Ollama does not have.
    """
    try:
        reader = _Reader(list(pieces(text)))
        body = reader.body(None, top=True)
    except RecursionError as error:
        raise TemplateProblem("nested too deeply") from error
    start = nodes.Assign(
        nodes.Name(VARIABLES, "store"), nodes.Call(nodes.Name("namespace", "load"), [], [], None, None)
    )
    template = nodes.Template([start, *reader.defined, *body])
    for node in template.find_all(nodes.Node):
        node.lineno = getattr(node, "lineno", 0) or 1
    template.lineno = 1
    template.set_environment(chat_environment())
    return template


class _Reader:
    def __init__(self, read: Sequence[Piece]) -> None:
        self._pieces = read
        self._at = 0
        self._line = 1
        self._dots = 0
        self.defined: list[nodes.Node] = []

    def body(self, dot: str | None, *, top: bool = False) -> list[nodes.Node]:
        """Read statements up to `end` or `else`, which is left to be read."""
        found: list[nodes.Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._line = piece.line
            if piece.tokens is None:
                found.append(self._output(nodes.TemplateData(piece.text)))
                self._at += 1
                continue
            word = piece.tokens[0].text if piece.tokens[0].kind == "name" else ""
            if word in ("end", "else"):
                if top:
                    raise TemplateProblem(f"unexpected {{{{{word}}}}} (line {piece.line})")
                return found
            self._at += 1
            found += self._statement(word, piece.tokens, dot)
        if not top:
            raise TemplateProblem("a block is never closed: unexpected end of the template")
        return found

    def _statement(self, word: str, tokens: tuple[Token, ...], dot: str | None) -> list[nodes.Node]:
        line = self._line
        found: list[nodes.Node]
        match word:
            case "if":
                found = [self._if(tokens[1:], dot)]
            case "range":
                found = self._range(tokens[1:], dot)
            case "with":
                found = self._with(tokens[1:], dot)
            case "define" | "block":
                found = self._define(word, tokens, dot)
            case "template":
                found = [self._output(self._template_call(tokens, dot))]
            case "break":
                found = [nodes.Break()]
            case "continue":
                found = [nodes.Continue()]
            case _:
                found = self._pipeline(tokens, dot)
        for node in found:
            for inner in (node, *node.find_all(nodes.Node)):
                if getattr(inner, "lineno", None) is None:
                    inner.lineno = line
        return found

    def _pipeline(self, tokens: tuple[Token, ...], dot: str | None) -> list[nodes.Node]:
        names, rest = _declared(tokens)
        value = self._expression(rest, dot)
        if names:
            return [self._set(name, value) for name in names[-1:]]
        return [self._output(value)]

    def _if(self, tokens: tuple[Token, ...], dot: str | None) -> nodes.Node:
        names, rest = _declared(tokens)
        test = self._expression(rest, dot)
        body = [*(self._set(name, test) for name in names), *self.body(dot)]
        return nodes.If(test, body, [], self._rest(dot))

    def _rest(self, dot: str | None) -> list[nodes.Node]:
        """Read `else`, `else if`, `else with` or nothing, and `end`."""
        tokens = self._pieces[self._at].tokens or ()
        self._at += 1
        if tokens[0].text == "end":
            return []
        if len(tokens) > 1:
            self._line = self._pieces[self._at - 1].line
            # the inner block takes the one `end` that there is
            return self._statement(tokens[1].text, tokens[1:], dot)
        otherwise = self.body(dot)
        self._at += 1
        return otherwise

    def _range(self, tokens: tuple[Token, ...], dot: str | None) -> list[nodes.Node]:
        names, rest = _declared(tokens)
        several = self._expression(rest, dot)
        element = self._new_dot()
        start: list[nodes.Node] = [self._set(names[-1], nodes.Name(element, "load"))] if names else []
        if len(names) == 2:
            start.insert(0, self._set(names[0], nodes.Getattr(nodes.Name("loop", "load"), "index0", "load")))
        body = [*start, *self.body(element)]
        return [nodes.For(nodes.Name(element, "store"), several, body, self._rest(dot), None, False)]

    def _with(self, tokens: tuple[Token, ...], dot: str | None) -> list[nodes.Node]:
        names, rest = _declared(tokens)
        value = self._expression(rest, dot)
        inner = self._new_dot()
        start: list[nodes.Node] = [nodes.Assign(nodes.Name(inner, "store"), value)]
        start += [self._set(name, value) for name in names]
        return [nodes.If(value, [*start, *self.body(inner)], [], self._rest(dot))]

    def _define(self, word: str, tokens: tuple[Token, ...], dot: str | None) -> list[nodes.Node]:
        if len(tokens) < 2 or tokens[1].kind != "text":
            raise TemplateProblem(f"{word} needs a name (line {self._line})")
        name, inner = _macro_name(tokens[1]), self._new_dot()
        body = self.body(inner)
        self._at += 1
        self.defined.append(nodes.Macro(name, [nodes.Name(inner, "param")], [], body, lineno=self._line))
        return [] if word == "define" else [self._output(self._template_call(tokens, dot))]

    def _template_call(self, tokens: tuple[Token, ...], dot: str | None) -> nodes.Expr:
        if len(tokens) < 2 or tokens[1].kind != "text":
            raise TemplateProblem(f"template needs a name (line {self._line})")
        given = [self._expression(tokens[2:], dot)] if len(tokens) > 2 else [nodes.Const(None)]
        return nodes.Call(nodes.Name(_macro_name(tokens[1]), "load"), given, [], None, None)

    def _expression(self, tokens: tuple[Token, ...], dot: str | None) -> nodes.Expr:
        expression = _Expression(tokens, dot, self._line)
        value = expression.pipeline()
        if expression.at != len(tokens):
            raise TemplateProblem(f"unexpected {tokens[expression.at].text!r} (line {self._line})")
        return value

    def _set(self, name: str, value: nodes.Expr) -> nodes.Node:
        return nodes.Assign(nodes.NSRef(VARIABLES, name), value)

    def _output(self, value: nodes.Expr) -> nodes.Node:
        output = nodes.Output([value], lineno=self._line)
        value.lineno = self._line
        return output

    def _new_dot(self) -> str:
        self._dots += 1
        return f"go_dot_{self._dots}"


class _Expression:
    def __init__(self, tokens: Sequence[Token], dot: str | None, line: int) -> None:
        self._tokens, self._dot, self._line = tokens, dot, line
        self.at = 0

    def pipeline(self) -> nodes.Expr:
        value = self._command(None)
        while self._next_is("|"):
            self.at += 1
            value = self._command(value)
        return value

    def _command(self, piped: nodes.Expr | None) -> nodes.Expr:
        token = self._take()
        if token.kind == "name" and token.text not in ("true", "false", "nil"):
            arguments: list[nodes.Expr] = []
            while self.at < len(self._tokens) and not self._next_is("|", ")"):
                arguments.append(self._operand(self._take()))
            return self._called(token.text, [*arguments, *([piped] if piped is not None else [])])
        value = self._operand(token)
        if self.at < len(self._tokens) and not self._next_is("|", ")"):
            raise TemplateProblem(f"unexpected {self._tokens[self.at].text!r} (line {self._line})")
        return value

    def _operand(self, token: Token) -> nodes.Expr:
        value: nodes.Expr
        match token.kind:
            case "text" | "character":
                value = nodes.Const(unquoted(token.text))
            case "number":
                value = nodes.Const(_number(token.text))
            case "name" if token.text in ("true", "false", "nil"):
                value = nodes.Const({"true": True, "false": False}.get(token.text))
            case "name":
                value = self._called(token.text, [])
            case "variable" if token.text == "$":
                return self._fields(None)
            case "variable":
                value = nodes.Getattr(nodes.Name(VARIABLES, "load"), f"v_{token.text[1:]}", "load")
            case "dot":
                value = nodes.Name(self._dot or "messages", "load")
            case "field" if self._dot is None:
                value = nodes.Name(_snake(token.text[1:]), "load")
            case "field":
                value = nodes.Getattr(nodes.Name(self._dot, "load"), _snake(token.text[1:]), "load")
            case "sign" if token.text == "(":
                value = self.pipeline()
                if not self._next_is(")"):
                    raise TemplateProblem(f"a bracket is never closed (line {self._line})")
                self.at += 1
            case _:
                raise TemplateProblem(f"unexpected {token.text!r} (line {self._line})")
        return self._fields(value)

    def _fields(self, value: nodes.Expr | None) -> nodes.Expr:
        while (
            self.at < len(self._tokens)
            and self._tokens[self.at].kind == "field"
            and self._tokens[self.at].glued
        ):
            name = _snake(self._take().text[1:])
            value = nodes.Name(name, "load") if value is None else nodes.Getattr(value, name, "load")
        return value if value is not None else nodes.Name("messages", "load")

    def _called(self, name: str, given: list[nodes.Expr]) -> nodes.Expr:
        if name in _COMPARE and len(given) >= 2:
            tests: list[nodes.Expr] = [
                nodes.Compare(given[0], [nodes.Operand(_COMPARE[name], g)]) for g in given[1:]
            ]
            return _chain(nodes.Or, tests)
        match name, given:
            case "and" | "or", [_, *_]:
                return _chain(nodes.And if name == "and" else nodes.Or, given)
            case "not", [value]:
                return nodes.Not(value)
            case "len", [value]:
                return nodes.Filter(value, "length", [], [], None, None)
            case "index", [value, *keys]:
                for key in keys:
                    value = nodes.Getitem(value, key, "load")
                return value
            case "slice", [value, *bounds]:
                both: list[nodes.Expr | None] = [*bounds[:2], None, None]
                return nodes.Getitem(value, nodes.Slice(both[0], both[1], None), "load")
            case "print" | "println", _:
                return nodes.Concat(given or [nodes.Const("")])
            case "printf", [nodes.Const(value=str() as pattern), *rest]:
                plain = re.sub(r"%[+#]?[vq]", "%s", pattern)
                return (
                    nodes.Mod(nodes.Const(plain), nodes.Tuple(rest, "load")) if rest else nodes.Const(pattern)
                )
            case "printf", [value, *rest]:
                return nodes.Mod(value, nodes.Tuple(rest, "load"))
            case "call", [value, *rest]:
                return nodes.Call(value, rest, [], None, None)
        if name in _DATES:
            return nodes.Call(nodes.Name("strftime_now", "load"), [nodes.Const(_DATES[name])], [], None, None)
        if name in _PASSED_ON and given:
            return (
                nodes.Filter(given[0], _FILTERS[name], [], [], None, None) if name in _FILTERS else given[0]
            )
        raise TemplateProblem(
            f"calls {name!r} with {len(given)} values, which Ollama does not know (line {self._line})"
        )

    def _take(self) -> Token:
        if self.at >= len(self._tokens):
            raise TemplateProblem(f"an expression ends too early (line {self._line})")
        self.at += 1
        return self._tokens[self.at - 1]

    def _next_is(self, *signs: str) -> bool:
        return (
            self.at < len(self._tokens)
            and self._tokens[self.at].kind == "sign"
            and self._tokens[self.at].text in signs
        )


def _chain(kind: Callable[[nodes.Expr, nodes.Expr], nodes.Expr], values: list[nodes.Expr]) -> nodes.Expr:
    value = values[0]
    for other in values[1:]:
        value = kind(value, other)
    return value


def _declared(tokens: tuple[Token, ...]) -> tuple[list[str], tuple[Token, ...]]:
    """Return the variables that are set, and what follows."""
    for number, token in enumerate(tokens[:4]):
        if token.kind == "sign" and token.text in (":=", "="):
            return [f"v_{t.text[1:]}" for t in tokens[:number] if t.kind == "variable"], tokens[number + 1 :]
    return [], tokens


def _macro_name(token: Token) -> str:
    return "go_template_" + re.sub(r"\W", "_", unquoted(token.text))[:80]


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()


def _number(text: str) -> int | float:
    try:
        return int(text, 0) if re.fullmatch(r"[+-]?\w+", text) else float(text)
    except ValueError:
        return 0
