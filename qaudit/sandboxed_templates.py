"""Chat templates compiled and run in Jinja's immutable sandbox, as inference engines run them.

A template comes out of an untrusted file: it can loop for ever or build gigabytes, so nothing here may
be called outside a process whose time and memory are bounded (`qaudit.confinement`). Imports little
beyond Jinja, because some of these processes live for a tenth of a second.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.environment import Environment, Template
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE_CHARACTERS = 1 << 20
MAX_RENDERED_CHARACTERS = 1 << 20
# a fixed day, so that templates which print today's date give the same prompt in every run
FIXED_DATE = "01 Jan 2026"


class TemplateProblem(Exception):
    """A template cannot be used, or fails on one conversation; `str(error)` is one line."""


class _Generation(Extension):
    """`{% generation %}`, which marks replies for training and writes what is in it."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class TemplateRefused(TemplateError):
    """The template itself refused the conversation (`raise_exception`)."""


def chat_environment(strftime: Callable[[str], str] = lambda _format: FIXED_DATE) -> Environment:
    """Return the sandbox with what inference engines add to it.

    Args:
        strftime: what `strftime_now` gives for a format.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = strftime
    return environment


def compiled_template(text: str | nodes.Template, environment: Environment) -> Template:
    """Compile Jinja source, or a tree parsed from it.

    Raises:
        TemplateProblem: it is too long or does not parse.
    """
    if isinstance(text, str) and len(text) > MAX_TEMPLATE_CHARACTERS:
        raise TemplateProblem("the chat template is longer than 1 MiB")
    try:
        return environment.from_string(text)
    except (TemplateError, RecursionError, SyntaxError, ValueError) as error:
        raise TemplateProblem(f"the chat template does not parse: {one_line(error)}") from error


def rendered_text(compiled: Template, variables: Mapping[str, object]) -> str:
    """Render once, stopping at 1 MiB of text.

    Raises:
        TemplateProblem: the template fails, refuses, or writes more than that.
    """
    pieces: list[str] = []
    length = 0
    try:
        for piece in compiled.generate(**variables):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_RENDERED_CHARACTERS:
                raise TemplateProblem("the chat template writes more than 1 MiB for one prompt")
    except (
        TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        raise TemplateProblem(f"the chat template fails: {one_line(error)}") from error
    return "".join(pieces)


def one_line(error: Exception) -> str:
    """Return the start of an error's text on one line."""
    return " ".join(str(error).split())[:200]


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:  # noqa: ANN401
    # chat templates expect plain JSON, not Jinja's HTML-escaped form
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateRefused(message)
