"""What a template's expression may be: its own texts, and the parts of a conversation in it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from qaudit.static.templates.facts import GuardKind

ANY_ROLE = frozenset({"system", "user", "assistant", "tool"})
MOST_TEXTS, MOST_CONSTANTS, MOST_GUARDS, MOST_EDITS = 120, 24, 12, 12
MOST_FOLDED = 4096  # characters of a constant that is worked out


@dataclass(frozen=True, slots=True)
class Guard:
    """What in a conversation decides whether something is written.

    Attributes:
        kind: content, length of content, number of messages, date, names of tools, or chance.
        roles: whose content.
        constants: what it is compared with.
    """

    kind: GuardKind
    roles: frozenset[str] = ANY_ROLE
    constants: frozenset[str] = frozenset()

    def told(self) -> str:
        """Return it in words."""
        whose = (
            ""
            if self.kind not in ("content", "lookup") or self.roles == ANY_ROLE
            else f" of {'/'.join(sorted(self.roles))}"
        )
        shown = ", ".join(repr(c)[:60] for c in sorted(self.constants)[:4])
        return f"{self.kind}{whose}{f' against {shown}' if shown else ''}"


@dataclass(frozen=True, slots=True)
class Text:
    """A literal, the line that it stands on, and what decides that it is used."""

    text: str
    line: int
    guards: frozenset[Guard] = frozenset()


@dataclass(frozen=True, slots=True)
class Edit:
    """A change made to a message's content before it is written."""

    how: str
    constants: tuple[str, ...]
    line: int
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Value:
    """All that an expression may be.

    Attributes:
        refs: parts of the conversation: messages, message, content, role, tools, tool, tool-name, schema,
            date, count, length, position, option, ...
        roles: whose content, where `content` is among the refs.
        texts: literals in it.
        guards: what decides which of its values it has.
        edits: what was done to content in it.
        against: what a comparison with it compares with, besides its texts: whole numbers beyond 1, keys.
        constant: its one value where that is known: a string, a number, None; `UNKNOWN` elsewhere.
        parts: of a namespace, dictionary or list that the template made: key -> value.
    """

    refs: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    texts: tuple[Text, ...] = ()
    guards: frozenset[Guard] = frozenset()
    edits: tuple[Edit, ...] = ()
    against: frozenset[str] = frozenset()
    constant: object = field(default=...)
    macros: frozenset[str] = frozenset()
    space: int = 0  # a namespace's number, 0 for none

    @property
    def constants(self) -> frozenset[str]:
        """What it is, where that is known, as strings to compare with."""
        known = {text.text for text in self.texts if text.text} | self.against
        return frozenset(sorted(known)[:MOST_CONSTANTS])

    def guarded(self, guards: Iterable[Guard]) -> "Value":
        """Return it, with its texts and its own value depending on more."""
        more = frozenset(guards)
        if not more:
            return self
        texts = tuple(replace(text, guards=_few(text.guards | more)) for text in self.texts)
        return replace(self, texts=texts, guards=_few(self.guards | more))

    def edited(self, how: str, constants: tuple[str, ...], line: int) -> "Value":
        """Return it with a change noted, where it has content."""
        if "content" not in self.refs:
            return self.plain()
        edit = Edit(how, tuple(c[:MOST_FOLDED] for c in constants), line, self.roles or ANY_ROLE)
        edits = self.edits if edit in self.edits else (*self.edits[: MOST_EDITS - 1], edit)
        return replace(self, edits=edits, constant=...)

    def plain(self) -> "Value":
        """Return it with nothing known of its exact value."""
        return replace(self, constant=...)


NOTHING = Value()


def ref(*names: str, roles: frozenset[str] = frozenset()) -> Value:
    """Return a part of the conversation."""
    return Value(frozenset(names), roles)


def depending(guards: Iterable[Guard]) -> Value:
    """Return a flag or number that says nothing but what it depends on."""
    return Value(guards=_few(frozenset(guards)))


def literal(value: object, line: int) -> Value:
    """Return a constant of the template."""
    if isinstance(value, str):
        return Value(texts=(Text(value, line),) if value else (), constant=value[: MOST_FOLDED + 1])
    if isinstance(value, bool) or value is None:
        return Value(constant=value)
    if isinstance(value, int | float):
        small = isinstance(value, int) and -1 <= value <= 1
        return Value(against=frozenset() if small else frozenset({str(value)[:40]}), constant=value)
    if isinstance(value, list):
        return either(NOTHING, *(literal(item, line) for item in value)).plain()
    return NOTHING


def either(*values: Value) -> Value:
    """Return what may be any of some values, or be made of all of them."""
    if not values:
        return NOTHING
    first = values[0]
    if all(value == first for value in values[1:]):
        return first
    texts: dict[Text, None] = {}
    edits: dict[Edit, None] = {}
    for value in values:
        texts.update(dict.fromkeys(value.texts))
        edits.update(dict.fromkeys(value.edits))
    return Value(
        frozenset().union(*(v.refs for v in values)),
        frozenset().union(*(v.roles for v in values)),
        tuple(texts)[:MOST_TEXTS],
        _few(frozenset().union(*(v.guards for v in values))),
        tuple(edits)[:MOST_EDITS],
        frozenset().union(*(v.against for v in values)),
        ...,
        frozenset().union(*(v.macros for v in values)),
        max(v.space for v in values),
    )


def _few(guards: frozenset[Guard]) -> frozenset[Guard]:
    if len(guards) <= MOST_GUARDS:
        return guards
    return frozenset(sorted(guards, key=lambda guard: (guard.kind, sorted(guard.constants)))[:MOST_GUARDS])
