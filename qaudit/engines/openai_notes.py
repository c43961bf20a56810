"""What a report should say about a server, gathered over its replies and kept from one run to the next.

An audit that is resumed asks another engine of the same server; what the first one had seen is handed on
as plain JSON, so that the report says what it would have said without the stop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from qaudit.engines.openai_dialect import Dialect
from qaudit.engines.openai_replies import ServerReply
from qaudit.errors import InputError

# more than one is told apart from one, and that is all
MAX_FINGERPRINTS = 2
Count = Annotated[int, Field(ge=0)]


@dataclass(slots=True)
class Seen:
    """Counts over the replies so far, and what the server calls its set-up.

    Attributes:
        replies: all of them.
        filtered: held back by the server.
        reasoned: with reasoning beside the text.
        overlong: longer than was asked for.
        without_logprobs: without log-probabilities.
        fingerprints: the first ones that differ.
    """

    replies: Count = 0
    filtered: Count = 0
    reasoned: Count = 0
    overlong: Count = 0
    without_logprobs: Count = 0
    fingerprints: Annotated[set[str], Field(max_length=MAX_FINGERPRINTS)] = field(default_factory=set)

    def take(self, reply: ServerReply) -> None:
        """Count a reply."""
        self.replies += 1
        self.filtered += reply.filtered
        self.reasoned += reply.reasoned
        self.overlong += reply.overlong
        self.without_logprobs += not reply.has_logprobs
        if reply.fingerprint and len(self.fingerprints) < MAX_FINGERPRINTS:
            self.fingerprints.add(reply.fingerprint)

    def notes(self, dialect: Dialect) -> list[str]:
        """Return what a reader should know, a line each, of a server that takes that dialect."""
        counted = (
            (self.filtered, "were held back by its content filter and count as not answered"),
            (self.reasoned, "came with reasoning, which is not part of the reply"),
            (self.overlong, "went on after the longest reply asked for"),
            (self.without_logprobs if dialect.top_logprobs else 0, "came without log-probabilities"),
        )
        lines = [
            *dialect.notes,
            *(f"{number} of {self.replies} replies {what}" for number, what in counted if number),
        ]
        if len(self.fingerprints) > 1:
            lines.append("it changed its system_fingerprint between replies: not all came from one set-up")
        return lines


@dataclass(frozen=True, slots=True)
class Memory:
    """What one engine hands on to the next."""

    seen: Seen
    dialect: Dialect


_MEMORY = TypeAdapter(Memory)


def written(memory: Memory) -> dict[str, Any]:
    """Return a memory as JSON values, for a journal."""
    values: dict[str, Any] = _MEMORY.dump_python(memory, mode="json")
    return values


def understood(values: Mapping[str, Any]) -> Memory:
    """Return the memory that was `written`.

    Raises:
        InputError: it is none.
    """
    try:
        return _MEMORY.validate_json(to_json(values), strict=True)
    except ValidationError as error:
        raise InputError(
            "the journal does not say what the server told before it stopped; run without --resume"
        ) from error
