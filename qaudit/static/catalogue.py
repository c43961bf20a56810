"""All rules: found in the modules of this room, so that none can be declared and not be listed."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import qaudit.static
from qaudit.findings import SEVERITIES
from qaudit.report.plain_values import to_json
from qaudit.static.rules import Rule, RuleBook

RULES_SCHEMA = "qaudit/rules/v1"


@dataclass(frozen=True, slots=True)
class Family:
    """The rules whose ids begin with the same word; `about` has one sentence for each of its books."""

    name: str
    about: tuple[str, ...]
    rules: tuple[Rule, ...]


@cache
def families() -> tuple[Family, ...]:
    """Return all rules by family, in alphabetical order; within one in the order of declaration."""
    books: dict[str, list[RuleBook[Any]]] = {}
    for book in _books():
        books.setdefault(book.family, []).append(book)
    return tuple(
        Family(
            name,
            tuple(dict.fromkeys(book.about.rstrip(".") + "." for book in books[name])),
            tuple(rule for book in books[name] for rule in book.rules),
        )
        for name in sorted(books)
    )


def all_rules() -> tuple[Rule, ...]:
    """Return all rules, in the order of `families`."""
    return tuple(rule for family in families() for rule in family.rules)


def rules_as_text() -> str:
    """Return one line for each rule: id, severity and title."""
    rules = all_rules()
    longest = max(len(rule.id) for rule in rules)
    widest = max(map(len, SEVERITIES))
    return "".join(f"{rule.id:<{longest}}  {rule.severity:<{widest}}  {rule.title}\n" for rule in rules)


def rules_as_json() -> str:
    """Return one JSON document with everything that is declared of each rule."""
    return to_json({"schema": RULES_SCHEMA, "rules": [asdict(rule) for rule in all_rules()]})


def _books() -> Iterator[RuleBook[Any]]:
    seen: set[int] = set()
    for found in sorted(
        pkgutil.walk_packages(qaudit.static.__path__, "qaudit.static."), key=lambda found: found.name
    ):
        if found.name == __name__:
            continue
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, RuleBook) and id(value) not in seen:
                seen.add(id(value))
                yield value
