"""Chat templates rendered in Jinja's immutable sandbox, inside the worker's limits.

A template comes out of an untrusted file: it can loop for ever or build gigabytes, so this runs
only where time and memory are bounded (`qaudit.engines.worker_main`).
"""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from qaudit.engines.protocol import Conversation, Rendered

MAX_TEMPLATE_CHARACTERS = 1 << 20
MAX_RENDERED_CHARACTERS = 1 << 20
# a fixed day, so that templates which print today's date give the same prompt in every run
FIXED_DATE = "01 Jan 2026"


class TemplateRefused(jinja2.TemplateError):
    """The template itself refused the conversation (`raise_exception`)."""


def render_conversations(
    template: str, conversations: Sequence[Conversation], special_tokens: dict[str, str]
) -> list[Rendered]:
    """Render each conversation with the generation prompt.

    Later user turns of a build-up follow an empty-handed assistant turn, because the replies in
    between are not generated: what is asked is the last turn, in the light of those before it.

    Args:
        template: Jinja source.
        conversations: user turns.
        special_tokens: bos_token, eos_token and the like.
    """
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        return [Rendered(c.id, "", "the chat template is longer than 1 MiB") for c in conversations]
    try:
        compiled = _environment().from_string(template)
    except (jinja2.TemplateError, RecursionError) as error:
        return [
            Rendered(c.id, "", f"the chat template does not parse: {_one_line(error)}") for c in conversations
        ]
    return [_render_one(compiled, conversation, special_tokens) for conversation in conversations]


def messages_of(turns: Sequence[str]) -> list[dict[str, str]]:
    """Return chat messages for user turns, with a bland assistant turn between any two."""
    messages: list[dict[str, str]] = []
    for turn in turns:
        if messages:
            messages.append({"role": "assistant", "content": "Okay."})
        messages.append({"role": "user", "content": turn})
    return messages


def _render_one(
    compiled: jinja2.Template, conversation: Conversation, special_tokens: dict[str, str]
) -> Rendered:
    pieces: list[str] = []
    length = 0
    try:
        for piece in compiled.generate(
            messages=messages_of(conversation.turns),
            add_generation_prompt=True,
            enable_thinking=False,
            **special_tokens,
        ):
            pieces.append(piece)
            length += len(piece)
            if length > MAX_RENDERED_CHARACTERS:
                return Rendered(
                    conversation.id, "", "the chat template writes more than 1 MiB for one prompt"
                )
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        return Rendered(conversation.id, "", f"the chat template fails: {_one_line(error)}")
    return Rendered(conversation.id, "".join(pieces))


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda _format: FIXED_DATE
    return environment


def _tojson(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    # chat templates expect plain JSON, not Jinja's HTML-escaped form
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateRefused(message)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
