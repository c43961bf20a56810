"""What an OpenAI-compatible server sends, turned into values; nothing of it is believed unchecked.

Bytes are bounded before they come here (`openai_transport`). A field of another kind is a BadReply,
never a stray exception; what is only missing (log-probabilities, a token count) is left out.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from qaudit.engines.answers import one_line
from qaudit.engines.protocol import Ask
from qaudit.values import Finish, Reply, TokenLogprob

TOP = 20
MAX_TOKEN_CHARACTERS = 1000
# a token of a common tokenizer is some 4 characters; runs of spaces make the longest ones
MAX_CHARACTERS_PER_TOKEN = 256
MAX_MODELS = 1000
MAX_LISTED = 1000
# servers round: a probability may come out a hair above 1
_ROUNDING = 1e-3

_FINISHES: Mapping[str, Finish] = {
    "stop": "eos",
    "eos": "eos",
    "eos_token": "eos",
    "stop_sequence": "eos",
    "tool_calls": "eos",
    "function_call": "eos",
    "length": "length",
}
_BROKEN_OFF = frozenset({"abort", "error", "cancelled", "timeout"})
_TOO_LONG = re.compile(
    r"context[ _]?(?:length|window|size|len)|maximum (?:number of )?(?:input |prompt )?(?:tokens|length)"
    r"|must be <= \d+\. given|(?:prompt|input)s? (?:is|are) too long"
)


class BadReply(Exception):
    """A server sent something that is no reply; `str` says what, in one line."""


@dataclass(frozen=True, slots=True)
class ServerReply:
    """One reply as the server gave it.

    Attributes:
        reply: for the probes.
        filtered: the server held the reply back (`content_filter`); its text is not the model's.
        has_logprobs: whether it came with log-probabilities.
        reasoned: whether it came with reasoning that is not part of the text.
        overlong: whether the server went on after as many tokens as were asked for.
        fingerprint: what the server calls its build and settings; empty where it does not.
    """

    reply: Reply
    filtered: bool = False
    has_logprobs: bool = False
    reasoned: bool = False
    overlong: bool = False
    fingerprint: str = ""


def parsed(body: bytes) -> Mapping[str, Any]:
    """Return a JSON object.

    Raises:
        BadReply: the bytes are not one.
    """
    try:
        value = _json(body)
    except (ValueError, RecursionError) as error:
        raise BadReply("what came is not JSON") from error
    if not isinstance(value, dict):
        raise BadReply("what came is not a JSON object")
    return value


def _json(body: bytes) -> object:
    # both read NaN and Infinity, which some servers send beside a text that is as good as any; they
    # are refused where a number must be finite
    try:
        # twice as fast, and log-probabilities are long
        value: object = from_json(body)
    except ValueError:
        # it refuses halves of surrogate pairs
        value = json.loads(body)
    return value


def server_reply(fields: Mapping[str, Any], ask: Ask) -> ServerReply:
    """Return the reply in a chat completion.

    Raises:
        BadReply: there is none in it, or the server broke it off.
    """
    choices = fields.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadReply("the completion has no choices")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadReply("the completion has no message")
    told = choice.get("finish_reason")
    if isinstance(told, str) and told in _BROKEN_OFF:
        raise BadReply(f"the server broke the reply off ({told})")
    text = _text(message)
    reasoned = any(
        isinstance(message.get(name), str) and message[name] for name in ("reasoning_content", "reasoning")
    )
    positions = _positions(choice)
    count = _count(fields, positions, text, ended=told != "length", reasoned=reasoned)
    finish = _FINISHES.get(told) if isinstance(told, str) else None
    longest = (ask.max_tokens + 1) * MAX_CHARACTERS_PER_TOKEN
    reply = Reply(
        ask.id,
        text[:longest],
        count,
        finish or ("length" if count >= ask.max_tokens else "eos"),
        # the first position of all is that of the reasoning, not of the reply
        () if reasoned else _top(positions),
    )
    return ServerReply(
        reply,
        filtered=told == "content_filter",
        has_logprobs=bool(positions),
        reasoned=reasoned,
        overlong=count > ask.max_tokens + 1 or len(text) > longest,
        fingerprint=_line(fields.get("system_fingerprint")),
    )


def model_ids(fields: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the models that a server lists, and who it says owns the first.

    Raises:
        BadReply: it is not a list of models.
    """
    models = fields.get("data")
    if not isinstance(models, list):
        raise BadReply("the list of models is not one")
    entries = [m for m in models[:MAX_MODELS] if isinstance(m, dict) and _line(m.get("id"))]
    return [str(m["id"]) for m in entries], _line(entries[0].get("owned_by")) if entries else ""


