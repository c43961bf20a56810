"""Rendering a template with many conversations, each in little time, and finding the messages again.

Runs in the analyst process only. A skeleton is what was rendered with a mark in place of each message, so
that what the template itself wrote can be compared between conversations.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import pass_context

from qaudit.sandboxed_templates import (
    MAX_RENDERED_CHARACTERS,
    TemplateProblem,
    chat_environment,
    compiled_template,
    rendered_text,
)
from qaudit.static.templates.budgets import MOST_ROUNDS, Budget, TooCostly, limited, multiplied, raised
from qaudit.static.templates.conversations import (
    PLAIN_TOOLS,
    ArgumentForm,
    Message,
    Talk,
    calls_as_given,
    tools_as_given,
)

MOST_PER_TALK_S = 0.2  # of a standard machine's processor time; honest templates take a thousandth
DATE_MARK = "⟦date⟧"
MARK = re.compile(r"⟦[a-z]+⟧")  # in a skeleton, of a message by its role
MOST_IN_ALL_S = 0.6  # of honest templates the dearest takes an eighth
LONGEST_HONEST = 64_000  # characters; the longest template in use has forty thousand
HONEST_S, LONG_S = 1.5, 0.35  # as above, to read or compile one up to that length, and a longer one
MOST_PIECES = 5000
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_TRACE, _ROUND = "qaudit_trace", "qaudit_round"
# Ollama ends a prompt where its template would write the answer that is not there yet
_ANSWER = "qzanswerz"


@dataclass(slots=True)
class Rendering:
    """What one conversation gave.

    Attributes:
        skeleton: with marks in place of messages; empty where `error` says why.
        missing: messages of which nothing is left.
        altered: messages of which not every character is there.
        pieces: (line, text) in the order in which they were written.
    """

    skeleton: str
    error: str
    missing: tuple[Message, ...] = ()
    altered: tuple[Message, ...] = ()
    pieces: tuple[tuple[int, str], ...] = ()


class Renderer:
    """One template, compiled once, with each output's line kept."""

    def __init__(
        self,
        template: nodes.Template,
        special_tokens: Mapping[str, str],
        *,
        go: bool = False,
        compiling_s: float = HONEST_S,
    ) -> None:
        """Compile a parsed template, which is changed by that.

        Args:
            template: in Jinja's nodes.
            special_tokens: `bos_token` and the like.
            go: whether it was translated from Go.
            compiling_s: how much processor time of a standard machine that may take.

        Raises:
            TemplateProblem: it does not compile.
            TooCostly: it takes too long to compile.
            RanOut: it takes too long on this machine.
        """
        self._pieces: list[tuple[int, str]] = []
        self._written: list[str] = []
        self._talk: Talk | None = None
        self._tokens = {**SPECIAL_TOKENS, **special_tokens}
        # how a template wants to be asked, where it is not as most are
        self.in_parts = False
        self.with_tools = False
        environment = chat_environment(self._clock)
        environment.filters[_TRACE] = self._tracing()
        environment.filters[_ROUND] = self._counting()
        if isinstance(environment, SandboxedEnvironment):
            environment.intercepted_binops = frozenset({"*", "**"})
            environment.binop_table |= {"*": multiplied, "**": raised}
        for output in template.find_all(nodes.Output):
            output.nodes = [_traced(part) for part in output.nodes]
        _counted(template)
        # Ollama renders a template that knows no list of messages once for each question
        self._by_turn = go and not any(name.name == "messages" for name in template.find_all(nodes.Name))
        self._go = go
        with limited(compiling_s, "compiling it"):
            self._compiled = compiled_template(template, environment)
        self._rounds = 0
        self._in_all = Budget(MOST_IN_ALL_S, "for all of them together")

    def render(self, talk: Talk) -> Rendering:
        """Render one conversation.

        Raises:
            TooCostly: it took too long, or too much memory.
            RanOut: it took too long on this machine.
        """
        self._pieces, self._written, self._talk, self._rounds = [], [], talk, 0
        self._in_all.left()
        try:
            with limited(MOST_PER_TALK_S):
                text = "".join(rendered_text(self._compiled, given) for given in self._given(talk))
                text = text.partition(_ANSWER)[0]
        except TemplateProblem as problem:
            if f"{MAX_RENDERED_CHARACTERS >> 20} MiB" in str(problem):
                raise TooCostly(str(problem)) from problem
            return Rendering("", str(problem))
        except MemoryError as error:
            raise TooCostly("takes more memory than the analyst has") from error
        for day in sorted(set(self._written), key=len, reverse=True):
            text = text.replace(day, DATE_MARK)
        missing: list[Message] = []
        altered: list[Message] = []
        for message in talk.messages:
            text, found = _masked(text, message)
            (missing if found is None else altered).extend([] if found else [message])
        return Rendering(text, "", tuple(missing), tuple(altered), tuple(self._pieces))

    def _given(self, talk: Talk) -> Iterator[dict[str, Any]]:
        """Yield the variables of each rendering that a conversation takes."""
        given = self._variables(talk)
        if not self._go:
            yield given
            return
        system = "\n\n".join(m.content for m in talk.messages if m.role == "system")
        given |= {"system": system, "prompt": "", "response": _ANSWER, "suffix": "", "first": True}
        given |= {"think": False, "is_think_set": False, "think_level": "", "options": {}}
        if not self._by_turn:
            users = [m.content for m in talk.messages if m.role == "user"]
            yield {**given, "prompt": users[-1] if users else ""}
            return
        turns = [m for m in talk.messages if m.role != "system"]
        for number, message in enumerate(turns):
            if message.role == "user":
                answered = number + 1 < len(turns) and turns[number + 1].role == "assistant"
                answer = turns[number + 1].content if answered else _ANSWER
                yield {**given, "prompt": message.content, "response": answer, "first": number == 0}
                given["system"] = ""

    def _variables(self, talk: Talk) -> dict[str, Any]:
        messages = [self._as_given(message, talk.form) for message in talk.messages]
        names = talk.tools or (PLAIN_TOOLS if self.with_tools else ())
        tools = tools_as_given(names) if names else None
        return {
            **self._tokens,
            "messages": messages,
            "tools": tools,
            "documents": None,
            "add_generation_prompt": talk.generation,
        }

    def _as_given(self, message: Message, form: ArgumentForm) -> dict[str, Any]:
        content: object = message.content
        if self.in_parts and message.content:
            content = [{"type": "text", "text": message.content}]
        given: dict[str, Any] = {"role": message.role, "content": content}
        if message.calls:
            # where nothing is said beside the call, some templates look for none rather than for ""
            given["content"] = content or None
            given["tool_calls"] = calls_as_given(message.calls, form)
        if message.role == "tool":
            given |= {"name": PLAIN_TOOLS[0], "tool_call_id": "qzcall001"}
        return given

    def _clock(self, form: str) -> str:
        written = self._talk.day.strftime(form[:100]) if self._talk else ""
        # a lone number would mask every such number in the text
        if len(written) > 3:
            self._written.append(written)
        return written

    def _tracing(self) -> Callable[..., object]:
        # what asks for the context is not worked out when the template is compiled
        @pass_context
        def trace(_context: Context, value: object, line: int) -> object:
            if isinstance(value, str) and value and len(self._pieces) < MOST_PIECES:
                self._pieces.append((line, value))
            return value

        return trace

    def _counting(self) -> Callable[..., bool]:
        @pass_context
        def count(_context: Context, _value: object) -> bool:
            self._rounds += 1
            if self._rounds > MOST_ROUNDS:
                raise TooCostly(f"runs through its loops and macros more than {MOST_ROUNDS} times")
            return True

        return count


