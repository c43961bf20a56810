"""Which comparisons make a condition on what is said, and which only ask for the form of a conversation."""

from collections.abc import Sequence
from dataclasses import replace

from qaudit.static.templates.abstract_values import ANY_ROLE, Guard, Value
from qaudit.static.templates.facts import GuardKind

_MEASURES: dict[str, GuardKind] = {"length": "length", "count": "count", "position": "count", "date": "date"}


def own_guards(values: Sequence[Value]) -> list[Guard]:
    """Return what decides which of their values some expressions have."""
    return [guard for value in values for guard in value.guards]


def compared(one: Value, other: Value) -> list[Guard]:
    """Return the guards of comparing a value with another, as far as the first is of the conversation."""
    guards: list[Guard] = []
    constants = frozenset(c for c in other.constants if c.strip())
    numbers = one.against | other.against
    if one.refs & {"content", "part"} and (constants or "content" in other.refs):
        guards.append(Guard("content", one.roles or ANY_ROLE, constants))
    if "length" in one.refs and numbers:
        guards.append(Guard("length", one.roles or ANY_ROLE, frozenset(numbers)))
    if one.refs & {"count", "position"} and numbers and not one.refs & {"content", "length"}:
        guards.append(Guard("count", ANY_ROLE, frozenset(numbers)))
    if "date" in one.refs and (constants or numbers):
        guards.append(Guard("date", ANY_ROLE, constants | numbers))
    if "tool-name" in one.refs and constants:
        guards.append(Guard("tool", ANY_ROLE, constants))
    return guards


def looked_up(key: Value, of: Value) -> list[Guard]:
    """Return the guards of taking something out of a table of the template with a key."""
    found = compared(key, Value(against=of.against | of.constants))
    return [replace(guard, kind="lookup") if guard.kind == "content" else guard for guard in found]


def measured(value: Value) -> list[Guard]:
    """Return the guards of using a length, a count or a date as a number."""
    return [Guard(kind, ANY_ROLE) for part, kind in _MEASURES.items() if part in value.refs]