def complaint(body: bytes) -> str:
    """Return in one line what a server says is wrong; empty where it says nothing that can be read.

    Of a list of problems the places and messages are kept, not the input, which may echo a prompt.
    """
    try:
        fields = parsed(body)
    except BadReply:
        return ""
    error = fields.get("error", fields)
    if isinstance(error, dict):
        said = error.get("message", error.get("detail", fields.get("detail")))
    else:
        said = error
    if isinstance(said, list):
        problems = [item for item in said[:5] if isinstance(item, dict)]
        said = "; ".join(f"{_place(item.get('loc'))}: {item.get('msg')}" for item in problems)
    return _line(said)


def is_too_long(said: str) -> bool:
    """Tell whether a server complains that prompt and reply do not fit into its context."""
    return bool(_TOO_LONG.search(said.lower()))


def _place(value: object) -> str:
    return ".".join(str(part)[:80] for part in value[:8]) if isinstance(value, list) else "?"


def _line(value: object) -> str:
    return one_line(value[:2000], 300) if isinstance(value, str) else ""


def _whole_text(text: str) -> str:
    # JSON can name halves of surrogate pairs, which no file or hash takes
    return text.encode(errors="replace").decode()


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if content is None:
        # a model that was made to refuse in a field of its own has refused
        content = message.get("refusal") or ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        raise BadReply("the message's content is not text")
    return _whole_text(content)


def _positions(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not all(isinstance(position, dict) for position in content):
        return []
    return content


def _count(
    fields: Mapping[str, Any], positions: list[Mapping[str, Any]], text: str, *, ended: bool, reasoned: bool
) -> int:
    """Return the number of generated tokens without the end token, as near as the server tells it."""
    if positions and not reasoned:
        tokens = [_token_text(position) for position in positions]
        # some servers list the end token, as its name or as nothing, some do not
        names_end = "".join(tokens) != text and "".join(tokens[:-1]).strip() == text.strip()
        return len(tokens) - (ended and (not tokens[-1] or names_end))
    usage = fields.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("completion_tokens_details")
    thought = _whole(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    return max(_whole(usage.get("completion_tokens")) - thought, 1 if text else 0)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else 0


def _top(positions: list[Mapping[str, Any]]) -> tuple[TokenLogprob, ...]:
    """Return the likeliest tokens of the first position; none where a number of it is no probability."""
    if not positions:
        return ()
    listed = positions[0].get("top_logprobs")
    entries = listed if isinstance(listed, list) and listed else [positions[0]]
    tokens: dict[str, float] = {}
    for entry in entries[:MAX_LISTED]:
        value = entry.get("logprob") if isinstance(entry, dict) else None
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return ()
        # an integer too long for a float is no probability either
        if not math.isfinite(value) if isinstance(value, float) else abs(value) > 1 << 53:
            return ()
        if value > _ROUNDING:
            return ()
        text = _token_text(entry)
        tokens[text] = max(tokens.get(text, -math.inf), min(float(value), 0.0))
    ranked = sorted(tokens.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    return tuple(TokenLogprob(-1, text, logprob) for text, logprob in ranked)


def _token_text(entry: Mapping[str, Any]) -> str:
    raw = entry.get("bytes")
    # the bytes tell cut characters apart, which the text shows alike
    if isinstance(raw, list) and 0 < len(raw) <= MAX_TOKEN_CHARACTERS:
        numbers = [b for b in raw if isinstance(b, int) and not isinstance(b, bool) and 0 <= b < 256]
        if len(numbers) == len(raw):
            return bytes(numbers).decode(errors="replace")
    text = entry.get("token")
    return _whole_text(text[:MAX_TOKEN_CHARACTERS]) if isinstance(text, str) else ""