def _counted(template: nodes.Template) -> None:
    """Have every round of a loop and every call of a macro counted."""
    for loop in list(template.find_all(nodes.For)):
        if loop.test is None:
            loop.body = [nodes.ExprStmt(_round(loop), lineno=loop.lineno), *loop.body]
        else:  # it is asked in rounds, too, that are then left out
            loop.test = nodes.And(_round(loop), loop.test, lineno=loop.lineno)
    macros: list[nodes.Macro | nodes.CallBlock] = [
        *template.find_all(nodes.Macro),
        *template.find_all(nodes.CallBlock),
    ]
    for macro in macros:
        macro.body = [nodes.ExprStmt(_round(macro), lineno=macro.lineno), *macro.body]


def _round(of: nodes.Node) -> nodes.Filter:
    return nodes.Filter(nodes.Const(True, lineno=of.lineno), _ROUND, [], [], None, None, lineno=of.lineno)


def _traced(part: nodes.Expr) -> nodes.Expr:
    line = getattr(part, "lineno", 0)
    if isinstance(part, nodes.TemplateData):
        part = nodes.Const(part.data, lineno=line)
    return nodes.Filter(part, _TRACE, [nodes.Const(line, lineno=line)], [], None, None, lineno=line)


def _masked(text: str, message: Message) -> tuple[str, bool | None]:
    """Return the text with a mark in place of a message, and whether all of it was there (None: nothing)."""
    for content in (message.content, message.content.strip()):
        if content and content in text:
            return text.replace(content, message.mark, 1), True
    first, last = _edges(message.content)
    if not first:
        return text, None
    start, end = text.find(first), text.rfind(last)
    if start < 0 and end < 0:
        return text, None
    if start < 0 or end < start or end - start > len(message.content) * 2:
        start, end = (start, start + len(first)) if start >= 0 else (end, end + len(last))
    else:
        end += len(last)
    return f"{text[:start]}{message.mark}{text[end:]}", False


def _edges(content: str) -> tuple[str, str]:
    found = re.findall(r"qz[a-z]{1,12}\d{1,4}[az]", content)
    return (found[0], found[-1]) if found else ("", "")


def allowance(text: str) -> float:
    """Return how much of a standard machine's processor time it may take to read a template, or compile it.

    What honest ones take grows with their length, on a slow machine to a second; those that are made to take
    long are longer than any of these.
    """
    return HONEST_S if len(text) <= LONGEST_HONEST else LONG_S


def parsed(text: str) -> nodes.Template:
    """Parse a Jinja template.

    Raises:
        TemplateProblem: it does not parse.
    """
    try:
        return chat_environment().parse(text)
    except (TemplateError, RecursionError, ValueError) as error:
        line = getattr(error, "lineno", 0)
        raise TemplateProblem(
            f"{' '.join(str(error).split())[:200]}{f' (line {line})' if line else ''}"
        ) from error
